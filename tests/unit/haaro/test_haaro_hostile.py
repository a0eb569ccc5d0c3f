"""Networks that lose, reorder, double and break: routers find the direct path again."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from haaro_domain import Domain, NatBox, address, home_of
from hypothesis import given, settings
from hypothesis import strategies as st

LETTERS = "abc"
LINES = {
    letter: (("isp1", f"198.51.100.{10 * n}"), ("isp2", f"198.51.100.{10 * n + 1}"))
    for n, letter in enumerate(LETTERS, 1)
}
events = st.lists(
    st.tuples(
        st.sampled_from(("down", "up", "move", "ping", "wait", "silence")),
        st.sampled_from(LETTERS),
        st.sampled_from(("isp1", "isp2")),
        st.sampled_from((0.0, 0.03, 0.4, 2.0, 15.0)),
    ),
    max_size=12,
)


def hostile(domain, seed, loss):
    chance = random.Random(seed)
    domain.lose = lambda _node, _packet: chance.random() < loss
    domain.delays = lambda: tuple(chance.uniform(0.002, 0.2) for _ in range(1 + (chance.random() < 0.1)))


def peaceful(domain):
    domain.lose = lambda _node, _packet: False
    domain.delays = lambda: (domain.delay,)


def settled(domain, pairs, patience=40):
    """Let traffic flow in peace until everyone is direct."""
    for _round in range(patience):
        for one, other in pairs:
            domain.ping(one, other, 0.1)
        domain.run(5.0)
        if all(domain.direct(*pair) and domain.direct(*pair[::-1]) for pair in pairs):
            return True
    return False


def sound(domain):
    """What holds whatever happened."""
    for letter, node in domain.nodes.items():
        if letter == "HA":
            continue
        core = node.core
        for peer in core.cache:
            assert len({each.pair for each in peer.tunnels}) == len(list(peer.tunnels)), "one tunnel for each pair"
        tunnels = {item.name for item in node.items.values() if type(item).__name__ == "Tunnel"}
        for item in node.items.values():
            assert type(item).__name__ != "TunnelRoute" or item.tunnel in tunnels, "no route without its tunnel"


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


@settings(max_examples=60, deadline=None)
@given(script=events, seed=st.integers(0, 999))
def test_lines_come_and_go(script, seed):
    domain = Domain(lines=LINES)
    domain.start(apart=0.1)
    domain.ping("a", "c", 0.1)
    for what, letter, line, pause in script:
        match what:
            case "down":
                domain.line_down(letter, line)
            case "up":
                domain.line_up(letter, line)
            case "move":
                domain.move(letter, line)
            case "ping":
                domain.ping(letter, "abc"["abc".index(letter) - 1], 0.1)
            case "silence":
                hostile(domain, seed, 0.5)
            case _:
                peaceful(domain)
        domain.run(pause)
        sound(domain)
    peaceful(domain)
    for letter in LETTERS:
        for line in ("isp1", "isp2"):
            domain.line_up(letter, line)
    assert settled(domain, [("a", "c"), ("a", "b")])


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
