"""A made-up run of the models lab, small: frames at every interface, each with a tag by which a test can spoil it."""

import copy
import json
import struct
from ipaddress import IPv6Address
from types import SimpleNamespace

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from captures.aero.decode import read_frame
from captures.aero.link import AeroLink

T0 = 100.0
G, S1, SERVER = "2001:db8:9::2", "203.0.113.1", "fe80::1"
WAN = {"c1": "198.51.100.7", "c2": "203.0.113.7", "c3": "203.0.113.11"}
LETTERS = {"c1": "a", "c2": "b", "c3": "c"}
MODELS = {"c1": "host", "c2": "router", "c3": "hybrid"}
OWN = {"c1": ["2001:db8:1000:a000::1", "2001:db8:1000:a000::2"], "c2": [], "c3": ["2001:db8:1000:c000::1"]}
LANS = {
    "c1": [("h1", "slaac", "a000")],
    "c2": [("h2", "slaac", "b001"), ("r2", "dhcp", "b002"), ("n2", "off-link", "b003")],
    "c3": [("h3", "slaac", "c000")],
}
SWITCH, LEAVE = "the switch", "the end"
CHECKS = [
    {"check": "aero-addresses", "client": "c1", "least": 2},
    {"check": "aero-unused"},
    {"check": "aero-strong-host", "client": "c1"},
    {"check": "aero-sources"},
    {"check": "aero-autoconfiguration"},
    {"check": "aero-claims"},
    {"check": "aero-pseudo-delegation", "node": "n2"},
    {"check": "aero-sub-delegation", "client": "c2", "node": "r2"},
    {"check": "aero-switch", "client": "c1", "step": SWITCH},
    {"check": "aero-withdrawal", "step": LEAVE, "clients": ["c2", "c3"], "bound_ms": 100},
]


def at(network, host):
    return f"2001:db8:1000:{network}::{host}"


def prefix(network):
    return f"2001:db8:1000:{network}::/64"


LAB = {
    "nodes": {},
    "domain": {
        "servers": {"s1": {"address": SERVER, "underlay": [S1], "interface": "wan"}},
        "clients": {
            name: {
                "underlay": [address],
                "interface": "wan",
                "prefixes": [f"2001:db8:1000:{LETTERS[name]}000::/56"],
                "duid": f"00{LETTERS[name]}0",
                "nats": [],
                "host": None,
                "model": MODELS[name],
                "own": OWN[name],
                "downstream": [{"node": n, "mode": mode, "prefix": prefix(p)} for n, mode, p in LANS[name]],
            }
            for name, address in WAN.items()
        },
    },
}


