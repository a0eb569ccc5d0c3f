"""From a binding to forwarding: tunnel and routes that a home agent's data plane must hold (spec HA-16)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from agents.haaro.config import HaConfig
from agents.haaro.ha.state import Binding
from agents.haaro.items import TUNNEL_PORT, Item, Tunnel, TunnelRoute


def tunnel_of(binding: Binding, config: HaConfig) -> Tunnel:
    """Where packets for the router go, and whose packets it may send (spec HA-16)."""
    udp = binding.encapsulation == "udp"
    realms = {owned.realm for owned in binding.networks}
    return Tunnel(
        peer=binding.home_address,
        local=config.address,
        remote=binding.source if udp else binding.careof,
        encapsulation=binding.encapsulation,
        port=binding.port if udp else TUNNEL_PORT,
        realm=realms.pop() if len(realms) == 1 else "",
        sources=(IPv4Network((int(binding.home_address), 32)), *(owned.prefix for owned in binding.networks)),
    )


def binding_items(binding: Binding, config: HaConfig, ambiguous: frozenset[IPv4Network]) -> Iterator[Item]:
    """One tunnel, the home address and every network of the router through it; `ambiguous` are in several realms."""
    tunnel = tunnel_of(binding, config)
    name = tunnel.name
    yield tunnel
    yield TunnelRoute(tunnel.sources[0], name)
    for owned in binding.networks:
        if owned.prefix.prefixlen:  # a way to everywhere is told to others, whose policy decides (spec S26)
            yield TunnelRoute(owned.prefix, name, owned.realm, owned.prefix in ambiguous)
