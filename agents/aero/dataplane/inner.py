"""What an inner packet must look like before anything else is done with it (spec §2.3, §11)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from agents.wire.buffer import internet_checksum
from agents.wire.errors import DecodeError

IPV4_OCTETS, IPV6_OCTETS = 20, 40
_JUMBO = 0xC2
_HOP_BY_HOP = 0


def checked_length(packet: bytes | memoryview) -> int:
    """The inner packet's length by its own header, octets after it being padding.

    DecodeError when it is cut short, shorter than its header, has a wrong IPv4 checksum, or is a jumbogram.
    """
    version = packet[0] >> 4 if len(packet) else 0
    if version == 6:
        return _ipv6_length(packet)
    if version == 4:
        return _ipv4_length(packet)
    raise DecodeError(f"inner version {version}", 0)


def _ipv6_length(packet: bytes | memoryview) -> int:
    if len(packet) < IPV6_OCTETS:
        raise DecodeError(f"inner IPv6 header in {len(packet)} octets", 0)
    payload = packet[4] << 8 | packet[5]
    if packet[6] == _HOP_BY_HOP and payload == 0:
        raise DecodeError("jumbogram", 4)
    length = IPV6_OCTETS + payload
    if length > len(packet):
        raise DecodeError(f"inner packet of {length} octets in {len(packet)}", 4)
    return length


def _ipv4_length(packet: bytes | memoryview) -> int:
    if len(packet) < IPV4_OCTETS:
        raise DecodeError(f"inner IPv4 header in {len(packet)} octets", 0)
    header, length = (packet[0] & 0x0F) * 4, packet[2] << 8 | packet[3]
    if header < IPV4_OCTETS or header > length:
        raise DecodeError(f"inner IPv4 header of {header} octets in a packet of {length}", 0)
    if length > len(packet):
        raise DecodeError(f"inner packet of {length} octets in {len(packet)}", 2)
    if internet_checksum(bytes(packet[:header])):
        raise DecodeError("inner IPv4 header checksum", 10)
    return length


def addresses(packet: bytes | memoryview) -> tuple[bytes, bytes]:
    """Source and destination, 4 or 16 octets each."""
    if packet[0] >> 4 == 4:
        return bytes(packet[12:16]), bytes(packet[16:20])
    return bytes(packet[8:24]), bytes(packet[24:40])


_LINK_LOCAL, _MULTICAST = 0xFE, 0xFF


def is_control(flow: bytes) -> bool:
    """An IPv6 source and destination of which the destination is on the AERO link itself (fe80::/10, ff00::/8)."""
    first = flow[16]
    return first == _MULTICAST or (first == _LINK_LOCAL and flow[17] & 0xC0 == 0x80)


def ends(packet: bytes | memoryview) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
    """Source and destination."""
    source, destination = addresses(packet)
    if len(source) == 4:
        return IPv4Address(source), IPv4Address(destination)
    return IPv6Address(source), IPv6Address(destination)
