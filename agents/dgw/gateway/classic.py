"""Classic Proxy Mobile IPv6: the gateway as plain Mobile Access Gateway of a Local Mobility Anchor (RFC 5213 §6).

It anchors nothing, and D-GW support is off: no update has the D flag, and no answer may have it.  The anchor gives the
home network prefix, and the link-local address by which the node knows its router on every access link (option 26):
both are the same wherever the node is, which makes the DLIF that carries them one constant home router.  A fixed
address for all links (FixedMAGLinkLocalAddressOnAllAccessLinks, §9.2) would not do here: links of several nodes
share one access interface, which takes each link-layer address only once.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from agents.dgw.exchanges import Exchange
from agents.dgw.gateway.anchors import FRESH_SLOTS, activate, drop_anchor
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import extend, granted, start_release, start_update
from agents.dgw.gateway.serving import Serving
from agents.dgw.gateway.state import AnchorBinding, MobileNode
from agents.dgw.identity import Identity, complete_identity, own_identity
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import HomeNetworkPrefix, LinkLocalAddress

ALLOCATE = IPv6Network("::/0")
"""All-zero Home Network Prefix: "give me one" (RFC 5213 §8.3)."""
HOME = "lma"
"""Second part of the name of the DLIF that is the node's home router."""


class ClassicRegistration:
    """The anchor is the only peer; what it answers is all there is to advertise."""

    def __init__(self, base: GatewayBase) -> None:
        self._base = base

    def attach(self, node: MobileNode, handoff: Handoff, now: float) -> None:
        """Register; nothing is advertised before the anchor agreed (RFC 5213 §6.9.1.2)."""
        self._update(node, "register", handoff, now)

    def refresh(self, node: MobileNode, now: float) -> None:
        """Extend the binding (RFC 5213 §6.9.1.3)."""
        self._base.exchanges.cancel(node.mn_id)
        self._update(node, "register", Handoff.REREGISTRATION, now)

    def leave(self, node: MobileNode) -> None:
        """Stop registering."""
        self._base.exchanges.cancel(node.mn_id)

    def deregister(self, node: MobileNode, now: float) -> None:
        """Tell the anchor that the node left, once: the state goes with or without answer (RFC 5213 §6.9.1.4)."""
        self._update(node, "deregister", Handoff.UNKNOWN, now, lifetime=0, tries=1)

    def release(self, node: MobileNode, anchor: AnchorBinding, now: float) -> None:
        """Tell the anchor (never on our own account: the node has no other prefix)."""
        start_release(self._base, node, self._base.config.cmd, anchor, now)

    def _update(
        self,
        node: MobileNode,
        purpose: str,
        handoff: Handoff,
        now: float,
        lifetime: int | None = None,
        tries: int | None = None,
    ) -> None:
        prefixes = [anchor.prefix for anchor in node.anchors] or [ALLOCATE]
        start_update(
            self._base,
            node,
            self._base.config.cmd,
            purpose,
            handoff,
            prefixes,
            now,
            lifetime=lifetime,
            extra=[LinkLocalAddress(IPv6Address(0))],
            tries=tries,
        )

    def exchange_of(self, ack: BindingAck, source: IPv6Address, mn_id: str) -> Exchange | None:
        """Only the anchor answers."""
        return None

    def acknowledged(
        self, node: MobileNode, exchange: Exchange, ack: BindingAck, source: IPv6Address, now: float
    ) -> None:
        """The home network prefix and the home router's identity (RFC 5213 §6.9.1.2-12 to -15)."""
        prefixes = [option.network for option in ack.every(HomeNetworkPrefix) if not option.bad_length]
        if not prefixes:
            self._base.outbox.say("no-prefix-granted", mn_id=node.mn_id, peer=source)
            return
        anchor = node.anchor(prefixes[0])
        if anchor is None:
            slot = node.free_slot(self._base.state.slots())
            anchor = AnchorBinding(prefixes[0], source, slot, f"{node.name}{HOME}")
        node.anchors = [anchor]
        activate(self._base, node, anchor, self._home_router(ack, anchor), ())
        extend(self._base, node, granted(exchange, ack), exchange.sent_at(ack.sequence))

    def _home_router(self, ack: BindingAck, anchor: AnchorBinding) -> Identity | None:
        """What option 26 says; the link-layer address is in it, or a new one where its form is not EUI-64."""
        option = ack.first(LinkLocalAddress)
        if option is None or not option.address.is_link_local:
            return None
        made_up = own_identity(self._base.config.index, FRESH_SLOTS + anchor.slot).mac
        return complete_identity(None, option.address) or Identity(made_up, option.address)

    def requested(self, node: MobileNode, source: IPv6Address) -> bool:
        """Only the anchor was told of it."""
        return source == self._base.config.cmd

    def rejected(self, node: MobileNode, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """A prefix the anchor knows no more is not asked for again (spec RETX-10); else no service (spec ATT-9)."""
        if exchange.purpose != "register":
            return
        for anchor in list(node.anchors):
            drop_anchor(self._base, node, anchor, f"status {ack.status}")
        named = not exchange.context.first(HomeNetworkPrefix).is_all_zero
        if named and ack.status == Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX:
            self.attach(node, Handoff.UNKNOWN, now)
        else:
            node.serving = node.attached = False


class ClassicServing(Serving):
    """Life of a node at its access gateway: it begins and ends with the attachment."""

    def associate(self, mac: str, now: float, handoff: Handoff = Handoff.UNKNOWN) -> None:
        """A station appeared; only the anchor knows whether it was somewhere before (RFC 5213 §6.9.1.1)."""
        base = self._base
        profile = base.profiles_by_mac.get(mac)
        if profile is None or not profile.enabled:
            base.outbox.say("not-served", mac=mac, reason="service is off" if profile else "no profile")
            return
        node = base.state.nodes.setdefault(profile.mn_id, MobileNode(profile.name, profile.mn_id, mac))
        if node.attached:
            base.advertiser.repeat(node, now)
            return
        base.exchanges.cancel(node.mn_id)
        base.timers.cancel(("teardown", node.mn_id))
        node.serving = node.attached = True
        if node.anchors:  # after a restart of this agent
            handoff = Handoff.REREGISTRATION
        base.outbox.say("node-attached", mn_id=node.mn_id, handoff=handoff.name.lower())
        self._registration.attach(node, handoff, now)
        base.reconcile(now)

    def solicited(self, mac: str, link_local: IPv6Address | None, now: float) -> None:
        """A solicitation that comes before the attachment is of an interface that has just been switched on."""
        self.associate(mac, now, Handoff.NEW_INTERFACE)
        if link_local:
            self.learn(mac, link_local, now)

    def disassociate(self, mac: str, now: float) -> None:
        """The station is gone: its home router goes silent here, the anchor is told (RFC 5213 §6.9.1.4)."""
        base = self._base
        node = self._by_mac(mac)
        if node is None or not node.attached:
            return
        base.outbox.say("node-detached", mn_id=node.mn_id)
        self._registration.leave(node)
        self._end(node, now)

    def missing(self, node: MobileNode, now: float) -> None:
        """The node left while this agent did not run."""
        if node.serving:
            self._end(node, now)

    def expire(self, node: MobileNode, now: float) -> None:
        """The binding ended: with a silent anchor, or with the node away since this agent started again."""
        base = self._base
        base.outbox.say("binding-expired", mn_id=node.mn_id, attached=node.attached)
        if not node.attached:
            self._end(node, now)
        else:
            for anchor in list(node.anchors):
                drop_anchor(base, node, anchor, "binding expired")
            base.exchanges.cancel(node.mn_id)
            self._registration.attach(node, Handoff.UNKNOWN, now)
            base.reconcile(now)

    def _end(self, node: MobileNode, now: float) -> None:
        base = self._base
        node.serving = node.attached = False
        for timer in ("refresh", "expire"):
            base.timers.cancel((timer, node.mn_id))
        base.timers.set(("teardown", node.mn_id), now + base.config.timing.initial_timeout)
        self._registration.deregister(node, now)
        node.anchors.clear()
        base.reconcile(now)

    def _teardown(self, node: MobileNode, now: float) -> None:
        self._base.timers.cancel(("teardown", node.mn_id))
        if not node.attached:
            self._anchoring.forget(node, now)
