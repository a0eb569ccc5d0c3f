"""IP headers as they are on the wire."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Ip:
    """An IPv4 or IPv6 packet."""

    version: int
    source: Address
    destination: Address
    protocol: int
    """Of IPv6, what follows the IPv6 header."""
    ttl: int
    traffic_class: int
    size: int
    """Octets, header included."""
    header: int
    """Octets of the header."""
    dont_fragment: bool = False
    """Always set for IPv6, whose routers do not fragment."""
    identification: int = 0
    cut: bool = False
    """A fragment of the IPv4 layer itself."""
    flow_label: int = 0
    checksum_good: bool = True
    """Of the IPv4 header."""


def read_ip(packet: bytes) -> Ip | None:
    """The header of an IP packet; None when it is none."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        header = (packet[0] & 0x0F) * 4
        tos, size, ident, place, ttl, protocol = struct.unpack_from("!xBHHHBB", packet)
        cut = bool(place & 0x3FFF)
        good = ones_complement_sum(packet[:header]) == 0xFFFF
        ends = address(packet[12:16]), address(packet[16:20])
        return Ip(4, *ends, protocol, ttl, tos, size, header, bool(place & 0x4000), ident, cut, 0, good)
    if version == 6 and len(packet) >= 40:
        first, size, protocol, ttl = struct.unpack_from("!IHBB", packet)
        ends = address(packet[8:24]), address(packet[24:40])
        return Ip(6, *ends, protocol, ttl, first >> 20 & 0xFF, size + 40, 40, True, flow_label=first & 0xFFFFF)
    return None


@lru_cache(maxsize=65536)
def address(octets: bytes) -> Address:
    """An address of 4 or 16 octets, each made once."""
    return IPv4Address(octets) if len(octets) == 4 else IPv6Address(octets)


def ones_complement_sum(octets: bytes) -> int:
    """Ones' complement sum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets[: len(octets) & ~1]))
    total += octets[-1] << 8 if len(octets) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
