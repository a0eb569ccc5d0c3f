"""From a binding to forwarding: tunnel and routes that a home agent's data plane must hold (spec HA-16)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from agents.haaro.config import HaConfig
from agents.haaro.ha.state import Binding
from agents.haaro.items import TUNNEL_PORT, Item, Tunnel, TunnelRoute


def binding_items(binding: Binding, config: HaConfig) -> Iterator[Item]:
    """One tunnel, the home address and every network of the router through it."""
    home = IPv4Network(binding.home_address)
    networks = binding.networks
    tunnel = Tunnel(
        peer=binding.home_address,
        local=config.address,
        remote=binding.source if binding.encapsulation == "udp" else binding.careof,
        encapsulation=binding.encapsulation,
        port=binding.port if binding.encapsulation == "udp" else TUNNEL_PORT,
        sources=(home, *(owned.prefix for owned in networks)),
    )
    yield tunnel
    yield TunnelRoute(home, tunnel.name)
    for owned in networks:
        yield TunnelRoute(owned.prefix, tunnel.name, owned.realm)
