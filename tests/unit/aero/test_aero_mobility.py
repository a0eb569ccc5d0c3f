"""Mobility of cores in virtual time: new link-layer addresses, new Servers, lost messages (spec MOB-*)."""

from __future__ import annotations

import random
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import pairwise

import pytest
from aero_domain import START, Link, Nat, with_relay
from test_aero_optimisation import ONE, TWO, back, both_ways, forth, hops, of, two_clients

from agents.aero.config import OptimisationConfig
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import ChangeServer, Controlled
from agents.aero.optimisation.messages import UNSPECIFIED, header_between, push_mediation
from agents.aero.server.departures import Departures
from agents.wire.dhcpv6 import MessageType
from agents.wire.nd import NdType, Redirect
from agents.wire.redirects import Framing

FIRST, SECOND = ip_network("2001:db8:1000:2000::/56"), ip_network("2001:db8:1000:2100::/56")
RATE, RTT = 50.0, 0.02
"""Packets a second; of one underlay hop, seconds."""


def icmp_type(packet: bytes) -> int:
    return packet[40] if packet[6] == 58 else 0


def dhcp_type(packet: bytes) -> int:
    return packet[48] if packet[6] == 17 and packet[42:44] == b"\x02\x23" else 0


def is_announcement(packet: bytes) -> bool:
    """An unsolicited advertisement: S clear, O set."""
    return icmp_type(packet) == NdType.NEIGHBOR_ADVERTISEMENT and packet[44] & 0x60 == 0x20


def flowing(*, both: bool = True, **options):
    link, home, first, second = two_clients(**options)
    (both_ways(link, first, second, 2, RATE) if both else link.flow(first, forth, seconds=2))
    return link, home, first, second


@pytest.mark.requirement("MOB-1", "MOB-2", "MOB-12", "MOB-6")
def test_a_move_without_optimisation_costs_one_renew():
    off = {"optimisation": OptimisationConfig(originate=False)}
    link, home, first, second = two_clients(server=off)
    both_ways(link, first, second, 1, RATE)
    prefix, address = list(first.core.prefixes), first.core.address
    before = len(second.delivered), len(first.delivered)
    first.sent.clear()
    link.move(first, "198.51.100.77")
    assert dhcp_type(first.sent[0].packet) == MessageType.RENEW
    sent = both_ways(link, first, second, 3, RATE)
    lost = [sent - (len(n.delivered) - was) for n, was in zip((second, first), before, strict=True)]
    assert max(lost) <= RATE * (1.5 * 2 * RTT + 0.1)
    entry = home.core.cache.get(first.core.address)
    assert [str(path.lladdr.ip) for path in entry.paths] == ["198.51.100.77"]
    assert (list(first.core.prefixes), first.core.address) == (prefix, address)


@pytest.mark.requirement("MOB-3", "MOB-4", "MOB-12")
@pytest.mark.parametrize("mover", ["source", "target"])
def test_a_move_in_a_direct_flow(mover):
    link, home, first, second = flowing(both=False)
    moving, staying = (first, second) if mover == "source" else (second, first)
    through, before = home.forwarded, len(second.delivered)
    link.move(moving, "198.51.100.77")
    sent = link.flow(first, forth, seconds=5)
    lost = sent - (len(second.delivered) - before)
    assert lost <= RATE * (0.5 * RTT + 0.1)
    assert home.forwarded == through
    (peer,) = of(staying)
    assert [str(path.lladdr.ip) for path in peer.paths] == ["198.51.100.77"]
    announcements = [a for a in moving.sent if is_announcement(a.packet)]
    assert len(announcements) == 1  # answered by the confirmation at once
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("MOB-14", "RO-16")
def test_both_ends_at_once_lose_and_find_each_other():
    """Each announces itself to where the other was: three questions later the Server helps both."""
    link, _home, first, second = flowing()
    begin, had = link.now, [len(each.delivered) for each in (first, second)]
    first.ip, second.ip = "198.51.100.77", "198.51.100.78"
    for each in (first, second):
        link.move(each, each.ip)
    both_ways(link, first, second, 10, RATE)
    for each, before in zip((first, second), had, strict=True):
        times = [begin, *(time for time, _packet in each.delivered[before:])]
        silences = [two - one for one, two in pairwise(times) if two - one > 0.1]
        assert len(silences) == 1
        assert 3 <= silences[0] <= 8
        assert hops(each.delivered[-1][1]) == 64


