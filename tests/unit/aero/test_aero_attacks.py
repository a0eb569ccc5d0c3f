"""Forged, replayed and lying control messages change no cache and divert nothing (spec §9, §11, RO-4, RO-8, RO-11)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from aero_domain import START, UDP
from aero_packets import ipv6
from test_aero_mobility import at_two_servers
from test_aero_optimisation import ONE, TWO, back, forth, hops, of, two_clients

from agents.aero.addresses import aero_address
from agents.aero.dataplane.sink import Control
from agents.aero.describing import describe
from agents.aero.inner_packets import push_discovery
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.notices import Controlled
from agents.aero.optimisation.messages import UNSPECIFIED, compose, header_between, push_mediation
from agents.aero.optimisation.tokens import Tokens
from agents.core import WallClock
from agents.wire.nd import NeighborAdvertisement, NeighborSolicitation, Redirect
from agents.wire.nd_auth import seal
from agents.wire.nd_options import LinkLayerOption, Nonce, RedirectedHeader, Token
from agents.wire.redirects import Framing

FIRST, SECOND = ip_network("2001:db8:1000:2000::/56"), ip_network("2001:db8:1000:2100::/56")
THIRD = ip_network("2001:db8:1000:ee00::/56")
SERVER = IPv6Address("fe80::1")
EVIL = LinkLayerAddress(UDP, ip_address("192.0.2.66"), 8060)
TOKEN = Token(7, b"k" * 16)
HERE = LinkLayerOption(True, 0, EVIL.ipv6_form, EVIL.port)


def header(source: str = ONE, destination: str = TWO) -> RedirectedHeader:
    return RedirectedHeader(bytes(ipv6(source, destination, 60)))


def predirect(prefix=FIRST, about=None, lladdrs=(HERE,), **options) -> Redirect:
    made = compose(predirect=True, prefix=prefix, lifetime=300, lladdrs=lladdrs, token=TOKEN, header=about or header())
    return replace(made, **options)


def redirect(prefix=SECOND, about=None, lladdrs=(HERE,), **options) -> Redirect:
    made = compose(predirect=False, prefix=prefix, lifetime=300, lladdrs=lladdrs, token=TOKEN, header=about or header())
    return replace(made, **options)


def put(link, node, packet: bytes, source: LinkLayerAddress) -> None:
    """A control packet arrives at a node from a link-layer address."""
    neighbor = node.core.cache.at(source)
    link.feed(node, Controlled(Control(packet, source, neighbor, len(packet))))


def state(*nodes):
    """Everything that decides about packets: paths, prefixes, pairs (not when they end)."""
    found = []
    for node in nodes:
        for each in sorted((describe(n) for n in node.core.cache), key=lambda one: one["address"]):
            each["accept"] = sorted(each.get("accept", ()))
            each["forward"] = {pair: one["stage"] for pair, one in each.get("forward", {}).items()}
            each["prefixes"] = sorted(each["prefixes"])
            found.append(each)
    return found


def where(node) -> LinkLayerAddress:
    return LinkLayerAddress(UDP, ip_address(node.ip), 8060)


@pytest.fixture
def world():
    link, home, first, second = two_clients()
    third = link.add_client(3, [home])
    link.attach(third)
    link.flow(first, forth, seconds=1)
    for each in (home, first, second, third):
        each.core.counters.clear()
    return link, home, first, second, third


def mediation(message: Redirect, source: IPv6Address, node, framing: Framing = Framing.ND) -> bytes:
    return push_mediation(message, framing, source, node.core.address)


@pytest.mark.requirement("SEC9-1", "SEC9-2", "RO-4", "RO-11")
@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize("origin", ["outsider", "client"])
@pytest.mark.parametrize("message", [predirect, redirect])
def test_mediation_from_anybody_but_our_server(world, framing, origin, message):
    link, home, first, second, third = world
    before = state(home, first, second, third)
    source = EVIL if origin == "outsider" else where(third)
    victim = second if message is predirect else first
    for name in (SERVER, third.core.address):
        put(link, victim, mediation(message(), name, victim, framing), source)
    assert victim.core.counters["origin_fail"] == 2
    assert state(home, first, second, third) == before


@pytest.mark.requirement("RO-4", "RO-11", "RO-5")
@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (predirect(FIRST, header("2001:db8:1000:2000::1", "2001:db8:1000:ff00::1")), "redirect_prefix"),
        (predirect(SECOND, header(TWO, TWO)), "redirect_prefix"),
        (predirect(ip_network("2001:db8:1000::/48"), header("2001:db8:1000:ffff::1", TWO)), "redirect_prefix"),
        (predirect(FIRST, header("2001:db8:1000:ff00::1", TWO)), "control_malformed"),
        (predirect(target=aero_address(THIRD)), "control_malformed"),
        (predirect(target=IPv6Address("ff02::1"), destination=IPv6Address("ff02::1")), "control_malformed"),
        (predirect(lladdrs=()), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, ip=IPv6Address("::ffff:198.51.100.2")),)), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, ip=IPv6Address("::ffff:224.0.0.1")),)), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, ip=IPv6Address("::ffff:255.255.255.255")),)), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, ip=IPv6Address("::ffff:127.0.0.1")),)), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, port=0),)), "redirect_lladdr"),
        (predirect(lladdrs=(replace(HERE, preference=0),)), "redirect_lladdr"),
        (Redirect(UNSPECIFIED, UNSPECIFIED, True, (HERE, header())), "redirect_unexpected"),
        (Redirect(aero_address(FIRST), aero_address(FIRST), False, (HERE, header())), "control_malformed"),
        (replace(predirect(), options=predirect().options[:-1]), "control_malformed"),
        (replace(predirect(), options=(*predirect().options, header())), "control_malformed"),
        (replace(predirect(), options=(*predirect().options, predirect().options[1])), "control_malformed"),
        (
            replace(predirect(), options=(*predirect().options[:-1], RedirectedHeader(b"\x60" * 32))),
            "control_malformed",
        ),
        (replace(predirect(), options=(*predirect().options[:-1], RedirectedHeader(b""))), "control_malformed"),
    ],
)
def test_what_even_a_server_may_not_say_of_a_source(world, message, counter):
    link, home, first, second, third = world
    before = state(home, first, second, third)
    put(link, second, mediation(message, SERVER, second), where(home))
    assert second.core.counters == {counter: 1}
    assert state(home, first, second, third) == before


@pytest.mark.requirement("SEC9-2", "RO-11")
@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (redirect(SECOND, header("2001:db8:1000:ff00::1", TWO)), "redirect_prefix"),
        (redirect(THIRD, header(ONE, str(THIRD[1]))), "redirect_unused"),
        (redirect(FIRST, header(ONE, ONE)), "redirect_prefix"),
        (redirect(THIRD), "control_malformed"),
        (redirect(target=aero_address(THIRD), destination=aero_address(THIRD)), "control_malformed"),
    ],
)
def test_redirects_that_do_not_fit_our_traffic(world, message, counter):
    link, home, first, second, third = world
    before = state(home, first, second, third)
    put(link, first, mediation(message, SERVER, first), where(home))
    assert first.core.counters == {counter: 1}
    assert state(home, first, second, third) == before


@pytest.mark.requirement("SEC9-2", "RO-11")
def test_a_redirect_a_minute_after_the_last_packet_is_too_late(world):
    link, home, first, _second, _third = world
    link.run(link.now - START + 45)
    assert not of(first)
    put(link, first, mediation(redirect(), SERVER, first), where(home))
    assert first.core.counters["redirect_unused"] == 0
    link.run(link.now - START + 30)
    put(link, first, mediation(redirect(), SERVER, first), where(home))
    assert first.core.counters["redirect_unused"] == 1


@pytest.mark.requirement("SEC9-3", "RO-12")
def test_a_lie_about_where_a_target_is_sends_no_data_there(world):
    """Reflection: the path is tested before it is used, and the Server would not have passed the lie on."""
    link, home, first, second, _third = world
    put(link, first, mediation(redirect(), SERVER, first), where(home))
    link.flow(first, forth, seconds=8)
    assert of(first)[0].path.lladdr == where(second)
    assert hops(second.delivered[-1][1]) == 64


@pytest.mark.requirement("SEC9-3", "RO-8")
def test_a_server_writes_its_own_view_over_a_targets_lie():
    link, home, first, second = two_clients()
    link.send(first, forth(0))
    link.run(link.now - START + 0.005)
    first.core.counters.clear()
    first.sent.clear()
    link.passes = lambda a, _b, _lladdr: a is not second
    link.run(link.now - START + 0.02)
    link.passes = lambda *_any: True
    put(link, home, push_mediation(redirect(), Framing.ND, second.core.address, SERVER), where(second))
    link.run(link.now - START + 0.05)
    assert {path.lladdr for path in of(first)[0].paths} == {where(second)}
    assert not [action for action in first.sent if action.lladdr == EVIL]


@pytest.mark.requirement("SEC9-4", "RO-8", "RLY-6")
@pytest.mark.parametrize(
    "message",
    [
        redirect(THIRD, header(ONE, str(THIRD[1]))),
        redirect(ip_network("2001:db8:1000:2000::/55"), header(ONE, TWO)),
        redirect(SECOND, header(TWO, TWO)),
    ],
)
def test_a_server_passes_no_foreign_prefix_on(world, message):
    link, home, first, second, third = world
    before = state(home, first, second, third)
    home.sent.clear()
    put(link, home, push_mediation(message, Framing.ND, second.core.address, SERVER), where(second))
    assert sum(home.core.counters.values()) == 1
    assert set(home.core.counters) <= {"redirect_prefix", "control_malformed", "redirect_no_route"}
    assert not home.sent
    assert state(home, first, second, third) == before


@pytest.mark.requirement("SEC9-1", "RO-9", "RO-10", "RO-1")
def test_hop_limits_run_out_and_predirects_of_clients_go_nowhere():
    link, one, two, first, second = at_two_servers()
    relay = LinkLayerAddress(UDP, ip_address("203.0.113.9"), 8060)
    for each in (one, two):
        each.core.counters.clear()
    packet = push_mediation(predirect(), Framing.ND, IPv6Address("fe80::ff01"), two.core.address)
    for limit, counter in ((1, "redirect_hops"), (0, "control_malformed")):
        put(link, two, packet[:7] + bytes((limit,)) + packet[8:], relay)
        assert two.core.counters[counter] == 1
    put(link, two, push_mediation(predirect(), Framing.ND, second.core.address, two.core.address), where(second))
    assert two.core.counters["origin_fail"] == 1
    foreign = push_mediation(
        predirect(about=header(ONE, str(THIRD[1]))), Framing.ND, IPv6Address("fe80::ff01"), two.core.address
    )
    put(link, two, foreign, relay)
    assert two.core.counters["redirect_no_route"] == 1
    assert not of(first) + of(second)


def announcement(sender, peer, *, key: Token | None, at: float, **options) -> bytes:
    own, to = sender.core.address, peer.core.address
    message = replace(NeighborAdvertisement(own, override=True, options=(HERE,)), **options)
    sealed = seal(message, own, to, key.key_id, key.value, int(at * 65536)) if key else message
    return push_discovery(sealed, own, to)


def key_of(node) -> Token:
    return of(node)[0].tokens.of(node.core.address)._held[-1].token


@pytest.mark.requirement("SEC9-5", "SEC9-6", "MOB-4", "RO-15", "RO-18")
def test_forged_and_replayed_proofs_change_nothing(world):
    link, home, first, second, third = world
    key = key_of(second)
    now = link.now
    good = announcement(second, first, key=key, at=now)
    forged = {
        "no proof": announcement(second, first, key=None, at=now),
        "another key": announcement(second, first, key=Token(key.key_id, b"x" * 16), at=now),
        "unknown key": announcement(second, first, key=Token(key.key_id ^ 1, key.value), at=now),
        "old": announcement(second, first, key=key, at=now - 31),
        "from the future": announcement(second, first, key=key, at=now + 31),
        "altered": good[:47] + bytes((good[47] ^ 1,)) + good[48:],
    }
    before = state(home, first, second, third)
    for name, packet in forged.items():
        put(link, first, packet, EVIL)
        assert state(home, first, second, third) == before, name
    assert first.core.counters["na_auth_fail"] == 5
    assert first.core.counters["control_malformed"] == 1  # its checksum
    own, to = second.core.address, first.core.address
    forged_ns = push_discovery(NeighborSolicitation(to, (Nonce(b"abcdef"),)), own, to)
    put(link, first, forged_ns, EVIL)
    assert first.core.counters["ns_auth_fail"] == 1
    null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (header_between(FIRST, SECOND),))
    put(link, first, push_mediation(null, Framing.ND, own, to), where(second))
    assert first.core.counters["redirect_auth_fail"] == 1
    assert state(home, first, second, third) == before
    put(link, first, good, EVIL)  # the real thing from a new place
    assert of(first)[0].path.lladdr == EVIL
    moved = state(first)
    of(first)[0].paths[0].link_id = 9
    put(link, first, good, where(third))  # the same again, from elsewhere
    assert of(first)[0].path.lladdr == EVIL
    assert moved != before


@pytest.mark.requirement("SEC9-9", "RO-15")
def test_a_peer_cannot_take_the_place_of_the_server(world):
    """A correspondent that spoofs the Server's address gets neither its packets nor its trust."""
    link, home, first, second, _third = world
    put(link, first, announcement(second, first, key=key_of(second), at=link.now), where(home))
    assert first.core.cache.at(where(home)).address == SERVER
    link.send(first, bytes(ipv6(ONE, "2001:db8:9::1", 80)))
    assert first.core.cache.default.path.lladdr == where(home)
    put(link, first, mediation(redirect(THIRD, header(ONE, str(THIRD[1]))), second.core.address, first), where(home))
    assert first.core.counters["origin_fail"] == 1


