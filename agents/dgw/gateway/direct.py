"""Direct mode: the serving gateway asks the repository and updates every anchor itself (seed draft §4.2)."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.exchanges import Exchange
from agents.dgw.gateway.anchors import activate, anchors_at, drop_anchor, expect_anchor, told_identity
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import extend, granted, start_release, start_update
from agents.dgw.gateway.state import AnchorBinding, BindingState, MobileNode
from agents.dgw.messages import granted_prefixes, group_local_prefixes
from agents.dgw.repository import Entry, RepositoryClient
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import AnchoredPrefix, HomeNetworkPrefix


class DirectRegistration:
    """No CMD on the signalling path: a repository knows the anchors, PBUs go from gateway to gateway."""

    def __init__(self, base: GatewayBase, repository: RepositoryClient) -> None:
        self._base = base
        self._repository = repository
        base.when_forgotten.append(self._withdraw)
        base.registering = partial(repository.pending, operation="update")

    def _withdraw(self, node: MobileNode, now: float) -> None:
        self._remove(node, self._base.config.address, now)

    def _remove(self, node: MobileNode, address: IPv6Address, now: float) -> None:
        self._repository.ask("remove", node.mn_id, now, lambda entry, at: None, address=address)

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """Advertise the own prefix at once (spec AMB-4), look up, then write the repository (spec ATT-6)."""
        record = self._base.own_record(node)
        if node.own and node.own.state is BindingState.TEMP:
            node.own.state = BindingState.LOCAL
            self._base.outbox.say("registered", mn_id=node.mn_id, prefix=record.prefix)
        timestamp = self._base.stamper.timestamp(now)
        self.refresh(node, now)
        self._repository.ask("update", node.mn_id, now, lambda entry, at: None, record=record, timestamp=timestamp)

    def refresh(self, node: MobileNode, now: float) -> None:
        """Every known anchor hears of the node before its binding ends (spec DEREG-9); new ones are looked up."""
        extend(self._base, node, self._base.config.timing.lifetime, now)
        for anchor in node.anchors:
            if anchor.active:
                self._update_anchor(node, anchor, Handoff.REREGISTRATION, now)
        self._repository.cancel(node.mn_id, "lookup")
        self._repository.ask("lookup", node.mn_id, now, partial(self._found, node))

    def _found(self, node: MobileNode, entry: Entry, now: float) -> None:
        if not node.attached or not node.serving:
            return
        others = [record for record in entry.anchors if record.address != self._base.config.address]
        # All are known before the first is told: each is told of the others' prefixes (spec LIPA-6).
        for anchor in [expect_anchor(self._base, node, record) for record in others]:
            if anchor and not anchor.active and not self._asking(node, anchor):
                self._update_anchor(node, anchor, Handoff.SAME_INTERFACE, now)

    def _asking(self, node: MobileNode, anchor: AnchorBinding) -> bool:
        return any(e.mn_id == node.mn_id and anchor.prefix in _prefixes(e) for e in self._base.exchanges)

    def _update_anchor(self, node: MobileNode, anchor: AnchorBinding, handoff: Handoff, now: float) -> None:
        """One update per prefix: an LMA stands for several anchors, and one must not wait for another (spec HO-11)."""
        # The node's other prefixes as well: an owner of a local network must know them all (spec LIPA-6).
        others = [each.prefix for each in node.anchors if each is not anchor]  # an LMA stands for several
        extra = [AnchoredPrefix.of(prefix) for prefix in (self._base.own_record(node).prefix, *others)]
        start_update(self._base, node, anchor.address, "anchor", handoff, [anchor.prefix], now, extra=extra)

    def leave(self, node: MobileNode) -> None:
        """Stop asking; anchors that never answered are not ours."""
        self._base.exchanges.cancel(node.mn_id)
        self._repository.cancel(node.mn_id, "lookup")
        node.anchors = [anchor for anchor in node.anchors if anchor.active]

    def deregister(self, node: MobileNode, now: float) -> None:
        """One de-registration per anchor (spec DEREG-9); each takes itself out of the repository in the end."""
        tries = self._base.config.timing.unreachable_after
        for anchor in node.anchors:
            start_update(
                self._base,
                node,
                anchor.address,
                "deregister",
                Handoff.UNKNOWN,
                [anchor.prefix],
                now,
                lifetime=0,
                tries=tries,
            )

    def release(self, node: MobileNode, anchor: AnchorBinding, now: float) -> None:
        """The anchor hears it from us; the repository forgets it at once, so that nobody finds it there again."""
        self._repository.cancel(node.mn_id, "lookup")
        self._remove(node, anchor.address, now)
        start_release(self._base, node, anchor.address, anchor, now)

    def exchange_of(self, ack: BindingAck, source: IPv6Address, mn_id: str) -> Exchange | None:
        """Every anchor is asked itself."""
        return None

    def acknowledged(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """The anchor agreed: its prefixes work here from now on (spec HO-6, HO-9)."""
        if exchange.purpose != "anchor":
            return
        group = next((group for group in ack.groups if group.previous is None), None)
        identity = told_identity(self._base, node, group)
        local_prefixes = group_local_prefixes(group) if group else ()
        prefixes, differ = granted_prefixes(ack, group)
        if differ:
            self._base.outbox.say("prefixes-differ", mn_id=node.mn_id, peer=source)
        lifetime, since = granted(exchange, ack), exchange.sent_at(ack.sequence)
        for anchor in anchors_at(node, exchange.peer):
            if anchor.prefix in prefixes & _prefixes(exchange):
                anchor.expires = since + lifetime
                activate(self._base, node, anchor, identity, local_prefixes)
        if node.expires is not None and since + lifetime < node.expires:
            extend(self._base, node, lifetime, since)

    def requested(self, node: MobileNode, source: IPv6Address) -> bool:
        """An anchor whose prefix the node keeps."""
        return any(anchor.active for anchor in anchors_at(node, source))

    def rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """Only this anchor's prefixes are lost; an anchor that knows nothing of them is forgotten."""
        if exchange.purpose != "anchor":
            return
        for anchor in anchors_at(node, exchange.peer):
            if anchor.prefix not in _prefixes(exchange):
                continue
            drop_anchor(self._base, node, anchor, f"status {ack.status}")
        gone = (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
        if ack.status in gone:
            self._remove(node, exchange.peer, now)


def _prefixes(exchange: Exchange) -> set[IPv6Network]:
    """What an update asks for."""
    return {option.network for option in exchange.context.every(HomeNetworkPrefix)} if exchange.context else set()
