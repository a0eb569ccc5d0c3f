"""Datagrams by the batch on real sockets: what arrives is what was sent, whatever the kernel thinks of a run."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from kernel_namespaces import Namespace

from agents.kernel.batches import (
    LONGEST,
    LONGEST_RUN,
    ONE_MESSAGE,
    SENDING,
    SLOTS,
    Arrivals,
    Departures,
    pull_name,
    push_name,
)

pytestmark = [pytest.mark.netns, pytest.mark.stock]

IP_MTU_DISCOVER, DONT, PROBE = 10, 0, 3
TOS = {socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS), socket.AF_INET6: (socket.IPPROTO_IPV6, 67)}
WANT_TOS = {socket.AF_INET: (socket.IPPROTO_IP, 13), socket.AF_INET6: (socket.IPPROTO_IPV6, 66)}
HERE = {socket.AF_INET: ("127.0.0.1", 7777), socket.AF_INET6: ("::1", 7777, 0, 0)}
FAMILIES = list(HERE)


class Ends:
    def __init__(self, namespace: Namespace, family: int) -> None:
        with namespace.entered():
            self.sender, self.receiver = (socket.socket(family, socket.SOCK_DGRAM) for _end in range(2))
        self.receiver.setsockopt(*WANT_TOS[family], 1)
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        self.receiver.bind(HERE[family])
        self.sender.bind((HERE[family][0], 8888))
        self.here = HERE[family]
        self.arrivals = Arrivals(9000)

    def departures(self, *, runs: bool) -> Departures:
        return Departures(self.sender.fileno(), *TOS[self.sender.family], runs=runs)

    def received(self) -> list[tuple[bytes, int]]:
        found = []
        while count := self.arrivals.receive(self.receiver.fileno()):
            for name, data, ancillary, tos in self.arrivals.first(count):
                assert pull_name(name)[:2] == (self.here[0], 8888)
                assert ancillary == ONE_MESSAGE
                found.append((bytes(data), tos))
        return found

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


@pytest.fixture(scope="module")
def namespace():
    made = Namespace("alone")
    made.run("ip", "link", "set", "lo", "mtu", "1400")
    yield made
    made.close()


@pytest.fixture(params=FAMILIES)
def ends(namespace, request):
    made = Ends(namespace, request.param)
    yield made
    made.close()


def numbered(count: int, size: int) -> list[bytes]:
    return [struct.pack("!I", number).ljust(size, b"\xa5") for number in range(count)]


def put(departures: Departures, where, datagrams, tos: int = 0) -> list:
    failed = []
    for datagram in datagrams:
        if departures.full:
            failed += departures.flush()
        departures.add(where, (datagram[:4], datagram[4:]), tos)
    return failed + departures.flush()


@pytest.mark.parametrize("runs", [False, True])
def test_everything_arrives_once_in_order_with_its_type_of_service(ends, runs, monkeypatch):
    monkeypatch.delattr(Departures, "_one_by_one")  # nothing is longer than the kernel takes
    departures = ends.departures(runs=runs)
    sizes = [64] * 100 + [100, 64, 1200, 1200, 1200, 4] + [512] * (2 * LONGEST_RUN // 512)
    datagrams = [struct.pack("!I", number).ljust(size, b"x") for number, size in enumerate(sizes)]
    half = len(datagrams) // 2
    assert put(departures, ends.here, datagrams[:half]) == []
    assert put(departures, ends.here, datagrams[half:], tos=0xB8) == []
    assert ends.received() == [(each, 0) for each in datagrams[:half]] + [(each, 0xB8) for each in datagrams[half:]]
    assert not departures.pending


def test_a_run_takes_one_slot_and_many_addresses_take_one_each(ends):
    departures = ends.departures(runs=True)
    for _datagram in range(SLOTS + 6):
        assert not departures.full
        departures.add(ends.here, (bytes(64),), 0)
    assert len(departures._slots) == 2  # the kernel takes 64 as one
    departures.flush()
    assert len(ends.received()) == SLOTS + 6
    for number in range(SLOTS):
        assert not departures.full
        departures.add(ends.here, (bytes(64),), number & 1)
    assert departures.full
    departures.flush()
    assert len(ends.received()) == SLOTS
    for _datagram in range(SENDING // LONGEST + 1):
        assert not departures.full
        departures.add(ends.here, (bytes(LONGEST),), 0)
    assert departures.full


@pytest.mark.parametrize(("mode", "passed"), [(DONT, True), (PROBE, False)])
def test_a_run_that_the_kernel_refuses_goes_one_by_one(namespace, mode, passed):
    """Longer than the MTU: without DF they are cut under way, with DF each is refused, and none is counted twice."""
    ends = Ends(namespace, socket.AF_INET)
    ends.sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, mode)
    datagrams = numbered(10, 1450)
    failed = put(ends.departures(runs=True), ends.here, datagrams, tos=4)
    assert ends.received() == ([(each, 4) for each in datagrams] if passed else [])
    assert failed == ([] if passed else [(ends.here, errno.EMSGSIZE)] * 10)
    ends.close()


def test_one_that_cannot_be_sent_does_not_keep_the_others(ends):
    departures = ends.departures(runs=False)
    nowhere = ("203.0.113.9", 9) if len(ends.here) == 2 else ("2001:db8::9", 9, 0, 0)
    for where in (ends.here, nowhere, ends.here):
        departures.add(where, (b"data",), 0)
    assert [where for where, _number in departures.flush()] == [nowhere]
    assert len(ends.received()) == 2


@pytest.mark.parametrize("address", [("192.0.2.1", 8060), ("2001:db8::1", 6080, 0, 0), ("fe80::1", 0, 7, 3)])
def test_addresses_as_the_kernel_has_them(address):
    assert pull_name(push_name(address)) == address


def test_nothing_there_and_nothing_to_send(ends):
    assert ends.received() == []
    assert ends.departures(runs=True).flush() == []