class ModelsWorld:
    """Frames and events of one run; `tweak(tag, fields)` gives back changed fields, or None for what never was."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        self.lab = copy.deepcopy(LAB)
        self.events = []
        self._tweak = tweak
        self._frames = []
        self._addresses()
        self._advertisements()
        self._uniqueness()
        self._delegations()
        self._switch()
        self._end()

    # -- pieces

    def put(self, tag, capture, time, **fields):
        """A packet of the kind that the tag's first word names."""
        fields = self._tweak(tag, {"time": time, **fields})
        if fields:
            kind = tag.split(":")[0]
            when = fields.pop("time")
            self._frames.append((when, capture, bytes(KINDS[kind](**fields))))

    def carried(self, tag, client, time, *, back=False, **fields):
        """The same inside the tunnel, at the Client's interface."""
        fields = self._tweak(tag, {"time": time, "back": back, **fields})
        if fields:
            ends = (S1, WAN[client]) if fields.pop("back") else (WAN[client], S1)
            when, kind = fields.pop("time"), tag.split(":")[0]
            outer = IP(src=ends[0], dst=ends[1]) / UDP(sport=8060, dport=8060) / Raw(bytes(KINDS[kind](**fields)))
            self._frames.append((when, f"{client}-wan", bytes(outer)))

    def say(self, tag, time, node="lab", **fields):
        """A line of the event log; the tag is event:more."""
        fields = self._tweak(f"event:{tag}", {"t": time, "node": node, **fields})
        if fields:
            fields = {**fields, "t": T0 + fields["t"]}
            if "end" in fields:
                fields["end"] += T0
            self.events.append({"event": tag.split(":")[0], "agent": "lab", **fields})

    def run(self):
        """What a check is given."""
        link = AeroLink(json.loads(json.dumps(self.lab)), self.events, None)
        captures = {}
        for time, capture, packet in sorted(self._frames, key=lambda one: one[0]):
            frames = captures.setdefault(tuple(capture.split("-")), [])
            kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
            octets = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind)) + packet
            file = f"pcap/{capture}.pcapng"
            frames.append(read_frame(octets, file, len(frames) + 1, T0 + time, *capture.split("-")))
        link.__dict__["captures"] = captures
        return SimpleNamespace(slowness=1.0, aero=link)

    # -- the run

    def _addresses(self):
        for name in ("c2", "c3"):
            network = f"{LETTERS[name]}000"
            self.carried(f"lease:{name}", name, 0.1, back=True, prefix=f"{at(network, '')}/56", destination=WAN[name])
        self.carried("ns:tunnel", "c1", 0.2, source=f"fe80::2001:db8:1000:{LETTERS['c1']}000", target=SERVER)
        self.say("every-address", 1.0, "g", name="all", peer="c1", addresses=OWN["c1"], icmp_id=50, end=1.5)
        for number, address in enumerate(OWN["c1"], 1):
            self.carried(f"request:all{number}", "c1", 1.0 + number / 10, back=True, source=G, target=address, ident=50)
            self.put(f"reply:all{number}", "g-eth0", 1.02 + number / 10, source=address, target=G, ident=50)
        unused = at("a0ff", "bad")
        self._pings("g-c1-unused", 2.0, "g", "c1", G, unused, 51)
        self.carried("request:unused", "c1", 2.01, back=True, source=G, target=unused, ident=51)
        self.put("unreachable:unused", "g-eth0", 2.02, source=OWN["c1"][0], target=G, about=unused)
        self._pings("past", 2.1, "core", "c1", "2001:db8:e::6", OWN["c1"][0], 52)
        self.put("request:past", "c1-wan", 2.11, source="2001:db8:e::6", target=OWN["c1"][0], ident=52)
        for name, ident, tag in (("c2", 53, "any"), ("c3", 54, "other")):
            own = at(f"{LETTERS[name]}000", "1")
            self.say(f"from-any-source:{name}", 2.3, name, destination=G, icmp_id=ident, count=1, end=2.4)
            self.carried(f"request:{tag}", name, 2.31, source=own, target=G, ident=ident)
            self.carried(f"reply:{tag}", name, 2.33, back=True, source=G, target=own, ident=ident)

    def _pings(self, name, time, node, peer, source, destination, ident):
        ends = {"source": source, "destination": destination}
        self.say(
            f"pings:{name}", time, node, name=name, peer=peer, **ends, icmp_id=ident, count=1, size=84, end=time + 0.3,
            expect="none",
        )  # fmt: skip

    def _advertisements(self):
        for node, mode, network in (*LANS["c2"], *LANS["c3"]):
            offered = {} if mode == "dhcp" else {"prefix": prefix(network), "on_link": mode == "slaac", "valid": 200}
            self.put(f"ra:{node}", f"{node}-eth0", 0.5, managed=mode == "dhcp", **offered)

    def _uniqueness(self):
        for node, addresses in {
            "h2": [at("b001", "1"), at("b001", "ff")],
            "r2": [at("b002", "1"), at("b002", "100")],
            "n2": [at("b003", "aa")],
            "h3": [at("c000", "5"), at("c000", "33")],
            "h1": [at("a000", "3"), at("a000", "11")],
        }.items():
            for number, address in enumerate(addresses, 1):
                self.put(
                    f"ns:{node}{number}", f"{node}-eth0", 5.5 if node == "h1" else 0.6, source="::", target=address
                )
        self.put("reply:h2", "h2-eth0", 1.0, source=at("b001", "ff"), target=G, ident=60)
        self._claim("h3", 3.0, at("c000", "1"), "c3")
        self._claim("h3", 3.5, at("c000", "5ee"), None)
        self._claim("h2", 4.0, at("b001", "1"), "c2")

    def _claim(self, node, time, address, against):
        tag = address.rsplit(":", 1)[1] + ("" if against else "-free") + f"-{node}"
        self.say(f"claim:{tag}", time, node, address=address, against=against, refused=bool(against), end=time + 0.4)
        self.put(f"ns:claim-{tag}", f"{node}-eth0", time + 0.1, source="::", target=address)
        if against:
            self.put(f"na:claim-{tag}", f"{node}-eth0", time + 0.101, source="fe80::c3", target=address)

    def _delegations(self):
        inside = at("b003", "aa")
        self.put("request:away", "n2-eth0", 3.0, source=inside, target=at("b003", "bad"), ident=61)
        self.put("ns:away", "n2-eth0", 3.02, source=inside, target=at("b003", "bad"))
        self.put("solicit:r2", "r2-eth0", 2.0)
        self.put("lease:r2", "r2-eth0", 2.01, prefix=f"{at('b020', '')}/60")
        self.put("reply:r2", "r2-eth0", 2.5, source=at("b020", "1"), target=G, ident=62)

    def _switch(self):
        source = OWN["c1"][1]
        self.say("transfer", 4.5, "c1", source=source, destination=G, port=5201, peer="g")
        self.say(f"step:{SWITCH}", 5.0, title=SWITCH)
        self.say("model", 5.01, "c1", model="hybrid")
        for name, time, flags, size in (
            ("open", 4.6, "S", 0), ("before", 4.7, "A", 1000), ("after", 5.2, "A", 1000), ("close", 6.0, "FA", 0),
        ):  # fmt: skip
            self.put(f"tcp:{name}", "g-eth0", time, source=source, flags=flags, size=size)
        self.put("tcp:answer", "g-eth0", 5.3, source=source, flags="A", size=0, back=True)
        self.put("ra:h1", "h1-eth0", 5.3, prefix=prefix("a000"), valid=200)

    def _end(self):
        self.say(f"step:{LEAVE}", 8.0, title=LEAVE)
        self.say("server-failed", 8.5, "c2")
        for name in ("c2", "c3"):
            self.say(f"prefixes:{name}", 9.0, name, prefixes=[])
        for node, mode, network in (*LANS["c2"], *LANS["c3"]):
            offered = {} if mode == "dhcp" else {"prefix": prefix(network), "on_link": mode == "slaac"}
            managed = {"managed": mode == "dhcp"}
            if node != "h3":
                self.put(f"ra:{node}-lost", f"{node}-eth0", 8.51, lifetime=0, **managed, **offered, valid=190)
            self.put(f"ra:{node}-over", f"{node}-eth0", 9.01, lifetime=0, **managed, **offered, valid=0)


