"""Every encapsulation between two data planes on real sockets: what arrives, and what it looks like on the wire."""

from __future__ import annotations

import itertools
import select
import socket
from ipaddress import ip_address

import pytest
from aero_plane import FAR, LEFT, NEAR, RIGHT, Net, Pair, outer, packet
from kernel_namespaces import Capture

from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sockaddr import push_sockaddr
from agents.aero.lladdr import HEADER_OCTETS, Encapsulation
from agents.aero.notices import Unreachable
from testbed.features import refusal

pytestmark = [pytest.mark.netns, pytest.mark.stock]

KINDS = list(Encapsulation)
VERSIONS = (4, 6)
UDP = 17
PROTOCOLS = {4: 4, 6: 41}


@pytest.fixture(scope="module")
def net():
    made = Net()
    yield made
    made.close()


@pytest.fixture
def pair(net):
    made = []

    def make(kind, version, **options):
        made.append(Pair(net, kind, version, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def capture(net):
    made = Capture(net.router, "to1")
    yield made
    made.close()


def drained(capture: Capture) -> list[bytes]:
    while select.select([capture], [], [], 0)[0]:
        capture.frames.append(capture._socket.recv(65535))
    return capture.frames


def seen(capture: Capture) -> list[tuple[int, int, int]]:
    """Outer packets between the two nodes: no neighbour discovery."""
    found = [outer(frame) for frame in drained(capture)]
    return [each for each in found if each[0] and each[1] in (UDP, 4, 41, 44)]


def head(kind: Encapsulation, version: int) -> int:
    return {4: 20, 6: 40}[version] + HEADER_OCTETS[kind]


def fragments(kind: Encapsulation, version: int, size: int) -> list[int]:
    """Sizes by spec §3.2; GUE variant 1 is fragmented as variant 0."""
    front = head(Encapsulation.GUE if kind is Encapsulation.GUE1 else kind, version) + 8
    return [front + 1024, front + size - 1024]


@pytest.mark.requirement("ENC-1", "ENC-2", "ENC-3", "ENC-4", "FRAG-1", "FRAG-2")
@pytest.mark.parametrize(("kind", "version", "inner"), list(itertools.product(KINDS, VERSIONS, VERSIONS)))
def test_packets_pass_both_ways_and_have_the_sizes_of_the_sheet(pair, capture, kind, version, inner):
    both = pair(kind, version)
    sizes = (60, 1280 if version == 4 else 1232, 1281, 1400, 1500)
    out = [packet(NEAR[inner], FAR[inner], size, number=size) for size in sizes]
    back = [packet(FAR[inner], NEAR[inner], size, number=size) for size in sizes]
    for each in out:
        both.left.send(each)
    both.until("packets at the Server", lambda: len(both.right.delivered) == len(out))
    for each in back:
        both.right.send(each)
    both.until("packets at the Client", lambda: len(both.left.delivered) == len(back))
    both.rest(0.05)
    assert both.right.delivered == [bytes(each) for each in out]
    assert both.left.delivered == [bytes(each) for each in back]
    whole = UDP if kind is not Encapsulation.MINIMAL else PROTOCOLS[inner]
    cut = UDP if kind is not Encapsulation.MINIMAL else 44
    expected = []
    for size in sizes:
        if size <= 1280:
            expected.append((version, whole, head(kind, version) + size))
        else:
            expected += [(version, cut, length) for length in fragments(kind, version, size)]
    assert seen(capture) == expected * 2


# Spec §3.4: the largest inner packet that goes whole through 1500.
LARGEST = {
    (Encapsulation.UDP, 4): 1472,
    (Encapsulation.UDP, 6): 1452,
    (Encapsulation.MINIMAL, 4): 1480,
    (Encapsulation.MINIMAL, 6): 1460,
    (Encapsulation.GUE, 4): 1468,
    (Encapsulation.GUE, 6): 1448,
    (Encapsulation.GUE1, 4): 1472,
    (Encapsulation.GUE1, 6): 1452,
}


@pytest.mark.requirement("FRAG-2", "FRAG-3", "ENC-7")
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, VERSIONS)))
def test_what_was_proven_goes_whole_with_df(pair, capture, kind, version):
    both = pair(kind, version)
    both.prove(1500)
    size = LARGEST[kind, version]
    for number, length in enumerate((size, size + 1)):
        both.left.send(packet(NEAR[6], FAR[6], length, number=number))
    both.until("both packets", lambda: len(both.right.delivered) == 2)
    lengths = [length for _version, _protocol, length in seen(capture)]
    assert lengths == [1500, *fragments(kind, version, size + 1)]
    if version == 4:
        dont_fragment = [bool(frame[20] & 0x40) for frame in capture.frames if outer(frame)[1] in (UDP, 41, 44)]
        assert dont_fragment == [True, False, False]


