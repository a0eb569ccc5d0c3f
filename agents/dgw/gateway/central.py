"""Modes with a CMD, seen from the serving gateway: one PBU to it, the anchors come back (RFC 8885 §3.2-3.4).

In relay and proxy mode they come in option 67 of the CMD's answer, in locator mode each answers itself.
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address

from agents.dgw.exchanges import Exchange
from agents.dgw.gateway.anchors import activate, expect_anchor, told_identity
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import extend, granted, start_release, start_update
from agents.dgw.gateway.state import AnchorBinding, BindingState, MobileNode
from agents.dgw.messages import granted_prefixes, group_local_prefixes, own_options
from agents.dgw.records import AnchorRecord
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import Handoff
from agents.wire.mobility_options import HomeNetworkPrefix


class RelayRegistration:
    """The CMD knows the history and asks the anchors; the gateway learns them from its answers."""

    def __init__(self, base: GatewayBase) -> None:
        self._base = base

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """Register the own prefix; it is advertised once the CMD agreed (spec ATT-8, AMB-4)."""
        self._register(node, handoff, now)

    def _register(self, node: MobileNode, handoff: Handoff, now: float) -> Exchange:
        record = self._base.own_record(node)
        return start_update(
            self._base,
            node,
            self._base.config.cmd,
            "register",
            handoff,
            [record.prefix],
            now,
            extra=own_options(record, anchored=False),
            unanswered=partial(self._unanswered, node),
        )

    def _unanswered(self, node: MobileNode, count: int, now: float) -> None:
        """A CMD that is silent for long: the own prefix works without it, if configured so (spec AMB-4)."""
        base, own = self._base, node.own
        if own and own.state is BindingState.TEMP and count == base.config.local_only_after:
            own.state, own.local_only, own.advertised = BindingState.LOCAL, True, True
            base.outbox.say("local-only", mn_id=node.mn_id, prefix=own.prefix)
            base.reconcile(now)

    def refresh(self, node: MobileNode, now: float) -> None:
        """Only the CMD hears refreshes; anchors stopped their timers (spec AMB-15)."""
        self.attach(node, Handoff.REREGISTRATION, now)

    def leave(self, node: MobileNode) -> None:
        """Stop registering."""
        self._base.exchanges.cancel(node.mn_id)

    def deregister(self, node: MobileNode, now: float) -> None:
        """Tell the CMD, which holds the session for a while and then tells the anchors (spec DEREG-2, DEREG-7)."""
        prefix = self._base.own_record(node).prefix
        start_update(
            self._base,
            node,
            self._base.config.cmd,
            "deregister",
            Handoff.UNKNOWN,
            [prefix],
            now,
            lifetime=0,
            tries=self._base.config.timing.unreachable_after,
        )

    def release(self, node: MobileNode, anchor: AnchorBinding, now: float) -> None:
        """The CMD passes it on and forgets the anchor."""
        start_release(self._base, node, self._base.config.cmd, anchor, now)

    def exchange_of(self, ack: BindingAck, source: IPv6Address, mn_id: str) -> Exchange | None:
        """Only the CMD answers."""
        return None

    def acknowledged(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """Confirm the own prefix and take up the anchors of this answer; more answers may follow."""
        if exchange.purpose == "register":
            self._confirm(node, exchange, ack)
            self._take_up_groups(node, exchange, ack)

    def _confirm(self, node: MobileNode, exchange: Exchange, ack: BindingAck) -> None:
        """The registration stands, as long as the update asked for it: a late answer prolongs nothing."""
        base = self._base
        if node.own and (node.own.state is BindingState.TEMP or node.own.local_only):
            node.own.state, node.own.local_only = BindingState.LOCAL, False
            base.outbox.say("registered", mn_id=node.mn_id, prefix=node.own.prefix)
        extend(base, node, granted(exchange, ack), exchange.sent_at(ack.sequence))

    def _take_up_groups(self, node: MobileNode, exchange: Exchange, ack: BindingAck) -> None:
        base = self._base
        for group in ack.groups:
            if group.previous is None or group.previous.bad_length:
                continue
            prefixes, differ = granted_prefixes(ack, group, [group.previous.network])
            if differ:
                base.outbox.say("prefixes-differ", mn_id=node.mn_id, peer=group.previous.maar)
            for prefix in prefixes - exchange.refused:
                anchor = expect_anchor(base, node, AnchorRecord(group.previous.maar, prefix))
                if anchor:
                    identity = told_identity(base, node, group)
                    activate(base, node, anchor, identity, group_local_prefixes(group))
        named = [group.previous.network for group in ack.groups if group.previous and not group.previous.bad_length]
        if len(named) > 1:  # latest first (spec CMD-7): the order in which a full list drops them (HO-16)
            node.anchors.sort(key=lambda a: named.index(a.prefix) if a.prefix in named else len(named))

    def requested(self, node: MobileNode, source: IPv6Address) -> bool:
        """Only the CMD was told of it."""
        return source == self._base.config.cmd

    def rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """The CMD refuses the node: nothing of it is advertised or forwarded (spec ATT-9)."""
        if exchange.purpose == "register":
            self._base.part_with(node)
            node.serving = False
            node.anchors.clear()


class LocatorRegistration(RelayRegistration):
    """The CMD only locates the anchors for us: their answers come from themselves (RFC 8885 §3.3)."""

    def __init__(self, base: GatewayBase) -> None:
        super().__init__(base)
        self._last: dict[str, Exchange] = {}

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """Register; remember the update, anchors answer it whenever they are ready (spec CMD-LOC-3)."""
        self._last[node.mn_id] = super()._register(node, handoff, now)

    def leave(self, node: MobileNode) -> None:
        """Stop registering; anchors that answer from now on answer nothing."""
        super().leave(node)
        self._last.pop(node.mn_id, None)

    def exchange_of(self, ack: BindingAck, source: IPv6Address, mn_id: str) -> Exchange | None:
        """Our update to the CMD, when an anchor answers with its sequence number, for nobody's prefix but its own."""
        exchange = self._last.get(mn_id)
        named = [option for option in ack.every(HomeNetworkPrefix) if not option.bad_length]
        own = named and all(self._base.authority.speaks_for(source, option.network) for option in named)
        return exchange if exchange and own and ack.sequence in exchange.sequences else None

    def acknowledged(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """An anchor's own answer names its prefix and describes its DLIF; option 67 is the CMD's alone (spec SEC-4)."""
        if source == self._base.config.cmd:
            super().acknowledged(node, exchange, ack, source, now)
            return
        if exchange.purpose != "register":
            return
        self._confirm(node, exchange, ack)
        base = self._base
        group = next((group for group in ack.groups if group.previous is None), None)
        prefixes, differ = granted_prefixes(ack, group)
        if differ:
            base.outbox.say("prefixes-differ", mn_id=node.mn_id, peer=source)
        for prefix in prefixes - exchange.refused:
            anchor = expect_anchor(base, node, AnchorRecord(source, prefix))
            if anchor:
                identity = told_identity(base, node, group)
                activate(base, node, anchor, identity, group_local_prefixes(group) if group else ())
