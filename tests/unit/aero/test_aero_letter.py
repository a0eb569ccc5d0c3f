"""Route optimisation and mobility to the letter: the sheet's octets as cores write them, fields, moments (spec §6, §7).

Whole scenarios are in test_aero_optimisation and test_aero_mobility, forgeries in test_aero_attacks.
"""

from __future__ import annotations

import itertools
import os
import random
from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from aero_domain import START, UDP, Link, Nat, _Arrival, with_relay
from aero_packets import ipv4, ipv6
from test_aero_attacks import SECOND, SERVER, mediation, predirect, put, redirect, where
from test_aero_mobility import at_two_servers, dhcp_type, icmp_type, is_announcement
from test_aero_optimisation import ONE, TWO, back, both_ways, forth, hops, of, two_clients

from agents.aero.config import OptimisationConfig
from agents.aero.constants import ACCEPT_TIME, FORWARD_TIME, KEEPALIVE_TIME
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.pathmtu import State
from agents.aero.inner_packets import pull_inner
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path, Reachability
from agents.aero.notices import AddressesChanged, ChangeServer, SendControl
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import push_mediation, read_mediation
from agents.aero.optimisation.moving import Moving
from agents.aero.optimisation.origination import Origination
from agents.core import Outbox, WallClock
from agents.wire.dhcpv6 import MessageType
from agents.wire.nd import NdType, Redirect
from agents.wire.nd_options import LinkLayerOption, RedirectedHeader, RouteInformation, Token
from agents.wire.redirects import Framing

A, B = ip_network("2001:db8:1000:a000::/56"), ip_network("2001:db8:1000:b000::/56")
A_ADDRESS, B_ADDRESS = IPv6Address("fe80::2001:db8:1000:a000"), IPv6Address("fe80::2001:db8:1000:b000")
KEY = bytes(range(0x10, 0x20))
TRIGGER = bytes.fromhex("6000000000403a3f20010db81000a000000000000000001020010db81000b0000000000000000020")
PREDIRECT = (
    "6000000000983a08fe800000000000000000000000000001fe8000000000000020010db81000b000"
    "890082c480000000fe8000000000000020010db81000a000fe8000000000000020010db81000a000"
    "0203080001809c4100000000000000000000ffffc6336405180238000000012c20010db81000a000"
    "fd03ae6001000001101112131415161718191a1b1c1d1e1f0406000000000000"
    "6000000000403a3f20010db81000a000000000000000001020010db81000b0000000000000000020"
)


def sent_controls(outbox: Outbox) -> list[SendControl]:
    return [action for action in outbox.actions() if isinstance(action, SendControl)]


def mediations(node) -> list[Redirect]:
    """Predirects and Redirects that a node has sent."""
    return [found.message for each in node.sent if (found := read_mediation(pull_inner(each.packet)))]


def one_of(options, kind):
    (found,) = [each for each in options if isinstance(each, kind)]
    return found


# --- octets


@pytest.mark.requirement("RO-1", "RO-19")
@pytest.mark.parametrize("framing", ["nd", "rfc6706"])
def test_a_server_writes_the_predirect_of_the_sheet(monkeypatch, framing):
    """Spec §6.6, all 192 octets: from an entry and a packet, not from its fields."""
    monkeypatch.setattr(os, "urandom", lambda _octets: KEY)
    monkeypatch.setattr(random, "getrandbits", lambda _bits: 1)
    outbox = Outbox()
    origination = Origination(IPv6Address("fe80::1"), (), OptimisationConfig(framing=framing), outbox)
    lladdr = LinkLayerAddress(UDP, ip_address("198.51.100.5"), 40001)
    source = Neighbor(A_ADDRESS, NeighborType.STATIC, prefixes={A: START + 300}, paths=[Path(lladdr, nat=True)])
    target = Neighbor(B_ADDRESS, NeighborType.STATIC, prefixes={B: START + 300}, paths=[Path(lladdr)])
    origination._aggregates = (ip_network("2001:db8:1000::/40"),)
    ends = IPv6Address(TRIGGER[8:24]), IPv6Address(TRIGGER[24:40])
    origination.used(origination.watch(source, *ends, target), TRIGGER, float("inf"), START)
    (sent,) = sent_controls(outbox)
    if framing == "nd":
        assert sent.packet.hex() == PREDIRECT
    else:
        assert len(sent.packet) == 200
        assert sent.packet[6] == 17
        assert sent.packet[40:].hex().startswith("1f7c1f7c00a0cc4d0000000080000000fe80")
        assert sent.packet[56:].hex() == PREDIRECT[96:]