@pytest.mark.requirement("ENC-7")
@pytest.mark.parametrize("kind", KINDS)
def test_unproven_packets_over_ipv4_go_without_df(pair, capture, kind):
    both = pair(kind, 4)
    both.left.send(packet(NEAR[6], FAR[6], 900))
    both.until("the packet", lambda: both.right.delivered)
    assert seen(capture)
    assert [frame[20] & 0x40 for frame in capture.frames if outer(frame)[1] in (UDP, 41)] == [0]


@pytest.mark.requirement("ENC-5", "ENC-6")
@pytest.mark.parametrize(("kind", "version", "inner"), list(itertools.product(KINDS, VERSIONS, VERSIONS)))
def test_ttl_dscp_and_ecn_of_the_outer_header(pair, capture, kind, version, inner):
    both = pair(kind, version)
    tos = 46 << 2 | 2  # EF, ECT(0)
    sent = packet(NEAR[inner], FAR[inner], 200, tos=tos, hops=9)
    both.left.send(sent)
    both.until("the packet", lambda: both.right.delivered)
    assert both.right.delivered == [bytes(sent)]  # neither hop limit nor DSCP changes in the tunnel
    drained(capture)
    frame = next(frame for frame in capture.frames if outer(frame)[1] in (UDP, 4, 41))
    # One router decremented nothing yet at its incoming interface: the sender's TTL is seen.
    ttl = frame[22] if version == 4 else frame[21]
    outer_tos = frame[15] if version == 4 else (frame[14] & 0x0F) << 4 | frame[15] >> 4
    assert (ttl, outer_tos) == (64, tos)
    if version == 6:
        assert (frame[15] & 0x0F, frame[16], frame[17]) == (0, 0, 0)  # flow label


@pytest.mark.requirement("ENC-6")
@pytest.mark.parametrize(("kind", "version", "inner"), list(itertools.product(KINDS, VERSIONS, VERSIONS)))
def test_congestion_marked_on_the_way_arrives_in_the_inner_header(pair, kind, version, inner):
    both = pair(kind, version)
    through = {
        Encapsulation.UDP: Carrier.UDP,
        Encapsulation.MINIMAL: Carrier(PROTOCOLS[inner]),
    }.get(kind, Carrier.GUE)
    front = bytes((0, PROTOCOLS[inner], 0, 0)) if kind is Encapsulation.GUE else b""
    where = push_sockaddr(ip_address(RIGHT[version]), kind.port)
    for ecn in (2, 0):  # ECT(0) becomes CE; what cannot carry the mark is dropped
        both.left.transmit(through, where, [front, packet(NEAR[inner], FAR[inner], 200, tos=ecn)], False, 3)
    both.until("the packet", lambda: both.right.delivered)
    both.rest(0.05)
    assert both.right.delivered == [bytes(packet(NEAR[inner], FAR[inner], 200, tos=3))]
    assert both.right.forwarder.counters["ecn_drop"] == 1


@pytest.mark.requirement("ENC-7")
def test_zero_udp_checksum_is_taken_over_ipv4_and_not_over_ipv6(pair, net):
    both = pair(Encapsulation.UDP, 4)
    ports, inner = (8060).to_bytes(2, "big") * 2, bytes(packet(NEAR[6], FAR[6], 100))
    datagram = ports + (8 + len(inner)).to_bytes(2, "big") + b"\0\0" + inner
    with net.left.entered():
        for version, family in ((6, socket.AF_INET6), (4, socket.AF_INET)):
            with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
                raw.sendto(datagram, (RIGHT[version], 0))
    both.until("the IPv4 packet", lambda: both.right.delivered)
    both.rest(0.1)
    # Over IPv6 it would have come from an address nobody has: a stranger. The kernel dropped it before.
    assert (both.right.delivered, both.right.strangers) == ([inner], [])


