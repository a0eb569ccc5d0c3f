"""AERO addresses: link-local addresses made of delegated prefixes, or assigned by hand (spec §4)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

Prefix = IPv4Network | IPv6Network

ANYCAST = IPv6Address("fe80::")
"""Subnet-router anycast: any Server answers for it, nobody sends from it."""
PRE_ATTACH = IPv6Address("fe80::ffff:ffff:ffff:ffff")
"""Source of a Client's DHCPv6 messages before it knows its prefix."""
_LINK_LOCAL = 0xFE80 << 112
_MAPPED = 0xFFFF << 32
_IID = (1 << 64) - 1


class AddressKind(enum.Enum):
    """What the interface identifier of an AERO address says."""

    ANYCAST = 1
    ADMINISTRATIVE = 2
    """A Server or Relay, assigned by hand."""
    IPV4_PREFIX = 3
    IPV6_PREFIX = 4
    PRE_ATTACH = 5


def aero_address(prefix: Prefix) -> IPv6Address:
    """The AERO address of a Client that owns `prefix`; ValueError for an IPv6 prefix longer than /64."""
    if isinstance(prefix, IPv4Network):
        return IPv6Address(_LINK_LOCAL | _MAPPED | int(prefix.network_address))
    if prefix.prefixlen > 64:
        raise ValueError(f"{prefix}: an AERO Client's prefix is not longer than /64")
    return IPv6Address(_LINK_LOCAL | int(prefix.network_address) >> 64)


def kind(address: IPv6Address) -> AddressKind:
    """Classify a link-local address by its interface identifier; ValueError when it is not link-local."""
    number = int(address)
    if number >> 64 != _LINK_LOCAL >> 64:
        raise ValueError(f"{address} is no AERO address: not in fe80::/64")
    identifier = number & _IID
    if identifier == 0:
        return AddressKind.ANYCAST
    if identifier == _IID:
        return AddressKind.PRE_ATTACH
    if identifier >> 32 == 0:
        return AddressKind.ADMINISTRATIVE
    return AddressKind.IPV4_PREFIX if identifier >> 32 == 0xFFFF else AddressKind.IPV6_PREFIX


def is_routers(address: IPv6Address) -> bool:
    """Whether a Server or Relay can have this address."""
    try:
        return kind(address) is AddressKind.ADMINISTRATIVE
    except ValueError:
        return False


def is_clients(address: IPv6Address) -> bool:
    """Whether a Client can have this address, maybe before it knows its prefix."""
    try:
        return kind(address) in (AddressKind.PRE_ATTACH, AddressKind.IPV4_PREFIX, AddressKind.IPV6_PREFIX)
    except ValueError:
        return False


def mapped(prefix: Prefix) -> IPv6Network:
    """A prefix as IPv6-only fields (IA_PD, RIO) carry it: IPv4 as ::ffff:a.b.c.d with length + 96."""
    if isinstance(prefix, IPv6Network):
        return prefix
    return IPv6Network((_MAPPED | int(prefix.network_address), prefix.prefixlen + 96))


def unmapped(prefix: IPv6Network) -> Prefix:
    """The prefix that an IPv6-only field means."""
    number = int(prefix.network_address)
    if prefix.prefixlen >= 96 and number >> 32 == 0xFFFF:
        return IPv4Network((number & 0xFFFFFFFF, prefix.prefixlen - 96))
    return prefix


def in_use_elsewhere(prefix: Prefix, underlay: Iterable[IPv4Address | IPv6Address] = ()) -> bool:
    """A prefix that no Client can own: with link-local, multicast, loopback or underlay addresses in it (spec §11)."""
    return any(prefix.overlaps(each) for each in _NOBODYS[prefix.version]) or any(
        address.version == prefix.version and address in prefix for address in underlay
    )


_NOBODYS: dict[int, tuple[Any, ...]] = {
    4: tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"))),
    6: tuple(map(IPv6Network, ("::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8"))),
}