class Moved:
    """As much of a Client as an announcement takes."""

    settings = OptimisationConfig()
    seen = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.9"), 41000)

    def told_lladdrs(self):
        return (self.seen,)


@pytest.mark.requirement("MOB-3")
@pytest.mark.parametrize("router", [False, True])
def test_a_moved_client_writes_the_advertisement_of_the_sheet(router):
    """Spec §6.8, with its MAC and checksum; the sheet's is of a router."""
    outbox = Outbox()
    correspondents = Correspondents(NeighborCache(), outbox, lambda _lladdr: 1500, WallClock())
    there = LinkLayerAddress(UDP, ip_address("203.0.113.7"), 8060)
    peer = correspondents.meet(B_ADDRESS, A_ADDRESS, [(there, False)])
    peer.tokens.of(A_ADDRESS).put(Token(1, KEY), 1_800_000_000.0, 1_700_000_000.0, shared=True)
    Moving(Moved(), correspondents).moved(1_700_000_000.0, router=router)
    (sent,) = sent_controls(outbox)
    assert sent.lladdr == there
    assert len(sent.packet) == 120
    assert sent.packet[7] == 255
    assert sent.packet[44] == (0xA0 if router else 0x20)
    vector = (sent.packet[42:44].hex(), sent.packet[-16:].hex())
    assert (vector == ("3d1d", "719b5a0ac068db982c30548328961311")) is router


@pytest.mark.requirement("RO-7", "RO-5")
@pytest.mark.parametrize("framing", ["nd", "rfc6706"])
def test_what_a_target_answers(framing):
    settings = {"optimisation": OptimisationConfig(framing=framing)}
    nat = Nat("10.2.1.2", "198.51.100.102", 32000)
    link, home, first, second = two_clients(one=settings, two={"nat": nat, **settings}, server=settings)
    home.sent.clear()
    second.sent.clear()
    trigger = bytes(ipv6(ONE, TWO, 400))
    link.send(first, trigger)
    link.run(link.now - START + 0.05)
    (asked,), (answered,) = ([m for m in mediations(n) if m.predirect is p] for n, p in ((home, True), (second, False)))
    order = [icmp_type(a.packet) or a.packet[6] for a in second.sent]
    assert order[:2] == [NdType.NEIGHBOR_SOLICITATION, NdType.REDIRECT if framing == "nd" else 17]
    assert second.sent[0].lladdr == where(first)
    assert second.sent[0].packet[7] == 255
    header = one_of(asked.options, RedirectedHeader)
    assert header.packet == trigger[:7] + bytes((trigger[7] - 1,)) + trigger[8:128]
    assert one_of(answered.options, RedirectedHeader) == header
    assert one_of(answered.options, Token) == one_of(asked.options, Token)
    assert (answered.target, answered.destination) == (second.core.address,) * 2
    told = one_of(answered.options, RouteInformation)
    assert told.prefix == SECOND
    assert 298 <= told.lifetime <= 300
    seen = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.102"), 32000, nat=True)
    assert one_of(answered.options, LinkLayerOption) == seen
    assert {a.packet[7] for a in (*home.sent, *second.sent) if read_mediation(pull_inner(a.packet))} == {8, 7}


@pytest.mark.requirement("RO-9")
@pytest.mark.parametrize("framing", Framing)
def test_the_second_server_changes_addresses_and_hops_and_nothing_else(framing):
    link, _one, two, _first, second = at_two_servers()
    relay = IPv6Address("fe80::ff01")
    sent = push_mediation(predirect(), framing, relay, two.core.address)
    two.sent.clear()
    put(link, two, sent, LinkLayerAddress(UDP, ip_address("203.0.113.9"), 8060))
    (passed,) = two.sent
    assert passed.packet[7] == sent[7] - 1
    assert passed.packet[8:24] == two.core.address.packed
    assert passed.packet[24:40] == second.core.address.packed
    checksum = slice(42, 44) if framing is Framing.ND else slice(46, 48)
    same = [p[:7] + p[40 : checksum.start] + p[checksum.stop :] for p in (passed.packet, sent)]
    assert same[0] == same[1]