@pytest.mark.requirement("ENC-7")
@pytest.mark.parametrize("version", VERSIONS)
def test_udp_checksum_is_computed(pair, capture, version):
    both = pair(Encapsulation.UDP, version)
    both.left.send(packet(NEAR[6], FAR[6], 100))
    both.until("the packet", lambda: both.right.delivered)
    drained(capture)
    frame = next(frame for frame in capture.frames if outer(frame)[1] == UDP)
    start = 14 + (20 if version == 4 else 40)
    assert frame[start + 6 : start + 8] != b"\0\0"


def test_own_packets_that_come_back_are_dropped(pair):
    both = pair(Encapsulation.UDP, 4)
    for version in VERSIONS:
        where = push_sockaddr(ip_address(LEFT[version]), 8060)
        both.left.transmit(Carrier.UDP, where, [packet(FAR[6], NEAR[6], 100)], False, 0)
    both.until("loops", lambda: both.left.underlay.loops == 2)
    assert both.left.delivered == []
    assert both.left.strangers == []


# --- Annex A: what the kernel does with raw sockets of protocols 4, 41 and 44


@pytest.mark.requirement("ENC-13")
@pytest.mark.parametrize("version", VERSIONS)
def test_each_fragmented_packet_over_minimal_arrives_once(pair, version):
    both = pair(Encapsulation.MINIMAL, version)
    for number in range(20):
        both.left.send(packet(NEAR[6], FAR[6], 1400, number=number))
    both.until("all packets", lambda: len(both.right.delivered) >= 20)
    both.rest(0.1)
    assert len(both.right.delivered) == 20
    assert both.right.forwarder.counters == {}


@pytest.mark.requirement("ENC-13")
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, VERSIONS)))
def test_octets_behind_the_inner_packet_survive_and_are_seen(pair, kind, version):
    both = pair(kind, version)
    solicitation = packet("fe80::2001:db8:1000:a000", "fe80::1", 72)
    both.left.forwarder.send_control(bytes(solicitation), both.to_right.lladdr, df=True, pad=500)
    both.until("the probe", lambda: both.right.controls)
    control = both.right.controls[0]
    assert (control.packet, control.size, control.atomic) == (bytes(solicitation), 572, False)
    assert control.lladdr == both.to_left.lladdr


@pytest.mark.requirement("FRAG-14")
@pytest.mark.parametrize(("version", "tracked"), [(4, False), (6, False), (4, True), (6, True)])
def test_an_atomic_fragment_header_comes_through_unless_ipv6_is_tracked(net, pair, version, tracked):
    rules = "add table inet t\nadd chain inet t c { type filter hook forward priority 0; }\n"
    if tracked:
        net.router.run("nft", "-f", "-", text=rules + "add rule inet t c ct state new accept\n")
    try:
        both = pair(Encapsulation.MINIMAL, version)
        solicitation = bytes(packet("fe80::2001:db8:1000:a000", "fe80::1", 72))
        both.left.forwarder.send_control(solicitation, both.to_right.lladdr, atomic=True)
        both.until("the solicitation", lambda: both.right.controls)
        both.rest(0.05)
        assert [control.packet for control in both.right.controls] == [solicitation]
        # Linux conntrack reassembles IPv6 fragments, and takes an atomic Fragment Header away (spec Annex A2b).
        assert both.right.controls[0].atomic is not (tracked and version == 6)
        both.left.send(packet(NEAR[6], FAR[6], 1400))
        both.until("a fragmented packet", lambda: both.right.delivered)
    finally:
        if tracked:
            net.router.run("nft", "delete", "table", "inet", "t")


@pytest.mark.requirement("ENC-9")
@pytest.mark.parametrize("version", VERSIONS)
def test_overload_does_not_look_like_a_missing_protocol(pair, version):
    both = pair(Encapsulation.MINIMAL, version)
    for port in both.right.underlay._ports.values():
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    for number in range(200):  # the receiver does not read meanwhile
        both.left.send(packet(NEAR[6], FAR[6], 1000, number=number))
    both.rest()
    assert len(both.right.delivered) < 200
    assert not [word for word in both.left.words if not isinstance(word, Unreachable) or word.protocol]
    assert both.left.words == [] or not refusal("ip6tnl")  # the kernel's own tunnel drivers know no tunnel of this kind
