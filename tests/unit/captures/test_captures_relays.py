"""BGP out of captures, and checks of Servers and Relays that fail on what is wrong and see nothing where nothing is."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import pytest
from broken_rules import judge, never_broken
from relay_world import (
    HOPS,
    HOST_A,
    HOST_B,
    MED,
    NOBODY,
    R1,
    R2,
    S1,
    S2,
    A,
    B,
    T,
    World,
    ping,
    unreachable,
)
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from captures.aero.bgp import KEEPALIVE, OPEN, UPDATE, End, Message, messages
from captures.aero.routes import Routes, sessions
from captures.checks import call
from captures.checks.aero import bgp
from captures.pcapng import CaptureError

MODULES, CHECKS = ("bgp", "relays"), {"aero-bgp", "aero-relays", "aero-unreachable"}
SOURCES = Path(bgp.__file__).parent

# --- octets


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(kind, value, flags=0x40):
    return bytes((flags | 0x10, kind)) + len(value).to_bytes(2, "big") + value if len(value) > 255 else bytes(
        (flags, kind, len(value))
    ) + value  # fmt: skip


def update(*attributes, withdrawn=b"", nlri=b""):
    whole = b"".join(attributes)
    return message(UPDATE, len(withdrawn).to_bytes(2, "big") + withdrawn + len(whole).to_bytes(2, "big") + whole + nlri)


PATH = attribute(2, b"\x02\x01" + (4200000001).to_bytes(4, "big"))
MED_5 = attribute(4, (5).to_bytes(4, "big"))
REACH = attribute(
    14, b"\0\2\1\x10" + ip_address("2001:db8:f::1").packed + b"\0" + b"\x38" + ip_address(A[:-3]).packed[:7]
)
UNREACH = attribute(15, b"\0\2\1" + b"\x38" + ip_address(A[:-3]).packed[:7])


class Connection:
    """One direction of a TCP connection, as frames."""

    def __init__(self, start=4294967290):
        self.start = start
        self.frames = []

    def segment(self, at, data=b"", flags="PA"):
        sequence = (self.start + at) & 0xFFFFFFFF
        packet = IP(src=S1, dst=R1) / TCP(sport=40000, dport=179, seq=sequence, flags=flags) / Raw(data)
        number = len(self.frames) + 1
        self.frames.append((number, T + number, bytes(Ether(dst="02:00:00:00:00:02") / packet)))

    def read(self):
        return list(messages(self.frames, "f"))


def test_messages_in_one_segment_and_over_several():
    whole = message(OPEN, bytes(10)) + message(KEEPALIVE) + update(PATH, MED_5, REACH)
    tcp = Connection()
    tcp.segment(-1, flags="S")
    tcp.segment(0, whole[:40])
    tcp.segment(40, whole[40:55])
    tcp.segment(55, whole[55:])
    found = tcp.read()
    assert [(one.type, one.number) for one in found] == [(OPEN, 2), (KEEPALIVE, 3), (UPDATE, 4)]
    last = found[-1]
    assert (last.announced, last.next_hop, last.med) == ((IPv6Network(A),), ip_address("2001:db8:f::1"), 5)
    assert last.as_path == (4200000001,)


def test_segments_out_of_order_twice_and_overlapping():
    whole = update(PATH, UNREACH) + message(KEEPALIVE)
    tcp = Connection()
    tcp.segment(-1, flags="S")
    tcp.segment(20, whole[20:])
    tcp.segment(0, whole[:10])
    tcp.segment(0, whole[:10])
    tcp.segment(5, whole[5:25])
    found = tcp.read()
    assert [one.type for one in found] == [UPDATE, KEEPALIVE]
    assert found[0].withdrawn == (IPv6Network(A),)


def test_ipv4_prefixes_and_the_end_of_a_connection():
    tcp = Connection()
    tcp.segment(-1, flags="S")
    hop = attribute(3, ip_address(S1).packed)
    whole = update(PATH, hop, withdrawn=b"\x18\xc0\0\2", nlri=b"\x1c\xc0\0\2\x10")
    tcp.segment(0, whole)
    tcp.segment(len(whole), flags="R")
    first, last = tcp.read()
    assert (first.announced, first.withdrawn) == ((IPv4Network("192.0.2.16/28"),), (IPv4Network("192.0.2.0/24"),))
    assert isinstance(last, End)


def test_a_capture_that_begins_in_the_middle_and_an_update_that_is_none():
    tcp = Connection()
    tcp.segment(0, b"in the middle of something" + message(KEEPALIVE))
    assert tcp.read() == []
    tcp = Connection()
    tcp.segment(-1, flags="S")
    tcp.segment(0, update(attribute(14, b"\0\7\1\0\0")))
    with pytest.raises(CaptureError, match="frame 2"):
        tcp.read()


# --- routes over time


def test_routes_of_a_relay():
    world = World()
    world.session(0)
    world.session(0, S2)
    world.announce(1, A, S1)
    world.announce(5, A, S2)
    world.withdraw(9, A, S2)
    world.ends(12)
    link = world.link()
    routes = Routes(link, link.relays["r1"])
    at = {when: routes.owners(ip_address(HOST_A), T + when, T + when) for when in (0.5, 2, 6, 10, 13)}
    assert at == {0.5: {None}, 2: {"s1"}, 6: {"s2"}, 10: {"s1"}, 13: {None}}
    assert routes.owners(ip_address(HOST_A), T + 4.9, T + 5.1) == {"s1", "s2"}
    assert routes.owners(ip_address(HOST_B), T + 2, T + 2) == {None}
    one, two = sessions(link, link.relays["r1"])
    assert (one.server.name, one.end, two.end) == ("s1", T + 12, float("inf"))


# --- aero-bgp


def good():
    """A Client attaches, is announced to both Relays, and leaves."""
    world = World()
    for relay in (R1, R2):
        world.session(0, relay=relay)
    for number in (1, 2):
        world.native(0.1, "2001:db8:1000::/40", "192.0.2.0/24", number=number)
    world.exchange(1, 1)
    world.route_announced(1.002)
    for relay in (R1, R2):
        world.announce(1.004, relay=relay)
    world.exchange(5, 8, answer=7, valid=0)
    for relay in (R1, R2):
        world.withdraw(5.005, relay=relay)
    return world


@pytest.fixture(autouse=True, scope="module")
def _conversations():
    """DHCPv6 is made of records here, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bgp, "exchanges", lambda link: link.__dict__["made"])
        yield