@pytest.mark.requirement("RO-18")
def test_a_null_redirect_of_the_peer_or_of_the_server_ends_the_pair(world):
    link, home, first, second, _third = world
    own, to = second.core.address, first.core.address
    null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (header_between(FIRST, SECOND),))
    key = key_of(second)
    proved = seal(null, own, to, key.key_id, key.value, int(link.now * 65536))
    put(link, first, push_mediation(proved, Framing.ND, own, to), where(second))
    assert not of(first)
    link.run(link.now - START + 3)
    link.flow(first, forth, seconds=6)
    assert of(first)
    put(link, first, push_mediation(null, Framing.ND, SERVER, to), where(home))
    assert not of(first)


def test_keepalive_of_rfc_6706_refreshes_and_never_creates(world):
    link, home, first, second, _third = world
    own, to = first.core.address, second.core.address
    keepalive = Redirect(own, own, True, (header_between(FIRST, SECOND),))
    link.run(link.now - START + 30)
    put(link, second, push_mediation(keepalive, Framing.RFC6706, own, to), where(first))
    link.run(link.now - START + 35)
    assert of(second)
    link.run(link.now - START + 10)
    assert not of(second)
    put(link, second, push_mediation(keepalive, Framing.RFC6706, own, to), where(first))
    assert not of(second)
    put(link, second, push_mediation(keepalive, Framing.RFC6706, SERVER, to), where(home))
    assert not of(second)