# --- what is refused


@pytest.mark.requirement("RO-8")
def test_a_target_that_is_not_named_by_its_own_address():
    """A part of its prefix has an AERO address that is nobody's: what it says of itself does not fit (spec RO-8)."""
    link, home, _first, second = two_clients()
    part = ip_network("2001:db8:1000:2110::/60")
    message = redirect(part, RedirectedHeader(bytes(ipv6(ONE, str(part[1]), 60))))
    home.sent.clear()
    home.core.counters.clear()
    put(link, home, push_mediation(message, Framing.ND, second.core.address, SERVER), where(second))
    assert home.core.counters == {"redirect_prefix": 1}
    assert not home.sent


def test_a_keepalive_for_another_destination_and_a_header_cut_short():
    """P=1 with Target != Destination; a Redirected Header without all of the network-layer header (spec §6.4, §11)."""
    link, home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    second.core.counters.clear()
    own, to = first.core.address, second.core.address
    whole = RedirectedHeader(bytes(ipv6(ONE, TWO, 40)))
    put(link, second, push_mediation(Redirect(own, to, True, (whole,)), Framing.ND, own, to), where(first))
    assert second.core.counters == {"control_malformed": 1}
    options = bytes.fromhex("4f00001400000000403b0000c0000211c0000221")  # sixty octets, of which twenty
    cut = predirect(ip_network("192.0.2.16/28"), RedirectedHeader(options))
    put(link, second, mediation(cut, SERVER, second), where(home))
    assert second.core.counters == {"control_malformed": 2}


@pytest.mark.requirement("RO-16", "RO-18", "RO-14")
@pytest.mark.parametrize("framing", ["nd", "rfc6706"])
@pytest.mark.parametrize("tokens", [True, False])
def test_a_target_that_was_started_anew_says_that_it_accepts_nothing(tokens, framing):
    """As a source it answers solicitations, which would keep the other direction's path alive for ever."""
    settings = {"optimisation": OptimisationConfig(framing=framing, tokens=tokens)}
    link, _home, first, second = two_clients(one=settings, two=settings, server=settings)
    both_ways(link, first, second, 5)
    link.reboot_client(second)
    both_ways(link, first, second, 1.5 if tokens else 9)
    before = len(second.delivered)
    sent = both_ways(link, first, second, 60)
    assert len(second.delivered) - before >= sent - 1
    assert hops(second.delivered[-1][1]) == hops(first.delivered[-1][1]) == 64
    nulls = [f for f in link.said("direct-path-left") if f["reason"] == "null-redirect"]
    assert len(nulls) == int(tokens)


@pytest.mark.requirement("SEC9-16", "SEC9-8", "RO-14")
def test_refused_data_is_answered_once_a_second_and_changes_nothing():
    """Somebody has a correspondent's link-layer address: what is accepted from there goes on (spec §9)."""
    link, _home, first, second = two_clients()
    both_ways(link, first, second, 5)
    (peer,) = of(second)
    pairs = set(peer.accept), set(peer.forward)
    second.sent.clear()
    for number in range(200):
        stray = ipv6("2001:db8:1000:2000::77" if number % 2 else "2001:db8:9::1", "2001:db8:1000:ff00::1", 60)
        link.later(second, _Arrival(Carrier.UDP, where(first), bytes(stray)), 0.01 * number)
    link.run(link.now - START + 2.1)
    assert not mediations(second)  # it is no packet for us
    assert (set(peer.accept), set(peer.forward)) == pairs
    peer.accept.clear()
    second.core.cache.changed()
    for number in range(200):
        link.later(second, _Arrival(Carrier.UDP, where(first), forth(0)), 0.01 * number)
    link.run(link.now - START + 2.1)
    assert 1 <= len(mediations(second)) <= 3
    assert max(len(a.packet) for a in second.sent) <= 256


