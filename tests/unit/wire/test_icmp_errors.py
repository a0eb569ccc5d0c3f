"""About which packets no error is sent, and what one looks like (RFC 4443 §2.4, RFC 1812 §4.3.2.7)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from agents.wire.buffer import internet_checksum, ipv6_checksum
from agents.wire.icmp_errors import Problem, answerable, error

A, B = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:2::1")
A4, B4 = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.1")
ICMPV6 = 58


def six(payload: bytes, proto: int = 17, source: IPv6Address = A, destination: IPv6Address = B) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + source.packed + destination.packed + payload


def four(
    payload: bytes, proto: int = 17, source: IPv4Address = A4, destination: IPv4Address = B4, place: int = 0
) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, place, 64, proto, 0)
    head += source.packed + destination.packed
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + payload


def extended(kind: int, message: bytes, octets: int = 8) -> bytes:
    """An extension header in front of an ICMPv6 message."""
    length = octets // 4 - 2 if kind == 51 else octets // 8 - 1
    return bytes((ICMPV6, length)) + bytes(octets - 2) + message


ANSWERED = {
    "data": six(bytes(20)),
    "echo": six(b"\x80" + bytes(7), ICMPV6),
    "neighbor solicitation": six(b"\x87" + bytes(23), ICMPV6),
    "echo behind options": six(extended(0, b"\x80" + bytes(7), 16), 0),
    "first fragment of an echo": six(struct.pack("!BBHI", ICMPV6, 0, 1, 7) + b"\x80" + bytes(7), 44),
    "later fragment of data": six(struct.pack("!BBHI", 17, 0, 0x101, 7) + bytes(8), 44),
    "IPv4 data": four(bytes(20)),
    "IPv4 echo": four(b"\x08" + bytes(7), 1),
    "IPv4 echo reply": four(bytes(8), 1),
    "IPv4 timestamp": four(b"\x0d" + bytes(19), 1),
    "IPv4 first fragment": four(bytes(16), place=0x2000),
}
SILENT = {
    **{f"ICMPv6 error {kind}": six(bytes((kind,)) + bytes(47), ICMPV6) for kind in (1, 2, 3, 4, 100, 127)},
    "redirect": six(b"\x89" + bytes(39), ICMPV6),
    "error behind hop-by-hop options": six(extended(0, b"\x01" + bytes(7)), 0),
    "error behind a routing header": six(extended(43, b"\x03" + bytes(7), 24), 43),
    "error behind destination options": six(extended(60, b"\x02" + bytes(7), 16), 60),
    "error behind AH": six(extended(51, b"\x04" + bytes(7), 24), 51),
    "error in a first fragment": six(struct.pack("!BBHI", ICMPV6, 0, 1, 7) + b"\x01" + bytes(7), 44),
    "later fragment of ICMPv6": six(struct.pack("!BBHI", ICMPV6, 0, 0x101, 7) + bytes(8), 44),
    "ICMPv6 without a type": six(b"", ICMPV6),
    "to all nodes": six(bytes(20), destination=IPv6Address("ff02::1")),
    "from nobody": six(bytes(20), source=IPv6Address("::")),
    "from many": six(bytes(20), source=IPv6Address("ff0e::1")),
    **{f"IPv4 error {kind}": four(bytes((kind,)) + bytes(35), 1) for kind in (3, 4, 5, 11, 12)},
    "IPv4 later fragment": four(bytes(16), place=0x0010),
    "IPv4 multicast": four(bytes(20), destination=IPv4Address("224.0.0.1")),
    "IPv4 broadcast": four(bytes(20), destination=IPv4Address("255.255.255.255")),
    "IPv4 from nobody": four(bytes(20), source=IPv4Address("0.0.0.0")),
    "IPv4 from this network": four(bytes(20), source=IPv4Address("0.1.2.3")),
    "IPv4 from a loopback address": four(bytes(20), source=IPv4Address("127.0.0.1")),
    "IPv4 from many": four(bytes(20), source=IPv4Address("239.0.0.1")),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answered(name):
    assert answerable(ANSWERED[name])
    assert answerable(memoryview(ANSWERED[name]))


@pytest.mark.parametrize("name", SILENT)
def test_not_answered(name):
    assert not answerable(SILENT[name])


def test_what_cannot_be_read_to_its_end_is_no_accident():
    """Cut anywhere behind the fixed header: a verdict, and never an answer to what was an error."""
    for name, packet in SILENT.items():
        fixed = 40 if packet[0] >> 4 == 6 else 20
        for size in range(fixed, len(packet)):
            answerable(packet[:size])
        assert not answerable(packet), name


@pytest.mark.requirement("FRAG-10")
def test_as_much_as_fits_is_quoted():
    about = six(bytes(1400))
    answer = error(Problem.TOO_BIG, about, B, 1400)
    assert len(answer) == 1280
    assert answer[48:] == about[: 1280 - 48]
    assert (answer[40], int.from_bytes(answer[44:48], "big")) == (2, 1400)
    assert IPv6Address(answer[24:40]) == A
    body = answer[40:42] + b"\0\0" + answer[44:]
    assert int.from_bytes(answer[42:44], "big") == ipv6_checksum(B, A, ICMPV6, body)
    about = four(bytes(1400))
    answer = error(Problem.TOO_BIG, about, B4, 1400)
    assert len(answer) == 576
    assert (answer[20:22], int.from_bytes(answer[26:28], "big")) == (b"\x03\x04", 1400)
    assert answer[28:] == about[: 576 - 28]
    assert not internet_checksum(answer[:20])
    assert not internet_checksum(answer[20:])
