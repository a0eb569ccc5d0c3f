"""A right run of a file transfer: by two Servers and a Relay, then directly; both Clients move, one changes Server."""

import struct
from itertools import pairwise

from aero_direct_world import H2, PairWorld
from aero_octets import ip
from aero_world import C1, H1, S1, T0

S2, R1, NEW = "203.0.113.2", "203.0.113.9", "198.51.100.9"
PORT, NEAR, BASE, PART, RATE = 8000, 45678, 0xFFFFF000, 1000, 100_000
SYN, ACK, FIN, RST = 2, 16, 1, 4
PARTS = 40
BEGIN, STEP = 1.0, 0.01
MOVED, CHANGED, REPEATED = 1.155, 1.285, 16
TRANSFER = {
    "check": "aero-transfer",
    "moves": {"c1": ["moving", "changing"]},
    "lost_ms": 10,
    "bound_ms": 30,
}
CHECKS = [TRANSFER]
SERVED = {**TRANSFER, "moves": {"s1": ["failing"]}, "way": "servers"}
DIRECT = {**TRANSFER, "way": "direct"}
BY_SERVERS = ("s2", "r1", "s1")


def tcp(source, destination, ports, sequence, flags, octets=0, *, ttl=64):
    """A TCP segment (RFC 9293 §3.1); checksums are not looked at."""
    header = struct.pack("!HHIIBBHHH", *ports, sequence % (1 << 32), 1, 5 << 4, flags, 1000, 0, 0)
    return ip(source, destination, 6, header + bytes(octets), ttl=ttl)


class TransferWorld(PairWorld):
    """h1 fetches a file from h2; one segment is lost at the move and sent again."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        domain = self.lab["domain"]
        domain["clients"]["c1"]["underlay"] = [C1, NEW]
        domain["servers"]["s2"] = {"address": "fe80::2", "underlay": [S2], "interface": "wan"}
        domain["relays"] = {"r1": {"address": "fe80::ff01", "underlay": [R1], "interface": "wan"}}
        self.underlay |= {"s2": S2, "r1": R1, "s1": S1}
        self.say("moving", MOVED, node="c1", address=[NEW])
        self.say("changing", CHANGED, node="c1", server="s2")
        size = PARTS * PART
        told = {"octets": size, "sha256": "ab" * 32}
        ends = {"name": "file", "node": "h1", "peer": "h2", "source": H1, "destination": H2, "port": PORT}
        self.say("transfer", BEGIN - 0.1, end=T0 + 2, rate=RATE, sent=told, fetched=told, **ends)
        self.segment("open", "c1", 0, SYN, BEGIN - 0.05, hops=("s1", "r1", "s2"))
        self.segment("opened", "c2", BASE - 1, SYN | ACK, BEGIN - 0.03, hops=("s2", "r1", "s1"))
        for number in range(PARTS):
            self.part(f"part:{number}", number, BEGIN + number * STEP, lost=number == REPEATED)
            if number == REPEATED + 1:
                self.part("again", REPEATED, BEGIN + (number + 0.5) * STEP)
        self.segment("close", "c2", BASE + size, FIN | ACK, BEGIN + 0.40)
        self.segment("closed", "c1", 1, FIN | ACK, BEGIN + 0.41)

    def part(self, tag, number, time, *, lost=False):
        """A piece of the file."""
        self.underlay["c1"] = C1 if time < MOVED else NEW
        hops = ("s2", "r1", "s1") if number < 3 else ()
        self.segment(tag, "c2", BASE + number * PART, ACK, time, PART, hops=hops, lost=lost)

    def segment(self, tag, one, sequence, flags, time, octets=0, *, hops=(), lost=False):
        """A segment of a host, from one end to the other."""
        found = self.fields(tag, sequence=sequence, flags=flags, octets=octets, hops=hops, near=NEAR)
        other = "c2" if one == "c1" else "c1"
        ports = (PORT, found["near"]) if one == "c2" else (found["near"], PORT)
        ends = {"c1": H1, "c2": H2}
        make = lambda ttl: tcp(  # noqa: E731
            ends[one], ends[other], ports, found["sequence"], found["flags"], found["octets"], ttl=ttl
        )
        self.put(f"{tag}:left", f"h{one[1]}-eth0", time, make(64))
        nodes = [one, *found["hops"], other]
        for number, (near, far) in enumerate(pairwise(nodes)):
            when = time + 0.001 * (number + 1)
            self.between(f"{tag}:{near}", near, far, when, make(63 - number), arrives=not lost)
        if not lost:
            self.put(f"{tag}:arrived", f"h{other[1]}-eth0", time + 0.006, make(62 - len(found["hops"])))


class ServedWorld(TransferWorld):
    """The same by Servers all the way; in place of the move s1 fails, and s2 takes over."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        self.say("failing", MOVED, node="s1", what="aerod")

    def segment(self, tag, one, sequence, flags, time, octets=0, *, hops=(), lost=False):
        """By s1 up to its failure."""
        way = BY_SERVERS if time < MOVED else ("s2",)
        super().segment(tag, one, sequence, flags, time, octets, hops=hops or way, lost=lost)


class DirectFileWorld(TransferWorld):
    """The path was direct before."""

    def segment(self, tag, one, sequence, flags, time, octets=0, *, hops=(), lost=False):
        """Without anybody in between."""
        super().segment(tag, one, sequence, flags, time, octets, lost=lost)
