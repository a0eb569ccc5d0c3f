"""What stands between the outer IP header and the inner packet: the formats of spec §2.1 and how they are told apart.

The kernel writes outer IP and UDP headers; these functions give and take the rest.  A received payload is
classified by its carrier (the socket it came from) and its first octet alone (spec §2.3).
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from agents.aero.lladdr import Encapsulation
from agents.wire.errors import DecodeError

IPV4, IPV6, FRAGMENT = 4, 41, 44
"""IP protocol numbers of the inner packet and of the Fragment Header."""
FRAGMENT_OCTETS = 8
_GUE_CONTROL = 0x20
_FRAGMENT = struct.Struct("!BxHI")


class Carrier(enum.IntEnum):
    """The socket a packet came through; raw sockets are named by their protocol."""

    UDP = 0
    """Port 8060."""
    GUE = 1
    """Port 6080."""
    PROTOCOL_4 = IPV4
    PROTOCOL_41 = IPV6
    PROTOCOL_44 = FRAGMENT


class Fragment(NamedTuple):
    """A Fragment Header in front of a part of an inner packet (RFC 8200 §4.5)."""

    next_header: int
    """4 or 41, of the packet that was cut."""
    offset: int
    """Octets."""
    more: bool
    identification: int

    @property
    def atomic(self) -> bool:
        """A whole packet behind a Fragment Header (spec §3.8)."""
        return not self.offset and not self.more


class Payload(NamedTuple):
    """Where the inner packet, or its part, begins, and how it came."""

    encapsulation: Encapsulation
    start: int
    """Octets to skip."""
    protocol: int
    """IPV4 or IPV6: what the inner packet must be."""
    fragment: Fragment | None = None


def push_fragment(fragment: Fragment) -> bytes:
    """The 8 octets of a Fragment Header; ValueError for an offset that is no multiple of 8."""
    if fragment.offset % 8 or not 0 <= fragment.offset < 1 << 16:
        raise ValueError(f"fragment offset {fragment.offset}")
    return _FRAGMENT.pack(fragment.next_header, fragment.offset | fragment.more, fragment.identification)


def pull_fragment(data: bytes | memoryview, start: int) -> Fragment:
    """The Fragment Header at `start` (reserved bits are ignored); DecodeError when cut short or of other content."""
    if len(data) - start < FRAGMENT_OCTETS:
        raise DecodeError("Fragment Header cut short", start)
    protocol, place, identification = _FRAGMENT.unpack_from(data, start)
    if protocol not in (IPV4, IPV6):
        raise DecodeError(f"Fragment Header in front of protocol {protocol}", start)
    return Fragment(protocol, place & 0xFFF8, bool(place & 1), identification)


def header(encapsulation: Encapsulation, protocol: int, fragment: Fragment | None = None) -> bytes:
    """Octets in front of an inner packet of this protocol, or of a part of it, for the carrier's socket."""
    if fragment is None:
        return bytes((0, protocol, 0, 0)) if encapsulation is Encapsulation.GUE else b""
    if encapsulation in (Encapsulation.GUE, Encapsulation.GUE1):
        return bytes((0, FRAGMENT, 0, 0)) + push_fragment(fragment)
    return push_fragment(fragment)


def carrier(encapsulation: Encapsulation, protocol: int, *, fragmented: bool) -> Carrier:
    """The socket that sends it."""
    if encapsulation is Encapsulation.UDP:
        return Carrier.UDP
    if encapsulation is Encapsulation.MINIMAL:
        return Carrier.PROTOCOL_44 if fragmented else Carrier(protocol)
    return Carrier.GUE


def classify(through: Carrier, data: bytes | memoryview) -> Payload:
    """What a payload holds (spec §2.3); DecodeError (counted as `enc_bad_first`) for anything else."""
    if not data:
        raise DecodeError("empty payload", 0)
    if through is Carrier.UDP:
        return _udp(data)
    if through is Carrier.GUE:
        return _gue(data)
    if through is Carrier.PROTOCOL_44:
        fragment = pull_fragment(data, 0)
        return Payload(Encapsulation.MINIMAL, FRAGMENT_OCTETS, fragment.next_header, fragment)
    return _versioned(Encapsulation.MINIMAL, data, 0, int(through))


def _udp(data: bytes | memoryview) -> Payload:
    version = data[0] >> 4
    if version == 6:
        return Payload(Encapsulation.UDP, 0, IPV6)
    if data[0] in (IPV4, IPV6):
        fragment = pull_fragment(data, 0)
        return Payload(Encapsulation.UDP, FRAGMENT_OCTETS, fragment.next_header, fragment)
    if version == 4:
        return Payload(Encapsulation.UDP, 0, IPV4)
    raise DecodeError(f"first octet {data[0]:#04x}", 0)


def _gue(data: bytes | memoryview) -> Payload:
    variant = data[0] >> 6
    if variant == 1:
        version = data[0] >> 4
        return _versioned(Encapsulation.GUE1, data, 0, {4: IPV4, 6: IPV6}.get(version, 0))
    if variant:
        raise DecodeError(f"GUE variant {variant}", 0)
    if len(data) < 4:
        raise DecodeError("GUE header cut short", 0)
    if data[0] & _GUE_CONTROL:
        raise DecodeError("GUE control message", 0)
    if data[2] or data[3]:
        raise DecodeError(f"GUE flags {data[2] << 8 | data[3]:#06x}", 2)
    start = 4 + 4 * (data[0] & 0x1F)
    if start >= len(data):
        raise DecodeError("GUE header beyond the datagram", 0)
    if data[1] == FRAGMENT:
        fragment = pull_fragment(data, start)
        return Payload(Encapsulation.GUE, start + FRAGMENT_OCTETS, fragment.next_header, fragment)
    return _versioned(Encapsulation.GUE, data, start, data[1])


def _versioned(encapsulation: Encapsulation, data: bytes | memoryview, start: int, protocol: int) -> Payload:
    version = data[start] >> 4
    if {4: IPV4, 6: IPV6}.get(version) != protocol:
        raise DecodeError(f"protocol {protocol} with an inner version {version}", start)
    return Payload(encapsulation, start, protocol)
