"""Letting go of an anchored prefix while its node stays: too many, or without traffic (spec HO-16, HO-17, DEREG-11)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network

from agents.dgw.actions import CountTraffic
from agents.dgw.gateway import local
from agents.dgw.gateway.anchors import drop_anchor
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.registration import Registration
from agents.dgw.gateway.state import AnchorBinding, MobileNode

LOOKS = 4
"""Times that traffic is looked at in one T_idle."""

Key = tuple[str, IPv6Network]
"""MN-ID and anchored prefix."""


class Releasing:
    """Decides which anchors go, and says so to the node (RAs with lifetime 0) and to the anchor."""

    def __init__(self, base: GatewayBase, registration: Registration) -> None:
        self._base = base
        self._registration = registration
        self._idle = base.config.timing.idle
        self._seen: dict[Key, tuple[int, float]] = {}
        """Packets counted so far, and since when there were no more."""
        self._due: float | None = None

    def release(self, node: MobileNode, anchor: AnchorBinding, reason: str, now: float) -> None:
        """RAs with lifetime 0 on its DLIF, a PBU with lifetime 0 for its prefix; then all of it goes."""
        base = self._base
        base.outbox.say("anchor-released", mn_id=node.mn_id, prefix=anchor.prefix, reason=reason)
        drop_anchor(base, node, anchor, reason)
        for exchange in (*base.exchanges, base.answered.get(node.mn_id)):
            if exchange and exchange.mn_id == node.mn_id:
                exchange.refused.add(anchor.prefix)  # an answer under way may still name it
        self._registration.release(node, anchor, now)
        base.reconcile(now)

    def enforce_limit(self, node: MobileNode, now: float) -> None:
        """No more anchors than the node may have: the oldest go (spec HO-16)."""
        kept = [anchor for anchor in node.anchors if anchor.active]
        for anchor in kept[self._base.config.max_anchors :]:
            self.release(node, anchor, "too many anchors", now)

    def watch(self, now: float) -> None:
        """Look for idle prefixes from now on, as long as there are any to look at."""
        if self._idle and self._due is None and self._watched():
            self._due = now + self._idle / LOOKS

    def next_timer(self) -> float | None:
        """When traffic is looked at next."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Ask for the counters."""
        if self._due is None or now < self._due:
            return
        self._due = None
        if self._watched():
            self._base.outbox.do(CountTraffic())
            self._due = now + self._idle / LOOKS

    def counted(self, packets: Mapping[IPv6Network, int], now: float) -> None:
        """What the kernel counted: an anchored prefix whose count stood still for T_idle is released."""
        watched, before = self._watched(), self._seen
        self._seen = {}
        for key, (node, anchor) in watched.items():
            count = packets.get(anchor.prefix, 0)
            old, since = before.get(key, (-1, now))
            if count != old:
                since = now
            if now - since >= self._idle:
                self.release(node, anchor, f"no traffic for {now - since:.0f} s", now)
            else:
                self._seen[key] = (count, since)

    def _watched(self) -> dict[Key, tuple[MobileNode, AnchorBinding]]:
        return {
            (node.mn_id, anchor.prefix): (node, anchor)
            for node in self._base.served_nodes()
            if node.attached
            for anchor in node.anchors
            # Its DLIF is also the way into its local networks, with whatever source (spec LIPA-4).
            if anchor.active and not local.offered(node, anchor)
        }
