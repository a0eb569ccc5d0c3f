"""The packet path of Server and Client, packet in, packets out (spec §1.4, §2.4-2.6, §3.1, §5.5, §11)."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from aero_packets import Recorder, ipv4, ipv6, neighbor
from scapy.layers.inet import IP
from scapy.packet import Raw

from agents.aero.dataplane.encapsulation import Carrier, Fragment, classify, push_fragment
from agents.aero.dataplane.forwarder import Forwarder
from agents.aero.dataplane.policy import ClientPolicy, ServerPolicy
from agents.aero.dataplane.sockaddr import pull_sockaddr, push_sockaddr
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import NeighborCache, NeighborType
from agents.limits import ErrorRates, Rate
from agents.wire.buffer import internet_checksum

A, B = "2001:db8:1000:a000::10", "2001:db8:1000:b000::20"
A4, B4 = "192.0.2.17", "192.0.2.33"
OUTER_A, OUTER_B = "198.51.100.1", "203.0.113.7"
OWN = {4: IPv4Address("203.0.113.1"), 6: IPv6Address("2001:db8:f::1")}


class Node:
    """A forwarder with everything around it."""

    def __init__(self, cache, policy, **options):
        self.cache = cache
        self.sink = Recorder()
        self.forwarder = Forwarder(cache, policy, self.sink, own=OWN.get, **options)

    def arrive(self, payload, host=OUTER_A, *, through=Carrier.UDP, port=8060, tos=0, now=1.0):
        source = push_sockaddr(ip_address(host), 0 if through > 1 else port)
        self.forwarder.from_underlay(through, source, memoryview(bytearray(payload)), tos, now)

    def leave(self, packet, now=1.0):
        self.forwarder.from_kernel(memoryview(bytearray(packet)), now)

    @property
    def counters(self):
        return dict(self.forwarder.counters)


def server(encapsulation=Encapsulation.UDP, mtu=1500, **options) -> Node:
    cache = NeighborCache()
    for prefix, prefix4, host in (
        ("2001:db8:1000:a000::/56", "192.0.2.16/28", OUTER_A),
        ("2001:db8:1000:b000::/56", "192.0.2.32/28", OUTER_B),
    ):
        made = neighbor(prefix, host, encapsulation=encapsulation, mtu=mtu)
        made.prefixes[ip_network(prefix4)] = 1e12
        cache.add(made)
    return Node(cache, ServerPolicy(cache, lambda address: address in OWN.values()), **options)


def client(**options) -> Node:
    cache = NeighborCache()
    home = neighbor(None, "203.0.113.1", router=True)
    cache.add(home)
    cache.default = home
    own = (ip_network("2001:db8:1000:a000::/56"),)
    return Node(cache, ClientPolicy(cache, lambda: own), **options)


@pytest.mark.requirement("SRV-7", "ENC-5", "ENC-3")
@pytest.mark.parametrize(("packet", "at"), [(ipv6(A, B), 7), (ipv4(A4, B4), 8)])
def test_server_passes_a_packet_on_one_hop_further(packet, at):
    node = server()
    node.arrive(packet)
    (sent,) = node.sink.sent
    assert (sent.through, sent.ip, sent.port, sent.df) == (Carrier.UDP, OUTER_B, 8060, False)
    assert sent.payload[at] == packet[at] - 1
    if at == 8:
        assert internet_checksum(sent.payload[:20]) == 0
    else:
        assert sent.payload[:7] + sent.payload[8:] == bytes(packet[:7] + packet[8:])


@pytest.mark.requirement("ENC-5")
@pytest.mark.parametrize("hops", [0, 1])
def test_the_last_hop_is_answered(hops):
    node = server()
    node.arrive(ipv6(A, B, hops=hops))
    (sent,) = node.sink.sent
    assert sent.ip == OUTER_A
    assert sent.payload[40] == 3
    assert sent.payload[8:24] == OWN[6].packed
    assert sent.payload[48:88][8:24] == ip_address(A).packed


def test_padding_behind_the_inner_packet_is_cut_off():
    node = server()
    node.arrive(bytes(ipv6(A, B)) + bytes(100))
    assert len(node.sink.sent[0].payload) == 60


@pytest.mark.requirement("SRV-6")
@pytest.mark.parametrize(
    ("packet", "host", "counter"),
    [
        (ipv6(B, A), OUTER_A, "origin_fail"),
        (ipv6("2001:db8:f::9", B), OUTER_A, "origin_fail"),
        (ipv6(A, B), "198.51.100.99", "origin_fail"),
        (ipv6("fe80::1", B), OUTER_A, "bad_source"),
        (ipv6("ff02::1", B), OUTER_A, "bad_source"),
        (ipv6("::1", B), OUTER_A, "bad_source"),
        (ipv6("::", B), OUTER_A, "bad_source"),
        (ipv4(A4, "224.0.0.1"), OUTER_A, "bad_destination"),
        (ipv6(A, A.replace("::10", "::11")), OUTER_A, "hairpin"),
    ],
)
def test_packets_that_may_not_pass(packet, host, counter):
    node = server()
    node.arrive(packet, host)
    assert node.counters[counter] == 1
    assert not node.sink.delivered
    assert all(sent.payload[40] == 1 for sent in node.sink.sent)  # at most Destination Unreachable


def test_stranger_is_reported_so_that_it_can_be_told():
    node = server()
    node.arrive(ipv6(A, B), OUTER_A, port=40999)
    assert node.sink.strangers == [(LinkLayerAddress(Encapsulation.UDP, ip_address(OUTER_A), 40999), ip_address(A), 60)]


@pytest.mark.requirement("SRV-10")
def test_what_a_relay_sends_for_nobody_is_answered_and_not_returned():
    node = server()
    relay = neighbor(None, "203.0.113.9", address="fe80::ff01", type_=NeighborType.PERMANENT, router=True)
    node.cache.add(relay)
    node.cache.default = relay
    node.arrive(ipv6("2001:db8:99::1", "2001:db8:1000:c000::1"), "203.0.113.9")
    (sent,) = node.sink.sent
    assert sent.ip == "203.0.113.9"
    assert (sent.payload[40], sent.payload[41]) == (1, 0)
    node.arrive(ipv6(A, "2001:db8:1000:c000::1"))
    assert node.sink.sent[1].ip == "203.0.113.9"


def test_server_without_relay_gives_foreign_packets_to_its_kernel():
    node = server()
    node.arrive(ipv6(A, "2001:db8:99::1"))
    node.arrive(ipv6(A, "2001:db8:f::1"))
    assert len(node.sink.delivered) == 2


@pytest.mark.parametrize("destination", ["fe80::1", "ff02::1:2"])
def test_control_packets_go_to_the_role(destination):
    node = server()
    packet = ipv6("fe80::2001:db8:1000:a000", destination, hops=255)
    node.arrive(bytes(packet) + bytes(20))
    (control,) = node.sink.controls
    assert (control.packet, control.size) == (bytes(packet), 80)
    assert control.neighbor is node.cache.at(control.lladdr)


@pytest.mark.requirement("FRAG-9")
def test_control_packets_in_fragments_are_dropped():
    node = server()
    packet = bytes(ipv6("fe80::2001:db8:1000:a000", "fe80::1", 160))
    node.arrive(push_fragment(Fragment(41, 0, True, 1)) + packet[:80])
    node.arrive(push_fragment(Fragment(41, 80, False, 1)) + packet[80:])
    assert node.sink.controls == []
    assert node.counters == {"control_fragmented": 1}


@pytest.mark.requirement("FRAG-2", "FRAG-4", "FRAG-5")
@pytest.mark.parametrize(
    ("encapsulation", "through", "front"),
    [
        (Encapsulation.UDP, 0, 8),
        (Encapsulation.MINIMAL, 44, 8),
        (Encapsulation.GUE, 1, 12),
        (Encapsulation.GUE1, 1, 12),
    ],
)
def test_large_packets_are_split_until_a_size_is_proven(encapsulation, through, front):
    node = server(encapsulation, mtu=1600)
    probed = []
    node.forwarder.when_probing(lambda _neighbor, path: probed.append(path))
    arriving = {44: Carrier.PROTOCOL_41}.get(through, Carrier(through))
    gue = b"\0\x29\0\0" if encapsulation is Encapsulation.GUE else b""
    for _time in range(2):
        node.arrive(gue + bytes(ipv6(A, B, 1400)), through=arriving, port=encapsulation.port)
    first, second, third, _fourth = node.sink.sent
    assert [len(first.payload), len(second.payload)] == [front + 1024, front + 376]
    assert {sent.through for sent in node.sink.sent} == {through}
    assert (first.df, first.tos) == (second.df, second.tos) == (False, 0)
    idents = [classify(Carrier(through), each.payload).fragment.identification for each in (first, second, third)]
    assert idents[0] == idents[1] == idents[2] - 1 & 0xFFFFFFFF
    assert len(probed) == 1
    path = probed[0]
    (probe,) = path.size.probes(1.0)
    path.size.answered(probe, 1.0)
    node.cache.changed()
    node.arrive(gue + bytes(ipv6(A, B, 1400)), through=arriving, port=encapsulation.port)
    last = node.sink.sent[-1]
    assert len(last.payload) == 1400 + (4 if encapsulation is Encapsulation.GUE else 0)
    assert last.df


@pytest.mark.requirement("ENC-7")
def test_unproven_whole_packets_may_be_cut_under_way_and_proven_ones_not():
    node = server(mtu=1600)
    node.arrive(ipv6(A, B, 1280))
    path = node.cache.get(IPv6Address("fe80::2001:db8:1000:b000")).path
    path.size.begin(1.0)
    (probe,) = path.size.probes(1.0)
    path.size.answered(probe, 1.0)
    node.cache.changed()
    node.arrive(ipv6(A, B, 1280))
    assert [sent.df for sent in node.sink.sent] == [False, True]


def test_parts_are_put_together_and_passed_on():
    node = server()
    packet = bytes(ipv6(A, B, 1400))
    node.arrive(push_fragment(Fragment(41, 1024, False, 9)) + packet[1024:])
    assert node.sink.sent == []
    node.arrive(push_fragment(Fragment(41, 0, True, 9)) + packet[:1024])
    assert len(node.sink.sent) == 2
    assert node.counters == {}


def test_congestion_mark_of_a_fragment_reaches_the_flow():
    node = server()
    packet = bytes(ipv6(A, B, 1400, tclass=2))
    node.arrive(push_fragment(Fragment(41, 1024, False, 9)) + packet[1024:], tos=3)
    node.arrive(push_fragment(Fragment(41, 0, True, 9)) + packet[:1024], tos=2)
    part = classify(Carrier.UDP, node.sink.sent[0].payload)
    inner = node.sink.sent[0].payload[part.start :]
    assert inner[1] >> 4 & 3 == 3
    assert node.sink.sent[0].tos == 3


def test_length_behind_fragments_must_be_the_packets_own():
    node = server()
    packet = bytes(ipv6(A, B, 1400))
    node.arrive(push_fragment(Fragment(41, 0, True, 9)) + packet[:1024])
    node.arrive(push_fragment(Fragment(41, 1024, False, 9)) + packet[1024:] + b"12345678")
    assert node.counters == {"reassembled_length": 1}
    assert node.sink.sent == []


def test_fragments_of_strangers_are_not_kept():
    node = server()
    node.arrive(push_fragment(Fragment(41, 0, True, 9)) + bytes(ipv6(A, B, 1400))[:1024], "198.51.100.99")
    assert node.counters == {"origin_fail": 1}
    assert len(node.forwarder.reassembly) == 0


@pytest.mark.requirement("FRAG-11")
def test_duplicates_are_dropped_where_asked_for():
    for dpd, passed in ((True, 1), (False, 2)):
        node = server(dpd=dpd)
        for _time in range(2):
            node.arrive(push_fragment(Fragment(41, 0, False, 5)) + bytes(ipv6(A, B)))
        assert len(node.sink.sent) == passed
        assert node.counters == ({"dpd_dup": 1} if dpd else {})
        if dpd:
            assert classify(Carrier.UDP, node.sink.sent[0].payload).fragment.atomic


def test_congestion_on_a_deaf_flow_drops():
    node = server()
    node.arrive(ipv6(A, B), tos=3)
    assert node.counters == {"ecn_drop": 1}


def test_larger_than_1500_whole_or_answered():
    node = server(mtu=9000)
    node.arrive(ipv6(A, B, 8000))
    assert node.sink.sent[0].df
    assert len(node.sink.sent[0].payload) == 8000
    narrow = server(mtu=1500)
    narrow.arrive(ipv6(A, B, 1501))
    (sent,) = narrow.sink.sent
    assert sent.ip == OUTER_A
    assert (sent.payload[40], int.from_bytes(sent.payload[44:48], "big")) == (2, 1500)
    assert len(sent.payload) <= 1280


@pytest.mark.requirement("FRAG-10")
@pytest.mark.parametrize(("before", "more"), [(0, False), (185, False), (185, True)], ids=["whole", "last", "middle"])
def test_larger_ipv4_is_cut_inside_unless_it_forbids_it(before, more):
    """What comes is a packet or a fragment itself, and its fragments are read by somebody else's code."""
    body = random.Random(7).randbytes(2984)
    packet = IP(src=A4, dst=B4, id=77, proto=17, frag=before, flags="MF" if more else 0) / Raw(body)
    node = server(mtu=1500)
    node.arrive(bytes(packet))
    whole = b""
    for sent in node.sink.sent:
        payload = classify(Carrier.UDP, sent.payload)
        whole += sent.payload[payload.start :]
    assert len(node.sink.sent) == 5  # 1500 in two parts, twice, and the rest
    pieces = []
    while whole:
        size = int.from_bytes(whole[2:4], "big")
        pieces.append(whole[:size])
        whole = whole[size:]
    assert b"".join(each[20:] for each in pieces) == body
    heads = [IP(each) for each in pieces]
    assert [(each.len, each.frag - before, bool(each.flags.MF)) for each in heads] == [
        (1500, 0, True),
        (1500, 185, True),
        (44, 370, more),
    ]
    for each in heads:
        assert (each.id, each.src, each.dst, each.proto) == (77, A4, B4, 17)
        assert internet_checksum(bytes(each)[:20]) == 0
    refused = server(mtu=1500)
    refused.arrive(ipv4(A4, B4, 3000))
    (sent,) = refused.sink.sent
    assert (sent.ip, sent.payload[20], sent.payload[21]) == (OUTER_A, 3, 4)
    assert int.from_bytes(sent.payload[26:28], "big") == 1500


