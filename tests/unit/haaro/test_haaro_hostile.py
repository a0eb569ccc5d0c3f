"""Networks that lose, reorder, double and break: routers find the direct path again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from haaro_domain import Domain, NatBox, address, home_of
from haaro_scripts import (
    ALL_EVENTS,
    LINE_EVENTS,
    LINES,
    TABLE_EVENTS,
    WORLDS,
    Player,
    hostile,
    peaceful,
    scripts,
    sound,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import lives


def settled(domain, pairs, patience=40):
    """Let traffic flow in peace until everyone is direct."""
    for _round in range(patience):
        for one, other in pairs:
            domain.ping(one, other, 0.1)
        domain.run(5.0)
        if all(domain.direct(*pair) and domain.direct(*pair[::-1]) for pair in pairs):
            return True
    return False


@pytest.mark.requirement("HOV-5", "HOV-6", "RR-14", "MR-21", "TUN-8", "TUN-15")
@pytest.mark.parametrize("seed", range(8))
def test_losses_and_disorder_are_overcome(seed):
    domain = Domain(lines=LINES)
    hostile(domain, seed, 0.2)
    domain.start(apart=0.5)
    for _round in range(30):
        domain.ping("a", "c", 0.3)
        domain.ping("b", "c", 0.3)
        domain.ping("b", "a", 0.3)
    sound(domain)
    peaceful(domain)
    pairs = [("a", "c"), ("b", "c"), ("a", "b")]
    assert settled(domain, pairs)
    domain.run(60.0)  # retransmissions of the bad times come to their ends
    assert settled(domain, pairs)
    before = len(domain.over_ha)
    for pair in pairs:
        assert domain.stream(*pair, 1.0) == []
    assert len(domain.over_ha) == before
    domain.run(30.0)
    for one, other in [*pairs, *(pair[::-1] for pair in pairs)]:
        assert len(domain.tunnels(one, other)) == 1


few = settings(max_examples=lives(10, thorough=133))


def played(world, script, seed):
    """Begin, play, heal, and find everything as it should be."""
    player = Player(WORLDS[world], seed)
    player.begin()
    player.play(script)
    player.end()


@pytest.mark.requirement("HOV-1", "HOV-2", "HOV-6", "TUN-8", "TUN-10", "TUN-15")
@few
@given(script=scripts(LINE_EVENTS), seed=st.integers(0, 999))
def test_lines_come_and_go(script, seed):
    played("open", script, seed)


@pytest.mark.requirement("HOV-3", "HOV-4", "MR-18", "MR-19", "CR-15", "NAT-1", "RR-14", "TUN-10")
@few
@given(world=st.sampled_from(sorted(WORLDS)), script=scripts(ALL_EVENTS), seed=st.integers(0, 999))
def test_whatever_befalls_a_domain(world, script, seed):
    played(world, script, seed)


@pytest.mark.requirement("HA-3", "HA-5", "HOV-7", "MR-6")
@few
@given(script=scripts(TABLE_EVENTS), seed=st.integers(0, 999))
def test_networks_are_divided_taken_away_and_given_to_another(script, seed):
    played("open", script, seed)


CROSSING = [
    ("ping", "a", "isp1", 0.0),
    ("bad", "a", "isp2", 0.03),
    ("ping", "b", "isp1", 0.4),
    ("ping", "a", "isp2", 0.0),
    ("bad", "a", "isp1", 15.0),
    ("bad", "a", "isp2", 15.0),
    ("move", "c", "isp2", 15.0),
    ("good", "b", "isp2", 15.0),
    ("bad", "c", "isp2", 15.0),
    ("down", "b", "isp2", 0.03),
    ("move", "c", "isp1", 2.0),
    ("up", "b", "isp2", 15.0),
]
"""Ends with keepalives of two routers that cross, on different lines."""
FOUND = {
    "keepalives cross": ("open", CROSSING, 365),
    "tokens of a former life": ("eager", [("good", "b", "isp2", 2.0), ("clock", "c", "isp1", 0.0)], 688),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(name):
    played(*FOUND[name])


@pytest.mark.requirement("TUN-8", "TUN-10")
def test_keepalives_that_cross_on_two_lines_come_to_one_tunnel():
    domain = Domain("ac", lines={letter: LINES[letter] for letter in "ac"})
    domain.start()
    assert domain.ping("a", "c")
    domain.run(2.0)
    pairs = {"a": ("198.51.100.11", "198.51.100.30"), "c": ("198.51.100.31", "198.51.100.10")}
    peers = {letter: domain[letter].cache.get(home_of(other)) for letter, other in ("ac", "ca")}
    for letter, peer in peers.items():
        domain[letter]._tunnels.close(peer, domain.now)
        peer.draining.clear()
    begin = domain.now
    for letter, pair in pairs.items():
        peers[letter].incoming.careof = address(pair[1])  # as if it were one of those the peer had told
        domain[letter]._tunnels._try(peers[letter], tuple(map(address, pair)), domain.now)
        domain.perform(domain.nodes[letter])
    domain.run(2.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    assert [str(each) for each in peers["a"].tunnel.pair] == list(pairs["c"][::-1]), (
        "the larger home address has its way"
    )
    assert peers["c"].tunnel.pair == peers["a"].tunnel.pair[::-1]
    assert len([word for word in domain.since(begin) if word.endswith("echo")]) <= 8
    assert domain.stream("a", "c", 1.0) == []
    domain.run(15.0)
    assert len(domain.tunnels("a", "c")) == len(domain.tunnels("c", "a")) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_nat_in_a_bad_network(seed):
    domain = Domain("ac", nats={"a": NatBox(address("192.0.2.1"), symmetric=bool(seed % 2))})
    hostile(domain, seed, 0.15)
    domain.start(apart=0.5)
    for _round in range(20):
        domain.ping("a", "c", 0.3)
    peaceful(domain)
    assert settled(domain, [("a", "c")])
    assert domain.stream("c", "a", 1.0) == []


@pytest.mark.requirement("MR-21")
@pytest.mark.parametrize("seed", range(3))
def test_requests_to_one_target_keep_their_distance(seed):
    domain = Domain()
    hostile(domain, seed, 0.3)
    domain.start(apart=0.5)
    for _round in range(40):
        domain.ping("a", "c", 0.5)
    for name in "ABC":
        to: dict = {}
        for t, who, message, action in domain.sent:
            if who == name and type(message).__name__ == "RegistrationRequest":
                to.setdefault(action.destination, []).append(t)
        assert home_of(name.lower()) not in to
        for times in to.values():
            assert all(later - sooner >= 0.999 for sooner, later in pairwise(times))
