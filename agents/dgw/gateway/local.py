"""Local networks (LIPA): what forwarding and RAs they need at their owner and where a node is served (spec §5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.config import GatewayConfig
from agents.dgw.forwarding import (
    MAX_ROUTES,
    Dlif,
    Item,
    LocalAccess,
    LocalBar,
    LocalGate,
    LocalReturn,
    ReturnPath,
    RouteInformation,
)
from agents.dgw.gateway.state import AnchorBinding, MobileNode, OwnBinding

FIRST_TABLE, RETURN_TABLE, MORE_TABLES = 1000, 2000, 70000
"""Routing table of an anchor's slot, of the way back to a peer's index (spec §7), and of slots beyond the first 999."""
CLOSE = 0.001
"""Seconds that do not matter: what is left of a binding is a difference of large numbers."""
PREFERENCE = "high"
"""Of a local prefix in an RA: before any default route (spec §6)."""


def anchor_table(slot: int) -> int:
    """Routing table number of an anchor's slot; peers' indices go up to 65535."""
    return FIRST_TABLE + slot if slot < RETURN_TABLE - FIRST_TABLE else MORE_TABLES + slot


def owner_items(node: MobileNode, own: OwnBinding, care_of: IPv6Address, config: GatewayConfig) -> Iterator[Item]:
    """At the owner, the node being elsewhere: its other prefixes reach the local network too (spec LIPA-6)."""
    if not config.local_prefixes:
        return
    if not node.local_access:
        yield from (LocalBar(prefix) for prefix in (own.prefix, *own.elsewhere))
        return
    index = next((peer.index for peer in config.peers if peer.address == care_of), None)
    if index is None or not own.elsewhere:
        return
    yield ReturnPath(care_of, RETURN_TABLE + index)
    for prefix in own.elsewhere:
        for interface in config.local_interfaces:
            yield LocalReturn(interface, prefix, RETURN_TABLE + index)
        for network in config.local_prefixes:
            yield LocalGate(care_of, prefix, network)


def serving_items(
    node: MobileNode,
    dlifs: Sequence[Dlif],
    anchors: Sequence[AnchorBinding],
    admitted: Iterable[IPv6Network],
    config: GatewayConfig,
) -> Iterator[Item]:
    """Where the node is: its anchors' local networks through their tunnels, the own one plainly (spec LIPA-1..4)."""
    prefixes = tuple(admitted)
    if config.local_prefixes and not node.local_access:
        yield from (LocalBar(prefix) for prefix in prefixes)
    for anchor in anchors:
        for network in offered(node, anchor):
            yield LocalAccess(anchor.dlif, network, anchor_table(anchor.slot))
            for prefix in prefixes:
                if prefix != anchor.prefix:
                    yield LocalGate(anchor.address, network, prefix)
        # Without it a session from an anchor's prefix would go round by the anchor, and be taken for a stranger's.
        for dlif in dlifs:
            for network in config.local_prefixes:
                yield LocalAccess(dlif.name, network, None)


def offered(node: MobileNode, anchor: AnchorBinding) -> tuple[IPv6Network, ...]:
    """Local prefixes that the node reaches through this anchor: the widest, as many as an RA may hold (spec RA-14)."""
    if not node.local_access:
        return ()
    told = [prefix for prefix in dict.fromkeys(anchor.local_prefixes) if prefix.prefixlen]
    widest = [prefix for prefix in told if not any(prefix != other and prefix.subnet_of(other) for other in told)]
    return tuple(widest[:MAX_ROUTES])


def route(prefix: IPv6Network, lifetime: int) -> RouteInformation:
    """The route option for a local prefix."""
    return RouteInformation(prefix, PREFERENCE, lifetime)


def routes(node: MobileNode, anchor: AnchorBinding, most: int, now: float) -> tuple[RouteInformation, ...]:
    """The route options on this anchor's DLIF; none when its binding is about to end (spec LIPA-3, LIPA-9)."""
    end = binding_end(node, anchor)
    lifetime = most if end is None else route_lifetime(end - now, most)
    return tuple(route(prefix, lifetime) for prefix in offered(node, anchor)) if lifetime else ()


def route_lifetime(remaining: float, most: int) -> int:
    """`most`, halved until it is below what remains of the binding: holds until that much is left."""
    lifetime = most
    while lifetime and lifetime >= remaining - CLOSE:
        lifetime //= 2
    return lifetime


def next_change(node: MobileNode, most: int, now: float) -> float | None:
    """When the lifetime of a route option must go down, unless the binding is refreshed before."""
    found = []
    for anchor in node.anchors:
        end = binding_end(node, anchor)
        if anchor.active and end is not None and end > now and offered(node, anchor):
            found.append(end - route_lifetime(end - now, most))
    return min(found, default=None)


def binding_end(node: MobileNode, anchor: AnchorBinding) -> float | None:
    """When this anchor's binding ends if nothing refreshes it."""
    return min((end for end in (anchor.expires, node.expires) if end is not None), default=None)
