"""Runs made of records instead of capture files: two gateways, one move, in classic or distributed mode.

`World.captures` can be edited before `run()`; every packet, message and advertisement is a plain dataclass there.
"""

import json
from collections import defaultdict
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network

from captures.records import (
    TCP,
    UDP,
    Capture,
    IpLayer,
    MobilityMessage,
    Packet,
    PrefixInformation,
    RouterAdvertisement,
    eui64,
)
from captures.run import Run

T0 = 1_760_000_000.0
MN_ID, MN_MAC = "mn1@dmm.example", "02:00:00:00:00:11"
ADDRESS = {"dgw1": "2001:db8:c:1::2", "dgw2": "2001:db8:c:2::2", "lma": "2001:db8:c:9::2", "cn1": "2001:db8:f::2"}
HOME = "2001:db8:100:1::/64"
HOME_POOL = "2001:db8:100::/48"
POOL = {"dgw1": "2001:db8:a1::/48", "dgw2": "2001:db8:b2::/48"}
HOME_ADDRESS = "2001:db8:100:1:0:ff:fe00:11"
LMAC = "02:d6:00:00:00:01"
ROUTER = eui64(LMAC)
WALK = (("dgw1", 1.0, 3.0), ("dgw2", 3.005, 6.0))
MACS = {"dgw1": "02:aa:00:00:00:01", "dgw2": "02:aa:00:00:00:02", "lma": "02:aa:00:00:00:09"}


