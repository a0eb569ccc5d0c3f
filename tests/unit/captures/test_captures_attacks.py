"""Check "aero-attack" passes on attacks that came to nothing, and fails on each thing that may come of one."""

from __future__ import annotations

import json
from copy import deepcopy
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from broken_rules import judge, never_broken
from relay_world import LAB, S1, A, T, World, ping
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

from agents.aero.inner_packets import push_discovery, push_udp
from agents.wire.dhcpv6 import Message, MessageType, push_dhcpv6
from agents.wire.nd import NeighborAdvertisement
from captures.aero.link import AeroLink
from captures.checks import call
from captures.checks.aero import attacks as checks
from topologies.aero import attacks

MODULES, CHECKS = ("attacks",), {"aero-attack"}
SOURCES = Path(checks.__file__).parent
ENTRY = {"check": "aero-attack", "theft": True}
X, C1, C2 = attacks.OUTSIDER, "198.51.100.7", "203.0.113.7"
HINT = push_discovery(
    NeighborAdvertisement(IPv6Address("fe80::1"), options=()), IPv6Address("fe80::1"), IPv6Address("fe80::2")
)
REPLY = push_udp(
    IPv6Address("fe80::2"), IPv6Address("fe80::3"), 547, 546, push_dhcpv6(Message(MessageType.REPLY, 1, ()))
)
LIE, PASSED_ON = (
    attacks._mediation(
        predirect=False, about=attacks.EVIL, source=attacks.ONE, destination=attacks.EVIL, token=None, ends=ends
    )
    for ends in (("fe80::3", "fe80::1"), ("fe80::1", "fe80::2"))
    for ends in [tuple(map(IPv6Address, ends))]
)
STATE = {
    "relay": "fe80::ff01",
    "neighbors": [
        {
            "address": "fe80::9",
            "prefixes": {"2001:db8::/56": 1.0},
            "paths": [{"lladdr": f"udp {C1}:8060", "preference": 128, "state": "whole"}],
            "accept": {"a -> b": 5.0},
            "forward": {"b -> a": {"stage": "forwarding", "expires": 5.0}},
            "tokens": 1,
        }
    ],
}