@pytest.mark.requirement("RLY-1", "RLY-2", "RLY-4")
@pytest.mark.parametrize(("source", "counter"), [("198.51.100.1", "origin_fail"), ("198.51.100.66", "origin_fail")])
def test_a_relay_carries_nothing_for_clients_and_strangers(source, counter):
    link, one, _two, _first, _second = at_two_servers()
    relay = link.relay
    before = relay.forwarded
    for place in (LinkLayerAddress(UDP, ip_address(source), 8060), LinkLayerAddress(UDP, ip_address(one.ip), 8061)):
        link.later(relay, _Arrival(Carrier.UDP, place, forth(0)), 0)
    link.run(link.now - START + 0.1)
    assert relay.plane.counters == {counter: 2}
    assert relay.forwarded == before
    link.later(relay, _Arrival(Carrier.UDP, where(one), forth(0)), 0)
    link.run(link.now - START + 0.1)
    assert relay.forwarded == before + 1


# --- what a Server starts, and when


@pytest.mark.requirement("RO-1")
def test_what_leaves_the_link_is_not_optimised():
    link, one, two, first, _second = at_two_servers()
    link.flow(first, lambda _n: bytes(ipv6(ONE, "2001:db8:9::1", 100)), seconds=3)
    assert not link.said("predirect")
    link.flow(first, forth, seconds=0.1)
    assert len(link.said("predirect")) == 1
    assert not [m for n in (two, link.relay) for m in mediations(n) if m.predirect and n.core.address not in ENDS]
    assert one.forwarded


ENDS = {IPv6Address("fe80::2"), IPv6Address("fe80::ff01")}
"""Routers that pass Predirects on, and originate none."""


@pytest.mark.requirement("RO-1", "RLY-5")
def test_routers_on_the_way_pass_on_one_for_one():
    link, one, two, first, _second = at_two_servers()
    link.flow(first, forth, seconds=3)
    counts = [len([m for m in mediations(node) if m.predirect]) for node in (one, link.relay, two)]
    assert counts == [1, 1, 1]


@pytest.mark.requirement("RO-2")
@pytest.mark.parametrize("mover", ["source", "target"])
def test_a_new_link_layer_address_of_either_side_begins_anew(mover):
    link, _home, first, second = two_clients()
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
    link.flow(first, forth, seconds=40, rate=5)
    last = [t for t, _n, name, _f in link.events if name == "predirect"][-1]
    assert link.now - last > 8
    link.move(first if mover == "source" else second, "198.51.100.77")
    link.run(link.now - START + 0.05)
    before = len(link.said("predirect"))
    link.send(first, forth(0))
    link.run(link.now - START + 0.01)
    assert len(link.said("predirect")) == before + 1


# --- timers


@pytest.mark.requirement("RO-16", "RO-17")
def test_one_solicitation_in_five_seconds_of_data_and_what_it_refreshes():
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=2)
    first.sent.clear()
    begin = link.now
    link.flow(first, forth, seconds=50)
    asked = [a for a in first.sent if a.lladdr == where(second) and icmp_type(a.packet) == NdType.NEIGHBOR_SOLICITATION]
    assert len(asked) == 50 / KEEPALIVE_TIME
    (forward,), (accepted,) = of(first)[0].forward.values(), of(second)[0].accept.values()
    assert begin + 45 + FORWARD_TIME <= forward.expires <= link.now + FORWARD_TIME
    assert accepted - forward.expires == pytest.approx(ACCEPT_TIME - FORWARD_TIME, abs=0.05)


@pytest.mark.requirement("RO-5", "RO-17")
def test_a_pair_that_never_hears_of_its_source_ends_after_forty_seconds():
    link, home, _first, second = two_clients()
    put(link, second, mediation(predirect(), SERVER, second), where(home))
    begin = link.now
    assert of(second)
    link.run(begin - START + ACCEPT_TIME - 0.1)
    assert of(second)
    link.run(begin - START + ACCEPT_TIME + 0.1)
    assert not of(second)


# --- several prefixes


