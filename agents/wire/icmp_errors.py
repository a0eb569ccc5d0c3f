"""ICMP and ICMPv6 errors about packets, as a node that forwards them originates them (RFC 4443, RFC 1812 §4.3.2)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from agents.wire.buffer import internet_checksum, ipv6_checksum

_QUOTED_V6 = 1280 - 40 - 8
_QUOTED_V4 = 576 - 20 - 8
_ICMPV6, _ICMP = 58, 1
_HOP_LIMIT = 64
_ICMP_ERRORS = (3, 4, 5, 11, 12)
"""Unreachable, Source Quench, Redirect, Time Exceeded, Parameter Problem; others ask or answer."""
_FIRST_QUESTION, _REDIRECT = 128, 137
_FRAGMENT, _AUTHENTICATION = 44, 51
_SKIPPED = (0, 43, 60, _FRAGMENT, _AUTHENTICATION)
"""Extension headers that may stand before ICMPv6: hop-by-hop, routing, destination options, and these two."""
_LATER_FRAGMENT = 0xFFF8


class Problem(enum.Enum):
    """An error: (ICMPv6 type, code), (ICMP type, code)."""

    NO_ROUTE = ((1, 0), (3, 0))
    ADDRESS_UNREACHABLE = ((1, 3), (3, 1))
    TOO_BIG = ((2, 0), (3, 4))
    TIME_EXCEEDED = ((3, 0), (11, 0))


Own = IPv4Address | IPv6Address
Octets = bytes | memoryview


def error(problem: Problem, about: Octets, own: Own, mtu: int = 0) -> bytes:
    """The complete error packet from `own`, of the packet's family, to the packet's source.

    For packets that are `answerable` only.  `mtu` is what a Too Big tells, in octets.
    """
    if isinstance(own, IPv6Address):
        return _ipv6(problem, about, own, mtu)
    return _ipv4(problem, about, own, mtu)


def answerable(about: Octets) -> bool:
    """Whether an error may be sent about a packet whose header is whole (RFC 4443 §2.4(e), RFC 1812 §4.3.2.7).

    Not about errors and redirects, nor to a source that is no single host, nor about multicast (no exception is made
    for Too Big: no multicast is forwarded here), nor, in IPv4, about later fragments.
    """
    if about[0] >> 4 == 6:
        source, destination = about[8:24], about[24:40]
        nobody = destination[0] == 0xFF or source[0] == 0xFF or not any(source)
        return not nobody and not _icmpv6_error(about)
    header = (about[0] & 0x0F) * 4
    is_error = about[9] == _ICMP and len(about) > header and about[header] in _ICMP_ERRORS
    later = bool((about[6] & 0x1F) | about[7])
    nobody = about[16] >= 224 or about[12] >= 224 or about[12] in (0, 127)
    return not (is_error or later or nobody)


def _icmpv6_error(about: Octets) -> bool:
    """An error or a redirect, or what may be one: a part of an ICMPv6 message without its type."""
    kind, at = about[6], 40
    while kind in _SKIPPED and at + 8 <= len(about):
        if kind == _FRAGMENT and (about[at + 2] << 8 | about[at + 3]) & _LATER_FRAGMENT:
            return about[at] == _ICMPV6
        if kind == _FRAGMENT:
            octets = 8
        else:
            octets = (about[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (about[at + 1] + 1) * 8
        kind, at = about[at], at + octets
    if kind != _ICMPV6:
        return False
    return at >= len(about) or about[at] < _FIRST_QUESTION or about[at] == _REDIRECT


def _ipv6(problem: Problem, about: Octets, own: IPv6Address, mtu: int) -> bytes:
    number, code = problem.value[0]
    source = IPv6Address(bytes(about[8:24]))
    rest = mtu.to_bytes(4, "big") + bytes(about[:_QUOTED_V6])
    body = bytes((number, code, 0, 0)) + rest
    checksum = ipv6_checksum(own, source, _ICMPV6, body)
    body = body[:2] + checksum.to_bytes(2, "big") + rest
    head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes((_ICMPV6, _HOP_LIMIT))
    return head + own.packed + source.packed + body


def _ipv4(problem: Problem, about: Octets, own: IPv4Address, mtu: int) -> bytes:
    number, code = problem.value[1]
    rest = b"\0\0" + mtu.to_bytes(2, "big") + bytes(about[:_QUOTED_V4])
    body = bytes((number, code)) + internet_checksum(bytes((number, code, 0, 0)) + rest).to_bytes(2, "big") + rest
    total = (20 + len(body)).to_bytes(2, "big")
    head = b"\x45\0" + total + bytes((0, 0, 0, 0, _HOP_LIMIT, _ICMP, 0, 0)) + own.packed + bytes(about[12:16])
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + body
