"""A right run of one Client without a NAT: sizes are found out, packets doubled, minimal encapsulation blocked."""

from aero_octets import discovery, echo, nonce, too_big
from aero_world import C1, CLIENT, DUIDS, H1, S1, SERVER, G, World

APPEARS, LOWERS = "a middlebox appears", "the MTU is lowered"
ROUTER = "2001:db8:1000:a000::ff"
CHECKS = [
    {"check": "aero-fragments"},
    {"check": "aero-sizes", "sizes": {"first": {"c1": [1060, 412], "s1": [1060, 412]}, "whole": {"c1": [1428]}}},
    {
        "check": "aero-sweep",
        "name": "sweep",
        "smallest": 1470,
        "largest": 1474,
        "whole": {"c1": 1472, "s1": 1472},
        "around": [28, 36],
    },
    {"check": "aero-tuning"},
    {"check": "aero-black-hole", "step": LOWERS, "nodes": ["c1"], "bound_ms": 4000},
    {"check": "aero-too-big", "name": "large", "mtu": 1500},
    {"check": "aero-fragment-path", "nodes": ["c1"], "kept": True},
    {"check": "aero-reordered", "node": "s1"},
    {"check": "aero-duplicates", "name": "doubled", "detected": True},
    {"check": "aero-fallback", "step": APPEARS, "nodes": ["c1", "s1"], "bound_ms": 1000},
    {"check": "aero-encapsulation", "data": ["0", "0F", "1"], "outer": [4], "inner": [6]},
    {"check": "aero-pings", "ttl": {"first": 62}, "max_lost": {"during": 1, "hole": 1}},
]
AWAY = {"source": C1, "destination": S1}
BACK = {"source": S1, "destination": C1}
UP, DOWN = ("c1-wan", "s1-wan"), ("s1-wan", "c1-wan")