class World:
    """Captures, events and lab.json of one run."""

    def __init__(self, mode="classic"):
        self.mode = mode
        self.captures = {}
        self.events = []
        self.checks = []
        self.content = None
        self._sequence = 0
        for node, interface in (
            *((name, side) for name in ("dgw1", "dgw2") for side in ("wan", "phy")),
            *((name, "eth0") for name in (self.central, "cn1", "mn1")),
        ):
            self.capture(node, interface)

    @property
    def central(self):
        return "lma" if self.mode == "classic" else "cmd"

    def capture(self, node, interface):
        key = f"{node}-{interface}"
        return self.captures.setdefault(key, Capture(f"pcap/{key}.pcapng", node, interface))

    def event(self, t, event, node="mn1", **fields):
        self.events.append({"t": T0 + t, "node": node, "agent": "lab", "event": event, **fields})

    def packet(self, where, t, *ends, protocol=UDP, hops=64, length=100, source_mac="02:bb:00:00:00:01", **fields):
        """One frame; `ends` from the outermost header in: (source, destination[, hop limit])."""
        layers = tuple(
            IpLayer(IPv6Address(one[0]), IPv6Address(one[1]), 41 if more else protocol, (*one, hops)[2], 60)
            for one, more in ((end, number < len(ends) - 1) for number, end in enumerate(ends))
        )
        capture = self.captures[where]
        capture.packets.append(
            Packet(capture.file, 0, T0 + t, length, source_mac, "02:bb:00:00:00:02", 0x86DD, layers, protocol, **fields)
        )

    # --- classic signalling

    def message(self, t, source, destination, kind, **fields):
        """A PBU or PBA, at both ends' captures."""
        given = {
            "eth_source": MACS[source],
            "checksum_valid": True,
            "payload_proto": 59,
            "sequence": self._sequence,
            "flags": 0x8200 if kind == "PBU" else 0x20,
            "status": -1 if kind == "PBU" else 0,
            "lifetime": 75,
            "options": (8, 22, 23, 24, 25, 26, 27),
            "mn_id": MN_ID,
            "handoff": 4,
            "access_type": 3,
            "link_layer_id": MN_MAC,
            "timestamp": T0 + t,
            **fields,
        }
        for node in (source, destination):
            capture = self.captures[f"{node}-{'eth0' if node == 'lma' else 'wan'}"]
            late = 0.0 if node == source else 0.0002
            ends = IPv6Address(ADDRESS[source]), IPv6Address(ADDRESS[destination])
            capture.mobility.append(MobilityMessage(capture.file, 0, T0 + t + late, source=ends[0], destination=ends[1],
                                                    kind=kind, **given))  # fmt: skip

    def exchange(self, t, gateway, update=None, answer=None):
        """PBU and PBA; `update`, `answer`: what differs (answer False: none)."""
        self._sequence += 1
        asked = {"prefixes": (IPv6Network("::/0"),), "link_local": IPv6Address("::"), **(update or {})}
        self.message(t, gateway, "lma", "PBU", **asked)
        if answer is not False:
            same = {key: asked[key] for key in ("handoff", "lifetime", "sequence") if key in asked}
            given = {"prefixes": (IPv6Network(HOME),), "link_local": ROUTER, "timestamp": T0 + t}
            self.message(t + 0.001, "lma", gateway, "PBA", **{**same, **given, **(answer or {})})

    def advertise(self, t, gateway, mac=LMAC, prefix=HOME, preferred=300, preference="medium"):
        """One RA, at the gateway's access interface and at the node."""
        for where in (f"{gateway}-phy", "mn1-eth0"):
            capture = self.captures[where]
            capture.advertisements.append(
                RouterAdvertisement(
                    capture.file,
                    0,
                    T0 + t,
                    mac,
                    MN_MAC,
                    eui64(mac),
                    eui64(MN_MAC),
                    255,
                    64,
                    False,
                    False,
                    preference,
                    60,
                    0,
                    0,
                    mac,
                    1460,
                    (PrefixInformation(IPv6Network(prefix), True, True, 300, preferred),),
                )
            )
            ends = str(eui64(mac)), str(eui64(MN_MAC))
            self.packet(where, t, ends, protocol=58, hops=255, source_mac=mac, icmp_type=134)

    def traffic(self, gateway, start, end, tunnelled=True):
        """The node talks to cn1 over the anchor."""
        t = start
        while t < end:
            up, down = (HOME_ADDRESS, ADDRESS["cn1"]), (ADDRESS["cn1"], HOME_ADDRESS)
            for inner, outer in ((up, (gateway, "lma")), (down, ("lma", gateway))):
                ends = [(ADDRESS[outer[0]], ADDRESS[outer[1]])] if tunnelled else []
                self.packet(f"{gateway}-wan", t, *ends, inner, source_mac=MACS[outer[0]])
                self.packet("mn1-eth0", t, inner)
            t += 0.05

    def run(self, directory):
        """Write what is not captures, and hand all over; frames are numbered by time."""
        facts = {
            "gateways": {
                name: {"address": ADDRESS[name], "pool": POOL[name], "wan": "wan", "phy": "phy"} for name in POOL
            },
            self.central: {
                "node": self.central, "address": ADDRESS["lma"], "interface": "eth0", "pool": HOME_POOL,
            },
            "mobiles": {"mn1": {"mn_id": MN_ID, "mac": MN_MAC, "interface": "eth0"}},
            "correspondents": {"cn1": ADDRESS["cn1"]},
            "mode": self.mode,
            **({"content": self.content} if self.content else {}),
        }  # fmt: skip
        lab = {"format": 1, "lab": "made-up", "title": "Made up", "nodes": {}, "checks": self.checks, "domain": facts}
        (directory / "lab.json").write_text(json.dumps(lab))
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))
        for capture in self.captures.values():
            for kind in ("packets", "mobility", "advertisements"):
                records = sorted(getattr(capture, kind), key=lambda one: one.time)
                for number, one in enumerate(records, 1):
                    object.__setattr__(one, "number", number)
                setattr(capture, kind, records)
        return Run(directory, self.captures.values())


def attachments(world):
    for number, (gateway, start, end) in enumerate(WALK, 1):
        world.event(start, "attached", cell=f"cell{number}", gateway=gateway, mac=MN_MAC)
        if number < len(WALK):
            world.event(end, "detached", cell=f"cell{number}", gateway=gateway, mac=MN_MAC)


def classic_walk(farewell=True, **second):
    """A right walk under classic PMIPv6; `second`: how the registration at dgw2 differs (update=, answer=)."""
    world = World()
    attachments(world)
    for number, (gateway, start, end) in enumerate(WALK):
        world.exchange(start + 0.001, gateway, **(second if number else {}))
        world.advertise(start + 0.01, gateway)
        world.traffic(gateway, start + 0.02, end)
    if farewell:
        gone = {"lifetime": 0, "prefixes": (IPv6Network(HOME),)}
        world.exchange(3.0005, "dgw1", update=gone)
    return world


# --- content

ANYCAST = "2001:db8:cd::80"
CACHE = {"cache0": "2001:db8:d::2", "cache1": "2001:db8:d:1::2", "cache2": "2001:db8:d:2::2"}
MINE = {"dgw1": "2001:db8:a1:1:0:ff:fe00:11", "dgw2": "2001:db8:b2:1:0:ff:fe00:11"}
BODY = b"film" * 100