@pytest.mark.requirement("MOB-14", "MOB-3")
def test_a_lost_announcement_is_repeated():
    link, home, first, second = flowing(both=False)
    through = home.forwarded
    lost = []

    def lose_two(_sender, _receiver, packet: bytes) -> bool:
        return is_announcement(packet) and len(lost) < 2 and not lost.append(1)

    link.lose = lose_two
    died = link.now
    link.passes = lambda a, b, _lladdr: not (b is first and a is not home)  # its confirmations do not find it
    link.move(second, "198.51.100.77")
    link.flow(first, forth, seconds=1)
    link.passes = lambda *_any: True
    link.flow(first, forth, seconds=4)
    again = next(t for t, _packet in second.delivered if t > died + RTT)
    assert again - died <= 2.2
    assert home.forwarded == through


@pytest.mark.requirement("MOB-4", "MOB-14")
@pytest.mark.parametrize("mover", ["source", "target"])
def test_an_announcement_heard_again_moves_nothing_again(mover):
    """Its confirmation was lost: what was learned of the new path meanwhile stays"""
    link, _home, first, second = flowing(both=False)
    moving, peer = (first, second) if mover == "source" else (second, first)
    died = link.now
    link.lose = lambda a, b, packet: a is peer and b is moving and bool(icmp_type(packet))
    link.move(moving, "198.51.100.77")
    link.flow(first, forth, seconds=2.8)
    assert sum(is_announcement(action.packet) for action in moving.sent) == 3
    assert [name for t, name, event, _fields in link.events if event == "correspondent-moved" and t > died] == [
        "c2" if mover == "source" else "c1"
    ]


@pytest.mark.requirement("MOB-14", "RO-16", "RO-2")
@pytest.mark.parametrize("mover", ["source", "target"])
def test_without_announcements_the_server_helps_within_eight_seconds(mover):
    link, home, first, second = flowing(both=False)
    moving = first if mover == "source" else second
    peer = second if mover == "source" else first
    link.lose = lambda a, b, packet: {a, b} == {first, second} and bool(icmp_type(packet)) and link.now < died + 7
    died = link.now
    link.move(moving, "198.51.100.77")
    link.flow(first, forth, seconds=20)
    again = next(t for t, _packet in second.delivered if t > died + RTT)
    assert again - died <= 8.1
    assert hops(second.delivered[-1][1]) == 64  # optimised anew
    assert [str(path.lladdr.ip) for path in of(peer)[0].paths][-1] == "198.51.100.77" or mover == "source"
    assert home.forwarded > 0


@pytest.mark.requirement("MOB-1", "MOB-14")
def test_a_lost_renew_is_repeated_soon():
    link, home, first, _second = two_clients(server={"optimisation": OptimisationConfig(originate=False)})
    lost = []
    link.lose = lambda a, _b, packet: a is first and dhcp_type(packet) == 5 and len(lost) < 1 and not lost.append(1)
    moved = link.now
    link.move(first, "198.51.100.77")
    link.run(link.now - START + 1.3)
    assert lost
    assert str(home.core.cache.get(first.core.address).path.lladdr.ip) == "198.51.100.77"
    assert link.now - moved < 2


KEYLESS = {"optimisation": OptimisationConfig(tokens=False)}