class PathWorld(World):
    """h1 pings g through c1 and s1, in all sizes and ways."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        self._last = {"up": 6, "down": 0xFFFFFFFE}
        self.say("attached", 0, node="c1")
        self.say("client-attached", 0, node="s1", duid=DUIDS["c1"])
        self.atomic()
        self.sizes()
        self.large()
        self.doubled()
        self.minimal()
        self.hole()

    def atomic(self):
        """c1 asks whether Fragment Headers arrive as they are."""
        asked = discovery(135, CLIENT, SERVER, SERVER, nonce(b"atomic"))
        told = discovery(136, SERVER, CLIENT, SERVER, nonce(b"atomic"), flags=0xC0)
        for tag, where, time, packet, ends, way in (
            ("asked", UP, 0.5, asked, AWAY, "up"),
            ("told", DOWN, 0.51, told, BACK, "down"),
        ):
            self._last[way] = ident = (self._last[way] + 1) & 0xFFFFFFFF
            self.carry(f"atomic:{tag}", where, time, packet, **ends, code="1", fragment={"ident": ident})

    def sizes(self):
        """Cut before a size is proven, whole afterwards where it fits."""
        self.series("first", 60, 1.0, 1400, cut=True)
        self.probe("probe", 1.1, b"abcdef")
        self.probe("return", 1.2, b"ghijkl", towards_client=True)
        self.series("whole", 61, 2.0, 1400)
        self.series("cut", 62, 2.2, 1500, cut=True)
        self.pings("sweep", "h1", "g", 3.0, 3.5, size=0, ident=63, count=5, expect="every size")
        for size in range(1470, 1475):
            self.ping("sweep", 63, size, 3.0 + (size - 1470) * 0.05, size, cut=size > 1472)

    def large(self):
        """What does not fit is told."""
        self.pings("large", "h1", "g", 4.0, 4.5, size=8000, ident=64, expect="none")
        packet = echo(H1, G, 64, 1, 8000)
        self.put("large", "h1-eth0", 4.0, packet)
        fields = self.fields("told", source=ROUTER, mtu=1500, quoted=packet[:1232])
        if fields:
            self.put("told", "h1-eth0", 4.001, too_big(fields["source"], H1, fields["mtu"], fields["quoted"]))

    def doubled(self):
        """The network doubles one packet of three, and another overtakes it."""
        self.pings("doubled", "h1", "g", 5.0, 5.4, size=84, ident=65, count=4)
        for number in range(4):
            lag = 0.06 if number == 2 else 0.0002
            self.ping("doubled", 65, number + 1, 5.0 + number * 0.05, 84, atomic=True, lag=lag)
        packet = echo(H1, G, 65, 2, 84, ttl=63)
        self.carry("twin", ("s1-wan",), 5.0995, packet, **AWAY, fragment={"ident": self._last["up"] - 2})
        self.say("counters", 5.5, node="s1", dpd_dup=1, reorder=1)

    def minimal(self):
        """Protocol 41 is no longer let through."""
        self.series("before", 66, 6.0, 84, code="1")
        self.say("step", 7.0, title=APPEARS)
        self.pings("during", "h1", "g", 7.1, 7.8, size=84, ident=67, count=3)
        self.put("during:1", "h1-eth0", 7.1, echo(H1, G, 67, 1, 84))
        for again in range(2):
            lost = echo(H1, G, 67, 1, 84, ttl=63)
            self.carry(f"during:{again}:up", ("c1-wan",), 7.101 + again * 0.3, lost, **AWAY, code="1")
        for number in (2, 3):
            self.ping("during", 67, number, 7.3 + number * 0.1, 84)
        self.say("step", 8.0, title="done")

    def hole(self):
        """The path takes 1400 octets from now on, and no router says so."""
        self.say("step", 10.0, title=LOWERS)
        self.pings("hole", "h1", "g", 10.1, 13.6, size=1440, ident=68, count=2)
        self.put("hole:1", "h1-eth0", 10.1, echo(H1, G, 68, 1, 1440))
        self.carry("hole:1:up", ("c1-wan",), 10.101, echo(H1, G, 68, 1, 1440, ttl=63), **AWAY, df=True)
        for number in range(3):
            octets = b"lost%02d" % number
            packet = discovery(135, CLIENT, SERVER, SERVER, nonce(octets))
            self.carry(f"lost:{number}", ("c1-wan",), 10.2 + number, packet, **AWAY, df=True, pad=1472 - len(packet))
            self.probe(f"small:{number}", 10.201 + number, b"smal%02d" % number, size=0)
        self.ping("hole", 68, 2, 13.5, 1440, cut="up")
        self.say("step", 14.0, title="done")

    def probe(self, tag, time, octets, *, towards_client=False, size=1500):
        """A padded solicitation and its answer."""
        asking, asked = (SERVER, CLIENT) if towards_client else (CLIENT, SERVER)
        packet = discovery(135, asking, asked, asked, nonce(octets))
        there, back = ((BACK, AWAY), (DOWN, UP)) if towards_client else ((AWAY, BACK), (UP, DOWN))
        self.carry(tag, back[0], time, packet, **there[0], df=bool(size), pad=max(0, size - 28 - len(packet)))
        answer = discovery(136, asked, asking, asked, nonce(octets), flags=0x40)
        self.carry(f"{tag}:answer", back[1], time + 0.001, answer, **there[1])

    def series(self, name, ident, time, size, count=1, **how):
        """Echo requests and their replies, and the event that announces them."""
        self.pings(name, "h1", "g", time, time + 0.1 * count, size=size, ident=ident, count=count)
        for number in range(count):
            self.ping(name, ident, number + 1, time + number * 0.05, size, **how)

    def ping(self, name, ident, number, time, size, **how):
        """One request and its reply, at all interfaces."""
        tag = f"{name}:{number}"
        self.put(tag, "h1-eth0", time, echo(H1, G, ident, number, size))
        self.inside(f"{tag}:up", "up", time + 0.001, echo(H1, G, ident, number, size, ttl=63), **how)
        self.put(tag, "g-eth0", time + 0.003, echo(H1, G, ident, number, size, ttl=62))
        self.put(f"{tag}:reply", "g-eth0", time + 0.004, echo(G, H1, ident, number, size, reply=True))
        if how.get("cut") == "up":
            how["cut"] = False
        self.inside(f"{tag}:down", "down", time + 0.005, echo(G, H1, ident, number, size, reply=True, ttl=63), **how)
        self.put(f"{tag}:reply", "h1-eth0", time + 0.007, echo(G, H1, ident, number, size, reply=True, ttl=62))

    def inside(self, tag, way, time, packet, *, cut=False, atomic=False, code="0", lag=0.0002):
        """One inner packet between the nodes: whole, in two parts, or behind an atomic Fragment Header."""
        where, ends = (UP, AWAY) if way == "up" else (DOWN, BACK)
        if not cut and not atomic:
            self.carry(tag, where, time, packet, **ends, df=len(packet) > 1280, code=code)
            return
        self._last[way] = ident = (self._last[way] + 1) & 0xFFFFFFFF
        if atomic:
            self.carry(tag, where, time, packet, lag, **ends, fragment={"ident": ident})
            return
        for offset, part in ((0, packet[:1024]), (1024, packet[1024:])):
            header = {"offset": offset, "more": not offset, "ident": ident}
            self.carry(f"{tag}:{offset}", where, time + offset * 1e-7, part, **ends, fragment=header)
