"""Rows of the table of attacks that need a world of their own: without keys, after the end, over a restart (spec §9).

The other rows: test_aero_attacks (route optimisation), test_aero_bad_control (DHCPv6), test_aero_bad_packets (data).
"""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import IPv6Address, ip_address

import pytest
from aero_domain import START, Link, _Arrival
from aero_packets import ipv6
from aero_whole import STRANGER
from test_aero_attacks import (
    EVIL,
    FIRST,
    HERE,
    SECOND,
    SERVER,
    THIRD,
    TOKEN,
    mediation,
    predirect,
    put,
    redirect,
    state,
    where,
)
from test_aero_bad_control import KEY
from test_aero_mobility import at_two_servers
from test_aero_optimisation import ONE, back, forth, hops, of, two_clients

from agents.aero.addresses import PRE_ATTACH, unmapped
from agents.aero.config import OptimisationConfig
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dhcp_auth import sign
from agents.aero.inner_packets import push_discovery, push_udp
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import Unaccepted
from agents.aero.optimisation.messages import UNSPECIFIED, header_between, push_mediation
from agents.aero.optimisation.tokens import Tokens
from agents.aero.underlay_errors import UnderlayErrors
from agents.core import WallClock
from agents.wire.buffer import ipv6_checksum
from agents.wire.dhcpv6 import Message, MessageType, push_dhcpv6
from agents.wire.dhcpv6_options import ClientId, IaPd, IaPrefix
from agents.wire.nd import NeighborAdvertisement, NeighborSolicitation, Redirect
from agents.wire.nd_options import Nonce
from agents.wire.redirects import Framing

# --- without tokens


@pytest.fixture
def keyless():
    """Two Clients that correspond directly, by a Server that gives no tokens."""
    link, home, first, second = two_clients(server={"optimisation": OptimisationConfig(tokens=False)})
    link.flow(first, forth, seconds=1)
    assert hops(second.delivered[-1][1]) == 64
    assert not len(of(first)[0].tokens)
    for node in (home, first, second):
        node.core.counters.clear()
    return link, home, first, second


@pytest.mark.requirement("SEC9-5", "SEC9-6", "MOB-4", "RO-15", "RO-18")
def test_without_tokens_nobody_is_believed_to_be_elsewhere(keyless):
    link, home, first, second = keyless
    own, to = second.core.address, first.core.address
    announced = push_discovery(NeighborAdvertisement(own, override=True, options=(HERE,)), own, to)
    asked = push_discovery(NeighborSolicitation(to, (Nonce(b"abcdef"),)), own, to)
    answered = push_discovery(NeighborAdvertisement(own, solicited=True, options=(Nonce(b"abcdef"), HERE)), own, to)
    null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (header_between(FIRST, SECOND),))
    ended = push_mediation(null, Framing.ND, own, to)
    before = state(home, first, second)
    for packet, source in (
        (announced, EVIL), (announced, where(second)), (asked, EVIL), (answered, EVIL), (ended, where(second)),
    ):  # fmt: skip
        put(link, first, packet, source)
    assert first.core.counters == {"na_auth_fail": 3, "ns_auth_fail": 1, "redirect_auth_fail": 1}
    assert state(home, first, second) == before
    assert not [action for action in first.sent if action.lladdr == EVIL]


@pytest.mark.requirement("SEC9-6")
def test_an_answer_repeated_after_its_question_was_answered_keeps_nothing_alive(keyless):
    """The nonce is good once: a replay from the very address does not put off the end of the pair."""
    link, _home, first, second = keyless
    answers = [action.packet for action in second.sent if action.packet[40] == 136]
    assert answers
    link.passes = lambda sender, receiver, _lladdr: {sender, receiver} != {first, second}
    begin = link.now
    while of(first) and link.now < begin + 60:
        link.run(link.now - START + 1)
        link.send(first, forth(0))
        for packet in answers:
            put(link, first, packet, where(second))
    assert link.now - begin <= 9


# --- with tokens


