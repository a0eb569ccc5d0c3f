"""A right run of two Clients at one Server: they find the direct path between them, and lose it."""

from aero_octets import auth, discovery, echo, nonce, redirect, redirected, route, tllao, token
from aero_world import C1, C2, CLIENT, CLIENT2, DUIDS, H1, S1, SERVER, T0, World, client, interfaces

H2 = "2001:db8:1000:b000::1"
CUT = "the direct path is cut"
UNDERLAY, AERO = {"c1": C1, "c2": C2}, {"c1": CLIENT, "c2": CLIENT2}
HOSTS, PREFIXES = {"c1": H1, "c2": H2}, {"c1": "2001:db8:1000:a000::/56", "c2": "2001:db8:1000:b000::/56"}
OTHER = {"c1": "c2", "c2": "c1"}
MEDIATION = {"check": "aero-mediation", "framing": "nd"}
SWITCH = {"check": "aero-path-switch", "ping": "switch", "ttl": [61, 62], "bound_ms": 50}
LOSS = {"check": "aero-path-loss", "ping": "cut", "step": CUT, "ttl": [61, 62], "bound_ms": 8000}
CHECKS = [MEDIATION, SWITCH, LOSS]
PUBLISHED_CHECKS = [{**MEDIATION, "framing": "rfc6706"}]
SIZE = 84


class PairWorld(World):
    """What h1 and h2 behind c1 and c2 can do."""

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        self.lab["nodes"]["c2"] = interfaces(wan=f"{C2}/31")
        self.lab["domain"]["clients"]["c2"] = client(C2, "b", DUIDS["c2"], host="h2")
        self.underlay = dict(UNDERLAY)

    def series(self, name, start, end, ident):
        """The event of h1's pings."""
        ends = {"source": H1, "destination": H2, "node": "h1", "peer": "h2"}
        self.say("pings", start, name=name, end=T0 + end, size=SIZE, icmp_id=ident, count=1, **ends)

    def ping(self, tag, ident, number, time, *, direct):
        """One request of h1 and its reply, by the Server or directly."""
        for kind, one, other, when in (("request", "c1", "c2", time), ("reply", "c2", "c1", time + 0.005)):
            self.data(f"{tag}:{kind}", one, other, ident, number, when, direct=direct)

    def data(self, tag, one, other, ident, number, time, *, direct):
        """An echo request of h1 or a reply of h2, from host to host."""
        packet = lambda ttl: echo(HOSTS[one], HOSTS[other], ident, number, SIZE, reply=one == "c2", ttl=ttl)  # noqa: E731
        self.put(tag, f"h{one[1]}-eth0", time, packet(64))
        if direct:
            self.between(f"{tag}:direct", one, other, time + 0.001, packet(63))
        else:
            self.between(f"{tag}:up", one, "s1", time + 0.001, packet(63))
            self.between(f"{tag}:on", "s1", other, time + 0.002, packet(62))
        self.put(tag, f"h{other[1]}-eth0", time + 0.004, packet(62 if direct else 61))

    def between(self, tag, one, other, time, packet, *, arrives=True, **outer):
        """An encapsulated packet, at the interfaces of both ends or of the first only."""
        at = (f"{one}-wan", f"{other}-wan")[: 1 + arrives]
        ends = {"source": self.underlay.get(one, S1), "destination": self.underlay.get(other, S1)}
        self.carry(tag, at, time, packet, **{**ends, **outer})

    def ask(self, tag, one, other, time, octets, *, arrives=True):
        """A proved solicitation from Client to Client; its answer if it arrives."""
        fields = self.fields(tag, nonce=octets, options=[auth()], asking=[auth()])
        asked = discovery(135, AERO[one], AERO[other], AERO[other], nonce(fields["nonce"]), *fields["asking"])
        self.between(tag, one, other, time, asked, arrives=arrives)
        if arrives:
            told = discovery(136, AERO[other], AERO[one], AERO[other], nonce(octets), *fields["options"], flags=0x40)
            self.between(f"{tag}:answer", other, one, time + 0.001, told)


class DirectWorld(PairWorld):
    """h1 pings h2 by the Server, then directly, then by the Server again."""

    framing = "nd"

    def __init__(self, tweak=lambda _tag, fields: fields):
        super().__init__(tweak)
        self.say("step", 0.9, title="h1 pings h2")
        self.series("switch", 1.0, 2.0, 80)
        self.ping("switch:1", 80, 1, 1.0, direct=False)
        self.optimise("c1", 1.0025)
        self.optimise("c2", 1.0075)
        self.ask("test:c1", "c1", "c2", 1.010, b"test-1")
        self.ask("test:c2", "c2", "c1", 1.015, b"test-2")
        for number in (2, 3):
            self.ping(f"switch:{number}", 80, number, 1.0 + number / 10, direct=True)
        self.say("step", 3.0, title=CUT)
        self.series("cut", 3.0, 8.0, 81)
        lost = echo(H1, H2, 81, 1, SIZE, ttl=63)
        self.between("cut:1:request:direct", "c1", "c2", 3.01, lost, arrives=False)
        for number in range(3):
            for name in ("c1", "c2"):
                octets = f"lost-{name[1]}".encode()
                self.ask(f"lost:{name}:{number}", name, OTHER[name], 3.5 + number, octets, arrives=False)
        for number in (2, 3):
            self.ping(f"cut:{number}", 81, number, 6.8 + number / 10, direct=False)
        self.say("step", 9.0, title="done")

    def optimise(self, source, time):
        """The Server starts it upon a packet of this Client; the other one answers by the Server."""
        target = OTHER[source]
        quoted = echo(HOSTS[source], HOSTS[target], 80, 1, SIZE, reply=source == "c2", ttl=62)
        self.mediate(f"predirect:{source}", "s1", target, time, source, quoted, ttl=8, predirect=True)
        self.mediate(f"own:{source}", target, "s1", time + 0.0005, target, quoted, ttl=8, predirect=False)
        self.mediate(f"redirect:{source}", "s1", source, time + 0.001, target, quoted, ttl=7, predirect=False)

    def mediate(self, tag, one, other, time, about, quoted, **fields):
        """A Predirect or Redirect about a Client."""
        found = self.fields(
            tag,
            target=AERO[about],
            destination=AERO[about],
            prefix=PREFIXES[about],
            lladdrs=[(UNDERLAY[about], 8060)],
            nat=False,
            token=tag.rpartition(":")[2].encode() * 8,
            quoted=quoted,
            framing=self.framing,
            spoilt=0,
            **fields,
        )
        options = [tllao(*each, nat=found["nat"]) for each in found["lladdrs"]]
        options += [route(found["prefix"])] if found["prefix"] else []
        options += [token(found["token"])] if found["token"] else []
        how = {name: found[name] for name in ("predirect", "ttl", "framing", "spoilt")}
        ends = AERO.get(one, SERVER), AERO.get(other, SERVER), found["target"], found["destination"]
        self.between(tag, one, other, time, redirect(*ends, *options, redirected(found["quoted"]), **how))


class PublishedWorld(DirectWorld):
    """The same with Predirects and Redirects as RFC 6706 published them."""

    framing = "rfc6706"