@pytest.mark.requirement("RO-5", "RO-13", "MOB-3", "MOB-4")
@pytest.mark.parametrize("mover", [0, 1])
def test_clients_with_two_prefixes_each(mover):
    """Each knows the other by two AERO addresses, and is known by two: all four pairs go directly and move at once."""
    link = Link()
    home = link.add_server(1)
    home.dhcp.more = True
    clients = [link.add_client(number, [home]) for number in (1, 2)]
    link.attach(*clients)
    ends = [[str(prefix[0x10]) for prefix in client.core.prefixes] for client in clients]

    def flow(seconds: float) -> list[int]:
        before = [len(client.delivered) for client in clients]
        for _packet in range(int(seconds * 20)):
            for one, two in itertools.product(*ends):
                link.send(clients[0], bytes(ipv6(one, two, 100)))
                link.send(clients[1], bytes(ipv6(two, one, 100)))
            link.run(link.now - START + 0.05)
        return [int(4 * seconds * 20) - (len(c.delivered) - was) for c, was in zip(clients, before, strict=True)]

    assert flow(4) == [0, 0]
    assert {hops(packet) for client in clients for _t, packet in client.delivered[-8:]} == {64}
    assert [sorted(len(peer.accept) for peer in of(client)) for client in clients] == [[2, 2], [2, 2]]
    link.move(clients[mover], "198.51.100.77")
    assert max(flow(2)) <= 4 * 2
    through = home.forwarded
    assert flow(60) == [0, 0]
    assert home.forwarded == through
    failed = [client.core.counters[name] for client in clients for name in ("ns_auth_fail", "na_auth_fail")]
    assert sum(failed) <= 4  # of first solicitations, before the token is known


@pytest.mark.requirement("RO-16")
def test_pairs_whose_paths_are_all_dead_go_through_the_server():
    """Whichever of them found it out: not one packet is lost to a neighbor without a path."""
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=2)
    (peer,) = of(first)
    peer.paths[0].reachability = Reachability.FAILED
    first.core.cache.changed()
    before = len(second.delivered)
    sent = link.flow(first, forth, seconds=0.5)
    link.run(link.now - START + 0.05)
    assert len(second.delivered) - before == sent
    assert first.plane.counters["no_path"] == 0


# --- targets that only their own word leads to


@pytest.mark.requirement("RO-15", "RO-5")
def test_a_target_behind_a_symmetric_nat_is_found_by_a_source_that_has_forgotten_it():
    """It shared a token with the source that the source has no more: what it says first is proved by the new one."""
    link, _home, first, second = two_clients(two={"nat": Nat("10.2.1.2", "198.51.100.102", 32000, "symmetric")})
    link.flow(first, forth, seconds=3)
    assert hops(second.delivered[-1][1]) == 64
    link.reboot_client(first)
    link.run(link.now - START + 0.5)
    assert not of(first)
    assert of(second)  # it accepts, and knows the token of before
    link.flow(first, forth, seconds=20)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("RO-15", "RO-5", "RO-19")
def test_both_families_behind_a_symmetric_nat_at_one_moment():
    """Two neighbors at one link-layer address: each is told of by a solicitation of its own."""
    families = {"families": ("ipv6", "ipv4")}
    nat = {"nat": Nat("10.2.1.2", "198.51.100.102", 32000, "symmetric")}
    link, _home, first, second = two_clients(one=families, two={**families, **nat})
    link.run(2)
    for _packet in range(60):
        link.send(first, forth(0))
        link.send(first, bytes(ipv4("192.0.2.17", "192.0.2.33", 100)))
        link.run(link.now - START + 0.05)
    assert [hops(packet) for _t, packet in second.delivered[-2:]] == [64, 64]
    assert {packet[0] >> 4 for _t, packet in second.delivered[-2:]} == {4, 6}


# --- moves


@pytest.mark.requirement("MOB-4")
@pytest.mark.parametrize("known", [False, True])
def test_nothing_is_known_of_the_way_to_where_a_neighbor_moved(known):
    """V and P begin anew, also at an address that it had before (spec MOB-4, §3.5)."""
    link, _home, first, second = two_clients()
    link.flow(first, lambda _n: bytes(ipv6(ONE, TWO, 1400)), seconds=2)
    (peer,) = of(first)
    proven = peer.path.size
    assert proven.state is State.WHOLE
    assert proven.proven
    if known:  # it was seen elsewhere meanwhile, and comes back
        link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
        other = LinkLayerAddress(UDP, ip_address("198.51.100.99"), 8060)
        first.core.correspondence.correspondents.found_at(peer, other)
        link.feed(second, AddressesChanged("eth0", (ip_address("198.51.100.2"), ip_address("198.51.100.3"))))
        second.core.correspondence.moved(link.now)
        link._turn(second)
        link.passes = lambda *_any: True
        link.run(link.now - START + 2)
        assert [path.lladdr for path in peer.paths] == [where(second)]
    else:
        link.move(second, "198.51.100.77")
        link.run(link.now - START + 0.015)
        assert str(peer.path.lladdr.ip) == "198.51.100.77"
    assert peer.path.size is not proven
    assert peer.path.size.proven == 0