def asked_of(sender, receiver) -> list[bytes]:
    """Neighbor Discovery that a node has sent to another."""
    to = receiver.core.address.packed
    return [action.packet for action in sender.sent if action.packet[24:40] == to and action.packet[40] in (135, 136)]


@pytest.mark.requirement("SEC9-6", "RO-15")
def test_nothing_that_was_ever_said_proves_a_correspondent_elsewhere():
    """Nor what was said while its receiver had not yet the token, and under a token that is not used any more."""
    link, home, first, second = two_clients()
    for number in range(25):
        link.send(first, forth(number))
        link.run(link.now - START + 0.005)
        link.send(second, back(number))
        link.run(link.now - START + 0.015)
    said = asked_of(second, first)
    assert len(said) >= 3
    before = state(home, first, second)
    first.core.counters.clear()
    for packet in said:
        put(link, first, packet, EVIL)
    assert sum(first.core.counters.values()) == len(said)
    assert state(home, first, second) == before


@pytest.mark.requirement("SEC9-6", "RO-12", "RO-15")
def test_whoever_is_faster_with_an_overheard_message_gets_no_data():
    """A new place is tested first: data goes on where the correspondent is."""
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    link.lose = lambda sender, receiver, _packet: (sender, receiver) == (second, first)
    told = len(asked_of(second, first))
    link.flow(first, forth, seconds=5)
    link.lose = lambda *_any: False
    [overheard, *_others] = asked_of(second, first)[told:]
    put(link, first, overheard, EVIL)
    sent = link.flow(first, forth, seconds=6)
    assert [packet[7] for _t, packet in second.delivered[-sent:]] == [64] * sent
    assert of(first)[0].path.lladdr == where(second)


@pytest.mark.requirement("SEC9-6", "SEC9-8", "RO-15")
@pytest.mark.parametrize("side", ["source", "target"])
def test_whoever_says_what_was_lost_is_asked_and_no_neighbor_for_long(side):
    """He cannot answer; and without an answer what comes from there is taken no more, whatever the others say."""
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    liar, victim = (second, first) if side == "source" else (first, second)
    link.lose = lambda sender, receiver, packet: (sender, receiver) == (liar, victim) and packet[6] == 58
    told = len(asked_of(liar, victim))
    link.flow(first, forth, seconds=6)
    link.lose = lambda *_any: False
    [overheard, *_others] = asked_of(liar, victim)[told:]
    put(link, victim, overheard, EVIL)
    assert victim.core.cache.at(EVIL)
    sent = link.flow(first, forth, seconds=20)
    assert victim.core.cache.at(EVIL) is None
    assert [packet[7] for _t, packet in second.delivered[-sent:]].count(64) > sent - 50
    victim.plane.counters.clear()
    link.later(victim, _Arrival(Carrier.UDP, EVIL, forth(0)), 0)
    link.run(link.now - START + 0.1)
    assert victim.plane.counters["origin_fail"] == 1


@pytest.mark.requirement("SEC9-6", "RO-15")
def test_another_encapsulation_is_believed_where_the_correspondent_is_known_to_be():
    """Spec §2.10: an NS in a new encapsulation counts at an underlay address that is its sender's already."""
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    (peer,) = of(first)
    minimal = [LinkLayerAddress(Encapsulation.MINIMAL, ip, 0) for ip in (EVIL.ip, where(second).ip)]
    own, to = second.core.address, first.core.address
    for place in minimal:
        asked = of(second)[0].tokens.seal(NeighborSolicitation(to, (Nonce(b"abcdef"),)), own, to, link.now)
        put(link, first, push_discovery(asked, own, to), place)
    assert [path.lladdr for path in peer.paths if path.lladdr in minimal] == minimal[1:]
    assert peer.path.lladdr == where(second)


@pytest.mark.requirement("RO-15", "RO-16")
def test_tokens_of_both_directions_that_crossed_live_as_long_as_their_pairs():
    link, _home, first, second = two_clients()
    limits = []
    for number in range(50 * 100):
        link.send(first, forth(number))
        link.run(link.now - START + 0.005)
        link.send(second, back(number))
        link.run(link.now - START + 0.015)
    for node in (first, second):
        limits += [packet[7] for _t, packet in node.delivered[50:]]
    assert set(limits) == {64}
    assert not link.said("path-failed")