# -- packets


def request(source, target, ident):
    return IPv6(src=source, dst=target) / ICMPv6EchoRequest(id=ident, seq=1, data=bytes(36))


def reply(source, target, ident):
    return IPv6(src=source, dst=target) / ICMPv6EchoReply(id=ident, seq=1, data=bytes(36))


def unreachable(source, target, about):
    return IPv6(src=source, dst=target) / ICMPv6DestUnreach(code=0) / request(target, about, 51)


def solicitation(source, target):
    return IPv6(src=source, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=target)


def neighbor(source, target):
    return IPv6(src=source, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=target, S=0)


def router(lifetime=60, managed=False, prefix=None, on_link=True, autonomous=True, valid=0, preferred=None):
    message = IPv6(src="fe80::c2", dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=lifetime, M=int(managed))
    if prefix:
        network, length = prefix.split("/")
        lifetimes = {"validlifetime": valid, "preferredlifetime": valid if preferred is None else preferred}
        flags = {"L": int(on_link), "A": int(autonomous)}
        message /= ICMPv6NDOptPrefixInfo(prefix=network, prefixlen=int(length), **lifetimes, **flags)
    return message


def option(code, data):
    return struct.pack("!HH", code, len(data)) + data


def lease(prefix=None, valid=300, kind=7, **_ends):
    """A DHCPv6 Reply with a prefix, or another message."""
    content = b""
    if prefix:
        network, length = prefix.split("/")
        content = option(26, struct.pack("!IIB", valid, valid, int(length)) + IPv6Address(network).packed)
    return _dhcp(kind, content)


def _dhcp(kind, content):
    message = bytes([kind, 0, 0, 1]) + option(25, struct.pack("!III", 1, 60, 100) + content)
    return IPv6(src="fe80::d", dst="fe80::e") / UDP(sport=547, dport=546) / Raw(message)


def segment(source, flags, size, port=40000, back=False):
    if back:
        return IPv6(src=G, dst=source) / TCP(sport=5201, dport=port, flags=flags) / Raw(bytes(size))
    return IPv6(src=source, dst=G) / TCP(sport=port, dport=5201, flags=flags) / Raw(bytes(size))


KINDS = {
    "request": request,
    "reply": reply,
    "unreachable": unreachable,
    "ns": solicitation,
    "na": neighbor,
    "ra": router,
    "lease": lease,
    "solicit": lambda: _dhcp(1, b""),
    "tcp": segment,
}