class Attacks(World):
    """Two packets of every row, and what a Server makes of them."""

    def __init__(self):
        super().__init__()
        for number, row in enumerate(checks.ROWS):
            self.attack(10 * number, row)
        self.put(20.1, "s1", "wan", carried(S1, C1, true_to_the_target(PASSED_ON)))
        self.put(20.2, "s1", "wan", carried(S1, X, HINT))
        self.events.append({"event": "theft", "node": "x", "agent": "lab", "victim": "s1", "begin": T + 200, "t": T})
        self.put(201, "s1", "wan", carried(S1, X, REPLY))

    def attack(self, time, row):
        """Two packets seen at both ends, state and counters before and after."""
        protocol = checks.TCP if row == "SEC9-14" else checks.UDP
        kind = {"node": "x", "agent": "lab", "row": row, "kind": row, "victim": "s1", "source": X, "target": S1}
        counts = {"counters": ["origin_fail"], "counted": 2, "packets": 2, "protocol": protocol}
        self.dump(time, row, "before", 5)
        for at in ("x", "s1"):
            for delay in (0.01, 0.02):
                self.put(time + delay, at, "wan", self.packet(row))
        self.events.append({"event": "attack", **kind, **counts, "begin": T + time, "t": T + time + 1})
        self.dump(time + 1.1, row, "after", 7)

    @staticmethod
    def packet(row):
        if row == "SEC9-14":
            return bytes(IP(src=X, dst=S1) / TCP(sport=4000, dport=179, flags="S"))
        inner = LIE if row == "SEC9-3" else attacks.echo(IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"))
        return carried(X, S1, inner, forged=True)

    def dump(self, time, row, moment, counted):
        state = {"state": deepcopy(STATE), "counters": {"origin_fail": counted}}
        fields = {"node": "s1", "agent": "lab", "attack": row, "moment": moment, "t": T + time}
        self.events.append({"event": "state-dump", **fields, **state})

    def link(self):
        lab = json.loads(json.dumps(LAB))
        lab["domain"]["outsider"] = {"node": "x", "interface": "wan", "underlay": X}
        link = AeroLink(lab, self.events, None)
        link.__dict__["captures"] = self.frames
        return link


def carried(source, destination, inner, *, forged=False):
    """In UDP; what is forged has no checksum."""
    datagram = UDP(sport=8060, dport=8060, **({"chksum": 0} if forged else {}))
    return bytes(IP(src=source, dst=destination) / datagram / Raw(inner))


def true_to_the_target(message):
    """The message with the Client's own link-layer address where the lie was."""
    return message.replace(IPv6Address(f"::ffff:{X}").packed, IPv6Address(f"::ffff:{C1}").packed)


def events(world, kind, **wanted):
    return [e for e in world.events if e["event"] == kind and all(e[name] == wanted[name] for name in wanted)]


def after(world, change):
    [dump] = events(world, "state-dump", attack="SEC9-2", moment="after")
    change(dump)


def lose(world, at):
    frames = world.frames[at, "wan"]
    del frames[next(i for i, one in enumerate(frames) if one.time > T + 9)]


def hello(world, time, inner, **more):
    world.put(time, "s1", "wan", carried(S1, X, inner, **more))


WRONG = {
    "not all of it sent": ("sec9-2", lambda w: lose(w, "x")),
    "not all of it arrived": ("sec9-2", lambda w: lose(w, "s1")),
    "no dump": ("sec9-2", lambda w: w.events.remove(events(w, "state-dump", attack="SEC9-2", moment="after")[0])),
    "another path": ("sec9-2", lambda w: after(
        w, lambda dump: dump["state"]["neighbors"][0]["paths"][0].update(lladdr=f"udp {X}:8060"))),
    "a pair more": ("sec9-2", lambda w: after(
        w, lambda dump: dump["state"]["neighbors"][0]["accept"].update({"c -> d": 1.0}))),
    "a pair in use": ("sec9-2", lambda w: after(
        w, lambda dump: dump["state"]["neighbors"][0]["forward"].update({"c -> d": {"stage": "testing"}}))),
    "a neighbor less": ("sec9-2", lambda w: after(w, lambda dump: dump["state"].update(neighbors=[]))),
    "not counted": ("sec9-2", lambda w: after(w, lambda dump: dump["counters"].update(origin_fail=6))),
    "data to the outsider": ("trap", lambda w: hello(w, 30, ping())),
    "the lie passed on": ("reflection", lambda w: w.put(20.15, "s1", "wan", carried(S1, C1, PASSED_ON))),
    "delivered to a host": ("delivery", lambda w: w.put(
        30, "g", "eth0", attacks.echo(IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")))),
    "forwarded by a Server": ("delivery", lambda w: w.put(
        30, "s1", "wan", carried(S1, C2, attacks.echo(IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"))))),
    "more back than asked": ("amplification", lambda w: [hello(w, 30 + n / 10, HINT) for n in range(60)]),
    "a longer answer": ("amplification", lambda w: hello(w, 30, longer(HINT))),
    "no Reply to the thief": ("theft", lambda w: w.frames["s1", "wan"].pop()),
}  # fmt: skip


def longer(message):
    """An advertisement with options nobody knows: more than was asked for."""
    filler = bytes((250, 30)) + bytes(238)
    return message[:4] + (len(message) - 40 + len(filler)).to_bytes(2, "big") + message[6:] + filler


def doctored(change):
    def make():
        world = Attacks()
        change(world)
        return world

    return make


@pytest.fixture(scope="module")
def judged():
    return judge({name: (doctored(change), ENTRY) for name, (_found, change) in WRONG.items()}, SOURCES)


def test_attacks_that_came_to_nothing():
    found = call(Attacks().run(), ENTRY)
    assert {one.id: one.measured for one in found if not one.passed} == {}
    assert all(one.evidence for one in found)
    with_keys = {one.id: one.passed for one in call(Attacks().run(), {"check": "aero-attack"})}
    assert with_keys.keys() - {one.id for one in found} == {"aero-attack.sec9-10"}
    assert set(with_keys.values()) == {True}


@pytest.mark.parametrize("renewed", [True, False])
def test_a_lease_lasts_longer_only_where_its_client_was_told_so(renewed):
    world, begin = Attacks(), 10 * checks.ROWS.index("SEC9-2")
    events(world, "attack", row="SEC9-2")[0]["victim"] = "c1"
    for moment, ends in (("before", 10.0), ("after", 20.0)):
        [dump] = events(world, "state-dump", attack="SEC9-2", moment=moment)
        dump.update(node="c1", state={**dump["state"], "prefixes": {A: ends}, "delegations": {"1": "bound"}})
    for delay in (0.01, 0.02):
        world.put(begin + delay, "c1", "wan", world.packet("SEC9-2"))
    world.put(begin + 0.5, "c1", "wan", carried(S1, C1, REPLY, forged=not renewed))
    [row] = [one for one in call(world.run(), ENTRY) if one.id == "aero-attack.sec9-2"]
    assert row.passed is renewed
    assert renewed or "changed prefixes" in row.measured


def test_nobody_attacked():
    world = Attacks()
    world.events.clear()
    world.frames.clear()
    assert {one.passed for one in call(world.run(), ENTRY)} == {None}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_wrong_and_nothing_else_fails(judged, name):
    failed = {each for each, one in judged[0][name].items() if one.passed is False}
    assert failed == {f"aero-attack.{WRONG[name][0]}"}


def test_every_rule_was_broken_once(judged):
    assert not never_broken([SOURCES / f"{name}.py" for name in MODULES], judged[1])
