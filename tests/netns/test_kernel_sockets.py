"""Mobility Header and Parameter Problem on real sockets (spec §2.5, §10)."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

import pytest
from kernel_namespaces import Capture, Namespace, ipv6, send, wait_until, wire

from agents.kernel.netlink import KernelError
from agents.kernel.rawsocket import MobilitySocket, ParameterProblems, Received

pytestmark = pytest.mark.netns

HERE, THERE = IPv6Address("2001:db8:c:1::1"), IPv6Address("2001:db8:c:1::2")
# Next header 59, length 1, type 5 (BU), checksum 0, sequence 1, flags, lifetime, PadN.
UPDATE = bytes.fromhex("3b010500 0000 0001 c000 0004 01020000")


@dataclass
class Pair:
    here: Namespace
    there: Namespace

    def socket(self, namespace: Namespace, local: IPv6Address) -> MobilitySocket:
        with namespace.entered():
            return MobilitySocket(local)


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = Namespace("here"), Namespace("there")
    wire(here, "wan", there, "wan")
    here.batch(f"addr add {HERE}/64 dev wan nodad")
    there.batch(f"addr add {THERE}/64 dev wan nodad")
    wait_until("the link", lambda: "state UP" in here.run("ip", "link", "show", "wan"))
    yield Pair(here, there)
    here.close()
    there.close()


def receive(endpoint: MobilitySocket, timeout: float = 10) -> Received:
    assert select.select([endpoint], [], [], timeout)[0], "nothing arrived"
    received = endpoint.receive()
    assert received is not None
    return received


def test_message_arrives_with_its_addresses_and_a_good_checksum(pair: Pair) -> None:
    sender, receiver = pair.socket(pair.here, HERE), pair.socket(pair.there, THERE)
    assert receiver.receive() is None
    sender.send(UPDATE, THERE)
    received = receive(receiver)
    assert (received.source, received.destination, received.offset) == (HERE, THERE, 40)
    assert received.data[:4] + b"\0\0" + received.data[6:] == UPDATE
    assert received.data[4:6] != b"\0\0"
    sender.close()
    receiver.close()


def test_bad_checksum_never_arrives(pair: Pair) -> None:
    sender, receiver = pair.socket(pair.here, HERE), pair.socket(pair.there, THERE)
    send(pair.here, ipv6(str(HERE), str(THERE), 135, UPDATE))
    sender.send(UPDATE, THERE)
    assert receive(receiver).data[4:6] != b"\0\0"
    assert receiver.receive() is None
    sender.close()
    receiver.close()


def test_parameter_problem_quotes_and_points(pair: Pair) -> None:
    """Behind a Destination Options header: the pointer counts it (RFC 4443 §3.4)."""
    receiver = pair.socket(pair.there, THERE)
    capture = Capture(pair.here, "wan")
    with pair.there.entered():
        problems = ParameterProblems(THERE)
    with pair.here.entered(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, b"\0\0\1\4\0\0\0\0")
        raw.sendto(UPDATE, (str(THERE), 0))
    received = receive(receiver)
    assert received.offset == 48
    problems.send(received, 0)
    frame = capture.until("Parameter Problem", lambda frame: frame[20] == 58 and frame[54] == 4)
    assert frame[55] == 0
    assert int.from_bytes(frame[58:62], "big") == 48
    quoted = frame[62:]
    assert quoted[8:24] == HERE.packed
    assert quoted[6] == 60
    assert quoted[40] == 135
    assert quoted[48:] == received.data
    problems.close()
    capture.close()
    receiver.close()


def test_peer_without_mobility_is_reported_once_and_the_socket_lives_on(pair: Pair) -> None:
    """ICMPv6 type 4 code 1 about our message (RFC 6275 §11.3.5, spec §10)."""
    sender = pair.socket(pair.here, HERE)
    sender.send(UPDATE, THERE)
    assert select.select([sender], [], [], 10)[0], "no error was reported"
    assert sender.receive() is None
    (refusal,) = sender.refusals()
    assert (refusal.peer, refusal.no_mobility, refusal.pointer) == (THERE, True, 6)
    assert sender.refusals() == []
    receiver = pair.socket(pair.there, THERE)
    sender.send(UPDATE, THERE)
    receive(receiver)
    sender.close()
    receiver.close()


def test_binding_to_a_foreign_address_is_one_clear_line(pair: Pair) -> None:
    with pytest.raises(KernelError, match=f"cannot bind to {THERE}"):
        pair.socket(pair.here, THERE)
