"""What a raw socket hands over, and the Parameter Problem that answers it (spec §2.5, §10)."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

from agents.kernel.rawsocket import Received, parameter_problem, parse, parse_error

PEER, LOCAL = IPv6Address("2001:db8:c:2::2"), IPv6Address("2001:db8:c:1::2")
MESSAGE = bytes([17, 1, 5, 0]) + bytes(12)
OPTIONS = b"\x87\0\1\4\0\0\0\0"
V6 = socket.IPPROTO_IPV6
PKTINFO = (V6, socket.IPV6_PKTINFO, LOCAL.packed + struct.pack("=I", 2))
HOP_LIMIT = (V6, socket.IPV6_HOPLIMIT, struct.pack("=i", 61))


def test_source_destination_and_hop_limit() -> None:
    received = parse(MESSAGE, [PKTINFO, HOP_LIMIT], f"{PEER}%wan")
    assert received == Received(MESSAGE, PEER, LOCAL, 61)
    assert received.offset == 40
    assert received.packet == struct.pack("!IHBB", 6 << 28, 16, 135, 61) + PEER.packed + LOCAL.packed + MESSAGE


def test_extension_headers_are_counted_and_quoted() -> None:
    received = parse(MESSAGE, [PKTINFO, (V6, socket.IPV6_DSTOPTS, OPTIONS)], str(PEER))
    assert received.extensions == ((60, OPTIONS),)
    assert received.offset == 48
    assert received.packet[6] == 60
    assert received.packet[40:] == OPTIONS + MESSAGE


def test_parameter_problem_points_into_the_quoted_packet() -> None:
    """Payload Proto: pointer 40; Header Len: pointer 41 (spec §10)."""
    received = Received(MESSAGE, PEER, LOCAL, 64)
    assert parameter_problem(received, 0) == struct.pack("!BBHI", 4, 0, 0, 40) + received.packet
    problem = parameter_problem(received, 1)
    assert problem[4:8] == (41).to_bytes(4, "big")
    assert problem[8 + 41] == MESSAGE[1]


def test_quote_fits_the_minimum_mtu() -> None:
    received = Received(MESSAGE + bytes(4000), PEER, LOCAL, 64)
    assert len(parameter_problem(received, 0)) == 1280 - 40


def test_error_queue() -> None:
    def entry(origin: int, kind: int, code: int) -> list[tuple[int, int, bytes]]:
        return [(V6, socket.IPV6_UNICAST_HOPS, b""), (V6, 25, struct.pack("=IBBBxII", 71, origin, kind, code, 6, 0))]

    refusal = parse_error(entry(3, 4, 1), str(PEER))
    assert refusal is not None
    assert (refusal.peer, refusal.pointer, refusal.no_mobility) == (PEER, 6, True)
    unreachable = parse_error(entry(3, 1, 0), str(PEER))
    assert unreachable is not None
    assert not unreachable.no_mobility
    assert parse_error(entry(1, 4, 1), str(PEER)) is None
    assert parse_error([], str(PEER)) is None