@pytest.mark.requirement("MOB-5", "RO-18", "MOB-12")
@pytest.mark.parametrize("servers", [1, 2])
def test_without_tokens_both_fall_back_to_their_servers_at_once(servers):
    """The Servers pass the NULL Redirect on: to the source, only that proves where it comes from."""
    if servers == 1:
        link, home, first, second = two_clients(server=KEYLESS)
    else:
        link, home, _other, first, second = at_two_servers(**KEYLESS)
    both_ways(link, first, second, 2, RATE)
    assert len(of(first)[0].tokens) == 0
    assert (hops(first.delivered[-1][1]), hops(second.delivered[-1][1])) == (64, 64)
    for node in (first, second):
        node.sent.clear()
        node.core.counters.clear()
    before, died = (len(second.delivered), len(first.delivered)), link.now
    link.move(first, "198.51.100.77")
    assert not of(first)[0].forward
    sent = both_ways(link, first, second, 1, RATE)
    assert [f["reason"] for f in link.said("direct-path-left")] == ["moved", "null-redirect"]
    through = home.core.address
    nulls = [a for a in first.sent if icmp_type(a.packet) == NdType.REDIRECT and a.packet[6] == 58]
    assert {(IPv6Address(a.packet[24:40]), str(a.lladdr.ip)) for a in nulls[:1]} == {(through, home.ip)}
    assert not [a for a in first.sent if is_announcement(a.packet)]
    lost = [sent - (len(n.delivered) - was) for n, was in zip((second, first), before, strict=True)]
    assert max(lost) <= RATE * (1.5 * (1 + servers) * RTT + 0.1)
    assert next(t for t, _packet in first.delivered if t > died + RTT) - died <= 3 * (1 + servers) * RTT
    both_ways(link, first, second, 5, RATE)  # and are optimised anew, each by its Server
    assert (hops(first.delivered[-1][1]), hops(second.delivered[-1][1])) == (64, 64)
    assert [str(path.lladdr.ip) for path in of(second)[0].paths][-1] == "198.51.100.77"
    for node in (first, second):
        assert not {name for name in node.core.counters if "fail" in name}


@pytest.mark.requirement("MOB-5", "RO-18", "RLY-6")
def test_only_a_target_s_own_servers_pass_its_null_redirects_on():
    link, one, two, first, _second = at_two_servers(**KEYLESS)
    link.flow(first, forth, seconds=1)
    pair = next(iter(of(first)[0].forward.values())).pair
    null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (header_between(pair.source, pair.destination),))
    relay = link.relay
    for sender, receiver, counter in (
        (first, one, "redirect_prefix"),  # the packet concerned is for somebody else
        (one, relay, "redirect_prefix"),  # this Server is not the target's
        (relay, two, "redirect_no_route"),  # the source is no Client of this one
    ):
        own, to = sender.core.address, receiver.core.address
        packet = push_mediation(null, Framing.ND, own, to)
        lladdr = LinkLayerAddress(Encapsulation.UDP, ip_address(sender.ip), 8060)
        before = receiver.core.counters[counter]
        origin = receiver.core.cache.at(lladdr)
        link.feed(receiver, Controlled(Control(packet, lladdr, origin, len(packet))))
        assert receiver.core.counters[counter] == before + 1
    link.run(link.now - START + 1)
    assert of(first)[0].forward
    assert not link.said("direct-path-left")


@pytest.mark.requirement("RO-18", "MOB-5")
def test_a_client_without_tokens_that_leaves_sends_sources_back():
    link, _home, _first, second = flowing(both=False, server=KEYLESS)
    link.stop(second)
    link.run(link.now - START + 0.1)
    assert [f["reason"] for f in link.said("direct-path-left")] == ["null-redirect"]


@pytest.mark.requirement("MOB-5")
def test_without_tokens_a_source_that_hears_nothing_is_back_within_eight_seconds():
    link, _home, first, second = flowing(server=KEYLESS)
    link.lose = lambda _sender, _receiver, packet: icmp_type(packet) == NdType.REDIRECT and link.now < died + 7
    died = link.now
    link.move(first, "198.51.100.77")
    both_ways(link, first, second, 10, RATE)
    again = next(t for t, _packet in first.delivered if t > died + RTT)
    assert 3 <= again - died <= 8.1


