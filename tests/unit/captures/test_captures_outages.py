"""Checks of a failing Relay and of a Client taken over pass on a right run, and fail on each of their rules broken."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
from broken_rules import judge, never_broken
from relay_world import HOST_A, HOST_B, R1, R2, S1, A, T, World

from captures.aero.bgp import UPDATE
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Discovery, Frame, Mediation
from captures.checks import call
from captures.checks.aero import outages
from captures.ip import Ip

SOURCES = Path(outages.__file__).parent
MODULES, CHECKS = ("outages",), {"aero-relay-lost", "aero-taken-over"}
C1 = "198.51.100.7"
LOST = {"check": "aero-relay-lost", "relay": "r1", "noticed_ms": 8200}
TAKEN = {"check": "aero-taken-over", "client": "c1", "server": "s1", "bound_ms": 3300}
REROUTED, LET_GO = "aero-relay-lost.s1", "aero-taken-over.s1"


class OutageWorld(World):
    """Frames at s1's interface, made of records."""

    def put_frame(self, time, source, destination, **what):
        """Whatever is in it."""
        frames = self.frames.setdefault(("s1", "wan"), [])
        outer = Ip(4, ip_address(source), ip_address(destination), 17, 64, 0, 112, 20, True)
        frame = Frame("pcap/s1-wan.pcapng", len(frames) + 1, T + time, "s1", "wan", outer, (8060, 8060), code="0")
        frames.append(replace(frame, **what))
        frames.sort(key=lambda one: one.time)

    def data(self, time, destination):
        """An echo request to a Relay."""
        inner = Ip(6, ip_address(HOST_A), ip_address(HOST_B), 58, 63, 0, 84, 40, True)
        self.put_frame(time, S1, destination, inner=inner, echo=("request", 1, int(time * 10)))

    def asks(self, time, destination, nonce=b"unanswered"):
        """A solicitation."""
        self.put_frame(time, S1, destination, discovery=Discovery(SOLICITATION, IPv6Address("fe80::ff01"), nonce))

    def answers(self, time, source, nonce=b"answered"):
        """An advertisement."""
        said = Discovery(ADVERTISEMENT, IPv6Address("fe80::ff01"), nonce, solicited=True)
        self.put_frame(time, source, S1, discovery=said)

    def run(self):
        """What a check is given."""
        link = self.link()
        link.servers = {"s1": link.servers["s1"]}
        link.clients["c1"] = replace(link.clients["c1"], prefixes=(ip_network(A),))
        return SimpleNamespace(slowness=1.0, aero=link)


def rerouted():
    """r1 fails at 10 s; s1 asks it three times, then sends to r2."""
    world = OutageWorld()
    world.events.append({"t": T + 10, "node": "r1", "agent": "lab", "event": "failing", "what": "relay"})
    world.asks(9, R1, b"answered")
    world.answers(9.01, R1)
    for time in (9.5, 10.5, 12, 17.9):
        world.data(time, R1)
    for time in (15, 16, 17):
        world.asks(time, R1)
    for time in (18.1, 18.2):
        world.data(time, R2)
    return world


def told_by_bgp():
    """The same, known from the end of the session."""
    world = rerouted()
    unlike(world, lambda one: one.discovery)
    world.events.append({"t": T + 18, "node": "s1", "event": "bgp-session", "neighbor": "fe80::ff01", "up": False})
    return world


def taken_over():
    """c1 is at s2; a Predirect of it tells s1, which asks it in vain."""
    world = OutageWorld()
    world.session(0)
    world.announce(1)
    world.asks(2, C1, b"answered")
    world.answers(2.01, C1)
    about = Mediation(True, "nd", IPv6Address("fe80::"), IPv6Address("fe80::"), ip_network(A), 300, (), None, None, b"")
    world.put_frame(10, R1, S1, mediation=about)
    for time in (10.001, 11, 12):
        world.asks(time, C1)
    world.withdraw(13.01)
    return world


def unlike(world, holds):
    """s1 has no such frames."""
    world.frames["s1", "wan"] = [one for one in world.frames["s1", "wan"] if not holds(one)]


def at(*times):
    return lambda one: any(abs(one.time - T - time) < 0.0001 for time in times)


def forget(world):
    """The Relay was not told that the prefix is gone."""
    world.bgp["r1", "wan"] = [one for one in world.bgp["r1", "wan"] if one.type != UPDATE or not one.withdrawn]


RIGHT = [(rerouted, LOST), (told_by_bgp, LOST), (taken_over, TAKEN)]


@pytest.mark.parametrize(("make", "entry"), RIGHT)
def test_a_right_run_passes(make, entry):
    (result,) = call(make().run(), entry)
    assert result.passed is True, result.measured
    assert result.evidence


def idle():
    world = rerouted()
    unlike(world, lambda one: one.echo)
    return world


def never_announced():
    world = taken_over()
    world.bgp["r1", "wan"] = []
    return world


@pytest.mark.parametrize(
    ("make", "entry"), [(OutageWorld, LOST), (idle, LOST), (OutageWorld, TAKEN), (never_announced, TAKEN)]
)
def test_nothing_is_no_success(make, entry):
    assert {one.passed for one in call(make().run(), entry)} == {None}


WRONG = {
    "to no other Relay": (rerouted, lambda w: unlike(w, at(18.1, 18.2)), LOST, "no data to another Relay"),
    "asked once": (rerouted, lambda w: unlike(w, at(16, 17)), LOST, "asked 1 times before"),
    "asked in a hurry": (
        rerouted, lambda w: (unlike(w, at(16)), w.asks(15.2, R1)), LOST, "gaps of 200.0 ms, 1800.0 ms"),
    "still to the dead one": (rerouted, lambda w: w.data(19, R1), LOST, "to r1 after 9000.0 ms"),
    "rerouted late": (rerouted, lambda _w: None, {**LOST, "noticed_ms": 7000}, "to r1 after 7900.0 ms"),
    "not asked": (taken_over, lambda w: unlike(w, at(2, 11, 12)), TAKEN, "asked 1 times"),
    "it is there": (taken_over, lambda w: w.answers(10.5, C1), TAKEN, "c1 answers"),
    "kept": (taken_over, forget, TAKEN, f"r1 keeps {A} of s1"),
    "let go late": (taken_over, lambda _w: None, {**TAKEN, "bound_ms": 3000}, "r1: after 3010.0 ms"),
}  # fmt: skip


def doctored(make, change):
    def run():
        world = make()
        change(world)
        return world

    return run


@pytest.fixture(scope="module")
def judged():
    return judge({name: (doctored(make, change), entry) for name, (make, change, entry, _t) in WRONG.items()}, SOURCES)


@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_is_wrong_fails(judged, wrong):
    (result,) = judged[0][wrong].values()
    assert result.passed is False
    assert WRONG[wrong][3] in result.measured


def test_every_rule_was_broken_once(judged):
    assert not never_broken([SOURCES / f"{name}.py" for name in MODULES], judged[1])