class ContentWorld(World):
    """Two downloads, one at each gateway; the first goes on after the move, through the tunnel to dgw1."""

    def __init__(self, directory):
        super().__init__("relay")
        self.directory = directory
        for cache in CACHE:
            self.capture(cache, "eth0")
        self.capture("origin", "eth0")
        self.content = {
            "name": "film.example",
            "address": ANYCAST,
            "origin": "cn1",
            "caches": CACHE,
            "nearest": {"dgw1": "cache1", "dgw2": "cache2"},
            "core_links": {"core–dgw1": ["dgw1", "wan"], "core–dgw2": ["dgw2", "wan"]},
        }
        attachments(self)
        for gateway, start, _ in WALK:
            prefix = MINE[gateway].replace(":0:ff:fe00:11", "::/64")
            self.advertise(start + 0.01, gateway, mac=f"02:d6:00:0{gateway[-1]}:00:01", prefix=prefix)
        self.event(0.5, "published", content={"film": {"octets": len(BODY), "sha256": sha256(BODY).hexdigest()}})
        self.logs = defaultdict(list)
        self.bodies = {}
        self.hop_at_core = 1
        for number, cache in ((1, "cache1"), (2, "cache2")):
            self.logged("cn1", CACHE[cache])
            self.download(f"film-{number}", f"dgw{number}", cache, 40000 + number, WALK[number - 1][1] + 0.5)

    def logged(self, server, client, status=200):
        entry = {"client": client, "uri": "/film?rate=1", "status": status, "octets": len(BODY), "cache": "MISS"}
        self.logs[server].append(entry)

    def download(self, name, gateway, cache, port, start):
        source = MINE[gateway]
        ports = {"source_port": port, "destination_port": 80}
        self.event(
            start, "flow-started", flow=name, kind="download", protocol="tcp", peer="film.example", source=source,
            destination=ANYCAST, content="film", file=f"downloads/{name}", **ports,
        )  # fmt: skip
        self.event(5.9, "flow-ended", flow=name)
        self.logged(cache, source)
        self.bodies[name] = BODY
        t, octet = start + 0.001, 1000
        self.segment(t, gateway, gateway, cache, port, True, tcp_flags=0x02)
        self.segment(t + 0.001, gateway, gateway, cache, port, False, tcp_flags=0x12, tcp_sequence=octet - 1)
        while t < 5.8:
            t += 0.05
            serving = next((name for name, start, end in WALK if start + 0.02 <= t < end), None)
            if serving:
                self.segment(t, gateway, serving, cache, port, True, tcp_flags=0x10)
                self.segment(t + 0.01, gateway, serving, cache, port, False, tcp_length=10, tcp_sequence=octet)
                octet += 10

    def segment(self, t, anchor, serving, cache, port, up, **fields):
        """One segment at every interface it passes."""
        moved = anchor != serving
        near, far = (MINE[anchor], ANYCAST), (ANYCAST, MINE[anchor])
        inner = near if up else far
        ports = {"source_port": port, "destination_port": 80} if up else {"source_port": 80, "destination_port": port}
        seen = {"protocol": TCP, **ports, **fields}
        self.packet("mn1-eth0", t, (*inner, 64 if up else 63), **seen)
        self.packet(f"{cache}-eth0", t + 0.0001, (*inner, 63 if up else 64), **seen)
        if moved:
            outer = (serving, anchor) if up else (anchor, serving)
            ends = ADDRESS[outer[0]], ADDRESS[outer[1]]
            for place, limit in ((f"{outer[0]}-wan", 63), (f"{outer[1]}-wan", 63 - self.hop_at_core)):
                self.packet(place, t, (*ends, limit), (*inner, 64), **seen)

    def run(self, directory=None):
        self.content["origin"] = "cn1"
        for name, body in self.bodies.items():
            (self.directory / "downloads").mkdir(exist_ok=True)
            (self.directory / "downloads" / name).write_bytes(body)
        (self.directory / "logs").mkdir(exist_ok=True)
        for server in (*CACHE, "cn1"):
            lines = "".join(json.dumps(one) + "\n" for one in self.logs[server])
            (self.directory / "logs" / f"{server}-access.jsonl").write_text(lines)
        return super().run(self.directory)
