"""A made-up but byte-exact run of the IETF 83 walk: three gateways, in any signalling mode, written as a run directory.

Every message and advertisement goes through `tweak` first, so that a test can doctor exactly one field;
`World.frames` can be edited afterwards to drop, move or add frames.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

import synthetic_dumps as dumps
import synthetic_mh as mh
import synthetic_modes as modes
import synthetic_wire as wire

from captures.records import eui64

T0 = 1_760_000_000.0
MN_MAC = "02:00:00:00:00:11"
MN_ID = "mn1@dmm.example"
ADDRESS = {
    "dgw1": "2001:db8:c:1::2",
    "dgw2": "2001:db8:c:2::2",
    "dgw3": "2001:db8:c:3::2",
    "cmd": "2001:db8:c:9::2",
    "cn1": "2001:db8:f:1::2",
    "cn2": "2001:db8:f:2::2",
}
POOL = {"dgw1": "2001:db8:a1::/48", "dgw2": "2001:db8:b2::/48", "dgw3": "2001:db8:c3::/48"}
PREFIX = {"dgw1": "2001:db8:a1:1::/64", "dgw2": "2001:db8:b2:1::/64", "dgw3": "2001:db8:c3:1::/64"}
MN = {name: net.replace("::/64", ":0:ff:fe00:11") for name, net in PREFIX.items()}
LMAC = {"dgw1": "02:d6:00:01:00:01", "dgw2": "02:d6:00:02:00:01", "dgw3": "02:d6:00:03:00:01"}
WAN = {name: f"02:aa:00:00:00:0{n}" for n, name in enumerate(("dgw1", "dgw2", "dgw3", "cmd", "cn1", "cn2"), 1)}
CORE = {name: f"02:bb:00:00:00:0{n}" for n, name in enumerate(WAN, 1)}
PHY = {"dgw1": "02:cc:00:00:00:01", "dgw2": "02:cc:00:00:00:02", "dgw3": "02:cc:00:00:00:03"}
INTERFACE = {"dgw1": "wan", "dgw2": "wan", "dgw3": "wan", "cmd": "eth0", "cn1": "eth0", "cn2": "eth0"}
WALK = (("dgw1", 1.0, 3.0), ("dgw2", 3.005, 5.0), ("dgw3", 5.005, 7.0))
STEP = 0.04
SETTLE = 0.03
"""Seconds after an attachment until user data flows again."""
REPOSITORY_PORT = 5213
TRAFFIC = {}
CHECKS = [
    {"check": "signalling"},
    {"check": "tunnel"},
    {"check": "cmd-interface"},
    {"check": "ra", "bound_ms": 100, "anchor_bound_ms": 200},
    {"check": "identity"},
    {"check": "prefixes"},
    {"check": "flows", "max_gap_ms": {"tcp": 300, "camera": 300, "*": 150}, "max_lost": 4},
    {"check": "reachability"},
    {"check": "order"},
    {"check": "modes"},
    {"check": "pace", "complete_ms": 50, "spacing_ms": 0},
    {"check": "leftovers"},
    {"check": "mobile-view", "repeated": True},
    {"check": "replay"},
    {"check": "resources"},
]


@dataclass
class Frame:
    capture: str
    t: float
    data: bytes
    tag: str


class World:
    """Frames, events and facts of one run."""

    def __init__(self, mode="direct", tweak=None):
        self.mode = mode
        self.tweak = tweak or (lambda tag, fields: fields)
        self.frames = []
        self.events = []
        self.with_dumps = False
        self.sent = {}
        """Fields of each message by tag, as it was sent."""
        self.sequence = 0x100
        self.profile = "deprecate"
        self.checks = [dict(entry) for entry in CHECKS]
        self.attach_events()
        self.background()
        for index in range(len(WALK)):
            self.signal(index)
        self.user_plane()
        dumps.replays(self)

    # -- building blocks -------------------------------------------------------------------------

    def put(self, capture, t, data, tag):
        self.frames.append(Frame(capture, T0 + t, data, tag))

    def event(self, t, event, **fields):
        self.events.append({"t": T0 + t, "node": "mn1", "agent": "lab", "event": event, **fields})

    def dumped(self, event, label, node="mn1"):
        """The dump of a node at a moment, to be doctored."""
        return next(e for e in self.log() if (e["event"], e["node"], e.get("label")) == (event, node, label))

    def far_end(self, anchor, serving):
        """Where a serving gateway's tunnel for an anchor's prefix ends."""
        return anchor

    def log(self):
        """All events, the state dumps among them: these depend on the profile, so they are made last."""
        if not self.with_dumps:
            self.with_dumps = True
            dumps.log(self)
        return self.events

    def core(self, source, destination, t, packet, tag, hop=0.0002):
        """A packet over the core between two nodes: seen when it leaves and when it arrives."""
        self.put(f"{source}-{INTERFACE[source]}", t, wire.ether(WAN[source], CORE[source], packet), tag)
        frame = wire.ether(CORE[destination], WAN[destination], packet)
        self.put(f"{destination}-{INTERFACE[destination]}", t + hop, frame, tag)

    def serving(self, t):
        return next((name for name, start, end in WALK if start + SETTLE <= t < end), None)

    # -- control plane ---------------------------------------------------------------------------

    def attach_events(self):
        for number, (gateway, start, end) in enumerate(WALK):
            cell = f"cell{number + 1}"
            self.event(start, "attached", cell=cell, gateway=gateway, mac=MN_MAC)
            if number < 2:
                self.event(end, "detached", cell=cell, gateway=gateway, mac=MN_MAC)

    def background(self):
        """Neighbour Discovery at every interface, repository look-ups in direct mode."""
        for node in WAN:
            link_local = str(eui64(WAN[node]))
            body = wire.with_checksum(link_local, "ff02::2", 58, bytes([133, 0, 0, 0]) + bytes(4), 2)
            frame = wire.ether(WAN[node], "33:33:00:00:00:02", wire.ipv6(link_local, "ff02::2", 58, body, 255))
            self.put(f"{node}-{INTERFACE[node]}", 0.1, frame, "rs")

    def message(self, tag, t, source, destination, kind, **fields):
        """Send one PBU or PBA; `fields` may be doctored by the tweak."""
        fields = self.tweak(tag, {"t": t, "source": source, "destination": destination, "kind": kind, **fields})
        if fields is None:
            return
        self.sent[tag] = fields
        a, b = ADDRESS[fields["source"]], ADDRESS[fields["destination"]]
        options = [mh.mn_id(fields["mn_id"])] if fields.get("mn_id", MN_ID) else []
        options += [mh.prefix_option(22, one) for one in fields["hnp"]]
        for code, name in ((23, "hi"), (24, "att")):
            if fields.get(name) is not None:
                options.append(mh.octet(code, fields[name]))
        options.append(mh.link_layer(25, MN_MAC))
        if fields.get("ts") is not None:
            options.append(mh.timestamp(fields["ts"]))
        options += [mh.prefix_option(65, one) for one in fields.get("anchored", [])]
        for anchor, prefix, ll, mac in fields.get("groups", []):
            options += [
                mh.previous_maar(ADDRESS[anchor], prefix),
                mh.address_option(69, ll),
                mh.link_layer(70, mac),
            ]
        if fields.get("serving"):
            options.append(mh.address_option(68, ADDRESS[fields["serving"]]))
        if fields.get("dlif"):
            options += [mh.address_option(69, fields["dlif"][0]), mh.link_layer(70, fields["dlif"][1])]
        options += fields.get("extra", [])
        make = mh.pbu if fields["kind"] == "PBU" else mh.pba
        also = {
            key: fields[key] for key in ("flags", "status", "lifetime", "checksum", "payload_proto") if key in fields
        }
        octets = make(a, b, options, sequence=fields["seq"], **also)
        self.core(fields["source"], fields["destination"], fields["t"], wire.ipv6(a, b, 135, octets), tag)

    def signal(self, index):
        gateway, start, _ = WALK[index]
        visited = (WALK[i][0] for i in range(index - 1, -1, -1))
        anchors = [name for name in dict.fromkeys(visited) if name != gateway]
        if self.mode == "direct":
            self.lookup(gateway, start + 0.001)
            done = modes.direct(self, gateway, anchors, start + 0.003)
            own = start + 0.002
        else:
            handover = {"relay": modes.relay, "locator": modes.locator, "proxy": modes.proxy}[self.mode]
            done = own = (handover if anchors else modes.relay)(self, gateway, anchors, start + 0.002)
        self.advertise(index, gateway, own)
        for anchor in anchors:
            self.advertise(index, anchor, done + 0.001)

    def lookup(self, gateway, t):
        ask = wire.udp(ADDRESS[gateway], ADDRESS["cmd"], 40000, REPOSITORY_PORT, 1)
        answer = wire.udp(ADDRESS["cmd"], ADDRESS[gateway], REPOSITORY_PORT, 40000, 1)
        self.core(gateway, "cmd", t, ask, "lookup")
        self.core("cmd", gateway, t + 0.0004, answer, "lookup")

    def fields(self, t, hnp, hi):
        self.sequence += 1
        stamp = round((T0 + t) * 65536) / 65536
        return {"hnp": hnp, "hi": hi, "att": 3, "ts": stamp, "seq": self.sequence, "mn_id": MN_ID}

    def identity(self, anchor):
        return str(eui64(LMAC[anchor])), LMAC[anchor]

    def prefix(self, gateway):
        return PREFIX[gateway]

    def advertise(self, index, anchor, t):
        """RAs of one DLIF during one stay, from the serving gateway's access interface to the node."""
        gateway, _, end = WALK[index]
        own, number = anchor == gateway, 0
        while t < end:
            fields = {
                "lmac": LMAC[anchor],
                "source": str(eui64(LMAC[anchor])),
                "dst_mac": MN_MAC,
                "destination": str(eui64(MN_MAC)),
                "prefixes": [(PREFIX[anchor], 300, 300 if own or self.profile == "lowpref" else 0)],
                "preference": "medium" if own else "low",
                "t": t,
                "gateway": gateway,
            }
            tag = f"ra:{gateway}:{anchor}:{number}"
            fields = self.tweak(tag, fields)
            if fields is not None:
                frame = wire.router_advertisement(**fields)
                self.put(f"{fields['gateway']}-phy", fields["t"], frame, tag)
                self.put("mn1-eth0", fields["t"] + 0.0001, frame, tag)
            t, number = t + 0.5, number + 1

    # -- user plane ------------------------------------------------------------------------------

    def uplink(self, t, anchor, peer, packet, tag):
        """From the node over the serving gateway, its tunnel and the anchor to a correspondent."""
        gateway = self.serving(t)
        there = gateway or next(name for name, start, end in reversed(WALK) if t >= end or t >= start)
        frame = wire.ether(MN_MAC, LMAC[there], packet)
        self.put("mn1-eth0", t, frame, tag)
        if gateway is None:
            return
        self.put(f"{gateway}-phy", t + 0.0001, frame, tag)
        if gateway == anchor:
            self.put(f"{gateway}-wan", t + 0.0002, wire.ether(WAN[gateway], CORE[gateway], packet), tag)
        else:
            outer = wire.tunnelled(ADDRESS[gateway], ADDRESS[anchor], packet)
            self.core(gateway, anchor, t + 0.0002, outer, tag)
            self.put(f"{anchor}-wan", t + 0.0005, wire.ether(WAN[anchor], CORE[anchor], packet), tag)
        self.put(f"{peer}-eth0", t + 0.0007, wire.ether(CORE[peer], WAN[peer], packet), tag)

    def downlink(self, t, anchor, peer, packet, tag):
        """From a correspondent to the node; True when it arrived."""
        self.put(f"{peer}-eth0", t, wire.ether(WAN[peer], CORE[peer], packet), tag)
        self.put(f"{anchor}-wan", t + 0.0002, wire.ether(CORE[anchor], WAN[anchor], packet), tag)
        gateway = self.serving(t)
        if gateway is None:
            return False
        if gateway != anchor:
            outer = wire.tunnelled(ADDRESS[anchor], ADDRESS[gateway], packet)
            self.core(anchor, gateway, t + 0.0003, outer, tag)
        frame = wire.ether(LMAC[anchor], MN_MAC, packet)
        self.put(f"{gateway}-phy", t + 0.0006, frame, tag)
        self.put("mn1-eth0", t + 0.0007, frame, tag)
        return True

    def user_plane(self):
        """The traffic depends on the walk only: made once, its frames shared by all runs."""
        if WALK not in TRAFFIC:
            frames, events, self.frames, self.events = self.frames, self.events, [], []
            self.traffic()
            TRAFFIC[WALK] = self.frames, self.events
            self.frames, self.events = frames, events
        self.frames = self.frames + TRAFFIC[WALK][0]
        self.events = self.events + TRAFFIC[WALK][1]

    def traffic(self):
        self.flow("camera", "camera", "tcp", "cn2", "dgw1", 1.4, source_port=40000, destination_port=8080)
        self.flow("probe", "udp", "udp", "cn1", "dgw1", 1.4, source_port=5000, destination_port=7000)
        self.flow("ping1", "ping", "icmpv6", "cn1", "dgw1", 1.4, icmp_id=11)
        self.flow("ping2", "ping", "icmpv6", "cn2", "dgw2", 3.4, icmp_id=12)
        self.flow("ping3", "ping", "icmpv6", "cn2", "dgw3", 5.4, icmp_id=13)
        self.camera(1.5)
        for number in range(130):
            t = 1.5 + number * STEP
            packet = wire.udp(MN["dgw1"], ADDRESS["cn1"], 5000, 7000, number)
            self.uplink(t, "dgw1", "cn1", packet, f"probe:{number}")
            self.ping(t + 0.01, "dgw1", "cn1", number, 11)
            if t > 3.5:
                self.ping(t + 0.02, "dgw2", "cn2", number, 12)
            if t > 5.5:
                self.ping(t + 0.025, "dgw3", "cn2", number, 13)
        for ident, peer in ((101, "cn1"), (102, "cn2")):
            for offset, anchor in enumerate(POOL):
                for number in range(3):
                    self.ping_from(peer, 6.0 + number * 0.1 + offset * 0.01, anchor, number, ident + 10 * offset)

    def flow(self, name, kind, protocol, peer, anchor, t, **more):
        ends = {"source": MN[anchor], "destination": ADDRESS[peer]}
        self.event(t, "flow-started", flow=name, kind=kind, protocol=protocol, peer=peer, **ends, **more)
        self.event(6.9, "flow-ended", flow=name)

    def ping(self, t, anchor, peer, number, ident):
        ends = MN[anchor], ADDRESS[peer]
        self.uplink(t, anchor, peer, wire.echo(*ends, number, ident), f"ping:{ident}:{number}")
        if self.serving(t):
            reply = wire.echo(*ends[::-1], number, ident, reply=True)
            self.downlink(t + 0.001, anchor, peer, reply, f"pong:{ident}:{number}")

    def ping_from(self, peer, t, anchor, number, ident):
        ends = ADDRESS[peer], MN[anchor]
        self.downlink(t, anchor, peer, wire.echo(*ends, number, ident), f"reach:{ident}:{number}")
        reply = wire.echo(*ends[::-1], number, ident, reply=True)
        self.uplink(t + 0.001, anchor, peer, reply, f"reached:{ident}:{number}")

    def camera(self, begin):
        """TCP segments of 1000 octets; those sent while the node is away are sent again at its return."""
        sequence, waiting = 1000, []
        ends = ADDRESS["cn2"], MN["dgw1"]
        for number in range(130):
            t = begin + number * STEP + 0.01
            if self.serving(t):
                for late, again in enumerate(waiting):
                    packet = wire.tcp(*ends, 8080, 40000, again, 500, 1000)
                    self.downlink(t - 0.005 + late * 0.0005, "dgw1", "cn2", packet, f"again:{again}")
                waiting = []
            packet = wire.tcp(*ends, 8080, 40000, sequence, 500, 1000)
            if self.downlink(t, "dgw1", "cn2", packet, f"camera:{number}"):
                ack = wire.tcp(*ends[::-1], 40000, 8080, 500, sequence + 1000)
                self.uplink(t + 0.001, "dgw1", "cn2", ack, f"ack:{number}")
            else:
                waiting.append(sequence)
            sequence += 1000

    # -- the run directory -----------------------------------------------------------------------

    def inject(self, capture, t, packet, source="02:ee:00:00:00:01", destination="02:ee:00:00:00:02", tag="injected"):
        self.put(capture, t, wire.ether(source, destination, packet), tag)

    def drop(self, want):
        """Remove frames for which want(frame) holds; at least one must."""
        kept = [frame for frame in self.frames if not want(frame)]
        assert len(kept) < len(self.frames)
        self.frames = kept

    def by_capture(self):
        """capture -> [(time, octets)] by time."""
        found = defaultdict(list)
        for frame in self.frames:
            found[frame.capture].append((frame.t, frame.data))
        return {name: sorted(found[name]) for name in self.capture_names()}

    def files(self, only=None):
        """capture -> octets of its file; `only`: names of the captures wanted."""
        if only == ():
            return {}
        return {n: wire.pcapng(f) for n, f in self.by_capture().items() if only is None or n in only}

    @staticmethod
    def capture_names():
        return [
            *(f"{name}-{interface}" for name, interface in INTERFACE.items()),
            *(f"{name}-phy" for name in PHY),
            "mn1-eth0",
        ]

    def lab(self):
        def facts(mac, address=None, mtu=1600):
            return {"mac": mac, "addresses": [f"{address}/64"] if address else [], "mtu": mtu}

        nodes = {
            "core": {
                "role": "core",
                "interfaces": {n: facts(CORE[n], ADDRESS[n].replace("::2", "::1")) for n in CORE},
            },
            "cmd": {"role": "cmd", "interfaces": {"eth0": facts(WAN["cmd"], ADDRESS["cmd"])}},
            "air": {"role": "air", "interfaces": {"mn1-eth0": facts("02:dd:00:00:00:01", None, 1500)}},
            "mn1": {"role": "mobile", "interfaces": {"eth0": facts(MN_MAC, None, 1500)}},
        }
        for name in PHY:
            nodes[name] = {
                "role": "gateway",
                "interfaces": {"wan": facts(WAN[name], ADDRESS[name]), "phy": facts(PHY[name], None, 1500)},
            }
        for name in ("cn1", "cn2"):
            nodes[name] = {
                "role": "correspondent",
                "interfaces": {"eth0": facts(WAN[name], ADDRESS[name], 1500)},
            }
        links = [
            {
                "a": ["core", name],
                "b": [name, INTERFACE[name]],
                "mtu": 1600,
                "delay": None,
                "loss": None,
                "rate": None,
            }
            for name in INTERFACE
        ]
        for number in (1, 2, 3):
            nodes[f"cell{number}"] = {"role": "cell", "interfaces": {}}
            links.append({"a": [f"dgw{number}", "phy"], "b": [f"cell{number}", f"dgw{number}"], "mtu": 1500})
        links.append({"a": ["mn1", "eth0"], "b": ["air", "mn1-eth0"], "mtu": 1500})
        return {
            "format": 1,
            "lab": "ietf83",
            "scenario": "SC-IETF83",
            "title": "IETF 83: distributed anchors, one mobile node, a legacy camera",
            "options": {"mode": self.mode},
            "started": T0,
            "kernel": {"release": "6.18", "tunnel": "seg6"},
            "nodes": nodes,
            "links": links,
            "cells": {f"cell{n}": {"gateway": f"dgw{n}", "interface": "phy"} for n in (1, 2, 3)},
            "agents": [],
            "captures": [
                {"node": name.split("-")[0], "interface": name.split("-")[1], "file": f"pcap/{name}.pcapng"}
                for name in self.capture_names()
            ],
            "checks": self.checks,
            "domain": {
                "gateways": {
                    name: {"address": ADDRESS[name], "pool": POOL[name], "wan": "wan", "phy": "phy"} for name in POOL
                },
                "cmd": {"node": "cmd", "address": ADDRESS["cmd"], "interface": "eth0"},
                "mobiles": {"mn1": {"mn_id": MN_ID, "mac": MN_MAC, "interface": "eth0"}},
                "correspondents": {name: ADDRESS[name] for name in ("cn1", "cn2")},
                "mode": self.mode,
                "ra_profile": self.profile,
                "repository_port": REPOSITORY_PORT,
            },
        }

    def write(self, directory, only=None):
        """Write the run directory; `only`: names of the captures to write."""
        (directory / "pcap").mkdir(parents=True, exist_ok=True)
        (directory / "lab.json").write_text(json.dumps(self.lab()))
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.log()))
        for name, data in self.files(only).items():
            (directory / "pcap" / f"{name}.pcapng").write_bytes(data)
        return directory
