"""The gateway as serving gateway: attach, leave, refresh, end of a binding (spec §5.1, §5.2, §5.7)."""

from __future__ import annotations

from ipaddress import IPv6Address

from agents.dgw.exchanges import Exchange
from agents.dgw.freshness import CLOCKS, ticks
from agents.dgw.gateway.anchoring import Anchoring
from agents.dgw.gateway.anchors import anchors_at, avoid_link_local, drop_anchor
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.plan import serving_dlifs
from agents.dgw.gateway.registration import Registration
from agents.dgw.gateway.releasing import Releasing
from agents.dgw.gateway.state import BindingState, MobileNode, OwnBinding
from agents.dgw.identity import own_identity
from agents.dgw.messages import same_request
from agents.dgw.pool import PoolEmpty
from agents.wire.mobility import BindingAck, BindingRefreshRequest
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import HomeNetworkPrefix, MobileNodeIdentifier

MAX_REFUSED = 64
"""Prefixes that one registration remembers as taken back; a node has far fewer anchors."""
QUIET_AFTER = 0.05
"""Seconds from a node's leaving to the end of its RAs: the new gateway's update, which says more, comes first."""


class Serving:
    """Life of a node at its serving gateway, whatever the signalling mode."""

    def __init__(
        self, base: GatewayBase, anchoring: Anchoring, registration: Registration, releasing: Releasing
    ) -> None:
        self._base = base
        self._anchoring = anchoring
        self._registration = registration
        self._releasing = releasing

    def associate(self, mac: str, now: float) -> None:
        """A station appeared in one of our cells (spec ATT-1 to ATT-4, ATT-15, HO-14)."""
        base = self._base
        profile = base.profiles_by_mac.get(mac)
        if profile is None or not profile.enabled:
            base.outbox.say("not-served", mac=mac, reason="service is off" if profile else "no profile")
            return
        if not base.authority.may_serve(base.config.address, profile.mn_id):
            base.outbox.say("not-served", mac=mac, reason="not at this gateway")
            return
        node = base.state.nodes.get(profile.mn_id)
        if node is None:
            node = base.state.nodes[profile.mn_id] = MobileNode(profile.name, profile.mn_id, mac)
        if node.serving and node.attached:
            self._base.advertiser.repeat(node, now)
            return
        handoff = self._take(node, now)
        if handoff is None:
            del base.state.nodes[profile.mn_id]
            return
        base.outbox.say(
            "node-attached",
            mn_id=node.mn_id,
            prefix=base.own_record(node).prefix,
            handoff=handoff.name.lower(),
        )
        self._registration.attach(node, handoff, now)
        self._settle(node)
        base.reconcile(now)

    def _take(self, node: MobileNode, now: float) -> Handoff | None:
        """Make the node ours; how it came decides the Handoff Indicator.  None when no prefix is left."""
        base = self._base
        base.exchanges.cancel(node.mn_id)
        base.timers.cancel(("teardown", node.mn_id))
        handoff = self._handoff(node)
        if node.own is None:
            try:
                prefix = base.state.pool.allocate(node.mn_id, now)
            except PoolEmpty as error:
                base.outbox.say("pool-empty", mn_id=node.mn_id, reason=str(error))
                return None
            identity = own_identity(base.config.index, base.state.pool.slot(prefix))
            node.own = OwnBinding(prefix, identity)
        elif not node.serving:
            if base.config.mode != "direct" and node.own.state is BindingState.REMOTE:
                node.own.former = node.own.care_of
            node.own.state, node.own.care_of = BindingState.LOCAL, None
            node.anchors.clear()
            node.expires = None  # until the registration is confirmed
            base.timers.cancel(("expire", node.mn_id))
        # Updates that a former serving gateway stamped before this moment lose (spec HO-13).
        node.freshness.timestamp = max(node.freshness.timestamp or 0, ticks(now))
        node.serving = node.attached = True
        return handoff

    def _handoff(self, node: MobileNode) -> Handoff:
        """How the node came, as far as this gateway can know (spec §2.2, AMB-16)."""
        if node.own is None or node.own.state is BindingState.TEMP:
            return Handoff.UNKNOWN  # only the database knows whether the node is new (spec CMD-8)
        if node.own.state is BindingState.DELETING:
            return Handoff.NEW_INTERFACE
        registered = node.serving and not node.own.former and not node.own.local_only
        return Handoff.REREGISTRATION if registered else Handoff.SAME_INTERFACE

    def disassociate(self, mac: str, now: float) -> None:
        """The station is gone; its binding stays until another gateway or its lifetime ends it (spec DEREG-1)."""
        node = self._by_mac(mac)
        if node is not None and node.attached:
            self._gone(node, now)

    def missing(self, node: MobileNode, now: float) -> None:
        """After a restart the node is not here, and its binding waits for something that will not come."""
        own = node.own
        if node.serving and own and (own.state is BindingState.TEMP or own.former or node.expires is None):
            self._gone(node, now)

    def _gone(self, node: MobileNode, now: float) -> None:
        base = self._base
        node.attached = False
        base.outbox.say("node-detached", mn_id=node.mn_id)
        self._registration.leave(node)
        self._base.answered.pop(node.mn_id, None)
        base.timers.cancel(("refresh", node.mn_id))
        if node.own and node.own.state is BindingState.TEMP:
            self._anchoring.forget(node, now)  # never confirmed, never advertised (spec HO-15)
            return
        if node.own and node.own.former:
            self._give_back(node, node.own, now)
            return
        if node.expires is None:
            base.timers.set(("expire", node.mn_id), now + base.config.timing.lifetime)
        base.timers.set(("quiet", node.mn_id), now + QUIET_AFTER)

    def quiet(self, node: MobileNode, now: float) -> None:
        """A node that is still away is advertised to no more."""
        if not node.attached:
            self._base.reconcile(now)

    def _give_back(self, node: MobileNode, own: OwnBinding, now: float) -> None:
        """The node came back and left before the CMD heard of it: it is where the CMD last knew it (spec HO-15).

        No other gateway would tell us so: for the CMD nothing has changed.
        """
        own.state, own.care_of, own.former = BindingState.REMOTE, own.former, None
        node.serving = False
        node.anchors.clear()
        self._base.timers.cancel(("expire", node.mn_id))
        if self._base.config.anchor_timers == "run":
            node.expires = now + own.lifetime
            self._base.timers.set(("expire", node.mn_id), node.expires)
        self._base.outbox.say("binding-given-back", mn_id=node.mn_id, prefix=own.prefix, care_of=own.care_of)
        self._base.reconcile(now)

    def solicited(self, mac: str, link_local: IPv6Address | None, now: float) -> None:
        """A Router Solicitation: a sign of attachment, or a wish for an RA (spec ATT-1, ATT-15)."""
        self.associate(mac, now)
        if link_local:
            self.learn(mac, link_local, now)

    def learn(self, mac: str, link_local: IPv6Address, now: float) -> None:
        """The node's real link-local address: where its RAs must go."""
        base, node = self._base, self._by_mac(mac)
        if not (node and node.serving and link_local.is_link_local):
            return
        before = [dlif.link_local for dlif in serving_dlifs(node, base.config)]
        changed, node.link_local = node.client != link_local, link_local
        if avoid_link_local(base, node, link_local):
            base.exchanges.cancel(node.mn_id)
            self._registration.attach(node, self._handoff(node), now)  # with the new options 69 and 70
        if link_local in before:
            base.reconcile(now)
            base.advertiser.repeat(node, now)
        elif changed:
            base.reconcile(now)

    def on_ack(self, ack: BindingAck, source: IPv6Address, now: float) -> None:
        """A PBA: find its update, check that it answers just that one, act on its status (spec §10)."""
        base = self._base
        exchange = self._find_exchange(ack, source)
        node = base.state.nodes.get(exchange.mn_id) if exchange else None
        if exchange is None or node is None:
            self._unmatched(ack, source)
            return
        if ack.distributed and not base.config.dgw_support:
            # RFC 8885 §4.2 asks both to ignore it and for an error: the error stays here (spec AMB-6).
            base.outbox.say("unsupported-answer", mn_id=node.mn_id, peer=source)
            base.reception.drop("acknowledgement with the D flag, which is not supported here", source, "unsupported")
            return
        if not same_request(exchange.context, ack):
            if exchange in base.exchanges:
                base.exchanges.halt(exchange, "answered with something else than was asked")
            base.reception.drop("acknowledgement of something else than was asked", source, "mismatch")
            return
        if ack.distributed:
            base.state.legacy_peers.discard(source)
        else:
            ack = ack.without_distributed()
        granting = ack.lifetime_units or not exchange.context.lifetime_units
        if ack.accepted and granting:
            self._take_acceptance(node, exchange, ack, source, now)
        else:
            self._rejected(node, exchange, ack, now)

    def _unmatched(self, ack: BindingAck, source: IPv6Address) -> None:
        """Nothing of ours, or an answer to our number about somebody else: no more of that to this peer (spec §10).

        In status 135 the number is the peer's own.
        """
        base = self._base
        asked = base.exchanges.numbered(source, ack.sequence)
        if asked is None or ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            base.reception.drop("acknowledgement that matches no update", source)
            return
        base.exchanges.halt(asked, "answered about another node, or none")
        base.reception.drop("acknowledgement of something else than was asked", source, "mismatch")

    def _take_acceptance(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """An accepting answer; without the D flag it comes from a plain LMA, which makes no tunnels for us (spec §10).

        The own prefix needs no help from there: once the registration is confirmed, it is served as always.
        """
        base = self._base
        if base.config.dgw_support and not ack.distributed:
            if source not in base.state.legacy_peers:
                base.state.legacy_peers.add(source)
                base.outbox.say("legacy-peer", peer=source)
            if source != exchange.peer:  # an anchor that answers what the CMD was asked (locator): no tunnel from it
                return
            if exchange.purpose == "anchor":
                base.exchanges.finish(exchange)
                for anchor in anchors_at(node, source):
                    drop_anchor(base, node, anchor, "legacy peer")
                base.reconcile(now)
                return
        self._accepted(node, exchange, ack, source, now)

    def _find_exchange(self, ack: BindingAck, source: IPv6Address) -> Exchange | None:
        identifier = ack.first(MobileNodeIdentifier)
        if identifier is None:
            return None
        mn_id = identifier.text
        exchange = self._base.exchanges.match(source, ack.sequence, mn_id)
        if exchange is None and ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            return self._base.exchanges.find(source, mn_id)
        if exchange is None:  # a further answer to an update that was answered in part (spec CMD-RELAY-4)
            done = self._base.answered.get(mn_id)
            if done and done.peer == source and ack.sequence in done.sequences:
                return done
            return self._registration.exchange_of(ack, source, mn_id)
        return exchange

    def _accepted(self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float) -> None:
        base = self._base
        base.exchanges.finish(exchange)
        if exchange.purpose == "deregister":
            self._teardown(node, now)
            return
        if exchange.purpose == "prolong":
            self._anchoring.prolonged(node, ack, now)
            return
        if exchange.purpose == "release":
            return
        base.answered[node.mn_id] = exchange
        if node.own:
            node.own.former = None
        self._registration.acknowledged(node, exchange, ack, source, now)
        self._settle(node)
        base.reconcile(now)
        self._releasing.enforce_limit(node, now)

    def _rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        base = self._base
        base.outbox.say(
            "update-rejected",
            mn_id=node.mn_id,
            peer=exchange.peer,
            status=ack.status,
            purpose=exchange.purpose,
        )
        if self._drop_corrected(node, exchange, ack):
            base.reconcile(now)
        elif exchange not in base.exchanges:
            # It was accepted before: somebody else's copy of our update was rejected, and the answer came to us.
            base.reception.drop("rejection of an update that was accepted", exchange.peer)
        elif ack.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            base.exchanges.renumber(exchange, base.stamper, ack.sequence, now)
        elif ack.status in CLOCKS:
            base.exchanges.restamp(exchange, ack, now)  # the node is still here
        else:
            base.exchanges.finish(exchange)
            if ack.status == Status.PROXY_REG_NOT_ENABLED:
                base.exchanges.halt(exchange, "service is off for the node")  # spec RETX-10
            self._registration.rejected(node, exchange, ack, now)
            if exchange.purpose == "deregister":
                self._teardown(node, now)
            elif exchange.purpose == "prolong":
                self._anchoring.prolonged(node, ack, now)
            elif not node.serving:
                refused = ack.status == Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
                self._anchoring.forget(node, now, refused=refused)
            else:
                base.reconcile(now)
        base.exchanges.handle_timer(now)

    def _drop_corrected(self, node: MobileNode, exchange: Exchange, ack: BindingAck) -> bool:
        """A CMD takes back an anchor that it had promised (spec CMD-PROXY-2): whether that is what this says."""
        if exchange.purpose != "register" or node.own is None:
            return False
        named = {option.network for option in ack.every(HomeNetworkPrefix) if not option.bad_length}
        if not named or node.own.prefix in named:
            return False
        if len(exchange.refused) < MAX_REFUSED:
            exchange.refused |= {prefix for prefix in named if self._base.owner(prefix)}
        for anchor in [anchor for anchor in node.anchors if anchor.prefix in named]:
            drop_anchor(self._base, node, anchor, f"status {ack.status}")
        return True

    def on_refresh_request(self, request: BindingRefreshRequest, source: IPv6Address, now: float) -> None:
        """A peer wants to hear of a node again: the one it names, or the only one it can mean (RFC 6275 §11.7.4)."""
        identifier = request.first(MobileNodeIdentifier)
        meant = [
            node
            for node in self._base.served_nodes()
            if node.attached
            and (identifier is None or node.mn_id == identifier.text)
            and self._registration.requested(node, source)
        ]
        self._base.reception.note(request, source)
        if len(meant) == 1 and self._base.exchanges.find(source, meant[0].mn_id) is None:
            self._base.outbox.say("refresh-requested", mn_id=meant[0].mn_id, peer=source)
            self.refresh(meant[0], now)

    def refresh(self, node: MobileNode, now: float) -> None:
        """Half the lifetime has passed (spec ATT-14)."""
        if node.serving and node.attached:
            self._registration.refresh(node, now)

    def expire(self, node: MobileNode, now: float) -> None:
        """The lifetime ended: here with the node absent, here with nobody answering, or at its anchor."""
        base = self._base
        base.outbox.say("binding-expired", mn_id=node.mn_id, attached=node.attached)
        if not node.serving:
            self._anchoring.expire(node, now)
        elif node.attached:
            for anchor in list(node.anchors):  # their bindings ended too; the own prefix goes on locally
                drop_anchor(base, node, anchor, "binding expired")
            base.reconcile(now)
        else:
            self._registration.deregister(node, now)
            base.timers.set(("teardown", node.mn_id), now + base.config.timing.initial_timeout)

    def review_anchors(self, node: MobileNode, now: float) -> None:
        """An anchor's binding ended unrefreshed, or is so short that its routes must be advertised for less."""
        for anchor in list(node.anchors):
            if anchor.active and anchor.expires is not None and anchor.expires <= now:
                drop_anchor(self._base, node, anchor, "binding expired")
        self._base.reconcile(now)

    def allow_local(self, node: MobileNode, allowed: bool, now: float) -> None:
        """Open or close local networks to a node: this gateway's own, and here those of its anchors."""
        if node.local_access != allowed:
            node.local_access = allowed
            self._base.outbox.say("local-access", mn_id=node.mn_id, allowed=allowed)
            self._base.reconcile(now)

    def teardown(self, node: MobileNode, now: float) -> None:
        """No answer to the de-registration in time: let go all the same (spec DEREG-8)."""
        self._teardown(node, now)

    def _teardown(self, node: MobileNode, now: float) -> None:
        self._base.timers.cancel(("teardown", node.mn_id))
        if node.serving and not node.attached:
            self._anchoring.hold(node, now)

    def _settle(self, node: MobileNode) -> None:
        if node.own and node.own.state is BindingState.LOCAL:
            node.own.advertised = True

    def _by_mac(self, mac: str) -> MobileNode | None:
        profile = self._base.profiles_by_mac.get(mac)
        return self._base.state.nodes.get(profile.mn_id) if profile else None