def of(world, check="aero-bgp", **parameters):
    """What a check finds, by the last word of the results' ids."""
    return {one.id.partition(".")[2]: one for one in call(world.run(), {"check": check, **parameters})}


def passed(found):
    return {name: one.passed for name, one in found.items()}


def test_bgp_as_it_should_be():
    found = of(good())
    assert passed(found) == dict.fromkeys(("announce", "withdraw", "clients", "defaults", "aggregates"), True)
    assert all(one.evidence for one in found.values())


def test_a_connection_that_broke_off_before_a_word_needs_no_defaults():
    world, before = good(), World()
    before.said(-1, S1, R1, KEEPALIVE)
    before.ends(-0.5)
    world.bgp["r1", "wan"][:0] = before.bgp["r1", "wan"]
    assert of(world)["defaults"].passed


def test_bgp_that_nobody_spoke():
    found = of(World())
    assert found.pop("aggregates").passed is False  # Relays must speak with the native Internet
    assert set(passed(found).values()) == {None}


def without(world, at, holds):
    world.bgp[at] = [one for one in world.bgp[at] if not holds(one)]


DOCTORED = {
    "no announcement before the Reply": ("announce", lambda w: w.events.clear()),
    "announced too late to be before it": ("announce", lambda w: w.events[0].update(t=T + 1.01)),
    "one Relay never heard": ("announce", lambda w: without(w, ("r2", "wan"), lambda one: one.announced and one.med)),
    "one Relay heard late": ("announce", lambda w: (
        without(w, ("r2", "wan"), lambda one: one.med), w.announce(1.6, relay=R2))),
    "an old MED": ("announce", lambda w: (
        without(w, ("r1", "wan"), lambda one: one.med), w.announce(1.004, med=MED + 9))),
    "another next hop": ("announce", lambda w: (
        without(w, ("r1", "wan"), lambda one: one.med), w.announce(1.004, next_hop=ip_address(HOPS[S2])))),
    "no withdrawal": ("withdraw", lambda w: without(w, ("r1", "wan"), lambda one: one.withdrawn)),
    "a late withdrawal": ("withdraw", lambda w: (
        without(w, ("r1", "wan"), lambda one: one.withdrawn), w.withdraw(5.5))),
    "a prefix outside": ("clients", lambda w: w.announce(2, "2001:db8:9::/56")),
    "a prefix too long": ("clients", lambda w: w.announce(2, "2001:db8:1000:a000::/65")),
    "a foreign AS": ("clients", lambda w: w.announce(2, B, as_path=(4200000002,))),
    "a detour": ("clients", lambda w: w.announce(2, B, as_path=(4200000001, 64512))),
    "a Client's route told to a Server": ("defaults", lambda w: w.said(
        2, R1, S1, UPDATE, announced=(A,), next_hop=ip_address(HOPS[R1]))),
    "no IPv4 default": ("defaults", lambda w: without(
        w, ("r1", "wan"), lambda one: [prefix.version for prefix in one.announced] == [4])),
    "a default by somebody else": ("defaults", lambda w: w.said(
        2, R1, S1, UPDATE, announced=("::/0",), next_hop=ip_address(HOPS[R2]))),
    "a Client's route outside": ("aggregates", lambda w: w.native(2, A)),
    "an aggregate missing": ("aggregates", lambda w: w.bgp["r1", "native"].pop()),
}  # fmt: skip


def test_a_release_of_what_no_relay_had():
    world = good()
    for at in (("r1", "wan"), ("r2", "wan")):
        without(world, at, lambda one: one.med or one.withdrawn)
    assert of(world)["withdraw"].passed is None