# --- after the end, and from elsewhere


@pytest.mark.requirement("SEC9-8", "RO-14", "RO-17")
def test_data_of_a_pair_that_has_ended():
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    link.later(second, _Arrival(Carrier.UDP, where(first), forth(0)), 0)
    link.run(link.now - START + 45)
    assert not of(second)
    delivered = len(second.delivered)
    second.plane.counters.clear()
    link.later(second, _Arrival(Carrier.UDP, where(first), forth(0)), 0)
    link.run(link.now - START + 0.1)
    assert len(second.delivered) == delivered
    assert second.plane.counters["origin_fail"] == 1


@pytest.mark.requirement("RO-14")
def test_data_that_is_accepted_by_now_is_not_refused():
    """It came an instant before the pair was accepted: its sender is not sent back to its Server"""
    link, _home, first, second = two_clients()
    link.flow(first, forth, seconds=1)
    assert of(second)
    second.sent.clear()
    link.feed(second, Unaccepted(where(first), bytes(forth(0))))
    assert not second.sent
    other = bytes(ipv6(ONE, str(THIRD[1]), 100))
    link.feed(second, Unaccepted(where(first), other))
    assert not second.sent, "of a network that is not ours"


@pytest.mark.requirement("SEC9-9", "SEC9-7", "SRV-6")
def test_a_clients_address_carries_that_clients_own_sources_only():
    link, home, first, second = two_clients()
    link.run(link.now - START + 1)
    before = state(home, first, second)
    for source in (ONE, str(THIRD[1]), "2001:db8:9::1"):
        link.later(home, _Arrival(Carrier.UDP, where(second), bytes(ipv6(source, "2001:db8:9::2", 60))), 0)
    for name in (first.core.address, SERVER):
        asked = NeighborSolicitation(SERVER, (Nonce(b"abcdef"),))
        put(link, home, push_discovery(asked, name, SERVER), where(second))
    link.run(link.now - START + 0.1)
    assert home.plane.counters["origin_fail"] == 3
    assert home.core.counters["origin_fail"] == 2
    assert not home.delivered
    assert state(home, first, second) == before


@pytest.mark.requirement("SEC9-1", "SEC9-2", "SEC9-4", "RO-4", "RO-8")
def test_a_neighbors_server_is_not_ours():
    """Neither a Predirect nor a Redirect is taken from a Server that we are no Client of, nor one in its name."""
    link, one, two, first, second = at_two_servers()
    before = state(one, two, first, second)
    for node in (first, second):
        node.core.counters.clear()
    put(link, second, mediation(predirect(), one.core.address, second), where(one))
    put(link, first, mediation(redirect(), two.core.address, first), where(two))
    assert (first.core.counters, second.core.counters) == ({"origin_fail": 1}, {"origin_fail": 1})
    assert state(one, two, first, second) == before


def test_host_bits_of_a_prefix_are_no_news():
    """They are ignored (spec §11): the Target must be that of the masked prefix all the same."""
    link, home, _first, second = two_clients()
    packet = bytearray(mediation(predirect(lladdrs=(replace(HERE, preference=9),)), SERVER, second))
    at = packet.index(FIRST.network_address.packed[:8], 40 + 72)
    packet[at + 7] |= 0xFF  # bits 56 to 63
    checksum_at = 42
    packet[checksum_at : checksum_at + 2] = b"\0\0"
    total = ipv6_checksum(IPv6Address(bytes(packet[8:24])), IPv6Address(bytes(packet[24:40])), 58, bytes(packet[40:]))
    packet[checksum_at : checksum_at + 2] = total.to_bytes(2, "big")
    put(link, second, bytes(packet), where(home))
    assert second.core.counters == {}
    assert {str(pair) for pair in of(second)[0].accept} == {f"{FIRST} {SECOND}"}


# --- clocks


