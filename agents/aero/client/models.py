"""The three Client models: what a host, a router and a hybrid do with their delegated prefixes (spec MODEL-*)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import count

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
    PrefixRoute,
    Routing,
    StrongHost,
    host_address,
)

ROUTER_LIFETIME = 60
"""Seconds; renewed with every RA, so that a lost Server ends it soon."""
LOOPBACK = "lo"
"""A router has its own address here: on the AERO interface it has none (spec MODEL-R1, RFC 7084 WAA-7)."""


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
        yield from _own_addresses(config, prefix)
    if attached:
        yield from _default_routes(config, prefixes)
    if config.model != "host":
        for link in config.downstream:
            yield from _downstream(config, link, prefixes, attached, now)


def _own_addresses(config: ClientConfig, prefix: Prefix) -> Iterator[Item]:
    interface = LOOPBACK if config.model == "router" else config.interface
    for address in own_addresses(config, prefix):
        yield Address(interface, host_address(address))
        for link in config.downstream if config.model != "host" else ():
            if isinstance(address, IPv6Address) and _needs_defence(config, link, prefix, address):
                yield Defence(link.interface, address)


def _needs_defence(config: ClientConfig, link: DownstreamLink, prefix: Prefix, address: IPv6Address) -> bool:
    """A hybrid defends every address everywhere (spec MODEL-Y2), a router what nodes of the link could claim."""
    if config.model == "hybrid":
        return True
    subnet = subnet_of(prefix, link.subnet)
    return subnet is not None and address in subnet


def _default_routes(config: ClientConfig, prefixes: Mapping[Prefix, float]) -> Iterator[Item]:
    """Own packets leave with a delegated source (spec MODEL-4): a router's interface has none to offer."""
    for version in sorted({prefix.version for prefix in prefixes}):
        first = next(prefix for prefix in prefixes if prefix.version == version)
        source = own_addresses(config, first)[0] if config.model == "router" else None
        yield DefaultRoute(config.interface, 6 if version == 6 else 4, source)


def own_addresses(config: ClientConfig, prefix: Prefix) -> list[IPv4Address | IPv6Address]:
    """The addresses of a prefix that are the Client's: from its second one on (spec MODEL-H2, MODEL-Y1).

    Of a router it is one, for what it sends itself.
    """
    number_of = 1 if config.model == "router" else config.addresses
    if prefix.num_addresses <= 2:  # there is no address of the network itself (RFC 3021)
        return [prefix[number] for number in range(min(number_of, prefix.num_addresses))]
    last = prefix.num_addresses - (2 if isinstance(prefix, IPv4Network) else 1)
    return [prefix[number] for number in range(1, min(number_of, last) + 1)]


def _downstream(
    config: ClientConfig, link: DownstreamLink, prefixes: Mapping[Prefix, float], attached: bool, now: float
) -> Iterator[Item]:
    for prefix, ends in prefixes.items():
        subnet = subnet_of(prefix, link.subnet)
        if subnet is None:
            continue
        if link.mode == "off-link":  # all of it is the downstream node's: nothing here that it could collide with
            yield PrefixRoute(link.interface, subnet)
        else:
            yield Address(link.interface, IPv6Interface((link_address(config, prefix, subnet), 64)), dad=True)
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


def link_address(config: ClientConfig, prefix: Prefix, subnet: IPv6Network) -> IPv6Address:
    """The Client's address on a downstream link: the first of the /64 that it does not have elsewhere."""
    taken = set(own_addresses(config, prefix))
    return next(address for number in count(1) if (address := subnet[number]) not in taken)


def subnet_of(prefix: Prefix, number: int) -> IPv6Network | None:
    """The /64 with this number; the prefix itself where it is no longer than that. None where there is no such."""
    if isinstance(prefix, IPv4Network):
        return None
    if prefix.prefixlen == 64:
        return prefix
    if number >= 1 << (64 - prefix.prefixlen):
        return None
    return IPv6Network((int(prefix.network_address) + (number << 64), 64))