@pytest.mark.requirement("CLI-13")
@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (ipv6("2001:db8:f::2", B), "foreign_source"),
        (ipv6(A, "2001:db8:1000:a000::99"), "own_destination"),
        (ipv6("fe80::1", "ff02::2"), "kernel_noise"),
        (ipv6("fe80::1", "fe80::2"), "kernel_noise"),
    ],
)
def test_what_a_client_does_not_let_out(packet, counter):
    node = client()
    node.leave(packet)
    assert node.sink.sent == []
    assert node.counters[counter] == 1
    assert len(node.sink.delivered) == (counter == "own_destination")


def test_client_sends_its_own_to_the_server_without_touching_the_hop_limit():
    node = client()
    node.leave(ipv6(A, "2001:db8:99::1", hops=63))
    (sent,) = node.sink.sent
    assert (sent.ip, sent.payload[7]) == ("203.0.113.1", 63)


def test_client_takes_its_own_from_the_server_only():
    node = client()
    node.arrive(ipv6("2001:db8:99::1", A), "203.0.113.1")
    node.arrive(ipv6("2001:db8:99::1", B), "203.0.113.1")
    assert node.sink.delivered == [bytes(ipv6("2001:db8:99::1", A))]
    assert node.counters == {"not_mine": 1}


def test_decisions_follow_the_neighbor_cache():
    node = server()
    node.arrive(ipv6(A, B))
    node.cache.remove(IPv6Address("fe80::2001:db8:1000:b000"))
    node.arrive(ipv6(A, B))
    assert len(node.sink.sent) == 1
    assert len(node.sink.delivered) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_socket_form_of_addresses(host):
    assert pull_sockaddr(push_sockaddr(ip_address(host), 8060)) == (ip_address(host), 8060)


