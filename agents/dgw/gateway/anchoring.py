"""The gateway as anchor: Binding Updates of a new serving gateway, or of the CMD on its behalf (spec §5.2, §5.7)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import start_update
from agents.dgw.gateway.state import BindingState, MobileNode, OwnBinding
from agents.dgw.messages import care_of_address, compose_ack, own_options
from agents.dgw.validation import (
    Ignored,
    Rejected,
    check_flags,
    check_freshness,
    check_identifier,
    check_options,
    check_relay,
    check_sender,
    check_service,
)
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import (
    AnchoredPrefix,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    Option,
    ServingMaar,
    Timestamp,
)


class Anchoring:
    """Accepts or rejects updates for prefixes of the own pool."""

    def __init__(self, base: GatewayBase) -> None:
        self._base = base
        self._let_go: dict[str, float] = {}
        """MN-ID of an ended binding, and until when the CMD may ask again because our answer was lost."""

    def on_update(self, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Take a PBU: act and acknowledge, reject with a status, or ignore (spec §10)."""
        base = self._base
        try:
            update = check_flags(update, base.support)
            node, own, care_of = self._check(update, source, now)
        except Ignored as ignored:
            if not self._confirm_again(update, source, now):
                base.reception.drop(str(ignored), source)
        except Rejected as rejected:
            base.send(base.reception.reject(update, rejected, source, now), source)
        else:
            if update.distributed:
                base.state.legacy_peers.discard(source)
            timestamp = update.first(Timestamp)
            node.freshness.accept(timestamp.raw if timestamp else None, update.sequence)
            if update.lifetime_units:
                self._bind(node, own, update, source, care_of, now)
            else:
                self._unbind(node, own, update, source, now)

    def _confirm_again(self, update: BindingUpdate, source: IPv6Address, now: float) -> bool:
        """The CMD repeats an end that came about: it missed our answer, or came too late (spec RETX-11, DEREG-7)."""
        base, identifier = self._base, update.first(MobileNodeIdentifier)
        mn_id = identifier.text if identifier else ""
        if source != base.config.cmd or update.lifetime_units or mn_id in base.state.nodes:
            return False
        if self._let_go.get(mn_id, now) <= now:
            return False
        prefixes = [option.network for option in update.every(HomeNetworkPrefix) if not option.bad_length]
        base.send(compose_ack(update, lifetime=0, prefixes=prefixes), source)
        return True

    def _check(
        self, update: BindingUpdate, source: IPv6Address, now: float
    ) -> tuple[MobileNode, OwnBinding, IPv6Address]:
        base = self._base
        mn_id = check_identifier(update)
        check_sender(source, {*base.peers, base.config.cmd})
        check_relay(update, source, {base.config.cmd})
        if source != base.config.cmd:
            base.authority.check_serving(source, mn_id)
        node = base.state.nodes.get(mn_id)
        if node is None or node.own is None:
            raise _unknown(update, mn_id)
        check_service(mn_id, base.profiles)
        check_freshness(update, node.freshness, now, base.config.timing.timestamp_window)
        prefixes = check_options(update)
        care_of = self._care_of(update, source, mn_id)
        if source != base.config.cmd:
            base.authority.check_anchored(update, source)
        if source == base.config.cmd and node.attached and base.registering(mn_id):
            # The node came here after what the CMD repeats; it will learn so from the update under way (spec HO-13).
            raise Ignored("a newer registration of our own is under way")
        self._check_prefixes(prefixes, node.own, care_of if update.first(ServingMaar) else None)
        if not update.lifetime_units and source != base.config.cmd and care_of != node.own.care_of:
            raise Ignored("de-registration from a gateway that does not serve the node")
        return node, node.own, care_of

    def _care_of(self, update: BindingUpdate, source: IPv6Address, mn_id: str) -> IPv6Address:
        """The tunnel end: option 68, which only a CMD may send (spec CMD-5), else the sender itself and nobody else."""
        serving = update.first(ServingMaar)
        if serving is None:
            care_of = care_of_address(update, source)
            if care_of != source:
                raise Rejected(Status.INVALID_CARE_OF_ADDRESS, f"{source} names {care_of} as care-of address")
        else:
            care_of = serving.address
            if not serving.usable:
                raise Rejected(Status.INVALID_CARE_OF_ADDRESS, f"serving gateway {care_of}")
        if update.lifetime_units and care_of != self._base.lma:  # which asked the serving gateway's right itself
            if care_of not in self._base.peers:
                raise Rejected(Status.INVALID_CARE_OF_ADDRESS, f"{care_of} is no gateway of this domain")
            self._base.authority.check_serving(care_of, mn_id)
        return care_of

    def _check_prefixes(self, prefixes: tuple[IPv6Network, ...], own: OwnBinding, serving: IPv6Address | None) -> None:
        """155 or 159 unless it is about the prefix anchored here; `serving`: the gateway that the CMD speaks of."""
        if set(prefixes) == {own.prefix}:
            return
        held = {n.own.prefix for n in self._base.state.nodes.values() if n.own and n.own is not own}
        foreign = [p for p in prefixes if not p.subnet_of(self._base.config.pool) or p in held]
        if serving and all(self._base.authority.speaks_for(serving, prefix) for prefix in prefixes):
            return  # the CMD forwarded the new gateway's prefix literally (spec AMB-8)
        if foreign or own.prefix not in prefixes:
            reason = f"{(foreign or prefixes)[0]} is not anchored here for this node"
            raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, reason)
        raise Rejected(Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH, "prefix set differs from the anchored one")

    def _bind(
        self,
        node: MobileNode,
        own: OwnBinding,
        update: BindingUpdate,
        source: IPv6Address,
        care_of: IPv6Address,
        now: float,
    ) -> None:
        """The node is served elsewhere now: turn its prefix, answer, drop everything else (spec HO-5, HO-12)."""
        base = self._base
        moved = node.serving or own.care_of != care_of
        own.state, own.care_of = BindingState.REMOTE, care_of
        own.elsewhere = self._prefixes_elsewhere(update, own)
        own.lifetime = min(update.lifetime_seconds, base.config.timing.lifetime)
        node.serving = node.attached = False
        node.anchors.clear()
        base.exchanges.cancel(node.mn_id)
        base.timers.cancel(("refresh", node.mn_id))
        if source == base.config.cmd and base.config.anchor_timers == "stop":
            node.expires = None  # the CMD answers for the binding's end (spec DEREG-4, DEREG-7)
            base.timers.cancel(("expire", node.mn_id))
        else:
            node.expires = now + own.lifetime
            base.timers.set(("expire", node.mn_id), node.expires)
        if moved:
            base.outbox.say(
                "binding-moved", mn_id=node.mn_id, prefix=own.prefix, care_of=care_of, lifetime=own.lifetime
            )
        base.reconcile(now, between=lambda: self._acknowledge(update, node, own, source))

    def _prefixes_elsewhere(self, update: BindingUpdate, own: OwnBinding) -> tuple[IPv6Network, ...]:
        """What option 65 says of the node's other prefixes, as far as they are some gateway's (spec LIPA-6)."""
        told = [option.network for option in update.every(AnchoredPrefix) if not option.bad_length]
        believed = [p for p in told if p != own.prefix and p.prefixlen == 64 and self._base.owner(p)]
        return tuple(dict.fromkeys(believed))

    def _acknowledge(self, update: BindingUpdate, node: MobileNode, own: OwnBinding, source: IPv6Address) -> None:
        base = self._base
        if base.config.mode == "locator" and source == base.config.cmd and own.care_of not in (None, base.lma):
            # The serving gateway hears it from us, without the detour over the CMD (spec CMD-LOC-1), and first: it is
            # the one that waits.
            extra = own_options(base.own_record(node), anchored=True)
            ack = compose_ack(update, lifetime=own.lifetime, prefixes=[own.prefix], extra=extra)
            base.send(ack, own.care_of)
        self._accept(update, node, own.lifetime, source)

    def _unbind(
        self, node: MobileNode, own: OwnBinding, update: BindingUpdate, source: IPv6Address, now: float
    ) -> None:
        """De-registration: answer at once, then hold (gateway's own word) or let go (the CMD held already)."""
        base = self._base
        base.outbox.say("binding-deregistered", mn_id=node.mn_id, prefix=own.prefix, peer=source)
        self._accept(update, node, 0, source)
        if source == base.config.cmd:
            self.forget(node, now)
        else:
            self.hold(node, now)

    def expire(self, node: MobileNode, now: float) -> None:
        """The binding of a node served elsewhere ran out: with a CMD it may be extended (spec DEREG-5)."""
        base = self._base
        if base.config.mode == "direct" or node.own is None or node.own.state is not BindingState.REMOTE:
            self.forget(node, now)
            return
        start_update(
            base,
            node,
            base.config.cmd,
            "prolong",
            Handoff.UNKNOWN,
            [node.own.prefix],
            now,
            lifetime=0,
            tries=base.config.timing.unreachable_after,
            gave_up=lambda at: self.forget(node, at),
        )

    def prolonged(self, node: MobileNode, ack: BindingAck, now: float) -> None:
        """The CMD's answer: the node is registered and the binding goes on, or it is not (spec DEREG-5)."""
        if not ack.accepted or not ack.lifetime_units:
            self.forget(node, now)
            return
        base = self._base
        node.expires = now + ack.lifetime_seconds
        base.timers.set(("expire", node.mn_id), node.expires)
        base.outbox.say("binding-prolonged", mn_id=node.mn_id, lifetime=ack.lifetime_seconds)

    def hold(self, node: MobileNode, now: float) -> None:
        """Keep the entry, without forwarding, for MinDelayBeforeBCEDelete (spec DEREG-6)."""
        base = self._base
        node.serving = node.attached = False
        node.anchors.clear()
        base.exchanges.cancel(node.mn_id, keep="deregister")
        base.timers.cancel(("refresh", node.mn_id))
        if node.own:
            node.own.state, node.own.care_of = BindingState.DELETING, None
        node.expires = now + base.config.timing.hold
        base.timers.set(("expire", node.mn_id), node.expires)
        base.reconcile(now)

    def forget(self, node: MobileNode, now: float, *, refused: bool = False) -> None:
        """Delete the entry; the prefix rests until no host can still be using it (spec DEREG-7, §4).

        One that was `refused` rests as well: it is not to be asked for again (spec RETX-10).
        """
        base = self._base
        base.part_with(node)
        base.exchanges.cancel(node.mn_id, keep="deregister")
        base.timers.cancel(("expire", node.mn_id))
        base.timers.cancel(("refresh", node.mn_id))
        if node.own:
            rest = max(base.config.timing.quarantine, base.config.timing.lifetime)
            base.state.pool.release(node.own.prefix, now + rest if node.own.advertised or refused else None)
            base.outbox.say("binding-deleted", mn_id=node.mn_id, prefix=node.own.prefix)
        self._let_go[node.mn_id] = now + base.config.timing.quarantine
        base.state.nodes.pop(node.mn_id, None)
        for callback in base.when_forgotten:
            callback(node, now)
        base.reconcile(now)

    def _accept(self, update: BindingUpdate, node: MobileNode, lifetime: int, source: IPv6Address) -> None:
        base = self._base
        record = base.own_record(node)
        extra: tuple[Option, ...] = own_options(record, anchored=True)
        serving = update.first(ServingMaar)
        if serving:
            extra = (*extra, serving)  # spec AMB-9
        base.send(compose_ack(update, lifetime=lifetime, prefixes=[record.prefix], extra=extra), source)


def _unknown(update: BindingUpdate, mn_id: str) -> Exception:
    """A node without an entry: silence for a de-registration, 153 otherwise (R5213 §5.3.1-7, §5.4.1)."""
    if update.lifetime_units == 0:
        return Ignored(f"de-registration of {mn_id}, which has no binding here")
    return Rejected(Status.NOT_LMA_FOR_THIS_MOBILE_NODE, f"{mn_id} has no binding here")
