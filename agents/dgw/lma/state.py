"""Binding cache of a Local Mobility Anchor (RFC 5213 §5.1, spec §4), and the forwarding it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.forwarding import AnchorRoute, Item, Tunnel, TunnelGate
from agents.dgw.freshness import Freshness
from agents.dgw.pool import PrefixPool


@dataclass
class Binding:
    """One mobility session: an interface of a node, its home network prefix, and where it is."""

    mn_id: str
    access: int
    """Access technology type of the interface."""
    mac: str | None
    """Link-layer identifier of the interface, None when no gateway told it."""
    prefix: IPv6Network
    link_local: IPv6Address
    """What the node's router is called on every access link (RFC 5213 §6.8)."""
    care_of: IPv6Address
    """Proxy-CoA: the gateway that serves the node, or did last."""
    lifetime: int = 0
    """Granted, seconds."""
    expires: float = 0.0
    deleting: bool = False
    """De-registered, kept for MinDelayBeforeBCEDelete (RFC 5213 §5.3.5-2)."""


@dataclass
class LmaState:
    """Everything an anchor must not forget across a restart."""

    pool: PrefixPool
    bindings: dict[str, Binding] = field(default_factory=dict)
    """By home network prefix."""
    freshness: dict[str, Freshness] = field(default_factory=dict)
    """By MN-ID: the last update accepted of each node."""

    def sessions(self, mn_id: str) -> list[Binding]:
        """All sessions of a node."""
        return [binding for binding in self.bindings.values() if binding.mn_id == mn_id]


def items(bindings: Iterable[Binding]) -> dict[tuple[str, str], Item]:
    """Every item the kernel must hold, by key: each live session's prefix goes through its gateway's tunnel.

    What is sent to a de-registered node is dropped by the pool's backstop (RFC 5213 §5.3.5-2).
    """
    found: list[Item] = []
    for binding in bindings:
        if not binding.deleting:
            found.append(Tunnel(binding.care_of))
            found.append(TunnelGate(binding.care_of, binding.prefix, "source"))
            found.append(AnchorRoute(binding.prefix, binding.care_of))
    return {item.key: item for item in found}