@pytest.mark.requirement("FRAG-14", "FRAG-11")
@pytest.mark.parametrize("size", [200, 1400])
@pytest.mark.parametrize(
    ("dpd", "fragments", "identifications", "through"),
    [
        (True, True, True, Carrier.PROTOCOL_44),
        (True, True, False, Carrier.UDP),
        (False, True, False, Carrier.PROTOCOL_44),
        (True, False, True, Carrier.UDP),
    ],
)
def test_identifications_go_by_udp_where_a_middlebox_gives_its_own(dpd, fragments, identifications, through, size):
    node = server(Encapsulation.MINIMAL, dpd=dpd)
    path = node.cache.owner(IPv6Address(B)).path
    path.fragments, path.identifications = fragments, identifications
    node.leave(ipv6(OWN[6].compressed, B, size))
    if size == 200 and not dpd:
        through = Carrier.PROTOCOL_41
    assert {each.through for each in node.sink.sent} == {through}


@pytest.mark.requirement("ENC-8")
def test_nothing_is_sent_into_a_tunnel_to_where_the_tunnel_ends():
    cache, own = NeighborCache(), (ip_network("2001:db8:1000:a000::/56"),)
    cache.add(home := neighbor(None, "2001:db8:f::1", router=True))
    cache.default = home
    node = Node(cache, ClientPolicy(cache, lambda: own))
    node.leave(ipv6(A, "2001:db8:f::1"))
    assert (node.sink.sent, node.counters["recursion"]) == ([], 1)
    assert node.sink.delivered[0][40:42] == b"\1\3", "the application is told"
    node.leave(ipv6(A, "2001:db8:f::2"))
    assert len(node.sink.sent) == 1


