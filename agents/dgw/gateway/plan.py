"""From bindings to forwarding: the complete set of kernel items and RAs that a gateway's state calls for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv6Network

from agents.dgw.config import AdvertisementPolicy, GatewayConfig
from agents.dgw.forwarding import (
    MAX_ROUTES,
    Advertisement,
    AnchorRoute,
    Dlif,
    Item,
    Plan,
    SourceGate,
    Tunnel,
    TunnelGate,
    Uplink,
)
from agents.dgw.gateway import local
from agents.dgw.gateway.state import AnchorBinding, BindingState, Farewell, MobileNode


def items(nodes: Iterable[MobileNode], config: GatewayConfig, farewells: Iterable[Farewell] = ()) -> Plan:
    """Every item the kernel must hold, by key; of a farewell nothing but its DLIF."""
    parting: Plan = {farewell.dlif.key: farewell.dlif for farewell in farewells}
    return parting | {item.key: item for node in nodes for item in node_items(node, config)}


def node_items(node: MobileNode, config: GatewayConfig) -> Iterator[Item]:
    """The items of one node: those of its serving gateway, or of the anchor it left (spec §7 table)."""
    own = node.own
    if not node.serving:
        if own and own.state is BindingState.REMOTE and own.care_of:
            yield Tunnel(own.care_of)
            yield TunnelGate(own.care_of, own.prefix, "source")
            yield AnchorRoute(own.prefix, own.care_of)
            yield from local.owner_items(node, own, own.care_of, config)
        return
    dlifs = list(serving_dlifs(node, config))
    direct = tuple((dlif.prefix, dlif.name) for dlif in dlifs)
    yield from dlifs
    for anchor in active_anchors(node):
        yield Tunnel(anchor.address)
        yield TunnelGate(anchor.address, anchor.prefix, "destination")
        yield Uplink(anchor.prefix, anchor.address, local.anchor_table(anchor.slot), direct)
    admitted = tuple(admitted_prefixes(node))
    for dlif in dlifs:
        for prefix in admitted:
            yield SourceGate(dlif.name, prefix)
    yield from local.serving_items(node, dlifs, tuple(active_anchors(node)), admitted, config)


def serving_dlifs(node: MobileNode, config: GatewayConfig) -> Iterator[Dlif]:
    """One DLIF for the own prefix and one per active anchor (spec DLIF-1, DLIF-8)."""
    if node.own:
        own = node.own
        name = f"{node.name}{config.name}"
        yield Dlif(name, config.phy, own.identity.mac, own.identity.link_local, own.prefix)
    for anchor in active_anchors(node):
        if anchor.identity:
            yield Dlif(anchor.dlif, config.phy, anchor.identity.mac, anchor.identity.link_local, anchor.prefix)


def active_anchors(node: MobileNode) -> Iterator[AnchorBinding]:
    """Anchors that acknowledged."""
    return (anchor for anchor in node.anchors if anchor.active)


def admitted_prefixes(node: MobileNode) -> Iterator[IPv6Network]:
    """Source prefixes the node may use here: the confirmed own one, and those with an uplink (spec ATT-9)."""
    if node.own and node.own.state is BindingState.LOCAL:
        yield node.own.prefix
    for anchor in active_anchors(node):
        yield anchor.prefix


def advertisements(
    nodes: Iterable[MobileNode], config: GatewayConfig, now: float, farewells: Iterable[Farewell] = ()
) -> tuple[Advertisement, ...]:
    """The RAs of all DLIFs of all nodes served here and in radio reach (spec §6 table).

    A node that left is told nothing more (spec RA-10): its routers may already speak from another gateway (DLIF-9).
    """
    policy = config.advertisements
    lifetime = config.timing.lifetime
    result = []
    for node in nodes:
        if not (node.serving and node.attached):
            continue
        if node.own and node.own.state is BindingState.LOCAL:
            name = f"{node.name}{config.name}"
            result.append(_advertisement(node, name, node.own.prefix, "medium", lifetime, lifetime, policy))
        home = config.mode == "classic"  # the prefix is the node's only one, not a former gateway's
        for anchor in active_anchors(node):
            preferred = 0 if policy.profile == "deprecate" and not home else lifetime
            preference = "medium" if home else "low"
            said = _advertisement(node, anchor.dlif, anchor.prefix, preference, lifetime, preferred, policy)
            result.append(replace(said, routes=local.routes(node, anchor, policy.route_lifetime, now)))
    result += [_farewell(farewell, policy) for farewell in farewells]
    return tuple(result)


def _farewell(farewell: Farewell, policy: AdvertisementPolicy) -> Advertisement:
    """State S5 of spec §6: no router any more, no prefix, no routes."""
    return Advertisement(
        dlif=farewell.dlif.name,
        client=farewell.client,
        router_lifetime=0,
        preference="medium",
        prefix=farewell.dlif.prefix,
        valid=0,
        preferred=0,
        mtu=policy.mtu,
        routes=tuple(local.route(prefix, 0) for prefix in farewell.routes[:MAX_ROUTES]),
    )


def _advertisement(
    node: MobileNode,
    dlif: str,
    prefix: IPv6Network,
    preference: str,
    valid: int,
    preferred: int,
    policy: AdvertisementPolicy,
) -> Advertisement:
    return Advertisement(
        dlif=dlif,
        client=node.client,
        router_lifetime=policy.router_lifetime,
        preference=preference,
        prefix=prefix,
        valid=valid,
        preferred=preferred,
        mtu=policy.mtu,
    )