@pytest.mark.requirement("SEC9-6")
def test_a_clock_that_steps_back_repeats_no_timestamp():
    ours, theirs = Tokens(WallClock()), Tokens(WallClock())
    own, to = IPv6Address("fe80::1:2"), IPv6Address("fe80::1:3")
    for each in (ours, theirs):
        each.put(TOKEN, START + 100, START, shared=True)
    taken = []
    for now in (START, START - 20, START - 20, START + 1):
        sealed = ours.seal(NeighborSolicitation(to, (Nonce(b"abcdef"),)), own, to, now)
        packet = push_discovery(sealed, own, to)
        taken += [theirs.accept(sealed.options[-1], packet[40:], own, to, START) for _time in range(2)]
    assert taken == [True, False] * 4


@pytest.mark.requirement("SEC9-10", "SRV-13")
def test_two_requests_at_one_moment_and_after_a_restart_with_an_earlier_clock_are_no_replays():
    link = Link()
    duid = "00030001020000000001"
    server = link.add_server(1, auth_keys={duid: KEY.hex()})
    families = {"families": ("ipv6", "ipv4"), "auth_key": KEY.hex()}
    client = link.add_client(1, [server], **families)
    link.attach(client)
    assert {prefix.version for prefix in client.core.prefixes} == {4, 6}
    saved = client.core.saved_state()
    link.nodes.remove(client)
    link.now -= 1.0
    again = link.add_client(1, [server], **families)
    again.core.restore(saved, link.now)
    link.attach(again)
    assert {prefix.version for prefix in again.core.prefixes} == {4, 6}
    assert not server.core.counters


def test_a_client_that_was_told_the_time_later_proves_itself():
    """Without a battery its clock begins with some time of the past, until somebody tells it: its timers go on."""
    told, right = WallClock(), WallClock()
    late = START - 3600
    ours, theirs = Tokens(told), Tokens(right)
    own, to = IPv6Address("fe80::1:2"), IPv6Address("fe80::1:3")
    ours.put(TOKEN, late + 100, late, shared=True)
    theirs.put(TOKEN, START + 100, START, shared=True)

    def taken(after):
        sealed = ours.seal(NeighborSolicitation(to, (Nonce(b"abcdef"),)), own, to, late + after)
        octets = push_discovery(sealed, own, to)[40:]
        answer = theirs.seal(NeighborSolicitation(own, (Nonce(b"abcdef"),)), to, own, START + after)
        back = push_discovery(answer, to, own)[40:]
        return (
            theirs.accept(sealed.options[-1], octets, own, to, START + after),
            ours.accept(answer.options[-1], back, to, own, late + after),
        )

    assert taken(1) == (False, False)
    told.ahead = lambda: 3600.0
    assert taken(2) == (True, True)
    told.ahead = lambda: 3590.0
    assert taken(3) == (True, True), "a step back within the tolerance repeats no timestamp"


def test_a_client_that_lost_its_state_is_taken_once_it_knows_the_time():
    """Its replay values rise with the wall clock: what it sent before is in the past (spec §6.11)."""
    link = Link()
    duid = "00030001020000000001"
    server = link.add_server(1, auth_keys={duid: KEY.hex()})
    client = link.add_client(1, [server], auth_key=KEY.hex())
    client.core.wall.ahead = lambda: 3600.0
    link.attach(client)
    link.nodes.remove(client)
    again = link.add_client(1, [server], auth_key=KEY.hex())
    link.start(again)
    link.run(5.0)
    assert server.core.counters["auth_replayed"]
    assert not again.core.prefixes
    again.core.wall.ahead = lambda: 3600.0
    link.run(20.0)
    assert again.core.prefixes


# --- Release


def release(duid: str, prefix, key: bytes | None, replay: int = 1 << 50) -> bytes:
    asked = Message(MessageType.RELEASE, 7, (ClientId(bytes.fromhex(duid)), IaPd(1, 0, 0, (IaPrefix(prefix),))))
    message = sign(asked, key, replay) if key else asked
    return push_udp(PRE_ATTACH, ALL_DHCP_SERVERS, 546, 547, push_dhcpv6(message))


