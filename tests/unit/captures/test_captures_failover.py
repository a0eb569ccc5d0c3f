"""Checks of failing Servers and of many flows pass on a right run, and fail on each of their rules broken."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from broken_rules import judge, never_broken
from failover_world import REBIND, SOLICIT, FailoverWorld, FlowWorld, crashed, speechless, unheard
from relay_world import MED, S1, S2, B, T, World

from captures.aero import figures
from captures.aero.bgp import Message
from captures.aero.records import Delegated
from captures.checks import call
from captures.checks.aero import failover

SOURCES = Path(failover.__file__).parent
MODULES, CHECKS = ("failover", "flows"), {"aero-failover", "aero-flows"}
CRASH = {
    "check": "aero-failover", "client": "c1", "server": "s1", "fails": "aerod",
    "noticed_ms": 8000, "attach_ms": 100, "gone_ms": 500,
}  # fmt: skip
KEA = {**CRASH, "fails": "kea", "noticed_ms": 16000, "gone_ms": None}
EXABGP = {**CRASH, "fails": "exabgp"}
FLOWS = {"check": "aero-flows", "flows": 1, "moves": 1, "bound_ms": 100, "both_ms": 8000, "silence_ms": 150}
RIGHT = [(crashed, CRASH), (unheard, KEA), (speechless, EXABGP), (FlowWorld, FLOWS)]


@pytest.fixture(autouse=True, scope="module")
def conversations():
    """DHCPv6 is made of records here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failover, "exchanges", lambda link: link.__dict__["made"])
        yield


@pytest.mark.parametrize(("make", "entry"), RIGHT)
def test_a_right_run_passes(make, entry):
    for result in call(make().run(), entry):
        assert result.passed is True, f"{result.id}: {result.measured}"
        assert result.evidence


def test_a_session_that_broke_off_before_is_not_asked_for_the_news():
    world = crashed()
    world.ends(4, server=S2)
    world.session(5, S2)
    assert all(result.passed for result in call(world.run(), CRASH))


def silent_flows():
    world = FlowWorld()
    world.frames = {key: [] for key in world.frames}
    return world


def nothing():
    world = FailoverWorld()
    world.frames, world.events, world.bgp = {}, [], World().bgp
    return world


@pytest.mark.parametrize(
    ("make", "entry"), [(nothing, CRASH), (nothing, KEA), (nothing, EXABGP), (silent_flows, FLOWS)]
)
def test_nothing_is_no_success(make, entry):
    assert {one.passed for one in call(make().run(), entry)} == {None}


def test_a_session_whose_hold_time_ran_out():
    """No capture tells of it: the Relay's own word counts, and its time is judged."""
    world = crashed()
    forget(world, lambda one: one.withdrawn)
    world.session_lost(10.2)
    assert {one.passed for one in call(world.run(), CRASH)} == {True}
    world.log.clear()
    world.session_lost(5)
    world.session_lost(10.3, up=True)
    assert {one.id: one.passed for one in call(world.run(), CRASH)}["aero-failover.s1.gone"] is False


def test_both_ends_at_once_may_take_longer():
    world = FlowWorld()
    world.events[0]["t"] = T + 2.7
    assert {one.id for one in call(world.run(), FLOWS) if one.passed is False} == {ONE, BACK}
    world.events.append({"t": T + 2.6, "node": "c1", "agent": "lab", "event": "changing"})
    results = {one.id: one for one in call(world.run(), FLOWS)}
    assert {one.passed for one in results.values()} == {True}
    assert results["aero-flows.moves"].measured == "2 moves, 1 gap of 1 packet, 1 at most in a row"
    assert "1 by s1 r1 s2" in results[ONE].measured


def test_a_move_after_a_gap_began_does_not_explain_it():
    world = FlowWorld()
    world.events[0]["t"] = T + 3.9
    assert {one.id for one in call(world.run(), FLOWS) if one.passed is False} == {ONE}


def test_a_reply_that_was_sent_and_lost():
    world = FlowWorld()
    world.change(lambda one: one.echo == ("reply", 77, 4) and one.node == "c1")
    assert {one.id for one in call(world.run(), FLOWS) if one.passed is False} == {BACK}