# --- aero-relays


def carried():
    """s2 sends to c1 by r1, then to nobody; then r1 is gone."""
    world = World()
    world.session(0)
    world.session(0, S2)
    world.session(0, S2, R2)
    world.session(0, S1, R2)
    world.announce(1)
    world.announce(1, relay=R2)
    world.carry(2, S2, R1, ping(HOST_B, HOST_A), ("r1", "s2"))
    world.carry(2.001, R1, S1, ping(HOST_B, HOST_A))
    world.carry(3, S1, R1, ping(HOST_A, NOBODY), ("r1", "s1"))
    world.carry(3.001, R1, S1, unreachable(ping(HOST_A, NOBODY)))
    world.ends(4)
    world.ends(4, S2)
    world.carry(4.1, S2, R2, ping(HOST_B, HOST_A), ("r2", "s2"))
    world.carry(4.101, R2, S1, ping(HOST_B, HOST_A), ("r2",))
    return world


def test_relays_as_they_should_be():
    assert passed(of(carried(), "aero-relays")) == {"route": True, "unreachable": True, "takeover": True}


def test_relays_without_anything():
    assert set(passed(of(World(), "aero-relays")).values()) == {None}


def from_outside(world, answered=False):
    """The native Internet sends to nobody's address."""
    asked = ping("2001:db8:9::2", NOBODY)
    world.put(3.5, "r1", "native", asked)
    if answered:
        world.put(3.501, "r1", "native", unreachable(asked, destination="2001:db8:9::2"))
    return world


def test_what_the_native_internet_sends_to_nobody_is_answered_too():
    (one,) = call(from_outside(carried(), answered=True).run(), {"check": "aero-unreachable"})
    assert (one.passed, one.measured) == (True, "2 packets")
    assert [each.passed for each in call(World().run(), {"check": "aero-unreachable"})] == [None]


def only_to_r1(world):
    world.frames["s2", "wan"] = [one for one in world.frames["s2", "wan"] if one.time < T + 4]
    world.carry(4.05, S2, R1, ping(HOST_B, HOST_A), ("s2",))


CARRIED = {
    "to a Server that announced nothing": ("route", lambda w: w.carry(2.5, R1, S2, ping(HOST_B, HOST_A))),
    "by no route": ("route", lambda w: w.carry(2.5, R1, S1, ping(HOST_A, HOST_B))),
    "no answer": ("unreachable", lambda w: w.carry(3.5, S1, R1, ping(HOST_A, "2001:db8:1000:d000::1"))),
    "no answer to the native Internet": ("unreachable", from_outside),
    "out to the native Internet": ("unreachable", lambda w: w.put(3.002, "r1", "native", ping(HOST_A, NOBODY))),
    "still to the old Relay": ("takeover", lambda w: w.carry(4.5, S2, R1, ping(HOST_B, HOST_A), ("s2",))),
    "to no other Relay": ("takeover", only_to_r1),
}


def too_big(mtu=1400, number=2):
    """The host behind c1 is told that its packet to the native Internet does not fit."""
    world = World()
    body = bytes((number, 0, 0, 0)) + mtu.to_bytes(4, "big")
    told = IPv6(src="2001:db8:91::1", dst=HOST_A, nh=58) / Raw(body + ping(HOST_A, "2001:db8:9::2"))
    event = {"event": "pings", "name": "too-big", "node": "c1", "peer": "g", "source": HOST_A, "icmp_id": 1, "t": T}
    world.events.append({**event, "destination": "2001:db8:9::2", "count": 1, "size": 1450, "end": T + 9})
    world.put(1, "c1", "wan", bytes(told))
    return world


MTU = {"check": "aero-relays", "native_mtu": 1400}


def test_the_native_internets_mtu():
    assert of(too_big(), **MTU)["mtu"].passed is True
    assert of(too_big(number=1), **MTU)["mtu"].passed is None


# --- every rule broken


def doctored(make, change):
    def run():
        world = make()
        change(world)
        return world

    return run


WRONG = {
    **{name: (doctored(good, change), {"check": "aero-bgp"}, found) for name, (found, change) in DOCTORED.items()},
    **{name: (doctored(carried, change), {"check": "aero-relays"}, found) for name, (found, change) in CARRIED.items()},
    "another MTU": (lambda: too_big(1500), MTU, "mtu"),
}


@pytest.fixture(scope="module")
def judged(_conversations):
    return judge(WRONG, SOURCES)


@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_is_wrong_and_nothing_else_fails(judged, wrong):
    _make, entry, name = WRONG[wrong]
    failed = {each for each, one in judged[0][wrong].items() if one.passed is False}
    assert failed == {f"{entry['check']}.{name}"}


def test_every_rule_was_broken_once(judged):
    assert not never_broken([SOURCES / f"{name}.py" for name in MODULES], judged[1])


def test_messages_know_their_frames():
    world = good()
    (first, *_others) = world.bgp["r1", "wan"]
    assert isinstance(first, Message)
    assert first.file.startswith("pcap/")