@pytest.mark.requirement("RO-18")
@pytest.mark.parametrize("framing", ["nd", "rfc6706"])
def test_a_client_that_leaves_sends_sources_back(framing):
    settings = {"optimisation": OptimisationConfig(framing=framing)}
    link, _home, first, second = flowing(both=False, one=settings, two=settings, server=settings)
    link.stop(second)
    link.run(link.now - START + 0.05)
    assert [f["reason"] for f in link.said("direct-path-left")] == ["null-redirect"]
    assert not of(first)


@pytest.mark.requirement("MOB-3", "RO-15")
def test_rebound_nat_in_a_direct_flow():
    nat = Nat("10.1.1.2", "198.51.100.101", 31000)
    link, _home, first, second = flowing(one={"nat": nat})
    nat.port, nat.ports = 32000, {}
    died = link.now
    both_ways(link, first, second, 12, RATE)
    again = next(t for t, _packet in first.delivered if t > died + RTT)
    assert again - died <= 6
    assert (hops(second.delivered[-1][1]), hops(first.delivered[-1][1])) == (64, 64)


@pytest.mark.requirement("MOB-1", "MOB-3")
def test_into_a_nat_and_out_of_it_again():
    link, _home, first, second = flowing()
    first.nat = Nat("10.7.7.2", "198.51.100.107", 33000, "restricted")
    link.move(first, "10.7.7.2")
    both_ways(link, first, second, 3, RATE)
    assert first.core.nat
    assert hops(first.delivered[-1][1]) == 64
    assert of(second)[0].path.lladdr.port == 33000
    first.nat = None
    link.move(first, "198.51.100.78")
    both_ways(link, first, second, 3, RATE)
    assert not first.core.nat
    assert (hops(second.delivered[-1][1]), hops(first.delivered[-1][1])) == (64, 64)


# --- several Servers


KEYS = {f"0003000102000000{number:04x}": f"{number:032x}" for number in (1, 2)}


def at_two_servers(*, keys: bool = False, **options):
    """A Client at each; with `keys`, DHCPv6 messages are authenticated."""
    link = Link()
    one, two = with_relay(link, 2, auth_keys=KEYS if keys else {}, **options)
    own = [{"auth_key": key} if keys else {} for key in KEYS.values()]
    first, second = link.add_client(1, [one, two], **own[0]), link.add_client(2, [two, one], **own[1])
    link.attach(first, second)
    return link, one, two, first, second


@pytest.mark.requirement("RO-9", "RO-10", "RO-1", "RLY-5")
def test_through_two_servers_and_a_relay():
    link, one, two, first, second = at_two_servers()
    seen: list[tuple[str, int]] = []

    def watch(sender, receiver, packet: bytes) -> bool:
        if icmp_type(packet) == NdType.REDIRECT:
            seen.append(((sender.core.config.name, receiver.core.config.name), packet[7]))
        return False

    link.lose = watch
    link.flow(first, forth, seconds=1)
    assert seen == [
        (("s1", "r1"), 8), (("r1", "s2"), 7), (("s2", "c2"), 6),
        (("c2", "s2"), 8), (("s2", "r1"), 7), (("r1", "s1"), 6), (("s1", "c1"), 5),
    ]  # fmt: skip
    limits = [hops(packet) for _t, packet in second.delivered]
    assert (limits[0], limits[-1]) == (61, 64)
    assert set(limits) == {61, 64}
    assert limits[limits.index(64) :].count(61) <= 2  # overtaken on the switch
    assert [name for _t, name, event, _f in link.events if event == "predirect"] == ["s1"]
    through = one.forwarded + two.forwarded
    link.flow(first, forth, seconds=4)
    assert one.forwarded + two.forwarded == through


