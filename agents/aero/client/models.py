"""The three Client models: what a host, a router and a hybrid do with their delegated prefixes (spec MODEL-*)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from agents.aero.addresses import Prefix, aero_address
from agents.aero.config import ClientConfig, DownstreamLink
from agents.aero.items import (
    Address,
    BlackHole,
    DefaultRoute,
    Defence,
    Downstream,
    Item,
    Plan,
    Routing,
    StrongHost,
    host_address,
)

ROUTER_LIFETIME = 60
"""Seconds; renewed with every RA, so that a lost Server ends it soon."""


def plan(config: ClientConfig, prefixes: Mapping[Prefix, float], *, attached: bool, now: float) -> Plan:
    """Everything the kernel of this Client must hold now; `prefixes` with the Unix time each lease ends."""
    return {item.key: item for item in _items(config, prefixes, attached, now)}


def _items(config: ClientConfig, prefixes: Mapping[Prefix, float], attached: bool, now: float) -> Iterator[Item]:
    yield Routing(config.model != "host")
    if config.model == "host":
        yield StrongHost()
    for prefix in prefixes:
        yield BlackHole(prefix)
        yield Address(config.interface, IPv6Interface((aero_address(prefix), 64)))
        if config.model != "router":
            yield from _own_addresses(config, prefix)
    if attached:
        for version in sorted({prefix.version for prefix in prefixes}):
            yield DefaultRoute(config.interface, 6 if version == 6 else 4)
    if config.model != "host":
        for link in config.downstream:
            yield from _downstream(config, link, prefixes, attached, now)


def _own_addresses(config: ClientConfig, prefix: Prefix) -> Iterator[Item]:
    for address in interface_addresses(prefix, config.addresses):
        yield Address(config.interface, host_address(address))
        if config.model == "hybrid" and isinstance(address, IPv6Address):
            for link in config.downstream:
                yield Defence(link.interface, address)


def interface_addresses(prefix: Prefix, count: int) -> Iterable[IPv4Address | IPv6Address]:
    """The addresses of a prefix that the AERO interface holds: from its second one on (spec MODEL-H2, MODEL-Y1).

    In a hybrid they are outside the /64s of its downstream links, which begin at subnet 1.
    """
    last = prefix.num_addresses - (2 if isinstance(prefix, IPv4Network) else 1)
    return (prefix[number] for number in range(1, min(count, last) + 1))


def _downstream(
    config: ClientConfig, link: DownstreamLink, prefixes: Mapping[Prefix, float], attached: bool, now: float
) -> Iterator[Item]:
    for prefix, ends in prefixes.items():
        if not isinstance(prefix, IPv6Network):
            continue
        subnet = subnet_of(prefix, link.subnet)
        yield Address(link.interface, IPv6Interface((subnet[1], 64)), dad=True)
        yield Downstream(
            interface=link.interface,
            prefix=subnet if link.mode != "dhcp" else None,
            lifetime=ROUTER_LIFETIME if attached else 0,
            valid=max(0, int(ends - now)),
            on_link=link.mode != "off-link",
            managed=link.mode == "dhcp",
        )
        return
    yield Downstream(link.interface, None, 0, 0)


def subnet_of(prefix: IPv6Network, number: int) -> IPv6Network:
    """The /64 with this number; the prefix itself where it is no longer than that. ValueError when there is none."""
    if prefix.prefixlen == 64:
        return prefix
    if number >= 1 << (64 - prefix.prefixlen):
        raise ValueError(f"{prefix} has no /64 number {number}")
    return IPv6Network((int(prefix.network_address) + (number << 64), 64))