@pytest.mark.requirement("SEC9-8", "RO-14", "SRV-6")
def test_direct_data_needs_its_pair_and_its_link_layer_address(world):
    link, _home, first, second, third = world
    before = len(second.delivered)
    for source in (where(third), EVIL):
        link.later(second, _arrival(source, forth(0)), 0)
    link.later(second, _arrival(where(first), bytes(ipv6(str(THIRD[1]), TWO, 80))), 0)
    link.later(first, _arrival(where(second), back(0)), 0)  # only the other direction was accepted
    link.run(link.now - START + 0.1)
    assert len(second.delivered) == before
    assert not first.delivered
    assert second.plane.counters["origin_fail"] == 3
    assert first.plane.counters["origin_fail"] == 1


def _arrival(source, payload):
    from aero_domain import _Arrival

    from agents.aero.dataplane.encapsulation import Carrier

    return _Arrival(Carrier.UDP, source, payload)


def test_tokens_are_replaced_once_both_ends_have_the_next():
    tokens = Tokens(WallClock())
    a, b = IPv6Address("fe80::a"), IPv6Address("fe80::b")
    old, new = Token(1, b"a" * 16), Token(2, b"b" * 16)
    message = NeighborSolicitation(b)
    tokens.put(old, 1000.0, 899.0, shared=False)
    theirs = seal(message, b, a, 1, old.value, 899 * 65536)
    assert tokens.accept(theirs.options[-1], push_discovery(theirs, b, a)[40:], b, a, 899.0)
    tokens.put(new, 1000.0, 900.0, shared=False)
    assert tokens.seal(message, a, b, 900.0).options[-1].key_id == 1  # nobody told us that the peer has the new one
    theirs = seal(message, b, a, 2, new.value, 900 * 65536)
    octets = push_discovery(theirs, b, a)[40:]
    assert tokens.accept(theirs.options[-1], octets, b, a, 900.0)
    assert tokens.seal(message, a, b, 901.0).options[-1].key_id == 2
    tokens.expire(911.0)
    assert len(tokens) == 1
    stamps = [tokens.seal(message, a, b, at).options[-1].timestamp for at in (905.0, 905.0, 890.0)]
    assert stamps == sorted(set(stamps))  # a clock that steps back makes no replay of ours


def test_prefixes_of_the_domain_are_what_the_tests_think(world):
    _link, _home, first, second, third = world
    assert (set(first.core.prefixes), set(second.core.prefixes)) == ({FIRST}, {SECOND})
    assert set(third.core.prefixes) == {IPv6Network("2001:db8:1000:2200::/56")}