@pytest.mark.requirement("MOB-7", "MOB-6", "MOB-11", "MOB-9")
@pytest.mark.parametrize("direct", [True, False])
def test_a_change_of_server_in_both_flows(direct):
    link, one, two, first, second = at_two_servers()
    if not direct:
        for client in (first, second):
            object.__setattr__(client.core.config, "optimisation", OptimisationConfig(target=False))
    both_ways(link, first, second, 2, RATE)
    assert hops(first.delivered[-1][1]) == (64 if direct else 61)
    link.run(link.now - START + 0.1)
    before, prefix = (len(second.delivered), len(first.delivered)), list(second.core.prefixes)
    link.feed(second, ChangeServer(1))
    assert second.core.cache.default.address == IPv6Address("fe80::2")
    sent = both_ways(link, first, second, 5, RATE)
    link.run(link.now - START + 0.1)
    assert second.core.cache.default.address == IPv6Address("fe80::1")
    assert len(second.delivered) - before[0] >= sent - 1  # one may be on its way to a Relay that has other news
    assert len(first.delivered) - before[1] == sent
    assert list(second.core.prefixes) == prefix
    assert two.core.cache.get(second.core.address) is None
    assert one.core.cache.get(second.core.address)
    assert len(of(second)) == len(of(first)) == int(direct)
    link.run(link.now - START + 15)
    assert [str(n.address) for n in second.core.cache if n.router] == ["fe80::1"]


@pytest.mark.requirement("MOB-13")
def test_a_returning_client_solicits_each_time():
    link, _one, two, first, second = at_two_servers()
    for number in (1, 0, 1, 0):
        second.sent.clear()
        link.feed(second, ChangeServer(number))
        both_ways(link, first, second, 12, 10)
        kinds = [dhcp_type(action.packet) for action in second.sent if dhcp_type(action.packet)]
        assert kinds[:2] == [MessageType.SOLICIT, MessageType.RELEASE]
    assert second.core.cache.default.address == IPv6Address("fe80::2")
    assert two.core.cache.get(second.core.address)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("MOB-10")
def test_an_unreachable_old_server_is_told_four_times():
    link, _one, two, _first, second = at_two_servers()
    two.up = False
    second.sent.clear()
    link.feed(second, ChangeServer(1))
    link.run(link.now - START + 30)
    releases = [action for action in second.sent if dhcp_type(action.packet) == MessageType.RELEASE]
    assert len(releases) == 4
    assert second.core.cache.default.address == IPv6Address("fe80::1")


@pytest.mark.requirement("MOB-7")
def test_a_server_that_does_not_answer_is_not_changed_to():
    link, one, _two, first, second = at_two_servers()
    one.up = False
    prefix = list(second.core.prefixes)
    link.feed(second, ChangeServer(1))
    link.run(link.now - START + 20)
    assert second.core.cache.default.address == IPv6Address("fe80::2")
    assert list(second.core.prefixes) == prefix
    assert len(of(first)) == 0


@pytest.mark.requirement("MOB-7", "SRV-5")
def test_a_server_that_has_one_prefix_of_two_is_changed_to_all_the_same():
    """The old one is told, what it leased is given up, and the Client may change again."""
    link = Link()
    one, two = with_relay(link, 2)
    two.dhcp.iaids = (1,)
    client = link.add_client(1, [one, two], families=("ipv6", "ipv4"))
    link.attach(client)
    link.run(5)
    assert len(client.core.prefixes) == 2
    link.feed(client, ChangeServer(1))
    link.run(25)
    assert [str(n.address) for n in client.core.cache if n.router] == ["fe80::2"]
    assert [prefix.version for prefix in client.core.prefixes] == [6]
    assert not [entry for entry in one.core.cache if entry.duid]
    link.feed(client, ChangeServer(0))
    link.run(40)
    assert [str(n.address) for n in client.core.cache if n.router] == ["fe80::1"]
    assert len(client.core.prefixes) == 2


@pytest.mark.requirement("MOB-9")
def test_packets_for_a_departed_client_go_to_the_relay_for_ten_seconds():
    link, one, two, first, second = at_two_servers()
    link.flow(first, forth, seconds=0.1)
    link.feed(second, ChangeServer(1))
    link.run(link.now - START + 0.5)
    released = link.now
    relay = two.core.cache.default
    policy = two.plane._policy
    source, destination = IPv6Address(ONE), IPv6Address(TWO)
    assert policy.from_neighbor(relay, source, destination).neighbor is relay
    assert two.core._leases.of(bytes.fromhex(second.core.config.duid)) is None
    link.run(released - START + 10)
    assert policy.from_neighbor(relay, source, destination).counter == "no_client"
    assert one.core.cache.get(second.core.address)