def test_how_long_a_client_attaches_does_not_count_its_later_servers(monkeypatch):
    monkeypatch.setattr(figures, "exchanges", lambda link: link.__dict__["made"])
    world = FailoverWorld()
    world.exchange(1, SOLICIT)
    world.exchange(18, SOLICIT, server="s2")
    world.events += [{"t": T + t, "node": "c1", "event": "attaching"} for t in (1, 17.9)]
    world.events.append({"t": T + 1.01, "node": "c1", "event": "attached"})
    assert attach_times(world) == {"c1": pytest.approx(5)}
    del world.events[-3:]
    assert attach_times(world) == {"c1": pytest.approx(17_005)}
    world.events.append({"t": T + 17, "node": "c1", "event": "changing"})
    assert attach_times(world) == {"c1": pytest.approx(5)}


def attach_times(world):
    link = world.link()
    link.__dict__["made"] = [replace(one, client=link.clients["c1"]) for one in world.exchanges]
    return figures.attach_times(link)


# --- doctored


def forget(world, holds):
    """No such BGP message was heard."""
    for at, messages in world.bgp.items():
        world.bgp[at] = [one for one in messages if not (isinstance(one, Message) and holds(one))]


def drop(world, holds):
    """c1 sent no such frame."""
    world.frames["c1", "wan"] = [one for one in world.frames["c1", "wan"] if not holds(one)]


def exchanged(world, **what):
    world.exchanges = [replace(one, **what) for one in world.exchanges]


def is_dhcp(kind):
    return lambda one: one.dhcp is not None and one.dhcp.type == kind


def announced_by(server):
    return lambda one: one.announced and str(one.source) == server and one.med is not None


def told(world, prefix):
    """The Reply gives another prefix."""
    for one in world.exchanges:
        given = (Delegated(1, ip_network(prefix), 200, 300),)
        exchanged(world, received=replace(one.received, dhcp=replace(one.received.dhcp, prefixes=given)))


def unhinted(world):
    for one in world.exchanges:
        exchanged(world, asked=replace(one.asked, dhcp=replace(one.asked.dhcp, prefixes=())))


def again(world, time=12.5, med=MED + 11):
    forget(world, lambda one: one.med is not None and one.time > T + 12)
    world.announce(time, med=med)


def hurried(world):
    drop(world, lambda one: one.time == T + 16)
    world.asks(15.2)


ASKED, HAS, NEW = "aero-failover.c1.noticed", "aero-failover.c1.attached", "aero-failover.c1.newest"
GONE, SAME, STAYS = "aero-failover.s1.gone", "aero-failover.s1.replayed", "aero-failover.c1.stays"
ONE, BACK = "aero-flows.flow-request", "aero-flows.flow-reply"


def request(number, node=None):
    return lambda one: one.echo == ("request", 77, number) and node in (None, one.node)


def astray(world):
    """The Relay keeps the first request for the target itself."""
    world.change(request(1))
    world.carried(1, "request", "c1", "s1", "r1", "c2")


def in_a_circle(world):
    world.change(request(1))
    world.carried(1, "request", "c1", "s1", "r1", "s1", "c2")


def shortened(world):
    for frame in [one for one in world.frames["c2", "wan"] if request(2)(one)]:
        world.change(request(2, "c2"), inner=replace(frame.inner, ttl=60))


