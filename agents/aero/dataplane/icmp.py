"""ICMP and ICMPv6 errors about inner packets, as an AERO node originates them (spec §2.4, FRAG-10, SRV-10)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from agents.wire.buffer import internet_checksum, ipv6_checksum

_QUOTED_V6 = 1280 - 40 - 8
_QUOTED_V4 = 576 - 20 - 8
_ICMPV6, _ICMP = 58, 1
_HOP_LIMIT = 64


class Problem(enum.Enum):
    """An error: (ICMPv6 type, code), (ICMP type, code)."""

    NO_ROUTE = ((1, 0), (3, 0))
    ADDRESS_UNREACHABLE = ((1, 3), (3, 1))
    TOO_BIG = ((2, 0), (3, 4))
    TIME_EXCEEDED = ((3, 0), (11, 0))


Own = IPv4Address | IPv6Address


def error(problem: Problem, about: bytes | memoryview, own: Own, mtu: int = 0) -> bytes | None:
    """The complete error packet from `own` to the inner source; None where no error may be sent (RFC 4443 §2.4).

    `own` must be of the packet's family.  `mtu` is what a Too Big tells, in octets.
    """
    version = about[0] >> 4
    if version != own.version or _silent(about, version):
        return None
    if isinstance(own, IPv6Address):
        return _ipv6(problem, about, own, mtu)
    return _ipv4(problem, about, own, mtu)


def _silent(about: bytes | memoryview, version: int) -> bool:
    """Errors about errors, about multicast, about later fragments, and to no single host are not sent."""
    if version == 6:
        source, destination, payload = about[8:24], about[24:40], about[40:41]
        is_error = about[6] == _ICMPV6 and len(payload) == 1 and payload[0] < 128
        return is_error or destination[0] == 0xFF or source[0] == 0xFF or not any(source)
    header = (about[0] & 0x0F) * 4
    is_error = about[9] == _ICMP and len(about) > header and about[header] not in (0, 8)
    later = bool((about[6] & 0x1F) | about[7])
    return is_error or later or about[16] >= 224 or about[12] >= 224 or not any(about[12:16])


def _ipv6(problem: Problem, about: bytes | memoryview, own: IPv6Address, mtu: int) -> bytes:
    number, code = problem.value[0]
    source = IPv6Address(bytes(about[8:24]))
    rest = mtu.to_bytes(4, "big") + bytes(about[:_QUOTED_V6])
    body = bytes((number, code, 0, 0)) + rest
    checksum = ipv6_checksum(own, source, _ICMPV6, body)
    body = body[:2] + checksum.to_bytes(2, "big") + rest
    head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes((_ICMPV6, _HOP_LIMIT))
    return head + own.packed + source.packed + body


def _ipv4(problem: Problem, about: bytes | memoryview, own: IPv4Address, mtu: int) -> bytes:
    number, code = problem.value[1]
    rest = b"\0\0" + mtu.to_bytes(2, "big") + bytes(about[:_QUOTED_V4])
    body = bytes((number, code)) + internet_checksum(bytes((number, code, 0, 0)) + rest).to_bytes(2, "big") + rest
    total = (20 + len(body)).to_bytes(2, "big")
    head = b"\x45\0" + total + bytes((0, 0, 0, 0, _HOP_LIMIT, _ICMP, 0, 0)) + own.packed + bytes(about[12:16])
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + body
