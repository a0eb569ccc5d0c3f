"""Runs of UDP packets given to the kernel as one: what arrives, what is on the wire, and what the path says of them."""

from __future__ import annotations

import itertools
import select
from contextlib import contextmanager

import pytest
from aero_plane import FAR, NEAR, RIGHT, Net, Pair, outer, packet, pairs
from kernel_namespaces import Capture

from agents.aero.lladdr import Encapsulation
from agents.aero.notices import TooBig

pytestmark = [pytest.mark.netns, pytest.mark.stock]

KINDS = (Encapsulation.UDP, Encapsulation.GUE, Encapsulation.GUE1)
UDP = 17
BATCH = 60
"""Packets sent together."""
OFFLOADS = ("tx-udp-segmentation", "tx-checksumming", "scatter-gather", "generic-segmentation-offload")


@pytest.fixture(scope="module")
def net():
    made = Net()
    yield made
    made.close()


@contextmanager
def without(net, *offloads):
    """The sender's interface lacks some; it has all again afterwards, however that went: others use it, too."""
    net.left.run("ethtool", "-K", "eth0", *itertools.chain(*((name, "off") for name in offloads)))
    try:
        yield
    finally:
        net.left.run("ethtool", "-K", "eth0", *itertools.chain(*((name, "on") for name in OFFLOADS)))


@pytest.fixture(params=["every offload", *OFFLOADS])
def sending(net, request):
    """The network, its sender's interface without one of the offloads."""
    net.without = request.param if request.param in OFFLOADS else ""
    if not net.without:
        yield net
        return
    with without(net, request.param):
        yield net


@pytest.fixture
def pair(net):
    with pairs(net) as make:
        yield make


def send_together(both: Pair, packets) -> None:
    with both.left.underlay.together():
        for each in packets:
            both.left.send(each)


def various(inner: int) -> list[bytearray]:
    """Long runs, short ones, ones that a shorter packet ends, fragments, packets of other types of service."""
    sizes = [200] * 200 + [1280, 1280, 640, 640, 1280, 64, 64, 65] * 20 + [1500] * 40 + [1281, 1400, 1232] * 10
    return [
        packet(NEAR[inner], FAR[inner], size, number=number, tos=(number // 90 % 3) << 5)
        for number, size in enumerate(sizes)
    ]


def drained(capture: Capture) -> list[bytes]:
    """Outer UDP packets, from the IP header on."""
    while select.select([capture], [], [], 0)[0]:
        capture.frames.append(capture._socket.recv(1 << 17))
    return [frame[14:] for frame in capture.frames if outer(frame)[1] == UDP]


@pytest.mark.requirement("ENC-1", "FRAG-4")
@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, (4, 6))))
def test_everything_arrives_octet_by_octet_and_in_order(sending, pair, kind, version, proven):
    both, capture = pair(kind, version), Capture(sending.router, "to1")
    if proven:
        both.prove(1500)
    packets = [each for inner in (4, 6) for each in various(inner)]
    for start in range(0, len(packets), BATCH):
        send_together(both, packets[start : start + BATCH])
        arrived = min(start + BATCH, len(packets))
        both.until("the packets", lambda arrived=arrived: len(both.right.delivered) >= arrived)
    both.rest(0.05)
    assert both.right.delivered == [bytes(each) for each in packets]
    assert both.left.underlay.send_failures == 0
    assert not both.right.forwarder.counters
    longest = max(map(len, drained(capture)))
    capture.close()
    if not sending.without:
        assert (longest > 1500) == (proven or version == 6), "whether there were runs"
    elif sending.without == "tx-udp-segmentation":
        assert longest <= 1500


@pytest.mark.requirement("FRAG-2", "FRAG-4", "ENC-7")
@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, (4, 6))))
def test_on_the_wire_there_is_what_single_packets_would_be(net, pair, kind, version, proven):
    """The same sizes, TTL, DF and type of service, a checksum each; without DF, identifications of their own."""
    both = pair(kind, version)
    if proven:
        both.prove(1500)
    packets = [packet(NEAR[6], FAR[6], size, number=size, tos=0x28) for size in (700,) * 30 + (1500,) * 15 + (60,)]
    seen = []
    with without(net, "tx-udp-segmentation", "tx-checksumming"):
        for together in (True, False):
            capture = Capture(net.router, "to1")
            before = len(both.right.delivered)
            if together:
                send_together(both, packets)
            else:
                for each in packets:
                    both.left.send(each)
            both.until("the packets", lambda before=before: len(both.right.delivered) == before + len(packets))
            seen.append(drained(capture))
            capture.close()
    udp = 20 if version == 4 else 40
    run, single = seen
    assert len(run) == len(single) == 30 + 2 * 15 + 1
    if version == 4:
        fragile = [frame for frame in run if not frame[6] & 0x40]
        assert len({frame[4:6] for frame in fragile}) == len(fragile) == (30 if proven else len(run))
        run, single = ([_without_number(frame) for frame in frames] for frames in seen)
        udp -= 4
    for one, other in zip(run, single, strict=True):
        assert one[: udp + 6] == other[: udp + 6], "addresses, ports, lengths, DF, type of service"
        assert one[udp + 6 : udp + 8] != b"\0\0", "the UDP checksum"
        assert len(one) == len(other)
    front = 4 if kind is Encapsulation.GUE else 0
    assert [frame[udp + 8 + front :] for frame in run[:30]] == [bytes(each) for each in packets[:30]]


def _without_number(packet: bytes) -> bytes:
    """An IPv4 packet without identification and header checksum, which differ from packet to packet."""
    return packet[:4] + packet[6:10] + packet[12:]


@pytest.mark.requirement("FRAG-3")
@pytest.mark.parametrize("offload", ["on", "off"])
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, (4, 6))))
def test_a_narrow_path_tells_of_a_run(net, pair, kind, version, offload):
    """What was proven goes with DF; the router's Too Big about a run is believed as about one packet."""
    both = pair(kind, version)
    both.prove(1500)
    net.left.run("ethtool", "-K", "eth0", "tx-udp-segmentation", offload)
    net.router.run("ip", "link", "set", "to2", "mtu", "1300")
    try:
        send_together(both, [packet(NEAR[6], FAR[6], 1400, number=number) for number in range(20)])
        both.until("an error", lambda: both.left.words)
        both.rest(0.05)
    finally:
        net.router.run("ip", "link", "set", "to2", "mtu", "1500")
        net.left.run("ethtool", "-K", "eth0", "tx-udp-segmentation", "on")
        with net.left.entered():
            net.left.run("ip", "-4" if version == 4 else "-6", "route", "flush", "cache")
    assert {(type(word), str(word.ip), word.mtu) for word in both.left.words} == {(TooBig, RIGHT[version], 1300)}
    assert both.right.delivered == []


@pytest.mark.requirement("FRAG-3")
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, (4, 6))))
def test_a_narrow_interface_tells_of_every_packet_of_a_run(net, pair, kind, version):
    both = pair(kind, version)
    both.prove(1500)
    net.left.run("ip", "link", "set", "eth0", "mtu", "1300")
    try:
        sent = [packet(NEAR[6], FAR[6], size, number=number) for number, size in enumerate([1400] * 10 + [900] * 10)]
        send_together(both, sent)
        both.until("those that fit", lambda: len(both.right.delivered) == 10)
    finally:
        net.left.run("ip", "link", "set", "eth0", "mtu", "1500")
    assert both.right.delivered == [bytes(each) for each in sent[10:]]
    assert len(both.left.too_long) == both.left.underlay.send_failures == 10