WRONG = {
    "no Solicit": (crashed, lambda w: drop(w, is_dhcp(SOLICIT)), CRASH, ASKED),
    "asked twice": (crashed, lambda w: drop(w, lambda one: one.time == T + 15), CRASH, ASKED),
    "asked in a hurry": (crashed, hurried, CRASH, ASKED),
    "noticed late": (crashed, lambda _w: None, {**CRASH, "noticed_ms": 7999}, ASKED),
    "no Rebind": (unheard, lambda w: drop(w, is_dhcp(REBIND)), KEA, ASKED),
    "no Reply": (crashed, lambda w: exchanged(w, received=None), CRASH, HAS),
    "no hint": (crashed, unhinted, CRASH, HAS),
    "another prefix": (crashed, lambda w: told(w, B), CRASH, HAS),
    "attached late": (unheard, lambda _w: None, {**KEA, "attach_ms": 4.5}, HAS),
    "not announced": (crashed, lambda w: forget(w, announced_by(S2)), CRASH, NEW),
    "announced late": (crashed, lambda w: (forget(w, announced_by(S2)), w.announce(18.2, server=S2)), CRASH, NEW),
    "an older MED": (
        crashed, lambda w: (forget(w, announced_by(S2)), w.announce(18.004, server=S2, med=MED + 99)), CRASH, NEW),
    "kept": (crashed, lambda w: forget(w, lambda one: one.withdrawn), CRASH, GONE),
    "gone late": (crashed, lambda _w: None, {**CRASH, "gone_ms": 9}, GONE),
    "solicits": (speechless, lambda w: w.says(11), EXABGP, STAYS),
    "not said again": (speechless, lambda w: forget(w, lambda one: one.med and one.time > T + 12), EXABGP, SAME),
    "said again late": (speechless, lambda _w: None, {**EXABGP, "noticed_ms": 2400}, SAME),
    "another MED": (speechless, lambda w: again(w, med=MED), EXABGP, SAME),
    "from nowhere": (FlowWorld, lambda w: w.change(request(2, "c1")), FLOWS, ONE),
    "another hop limit": (FlowWorld, shortened, FLOWS, ONE),
    "ends at a Relay": (FlowWorld, astray, FLOWS, ONE),
    "in a circle": (FlowWorld, in_a_circle, FLOWS, ONE),
    "late though nobody moved": (FlowWorld, lambda w: w.change(request(5, "c2"), time=T + 7), FLOWS, ONE),
    "a series is missing": (FlowWorld, lambda _w: None, {**FLOWS, "flows": 2}, "aero-flows.series"),
    "too few moves": (FlowWorld, lambda _w: None, {**FLOWS, "moves": 2}, "aero-flows.moves"),
    "the end is missing": (FlowWorld, lambda w: w.change(request(5)), FLOWS, ONE),
}  # fmt: skip
GAPS = {
    "nobody moved": lambda w: w.events.pop(0),
    "for too long": lambda w: w.events[0].update(t=T + 1.5),
}
"""What does not arrive is not answered either: both directions are silent."""


def doctored(make, change):
    def run():
        world = make()
        change(world)
        return world

    return run


@pytest.fixture(scope="module")
def judged(conversations):
    runs = {name: (doctored(make, change), entry) for name, (make, change, entry, _id) in WRONG.items()}
    gaps = {name: (doctored(FlowWorld, change), FLOWS) for name, change in GAPS.items()}
    return judge({**runs, **gaps}, SOURCES)


@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_is_wrong_and_nothing_else_fails(judged, wrong):
    failed = {each for each, one in judged[0][wrong].items() if one.passed is False}
    assert failed == {WRONG[wrong][3]}


@pytest.mark.parametrize("wrong", list(GAPS))
def test_gaps_that_no_move_explains(judged, wrong):
    failed = {each for each, one in judged[0][wrong].items() if one.passed is False}
    assert failed == {ONE, BACK}


def test_every_rule_was_broken_once(judged):
    assert not never_broken([SOURCES / f"{name}.py" for name in MODULES], judged[1])


def test_sessions_of_the_servers_are_told_apart():
    world = crashed()
    assert S1 != S2
    world.withdraw(10.3, server=S2)
    assert {one.passed for one in call(world.run(), CRASH)} == {True}


@pytest.mark.parametrize(("left", "unsent", "passed"), [(True, 1, False), (False, 1, True), (False, 0, False)])
def test_what_a_host_without_a_router_does_not_send_is_not_lost(left, unsent, passed):
    world = FlowWorld()
    if not left:
        world.frames["c1", "wan"] = [one for one in world.frames["c1", "wan"] if one.echo[2] != 3]
    (found,) = call(world.run(), {"check": "aero-pings", "unsent": {"flow": unsent}})
    assert found.passed is passed
    assert passed or "1 requests and 1 replies are missing" in found.measured
