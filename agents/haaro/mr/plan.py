"""From a mobile router's state to forwarding: tunnels, routes, lines (spec MR-15, MR-16, CR-14, TUN-6)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import Encapsulation
from agents.haaro.items import (
    EVERYTHING,
    HALVES,
    Gateway,
    HomeAddress,
    Item,
    Line,
    OwnNetwork,
    Plan,
    Routing,
    Tunnel,
    TunnelRoute,
    Watched,
    plan_of,
)
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent
from agents.haaro.mr.tunnel import PeerTunnel

FIRST_TABLE = 4340


def router_plan(base: MrBase) -> Plan:
    """Every item that the router's state calls for."""
    return plan_of(*_node_items(base), *_home_items(base), *_peer_items(base))


def usable(base: MrBase, peer: Correspondent) -> bool:
    """Its networks may be routed directly: the tunnel works, and leads to a proven address (spec MR-15, NAT-5)."""
    tunnel = peer.tunnel
    if tunnel is None or not tunnel.up or tunnel.remote not in peer.addresses():
        return False
    return peer.registered or (base.config.eager and peer.accepted)


def routable(base: MrBase, peer: Correspondent, prefix: IPv4Network) -> bool:
    """A network may lead to this peer: the home agent says whose it is, our policy that its realm is ours.

    One whose router the home agent lists no more stays (spec MR-6), but in its realm.
    """
    cached = peer.prefixes.get(prefix)
    if cached is None:
        return not base.config.check_prefixes
    return (cached.valid or not peer.known or not base.config.check_prefixes) and base.cache.wanted(cached)


def routed_networks(base: MrBase, peer: Correspondent) -> Iterator[IPv4Network]:
    """What goes directly: what its registration was granted; before that, eager, what the home agent confirmed.

    A network that the home agent no longer lists under its router is not routed any more; one whose router is listed
    no more stays until the router's registration ends (spec MR-6).
    """
    yield IPv4Network(peer.home)
    if base.cache.leads_everywhere(peer):
        yield from HALVES
    confirmed = {each.prefix for each in peer.networks if each.prefix.prefixlen and base.cache.wanted(each)}
    if peer.incoming is None or peer.incoming.held:
        yield from confirmed
        return
    yield from (prefix for prefix in peer.incoming.prefixes if routable(base, peer, prefix))


def _node_items(base: MrBase) -> Iterator[Item]:
    lines = base.config.lines
    yield Routing(tuple(line.interface for line in lines))
    yield HomeAddress(base.own)
    yield from map(OwnNetwork, base.networks)
    if base.config.gateway:
        yield Gateway()
    for number, line in enumerate(lines):
        yield Line(line, FIRST_TABLE + number)


def _home_items(base: MrBase) -> Iterator[Item]:
    for careof, udp, _until in base.home.former:
        yield _home_tunnel(base, careof, udp=udp)
    if base.home.registered and base.home.careof:
        tunnel = _home_tunnel(base, base.home.careof, udp=base.home.udp)
        yield tunnel
        yield TunnelRoute(EVERYTHING, tunnel.name)


def _home_tunnel(base: MrBase, careof: IPv4Address, *, udp: bool) -> Tunnel:
    agent = base.config.home_agent
    how: Encapsulation = "udp" if udp else "ipip"
    return Tunnel(peer=agent, local=careof, remote=agent, encapsulation=how, sources=(EVERYTHING,))


def _peer_items(base: MrBase) -> Iterator[Item]:
    taken: set[IPv4Network] = set()
    for peer in base.cache:
        for each in reversed(list(peer.tunnels)):
            yield _peer_tunnel(peer, each)
        if peer.tunnel and usable(base, peer):
            name = _peer_tunnel(peer, peer.tunnel).name
            for prefix in routed_networks(base, peer):
                if prefix not in taken:  # the home agent's order decides
                    taken.add(prefix)
                    yield TunnelRoute(prefix, name)
    if base.config.tunnel == "ipip" and base.optimising:
        yield from (Watched(prefix) for prefix in _candidates(base) if prefix not in taken)


def _candidates(base: MrBase) -> Iterator[IPv4Network]:
    """What the cache knows and our policy wants (spec MR-7)."""
    for peer in base.cache:
        if peer.known:
            yield IPv4Network(peer.home)
            yield from (each.prefix for each in peer.networks if each.prefix.prefixlen and base.cache.wanted(each))


def _peer_tunnel(peer: Correspondent, tunnel: PeerTunnel) -> Tunnel:
    granted = peer.incoming.prefixes if peer.incoming else ()
    networks = [cached.prefix for cached in peer.networks]  # of a gateway all there are (spec S26)
    return Tunnel(
        peer=peer.home,
        local=tunnel.local,
        remote=tunnel.remote,
        encapsulation=tunnel.encapsulation,
        port=tunnel.port,
        sources=tuple(dict.fromkeys([IPv4Network(peer.home), *networks, *granted])),
    )