@pytest.mark.requirement("MOB-2")
def test_a_server_forgets_the_old_place_in_every_encapsulation():
    link, home, first, _second = two_clients(one={"encapsulation": "minimal"}, server={})
    link.run(link.now - START + 1)
    entry = home.core.cache.get(first.core.address)
    assert {path.lladdr.encapsulation.name for path in entry.paths} == {"UDP", "MINIMAL"}
    before = [path.lladdr for path in entry.paths]
    link.move(first, "198.51.100.77")
    link.run(link.now - START + 1)
    assert {str(path.lladdr.ip) for path in entry.paths} == {"198.51.100.77"}
    assert [home.core.cache.at(lladdr) for lladdr in before] == [None, None]
    assert home.core.cache.at_ip(ip_address("198.51.100.1")) == []


@pytest.mark.requirement("MOB-9", "RO-9")
def test_a_departed_prefix_is_passed_on_one_hop_further_and_not_spoken_for():
    link, _one, two, first, second = at_two_servers()
    link.run(2)
    link.feed(second, ChangeServer(1))
    link.run(link.now - START + 0.5)
    relay = LinkLayerAddress(UDP, ip_address("203.0.113.9"), 8060)
    packets = []
    two.plane._sink.transmit = lambda _t, destination, octets, _d, _tos: packets.append(
        (destination[0], b"".join(map(bytes, octets)))
    )
    arrived = memoryview(bytearray(ipv6(ONE, TWO, 100, hops=9)))
    two.plane.from_underlay(0, (str(relay.ip), relay.port), arrived, 0, link.now)
    ((host, passed),) = packets
    assert (host, hops(passed)) == ("203.0.113.9", 8)
    two.core.counters.clear()
    two.sent.clear()
    message = push_mediation(predirect(), Framing.ND, IPv6Address("fe80::ff01"), two.core.address)
    put(link, two, message, relay)
    assert two.core.counters == {"redirect_no_route": 1}
    assert not two.sent
    link.run(link.now - START + 11)
    two.plane.from_underlay(0, (str(relay.ip), relay.port), arrived, 0, link.now)
    assert len(packets) == 1
    assert two.plane.counters["no_client"] == 1
    assert first.core.prefixes


@pytest.mark.requirement("MOB-8", "MOB-13")
def test_a_rebind_is_an_attachment():
    """Announced anew, with the MED of its moment; a Renew is not (spec §8)."""
    link = Link()
    (server, _other) = with_relay(link, 2)
    client = link.add_client(1, [server])
    link.attach(client)
    (route,) = server.core._speaker._all()
    link.run(75)
    assert [dhcp_type(a.packet) for a in client.sent if dhcp_type(a.packet)] == [MessageType.SOLICIT, MessageType.RENEW]
    assert list(server.core._speaker._all()) == [route]
    link.lose = lambda a, _b, packet: a is client and dhcp_type(packet) == MessageType.RENEW
    link.run(165)
    assert MessageType.REBIND in [dhcp_type(a.packet) for a in client.sent]
    (after,) = server.core._speaker._all()
    assert after.med < route.med
    assert after.med == 4294967295 - int(START + 160.5 + 0.01)


@pytest.mark.requirement("MOB-14", "MOB-3")
def test_an_announcement_nobody_answers_is_sent_three_times_a_second_apart():
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    link.flow(second, back, seconds=1)
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}
    second.sent.clear()
    begin = link.now
    times = []
    link.lose = lambda *_any: False
    transmit = link._transmit
    link._transmit = lambda node, action: (
        times.append(link.now - begin) if is_announcement(action.packet) else None,
        transmit(node, action),
    )
    link.move(second, "198.51.100.77")
    link.run(link.now - START + 6)
    assert times == pytest.approx([0.0, 1.0, 2.0])
