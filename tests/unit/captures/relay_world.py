"""A link with two Servers and a Relay as the checks see it, made of records, so that checks can be shown to fail."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from captures.aero.bgp import KEEPALIVE, UPDATE, End, Message
from captures.aero.decode import read_frame
from captures.aero.exchanges import Exchange
from captures.aero.link import AeroLink
from captures.aero.records import Delegated, Dhcp, Frame
from captures.ip import Ip

S1, S2, R1, R2, I1 = "203.0.113.1", "203.0.113.2", "203.0.113.9", "203.0.113.10", "198.18.91.2"
HOPS = {S1: "2001:db8:f::1", S2: "2001:db8:f::2", R1: "2001:db8:f::9", R2: "2001:db8:f::a"}
ASNS = {S1: 4200000001, S2: 4200000002, R1: 65000, R2: 65000}
A, B = "2001:db8:1000:a000::/56", "2001:db8:1000:b000::/56"
HOST_A, HOST_B, NOBODY = "2001:db8:1000:a000::1", "2001:db8:1000:b000::1", "2001:db8:1000:c000::1"
T = 1_700_000_000.0
MED = 4294967295 - int(T)
LAB = {
    "nodes": {
        "i": {"interfaces": {"r1": {"addresses": [f"{I1}/24"]}}},
        "r1": {"interfaces": {"native": {"addresses": ["198.18.91.1/24"]}, "wan": {"addresses": [f"{R1}/31"]}}},
        "r2": {"interfaces": {"native": {"addresses": ["198.18.92.1/24"]}, "wan": {"addresses": [f"{R2}/31"]}}},
        "s1": {"interfaces": {"wan": {"addresses": [f"{S1}/31"]}}},
        "s2": {"interfaces": {"wan": {"addresses": [f"{S2}/31"]}}},
    },
    "domain": {
        "family": "aero",
        "aggregates": ["2001:db8:1000::/40", "192.0.2.0/24"],
        "servers": {
            name: {"address": f"fe80::{name[1]}", "underlay": [ip, HOPS[ip]], "interface": "wan"}
            for name, ip in (("s1", S1), ("s2", S2))
        },
        "relays": {
            name: {"address": f"fe80::ff0{name[1]}", "underlay": [ip, HOPS[ip]], "interface": "wan"}
            for name, ip in (("r1", R1), ("r2", R2))
        },
        "clients": {
            "c1": {
                "underlay": ["198.51.100.7"],
                "interface": "wan",
                "prefixes": [A, "192.0.2.16/28"],
                "duid": "00030001020000000011",
                "nats": [],
                "host": None,
                "model": "host",
            }
        },
        "nats": {},
        "bgp": {
            "relay": 65000,
            "servers": {"s1": ASNS[S1], "s2": ASNS[S2]},
            "natives": {name: {"interface": "native", "peer": I1} for name in ("r1", "r2")},
        },
    },
}


class World:
    """BGP messages, frames, DHCPv6 exchanges and events of one run."""

    def __init__(self) -> None:
        self.bgp: dict = {("r1", "wan"): [], ("r1", "native"): [], ("r2", "wan"): [], ("r2", "native"): []}
        self.frames: dict = {}
        self.exchanges: list[Exchange] = []
        self.events: list[dict] = []

    # --- BGP

    def said(self, time, source, destination, kind, at=("r1", "wan"), **more):
        number = len(self.bgp[at]) + 1
        more = {name: tuple(map(ip_network, value)) if name in ("announced", "withdrawn") else value
                for name, value in more.items()}  # fmt: skip
        ends = ip_address(source), ip_address(destination)
        self.bgp[at].append(Message(f"pcap/{at[0]}-{at[1]}.pcapng", number, T + time, *ends, kind, **more))

    def session(self, time, server=S1, relay=R1):
        """A session with what a Relay says first."""
        at = ("r1" if relay == R1 else "r2", "wan")
        for source, destination in ((server, relay), (relay, server)):
            self.said(time, source, destination, KEEPALIVE, at)
        for prefix, hop in (("::/0", HOPS[relay]), ("0.0.0.0/0", relay)):
            path = {"next_hop": ip_address(hop), "as_path": (65000,)}
            self.said(time, relay, server, UPDATE, at, announced=(prefix,), **path)

    def announce(self, time, prefix=A, server=S1, relay=R1, med=MED, **more):
        at = ("r1" if relay == R1 else "r2", "wan")
        facts = {"next_hop": ip_address(HOPS[server]), "as_path": (ASNS[server],), "med": med - int(time), **more}
        self.said(time, server, relay, UPDATE, at, announced=(prefix,), **facts)

    def withdraw(self, time, prefix=A, server=S1, relay=R1):
        self.said(time, server, relay, UPDATE, ("r1" if relay == R1 else "r2", "wan"), withdrawn=(prefix,))

    def ends(self, time, server=S1, relay=R1):
        at = ("r1" if relay == R1 else "r2", "wan")
        number = len(self.bgp[at]) + 1
        self.bgp[at].append(End("pcap/x", number, T + time, ip_address(relay), ip_address(server)))

    def native(self, time, *prefixes, number=1):
        own, at = f"198.18.9{number}.1", (f"r{number}", "native")
        for prefix in prefixes:
            self.said(time, own, I1, UPDATE, at, announced=(prefix,), as_path=(65000,))

    # --- frames

    def put(self, time, node, interface, packet):
        found = self.frames.setdefault((node, interface), [])
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        octets = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind)) + packet
        found.append(read_frame(octets, f"pcap/{node}-{interface}.pcapng", len(found) + 1, T + time, node, interface))

    def carry(self, time, source, destination, inner, nodes=("r1",)):
        """An encapsulated packet, seen at the underlay interfaces of some nodes."""
        packet = bytes(IP(src=source, dst=destination) / UDP(sport=8060, dport=8060) / Raw(inner))
        for node in nodes:
            self.put(time, node, "wan", packet)

    # --- DHCPv6

    def exchange(self, time, kind, prefix=A, answer=7, valid=300, server="s1"):
        """A Client's message and its answer, three milliseconds later."""
        link = self.link()
        given = (Delegated(1, ip_network(prefix), 200, valid),)
        asked = _frame(time, Dhcp(kind, prefixes=given))
        told = Dhcp(answer, prefixes=given)
        later = [_frame(time + 0.003 + 0.001 * step, told, number=2 + step) for step in range(3)]
        self.exchanges.append(
            Exchange(link.clients["c1"], asked, link.servers[server], asked, asked, later[0], later[1], later[2])
        )

    def route_announced(self, time, prefix=A, node="s1"):
        event = {"t": T + time, "node": node, "agent": "aerod", "event": "route-announced", "prefix": prefix}
        self.events.append(event)

    # --- the run

    def link(self) -> AeroLink:
        link = AeroLink(json.loads(json.dumps(LAB)), self.events, None)
        link.__dict__["captures"] = self.frames
        link.__dict__["made"] = self.exchanges
        link._bgp = {key: sorted(messages, key=lambda one: one.time) for key, messages in self.bgp.items()}
        return link

    def run(self) -> SimpleNamespace:
        """What a check is given."""
        return SimpleNamespace(slowness=1.0, aero=self.link())


def _frame(time, dhcp, number=1) -> Frame:
    header = Ip(6, ip_address(HOST_A), ip_address(HOST_B), 17, 64, 0, 100, 40, True)
    return replace(Frame("pcap/s1-wan.pcapng", number, T + time, "s1", "wan", header), dhcp=dhcp)


def ping(source=HOST_A, destination=HOST_B) -> bytes:
    """An inner echo request."""
    return bytes(IPv6(src=source, dst=destination) / ICMPv6EchoRequest(id=1, seq=1, data=bytes(16)))


def unreachable(about: bytes, source=HOPS[R1], destination=HOST_A) -> bytes:
    """The ICMPv6 error about a packet."""
    return bytes(IPv6(src=source, dst=destination) / ICMPv6DestUnreach(code=0) / Raw(about))
