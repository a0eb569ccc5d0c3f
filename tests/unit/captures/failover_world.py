"""Runs in which a Server fails, made of records: what the Client sends, what Relays hear, what each log says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import pairwise
from types import SimpleNamespace

from relay_world import HOST_A, HOST_B, MED, R1, S1, S2, A, T, World

from captures.aero.records import ADVERTISEMENT, SOLICITATION, Delegated, Dhcp, Discovery, Frame
from captures.ip import Ip
from captures.records import Logged

C1, C2 = "198.51.100.7", "203.0.113.7"
SOLICIT, REBIND = 1, 6


class FailoverWorld(World):
    """c1 is at s1, with everything that the checks look at, until the failure at 10 s."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Logged] = []
        self.session(0)
        self.session(0, S2)
        self.announce(1)
        self.events.append({"t": T + 10, "node": "s1", "agent": "lab", "event": "failing", "what": "aerod"})
        self.asks(3, b"answered")
        self.hears(3.01, b"answered")

    # --- at the Client's interface

    def _put(self, time, source, destination, **what):
        frames = self.frames.setdefault(("c1", "wan"), [])
        outer = Ip(4, ip_address(source), ip_address(destination), 17, 64, 0, 100, 20, True)
        frame = Frame("pcap/c1-wan.pcapng", len(frames) + 1, T + time, "c1", "wan", outer, (8060, 8060), code="0")
        frames.append(replace(frame, **what))

    def asks(self, time, nonce=b"unanswered", server=S1):
        self._put(time, C1, server, discovery=Discovery(SOLICITATION, IPv6Address("fe80::1"), nonce))

    def hears(self, time, nonce):
        self._put(time, S1, C1, discovery=Discovery(ADVERTISEMENT, IPv6Address("fe80::1"), nonce, solicited=True))

    def says(self, time, kind=SOLICIT, server=S2):
        given = (Delegated(1, ip_network(A), 200, 300),)
        self._put(time, C1, server, dhcp=Dhcp(kind, prefixes=given))

    def session_lost(self, time, up=False):
        fields = {"neighbor": "fe80::1", "up": up}
        self.log.append(Logged("events.jsonl", len(self.log) + 1, T + time, "r1", fields))

    # --- the run

    def link(self):
        link = super().link()
        link.clients["c1"] = replace(link.clients["c1"], prefixes=(ip_network(A),))
        return link

    def run(self):
        """What a check is given."""
        return SimpleNamespace(slowness=1.0, aero=self.link(), logged=lambda _event: self.log)


def crashed():
    """aerod of s1 dies; c1 asks three times, and attaches at s2."""
    world = FailoverWorld()
    world.withdraw(10.01)
    for time in (15, 16, 17):
        world.asks(time)
    world.says(18)
    world.exchange(18, SOLICIT, server="s2")
    world.announce(18.004, server=S2)
    return world


def unheard():
    """Kea of s1 dies; c1 rebinds, and then attaches at s2."""
    world = FailoverWorld()
    world.says(15, REBIND, S1)
    world.says(25)
    world.exchange(25, SOLICIT, server="s2")
    world.announce(25.004, server=S2)
    return world


def speechless():
    """ExaBGP of s1 dies, and is started again."""
    world = FailoverWorld()
    world.ends(10.01)
    world.session(12)
    world.announce(12.5, med=MED + 11)
    world.asks(13)
    return world


# --- flows

UNDERLAY = {"c1": C1, "c2": C2, "s1": S1, "s2": S2, "r1": R1}
IDENTIFIER, COUNT = 77, 5


class FlowWorld:
    """c1 pings c2: the first by Servers and Relay, the third lost in a move of c2, the others directly."""

    def __init__(self) -> None:
        self.frames: dict = {(name, "wan"): [] for name in UNDERLAY}
        self.events: list[dict] = [{"t": T + 2.9, "node": "c2", "agent": "lab", "event": "moving"}]
        ping = {"name": "flow", "node": "c1", "peer": "c2", "source": HOST_A, "destination": HOST_B, "size": 84}
        times = {"t": T, "end": T + 9, "agent": "lab", "event": "pings"}
        self.events.append({**ping, **times, "icmp_id": IDENTIFIER, "count": COUNT})
        self.carried(1, "request", "c1", "s1", "r1", "s2", "c2")
        self.carried(1, "reply", "c2", "c1")
        self.carried(2, "request", "c1", "c2")
        self.carried(2, "reply", "c2", "c1")
        self._put("c1", 3, "request", 3, 64, "c1", "c2")
        for number in (4, 5):
            self.carried(number, "request", "c1", "c2")
            self.carried(number, "reply", "c2", "c1")

    def carried(self, number, kind, *nodes):
        """An echo packet passes nodes, a millisecond and a hop limit each."""
        for step, (one, other) in enumerate(pairwise(nodes)):
            time = number + 0.001 * step + (0.1 if kind == "reply" else 0.0)
            for at in (one, other):
                self._put(at, time, kind, number, 64 - step, one, other)

    def _put(self, at, time, kind, number, ttl, one, other):
        frames = self.frames[at, "wan"]
        ends = (HOST_A, HOST_B) if kind == "request" else (HOST_B, HOST_A)
        outer = Ip(4, ip_address(UNDERLAY[one]), ip_address(UNDERLAY[other]), 17, 64, 0, 112, 20, True)
        inner = Ip(6, *map(ip_address, ends), 58, ttl, 0, 84, 40, True)
        echo = (kind, IDENTIFIER, number)
        file = f"pcap/{at}-wan.pcapng"
        frames.append(
            Frame(file, len(frames) + 1, T + time, at, "wan", outer, (8060, 8060), code="0", inner=inner, echo=echo)
        )

    def change(self, holds, **what):
        """Other fields for frames of which this holds; nothing to change: they are not there at all."""
        for key, frames in self.frames.items():
            changed = [(replace(one, **what) if what else None) if holds(one) else one for one in frames]
            self.frames[key] = [one for one in changed if one]

    def run(self):
        """What a check is given."""
        world = World()
        world.frames, world.events = self.frames, self.events
        link = world.link()
        one = replace(link.clients["c1"], prefixes=(ip_network(A),))
        prefix = ip_network("2001:db8:1000:b000::/56")
        link.clients["c1"] = one
        link.clients["c2"] = replace(one, name="c2", underlay=(ip_address(C2),), prefixes=(prefix,))
        return SimpleNamespace(slowness=1.0, aero=link)