@pytest.mark.requirement("MOB-9")
def test_who_came_back_has_not_departed():
    """Each prefix for itself, and ten seconds from its last departure"""
    departures = Departures()
    departures.left(FIRST, 0.0)
    departures.left(SECOND, 1.0)
    departures.returned(FIRST)
    assert not departures.covers(FIRST[1])
    assert departures.covers(SECOND[1])
    assert departures.next_timer() == 11.0
    departures.left(SECOND, 5.0)
    assert not departures.handle_timer(11.0)
    assert departures.handle_timer(15.0)
    assert not departures.covers(SECOND[1])


@pytest.mark.requirement("MOB-10", "MOB-6")
def test_a_client_that_left_unheard_is_reached_by_the_relay():
    """Its entry at the Server that it left lives on with the lease; what other Clients there send must not die there"""
    link = Link()
    off = {"optimisation": OptimisationConfig(originate=False)}
    one, two = with_relay(link, 2, **off)
    first, second = (link.add_client(number, [one, two]) for number in (1, 2))
    link.attach(first, second)
    link.flow(first, forth, seconds=1)
    assert hops(second.delivered[-1][1]) == 63
    link.passes = lambda a, b, _lladdr: {a, b} != {one, second}
    link.feed(second, ChangeServer(1))
    link.flow(first, forth, seconds=8)
    entry, before = one.core.cache.get(second.core.address), len(second.delivered)
    assert entry.path is None
    assert entry.prefixes
    sent = link.flow(first, forth, seconds=2)
    assert len(second.delivered) - before >= sent - 2
    assert hops(second.delivered[-1][1]) == 61
    source, destination = IPv6Address(ONE), IPv6Address(TWO)
    relay, policy = one.core.cache.default, one.plane._policy
    assert policy.from_neighbor(relay, source, destination).neighbor is entry  # never back to where it came from
    assert policy.from_kernel(source, destination).neighbor is relay


@pytest.mark.requirement("MOB-10", "RO-10")
@pytest.mark.parametrize("heard", [False, True])
def test_the_server_that_was_left_unheard_hears_of_it_from_the_next_one(heard):
    """Redirects would go to where the Client was as long as its lease lasts; whoever is still heard here is here."""
    link = Link()
    one, two = with_relay(link, 2)
    first, second = (link.add_client(number, [one, two]) for number in (1, 2))
    link.attach(first, second)
    link.run(2)  # announcements of one second are equally old (spec MOB-8)
    link.passes = lambda a, b, _lladdr: {a, b} != {one, second}
    link.feed(second, ChangeServer(1))
    link.run(link.now - START + 30)
    link.passes = lambda *_any: True
    entry = one.core.cache.get(second.core.address)
    assert entry
    if heard:
        entry.paths[0].last_received = link.now - 1
    through = len(first.delivered)
    link.flow(second, back, seconds=2)
    assert hops(first.delivered[through][1]) == 61
    assert hops(first.delivered[-1][1]) == (61 if heard else 64)
    assert one.core.cache.get(second.core.address) is (entry if heard else None)
    assert [said["prefix"] for said in link.said("route-withdrawn")] == ([] if heard else [SECOND])


@pytest.mark.requirement("MOB-10", "SRV-10")
def test_a_client_that_is_silent_everywhere_is_no_circle():
    """Relay and Server do not send its packets to and fro; once it is heard again, they reach it"""
    link = Link()
    off = {"optimisation": OptimisationConfig(originate=False)}
    one, two = with_relay(link, 2, **off)
    first, second = (link.add_client(number, [one, two]) for number in (1, 2))
    link.attach(first, second)
    link.passes = lambda a, b, _lladdr: second not in (a, b)
    link.flow(first, forth, seconds=8)
    assert one.core.cache.get(second.core.address).path is None
    forwarded, relayed = one.forwarded, link.relay.forwarded
    sent = link.flow(first, forth, seconds=1)
    assert one.forwarded - forwarded <= 2 * sent  # to the Relay, and its error to the Client
    assert link.relay.forwarded - relayed <= sent
    assert link.relay.plane.counters["hairpin"] >= sent
    link.passes = lambda *_any: True
    link.run(link.now - START + 60)
    before = len(second.delivered)
    sent = link.flow(first, forth, seconds=1)
    assert len(second.delivered) - before >= sent - 1


