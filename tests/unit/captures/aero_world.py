"""A made-up AERO run: frames of octets at every interface, each with a tag by which a test can spoil it."""

import copy
import json
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

from aero_octets import PORTS, PROTOCOLS, UDP, ip, udp
from aero_octets import fragment as fragment_header
from synthetic_wire import ether

from captures.aero.decode import read_frame
from captures.aero.link import AeroLink

T0 = 100.0
S1, SERVER = "203.0.113.1", "fe80::1"
G, H1 = "2001:db8:9::2", "2001:db8:1000:a000::1"
C1, C2, INSIDE, OUTSIDE = "198.51.100.7", "203.0.113.7", "10.1.1.2", "198.51.100.1"
CLIENT, CLIENT2 = "fe80::2001:db8:1000:a000", "fe80::2001:db8:1000:b000"
DUIDS = {"c1": "00030001020000000011", "c2": "00030001020000000012"}


def client(underlay, letter, duid, nats=(), host=None, model="router"):
    prefixes = [f"2001:db8:1000:{letter}000::/56"]
    return {
        "underlay": [underlay],
        "interface": "wan",
        "prefixes": prefixes,
        "duid": duid,
        "nats": list(nats),
        "host": host,
        "model": model,
    }


def interfaces(**addresses):
    return {"interfaces": {name: {"addresses": [address]} for name, address in addresses.items()}}


def lab(nat):
    """lab.json of a run with c1 behind n1, or not."""
    return {
        "nodes": {
            "c1": interfaces(wan=f"{INSIDE}/24" if nat else f"{C1}/31"),
            "c2": interfaces(wan=f"{C2}/31"),
            "s1": interfaces(wan=f"{S1}/31"),
            "n1": interfaces(wan=f"{OUTSIDE}/31"),
            "g": interfaces(eth0=f"{G}/64"),
        },
        "domain": {
            "servers": {"s1": {"address": SERVER, "underlay": [S1], "interface": "wan"}},
            "clients": {
                "c1": client(INSIDE if nat else C1, "a", DUIDS["c1"], ["n1"] if nat else [], "h1"),
                **({"c2": client(C2, "b", DUIDS["c2"])} if nat else {}),
            },
            "nats": {"n1": {"wan": "wan", "lan": "lan"}} if nat else {},
        },
    }


@lru_cache(maxsize=1 << 14)
def read(octets):
    """What a frame holds, wherever it was seen: hundreds of runs differ in a few of their frames."""
    return read_frame(octets, "", 0, 0.0, "", "")


class World:
    """Frames and events of one run; `tweak(tag, fields)` gives back changed fields, or None for what never was."""

    def __init__(self, tweak=lambda _tag, fields: fields, *, nat=False):
        self.events = []
        self.lab = copy.deepcopy(lab(nat))
        self._tweak = tweak
        self._frames = []

    def fields(self, tag, **fields):
        """Fields as the test wants them."""
        return self._tweak(tag, fields)

    def put(self, tag, capture, time, octets):
        """One IP packet at an interface; its tag is `tag@capture`, its fields are time and octets."""
        found = self.fields(f"{tag}@{capture}", time=time, octets=octets)
        if found:
            self._frames.append((found["time"], capture, found["octets"]))

    def carry(self, tag, captures, time, payload, lag=0.0002, **outer):
        """A packet with `payload` inside at several interfaces, a little later at each."""
        for number, capture in enumerate(captures):
            found = self.fields(f"{tag}@{capture}", time=time + number * lag, **{**OUTER, **outer}, payload=payload)
            if found:
                self._frames.append((found.pop("time"), capture, carrier(**found)))

    def say(self, event, time, **fields):
        """A line of the event log."""
        found = self.fields(f"event:{event}", t=T0 + time, agent="lab", **fields)
        if found:
            self.events.append({"event": event, **found})

    def pings(self, name, node, peer, start, end, *, size, ident, count=1, **more):
        """The event of a series."""
        ends = {"source": H1, "destination": G, "name": name, "node": node, "peer": peer}
        self.say("pings", start, end=T0 + end, size=size, icmp_id=ident, count=count, **ends, **more)

    def run(self):
        """What a check is given."""
        found = AeroLink(json.loads(json.dumps(self.lab)), self.events, None)
        captures = {}
        for time, capture, packet in sorted(self._frames, key=lambda one: one[0]):
            node, interface = capture.split("-")
            frames = captures.setdefault((node, interface), [])
            octets = ether("02:00:00:00:00:01", "02:00:00:00:00:02", packet, 0x0800 if packet[0] >> 4 == 4 else 0x86DD)
            file = f"pcap/{capture}.pcapng"
            frame = read(octets)
            at = {"file": file, "number": len(frames) + 1, "time": T0 + time, "node": node, "interface": interface}
            frames.append(frame and replace(frame, **at))
        found.__dict__["captures"] = captures
        return SimpleNamespace(slowness=1.0, aero=found)


OUTER = {
    "code": "0",
    "source": C1,
    "destination": S1,
    "ports": None,
    "ttl": 64,
    "tos": 0,
    "df": False,
    "ident": 0,
    "flow": 0,
    "place": 0,
    "options": b"",
    "checksum": 0x1234,
    "fragment": None,
    "front": None,
    "pad": 0,
}


def carrier(*, code, payload, ports, fragment, front, pad, checksum, source, destination, **outer):
    """The outer packet; `fragment` are the fields of a Fragment Header, `front` replaces the GUE header."""
    payload += bytes(pad)
    version = payload[0] >> 4 if not fragment or not fragment.get("offset") else 6
    header = fragment_header(**fragment) if fragment else b""
    if code == "1":
        return ip(source, destination, 44 if fragment else PROTOCOLS[version], header + payload, **outer)
    if code == "2":
        header = (front or bytes((0, 44 if fragment else PROTOCOLS[version], 0, 0))) + header
    datagram = udp(*(ports or (PORTS[code], PORTS[code])), header + payload, checksum)
    return ip(source, destination, UDP, datagram, **outer)
