"""Control packets of the AERO link as whole inner IPv6 packets: DHCPv6 in UDP, Neighbor Discovery in ICMPv6."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.constants import ND_HOP_LIMIT
from agents.wire.buffer import ipv6_checksum
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.nd import ICMPV6, NdMessage, pull_nd, push_nd

UDP = 17
_IPV6, _UDP_OCTETS = 40, 8


@dataclass(frozen=True, slots=True)
class Inner:
    """An inner IPv6 packet taken apart."""

    source: IPv6Address
    destination: IPv6Address
    next_header: int
    hop_limit: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Datagram:
    """An inner UDP datagram."""

    source: IPv6Address
    destination: IPv6Address
    source_port: int
    destination_port: int
    payload: bytes


def pull_inner(packet: bytes) -> Inner:
    """An IPv6 packet whose length was checked; extension headers are left in the payload."""
    if len(packet) < _IPV6 or packet[0] >> 4 != 6:
        raise DecodeError("no inner IPv6 packet", 0)
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return Inner(source, destination, packet[6], packet[7], packet[_IPV6:])


def push_inner(
    source: IPv6Address, destination: IPv6Address, next_header: int, payload: bytes, hop_limit: int = ND_HOP_LIMIT
) -> bytes:
    """An IPv6 packet."""
    head = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes((next_header, hop_limit))
    return head + source.packed + destination.packed + payload


def push_udp(
    source: IPv6Address, destination: IPv6Address, source_port: int, destination_port: int, payload: bytes
) -> bytes:
    """A UDP datagram in an IPv6 packet, with its checksum."""
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    head = ports + (_UDP_OCTETS + len(payload)).to_bytes(2, "big")
    checksum = ipv6_checksum(source, destination, UDP, head + b"\0\0" + payload) or 0xFFFF
    return push_inner(source, destination, UDP, head + checksum.to_bytes(2, "big") + payload)


def pull_udp(inner: Inner) -> Datagram:
    """The datagram of an inner packet; DecodeError for another protocol, a wrong length or checksum."""
    data = inner.payload
    if inner.next_header != UDP or len(data) < _UDP_OCTETS:
        raise DecodeError(f"no UDP datagram: next header {inner.next_header}, {len(data)} octets", 6)
    length = int.from_bytes(data[4:6], "big")
    if not _UDP_OCTETS <= length <= len(data):
        raise DecodeError(f"UDP length {length} in {len(data)} octets", _IPV6 + 4)
    if data[6:8] == b"\0\0" or ipv6_checksum(inner.source, inner.destination, UDP, data[:length]):
        raise DecodeError("wrong UDP checksum", _IPV6 + 6, DecodeErrorKind.CHECKSUM)
    ports = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    return Datagram(inner.source, inner.destination, *ports, data[_UDP_OCTETS:length])


def push_discovery(
    message: NdMessage, source: IPv6Address, destination: IPv6Address, hop_limit: int = ND_HOP_LIMIT
) -> bytes:
    """A Neighbor Discovery message in an IPv6 packet."""
    return push_inner(source, destination, ICMPV6, push_nd(message, source, destination), hop_limit)


def pull_discovery(inner: Inner) -> NdMessage | None:
    """The Neighbor Discovery message of an inner packet; None for other ICMPv6 (DecodeError)."""
    return pull_nd(inner.payload, inner.source, inner.destination)