@pytest.mark.requirement("SEC9-11", "MOB-7")
@pytest.mark.parametrize("auth", [True, False])
def test_a_release_counts_from_an_address_of_the_entry_or_with_the_key(auth):
    link = Link()
    duid = "00030001020000000001"
    server = link.add_server(1, **({"auth_keys": {duid: KEY.hex()}} if auth else {}))
    client = link.add_client(1, [server], auth_key=KEY.hex() if auth else "")
    link.attach(client)
    [prefix] = client.core.prefixes
    elsewhere = LinkLayerAddress(EVIL.encapsulation, ip_address(STRANGER), 8060)
    before = state(server)
    forged = [release(duid, prefix, None), *([release(duid, prefix, bytes(32))] if auth else [])]
    for packet in forged:
        put(link, server, packet, elsewhere)
    link.run(link.now - START + 0.1)
    assert server.core.counters == ({"auth_missing": 1, "auth_wrong": 1} if auth else {"release_origin": 1})
    assert state(server) == before
    genuine, source = (release(duid, prefix, KEY), elsewhere) if auth else (forged[0], where(client))
    put(link, server, genuine, source)
    link.run(link.now - START + 0.1)
    assert not [each for each in server.core.cache if each.duid]
    if auth:  # it attaches anew, and the overheard Release comes again
        again = link.add_client(1, [server], auth_key=KEY.hex())
        again.core.restore({"prefixes": {}, "replay": 1 << 51}, link.now)
        link.nodes.remove(client)
        link.attach(again)
        assert [each for each in server.core.cache if each.duid]
        put(link, server, genuine, source)
        link.run(link.now - START + 0.1)
        assert server.core.counters["auth_replayed"] == 1
        assert unmapped(prefix) in next(each for each in server.core.cache if each.duid).prefixes


@pytest.mark.requirement("SEC9-10", "SEC9-11", "SRV-13")
def test_what_was_overheard_before_the_server_restarted_is_a_replay_still():
    link = Link()
    duid = "00030001020000000001"
    server = link.add_server(1, auth_keys={duid: KEY.hex()})
    client = link.add_client(1, [server], auth_key=KEY.hex())
    link.attach(client)
    [prefix] = client.core.prefixes
    genuine = release(duid, prefix, KEY)
    put(link, server, genuine, where(client))
    link.run(link.now - START + 0.1)
    assert not [each for each in server.core.cache if each.duid]
    link.nodes.remove(client)
    client = link.add_client(1, [server], auth_key=KEY.hex())
    client.core.restore({"prefixes": {}, "replay": 1 << 51}, link.now)
    link.attach(client)
    overheard = [genuine, *(action.packet for action in client.sent if action.packet[24:40] == ALL_DHCP_SERVERS.packed)]
    assert len(overheard) >= 2
    again = link.restart_server(1, server)
    before = state(again)
    for packet in overheard:
        for source in (where(client), EVIL):
            put(link, again, packet, source)
    link.run(link.now - START + 0.1)
    assert again.core.counters == {"auth_replayed": 2 * len(overheard)}
    assert (state(again), again.sent) == (before, [])
    client.core._dhcp.renew(link.now)
    link.run(link.now - START + 2)
    assert [each.path.lladdr for each in again.core.cache if each.duid] == [where(client)]


def test_replay_values_of_clients_without_a_key_are_not_kept():
    link = Link()
    keyed, stranger = bytes.fromhex("00030001020000000001"), b"stranger"
    server = link.add_server(1, auth_keys={keyed.hex(): KEY.hex()})
    server.core.restore_replays({keyed: 5, stranger: 7})
    assert server.core._dhcp._verifier._last == {keyed: 5}
    link.add_server(2).core.restore_replays({keyed: 5})


# --- the underlay


@pytest.mark.requirement("SEC9-17")
def test_errors_that_are_believed_by_nobody_are_counted():
    errors, heard = UnderlayErrors([]), []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        for message in (b"\x45" + bytes(19) + b"\x03\x04", b"\x45" + bytes(40)):
            theirs.send(message)
        errors._read(4, ours, heard.append)
    assert (errors.refused, heard) == (2, [])
