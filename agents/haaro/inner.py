"""IPv4 packets inside tunnels, as far as HAARO makes and reads them itself: signalling and keepalives."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from agents.wire.buffer import internet_checksum

ICMP, UDP = 1, 17
ECHO_REPLY, ECHO_REQUEST = 0, 8
TTL = 64
HEADER = 20
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_ECHO = struct.Struct("!BBHHH")
Octets = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class EchoMessage:
    """An ICMP echo request or reply."""

    request: bool
    identifier: int
    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """A UDP datagram."""

    source_port: int
    destination_port: int
    data: bytes


@lru_cache(maxsize=4096)
def _address(octets: bytes) -> IPv4Address:
    """Packets are of few addresses, and one takes as long to make as everything else that is read of a packet."""
    return IPv4Address(octets)


def source_of(packet: Octets) -> IPv4Address:
    """Source address of an IPv4 packet."""
    return _address(bytes(packet[12:16]))


def destination_of(packet: Octets) -> IPv4Address:
    """Destination address of an IPv4 packet."""
    return _address(bytes(packet[16:20]))


def is_ipv4(packet: Octets) -> bool:
    """An IPv4 packet that is all there."""
    if len(packet) < HEADER or packet[0] >> 4 != 4:
        return False
    header = (packet[0] & 0x0F) * 4
    return HEADER <= header <= int.from_bytes(packet[2:4], "big") <= len(packet)


def payload_of(packet: Octets, protocol: int) -> bytes | None:
    """What a whole packet of a protocol carries; None for other packets and for fragments."""
    if packet[9] != protocol or int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return None
    return bytes(packet[(packet[0] & 0x0F) * 4 : int.from_bytes(packet[2:4], "big")])


def push_ipv4(
    source: IPv4Address, destination: IPv4Address, protocol: int, payload: bytes, *, tos: int = 0, ttl: int = TTL
) -> bytes:
    """A packet without options, that may be fragmented."""
    size = HEADER + len(payload)
    fields = (0x45, tos, size, 0, 0, ttl, protocol)
    header = _IPV4.pack(*fields, 0, source.packed, destination.packed)
    return _IPV4.pack(*fields, internet_checksum(header), source.packed, destination.packed) + payload


def aged(packet: bytes) -> bytes | None:
    """The packet after one more hop; None when that was its last (spec TUN-12)."""
    if packet[8] <= 1:
        return None
    made = bytearray(packet)
    made[8] -= 1
    checksum = (packet[10] << 8 | packet[11]) + 0x0100  # RFC 1141
    checksum = checksum - 0xFFFF if checksum > 0xFFFF else checksum
    made[10], made[11] = checksum >> 8, checksum & 0xFF
    return bytes(made)


def push_udp(source: IPv4Address, destination: IPv4Address, ports: tuple[int, int], data: bytes) -> bytes:
    """A packet with a UDP datagram; `ports` are those of source and destination."""
    size = _UDP.size + len(data)
    pseudo = source.packed + destination.packed + struct.pack("!BBH", 0, UDP, size)
    checksum = internet_checksum(pseudo + _UDP.pack(*ports, size, 0) + data) or 0xFFFF
    return push_ipv4(source, destination, UDP, _UDP.pack(*ports, size, checksum) + data)


def pull_udp(packet: Octets) -> UdpDatagram | None:
    """The UDP datagram of a packet; None when there is none, or its checksum is wrong."""
    payload = payload_of(packet, UDP)
    if payload is None or len(payload) < _UDP.size:
        return None
    source_port, destination_port, size, checksum = _UDP.unpack_from(payload)
    if not _UDP.size <= size <= len(payload):
        return None
    pseudo = bytes(packet[12:20]) + struct.pack("!BBH", 0, UDP, size)
    if checksum and internet_checksum(pseudo + payload[:size]):
        return None
    return UdpDatagram(source_port, destination_port, payload[_UDP.size : size])


def push_echo(source: IPv4Address, destination: IPv4Address, echo: EchoMessage) -> bytes:
    """A packet with an ICMP echo."""
    kind = ECHO_REQUEST if echo.request else ECHO_REPLY
    checksum = internet_checksum(_ECHO.pack(kind, 0, 0, echo.identifier, echo.sequence) + echo.data)
    message = _ECHO.pack(kind, 0, checksum, echo.identifier, echo.sequence) + echo.data
    return push_ipv4(source, destination, ICMP, message)


def pull_echo(packet: Octets) -> EchoMessage | None:
    """The ICMP echo of a packet; None when there is none, or its checksum is wrong."""
    payload = payload_of(packet, ICMP)
    if payload is None or len(payload) < _ECHO.size or payload[0] not in (ECHO_REQUEST, ECHO_REPLY):
        return None
    if internet_checksum(payload):
        return None
    kind, _code, _checksum, identifier, sequence = _ECHO.unpack_from(payload)
    return EchoMessage(kind == ECHO_REQUEST, identifier, sequence, payload[_ECHO.size :])