def test_link_local_destinations_of_ipv4_are_not_forwarded():
    """Spec §11: link-local but not this node."""
    node = server()
    node.arrive(ipv4(A4, "169.254.1.1"))
    assert (node.sink.sent, node.sink.delivered, node.counters) == ([], [], {"bad_destination": 1})


@pytest.mark.parametrize("make", [lambda number: ipv6(A, B, hops=1), lambda number: ipv4(A4, B4, ttl=1)])
def test_of_very_many_errors_some_are_sent(make):
    """RFC 4443 §2.4(f), RFC 1812 §4.3.2.8: a burst, as flows that begin together need it, then the average."""
    node = server(errors=ErrorRates(source=Rate(10, 20), total=Rate(100, 30)))
    for number in range(1000):
        node.arrive(make(number), now=1.0)
    assert len(node.sink.sent) == node.counters["errors_sent"] == 20
    assert node.counters["errors_limited"] == 980
    for number in range(1000):
        node.arrive(make(number), now=2.0)
    assert node.counters["errors_sent"] == 30


def test_errors_of_the_whole_node_are_limited_too():
    """However many hosts they are for; what one has used up is not another's fault."""
    node = server(errors=ErrorRates(source=Rate(10, 20), total=Rate(100, 30)))
    for number in range(1, 200):
        node.arrive(ipv6(f"2001:db8:1000:a000::{number:x}", B, hops=1), now=1.0)
    assert node.counters["errors_sent"] == 30


def test_by_default_a_host_with_many_flows_hears_of_all():
    """Path MTU discovery: one Too Big for each of forty destinations, at once."""
    node = client()
    for number in range(1, 41):
        node.leave(ipv6(A, f"2001:db8:f::{number:x}", 9000))
    assert len(node.sink.delivered) == node.counters["errors_sent"] == 40
    assert {packet[40] for packet in node.sink.delivered} == {2}


def test_no_error_about_an_error_or_a_redirect():
    """RFC 4443 §2.4(e), also where it hides behind an extension header."""
    node = server()
    for kind in (1, 2, 3, 4, 137):
        plain = ipv6(A, B, 100, hops=1, proto=58)
        plain[40] = kind
        hidden = ipv6(A, B, 100, hops=1, proto=60)
        hidden[40:42], hidden[48] = (58, 0), kind
        node.arrive(plain)
        node.arrive(hidden)
    assert not node.sink.sent
    assert node.counters["time_exceeded"] == 10