@pytest.mark.parametrize("seed", range(8))
def test_clients_on_the_move_over_a_lossy_link_are_found_again(seed):
    """Whatever was lost, once the link is good again everybody reaches everybody, directly.

    Keys let a Client release what it has at a Server that never saw it where it is now (spec MOB-7).
    """
    chance = random.Random(seed)
    link, _one, _two, first, second = at_two_servers(keys=True)
    both_ways(link, first, second, 1, 10)
    link.lose = lambda *_any: chance.random() < 0.15
    for turn in range(8):
        client = chance.choice((first, second))
        if chance.random() < 0.6:
            link.move(client, f"198.51.100.{100 + turn}")
        else:
            link.feed(client, ChangeServer(chance.randrange(2)))
        both_ways(link, first, second, chance.uniform(0.5, 8), 10)
    link.lose = lambda *_any: False
    link.run(link.now - START + 301)  # a Server that was left unheard keeps its entry as long as the lease (MOB-10)
    both_ways(link, first, second, 20, 10)
    before = len(second.delivered), len(first.delivered)
    sent = both_ways(link, first, second, 60, 10)
    assert (len(second.delivered) - before[0], len(first.delivered) - before[1]) == (sent, sent)
    assert (hops(second.delivered[-1][1]), hops(first.delivered[-1][1])) == (64, 64)
    assert set(first.core.prefixes) == {FIRST}
    assert set(second.core.prefixes) == {SECOND}


def test_the_way_back_is_its_own():
    link, _one, _two, first, second = at_two_servers()
    link.flow(first, forth, seconds=1)
    link.send(second, back(0))
    link.run(link.now - START + 0.1)
    assert hops(first.delivered[-1][1]) == 61


@pytest.mark.requirement("CLI-8", "CLI-11", "MOB-6", "MOB-10")
def test_a_server_whose_dhcp_is_silent_is_left_while_the_lease_lives():
    link = Link()
    home, away = with_relay(link, 2)
    client = link.add_client(1, [home, away])
    link.start(client)
    link.run(5)
    prefixes = list(client.core.prefixes)
    assert prefixes
    home.dhcp.silent = True
    for second in range(90, 130):  # T2 is at 100; after ten the Rebind could be repeated, or the others asked
        link.run(second)
        assert list(client.core.prefixes) == prefixes
    routers = [neighbor.address for neighbor in client.core.cache if neighbor.router]
    assert client.core.cache.default.address == away.core.address
    assert [len(link.said("attached")), len(link.said("server-failed"))] == [2, 0]
    assert len(routers) <= 2
    types = [dhcp_type(each.packet) for each in client.sent]
    assert types.count(MessageType.REBIND) == 1
    link.run(200)
    assert [n.address for n in client.core.cache if n.router] == [away.core.address]
    assert list(client.core.prefixes) == prefixes


@pytest.mark.requirement("CLI-11")
def test_a_client_stays_where_no_server_is_better():
    """Neither DHCPv6 server answers a Rebind or a Solicit; data goes on as long as the lease lives."""
    link = Link()
    home, away = with_relay(link, 2)
    client = link.add_client(1, [home, away])
    link.start(client)
    link.run(5)
    home.dhcp.silent = away.dhcp.silent = True
    link.run(290)
    assert client.core.cache.default.address == home.core.address
    assert list(client.core.prefixes)
    away.dhcp.silent = False
    link.run(450)
    assert list(client.core.prefixes)
    assert client.core.cache.default.address == away.core.address
