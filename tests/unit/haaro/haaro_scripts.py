"""Scripts of everything that may befall a domain, how they are played, and what must hold when they are over."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from haaro_domain import Domain, NatBox, address, home_of, network_of, router
from hypothesis import strategies as st

from agents.haaro.config import OwnedPrefix, Router, StaticKey
from agents.haaro.items import HomeAddress, Line, OwnNetwork, Routing, Tunnel, TunnelRoute
from agents.haaro.mr.cache import RRState
from agents.wire.mip4_messages import RegistrationRequest

LETTERS = "abc"
LINES = {
    letter: (("isp1", f"198.51.100.{10 * n}"), ("isp2", f"198.51.100.{10 * n + 1}"))
    for n, letter in enumerate(LETTERS, 1)
}
QUICK = {"home_lifetime": 60}
"""Home agents that forgot everything are told in less than a minute."""
ECHOES_A_SECOND = 5
"""By one pair of addresses (spec TUN-10)."""
STEADY = 4
"""Quarters of a minute for which all must be well."""
PAUSES = (0.0, 0.003, 0.03, 0.4, 2.0, 15.0)


def inside(letter: str) -> tuple[tuple[str, str], ...]:
    """Two lines behind one translator."""
    n = 1 + LETTERS.index(letter)
    return (("isp1", f"192.168.{n}.2"), ("isp2", f"192.168.{n}.3"))


@dataclass(frozen=True)
class World:
    """Where the routers are, and which of them reach each other directly when all is well."""

    nats: tuple[tuple[str, str], ...] = ()
    """(letter, kind of box)"""
    direct: tuple[tuple[str, str], ...] = (("a", "c"), ("a", "b"), ("b", "c"))
    changes: tuple[tuple[str, object], ...] = ()
    """Fields of every router's configuration."""
    keys: bool = False
    """Every pair of routers has a key of its own."""

    def domain(self) -> Domain:
        """A domain that has not begun."""
        nats = {letter: _box(kind, 1 + LETTERS.index(letter)) for letter, kind in self.nats}
        lines = {letter: inside(letter) if _translates(nats.get(letter)) else LINES[letter] for letter in LETTERS}
        changes = {letter: {**QUICK, **dict(self.changes)} for letter in LETTERS}
        for letter, kind in self.nats:
            if kind == "firewall":
                changes[letter] |= {"outbound_only": "yes", "force_udp": True}
        for letter in LETTERS if self.keys else "":
            others = (other for other in LETTERS if other != letter)
            changes[letter]["static_keys"] = tuple(StaticKey(home_of(o), _shared_key(letter, o)) for o in others)
        return Domain(LETTERS, nats=nats, lines=lines, changes=changes)


def _shared_key(one: str, other: str) -> bytes:
    return "".join(sorted((one, other))).encode() * 10


def _box(kind: str, number: int) -> NatBox:
    outside = None if kind == "firewall" else address(f"192.0.2.{number}")
    return NatBox(outside, symmetric=kind == "symmetric")


def _translates(box: NatBox | None) -> bool:
    return box is not None and box.outside is not None


WORLDS = {
    "open": World(),
    "eager": World(changes=(("eager", True),)),
    "ipip": World(changes=(("encapsulation", "ipip"),)),
    "keys": World(keys=True),
    "mesh": World(changes=(("mesh", True),)),
    "nat": World(nats=(("a", "nat"),)),
    "symmetric": World(nats=(("c", "symmetric"),)),
    "firewall": World(nats=(("b", "firewall"),)),
    "two": World(nats=(("a", "nat"), ("c", "symmetric")), direct=(("a", "b"), ("b", "c"))),
}

Owned = dict[str, tuple[OwnedPrefix, ...]]


def owned(kind: str) -> Owned:
    """Who owns what: all as usual, B's network in halves, nobody's or C's, or everything in a realm."""
    own = {letter: (OwnedPrefix(network_of(letter)),) for letter in LETTERS}
    match kind:
        case "divided":
            own["b"] = tuple(OwnedPrefix(half) for half in network_of("b").subnets())
        case "taken":
            own["b"] = ()
        case "moved":
            own["b"], own["c"] = (), (*own["c"], *own["b"])
        case "realm":
            own = {letter: tuple(replace(each, realm="x.example") for each in own[letter]) for letter in LETTERS}
    return own


def table(own: Owned) -> tuple[Router, ...]:
    """What the home agent is told of them."""
    return tuple(replace(router(letter), prefixes=own[letter]) for letter in LETTERS)


def networks(own: tuple[OwnedPrefix, ...]) -> tuple[IPv4Network, ...]:
    """What a router lists."""
    return tuple(each.prefix for each in own)


TABLES = ("usual", "divided", "taken", "moved", "realm")
LINE_EVENTS = ("down", "up", "move", "flap", "ping", "bad", "good")
ALL_EVENTS = (*LINE_EVENTS, "crash", "leave", "crash-ha", "rebind", "renumber", "hole", "deaf", "clock", "age")
TABLE_EVENTS = (*LINE_EVENTS, "crash", "crash-ha", *TABLES)


def scripts(kinds: tuple[str, ...], size: int = 12):
    """Lists of (event, letter, line, pause after it)."""
    line = st.sampled_from(("isp1", "isp2"))
    return st.lists(
        st.tuples(st.sampled_from(kinds), st.sampled_from(LETTERS), line, st.sampled_from(PAUSES)), max_size=size
    )


def hostile(domain: Domain, seed: int, loss: float) -> None:
    """Packets are lost, doubled, late, and out of order."""
    chance = random.Random(seed)
    domain.lose = lambda _node, _packet: chance.random() < loss
    domain.delays = lambda: tuple(chance.uniform(0.002, 0.2) for _ in range(1 + (chance.random() < 0.1)))


def peaceful(domain: Domain) -> None:
    """Every packet arrives once, in time."""
    domain.lose = lambda _node, _packet: False
    domain.delays = lambda: (domain.delay,)


class Player:
    """Plays a script, and brings the domain back to health."""

    def __init__(self, world: World, seed: int = 0) -> None:
        self.world, self.seed = world, seed
        self.domain = world.domain()
        self.own = owned("usual")
        self._gone: set[str] = set()
        """Routers that have left, or are leaving."""
        self._holes: set[tuple[str, str]] = set()
        """(from, to): octets of addresses between which nothing passes."""
        self.domain.dropped = lambda packet: (packet[12:16].hex(), packet[16:20].hex()) in self._holes

    def begin(self) -> None:
        """Everyone registers; A and C find each other."""
        self.domain.start(apart=0.1)
        self.domain.ping("a", "c", 0.1)

    def play(self, script) -> None:
        """What befalls the domain."""
        for what, letter, line, pause in script:
            self._event(what, letter, line)
            self.domain.run(250.0 if what == "age" else pause)
            sound(self.domain)

    def _event(self, what: str, letter: str, line: str) -> None:
        domain = self.domain
        other = LETTERS[LETTERS.index(letter) - 1]
        match what:
            case "down":
                domain.line_down(letter, line)
            case "up":
                domain.line_up(letter, line)
            case "flap":
                domain.line_down(letter, line)
                domain.line_up(letter, line)
            case "move":
                domain.move(letter, line)
            case "ping" if self.own["b"]:
                domain.ping(letter, other, 0.1)
            case "ping":
                domain.ping("a", "c", 0.1)
            case "bad":
                hostile(domain, self.seed, 0.5)
            case "good":
                peaceful(domain)
            case "crash":
                self._restart(letter)
            case "leave":
                domain.leave(letter)
                self._gone.add(letter)
            case "crash-ha":
                domain.restart_ha()
            case "rebind" | "renumber":
                self._rebind(letter, new=what == "renumber")
            case "hole" | "deaf":
                self._dig(letter, other, line, both=what == "hole")
            case "clock":
                self._restart(letter, ahead=self.seed % 400 - 200.0)
            case _:
                self.own = owned(what)  # routers hear of it when they begin anew
                domain.restart_ha(routers=table(self.own))

    def _restart(self, letter: str, ahead: float | None = None) -> None:
        self.domain.restart(letter, ahead=ahead, prefixes=networks(self.own[letter]))
        self._gone.discard(letter)

    def _rebind(self, letter: str, *, new: bool) -> None:
        box = self.domain.nats.get(letter)
        if box:
            box.forget()
            if new and box.outside:
                box.outside += 16

    def _dig(self, letter: str, other: str, line: str, *, both: bool) -> None:
        """Two routers' lines do not reach each other any more, or only one of them does."""
        one = next(each.address for each in self.domain[letter].config.lines if each.interface == line).packed.hex()
        for each in self.domain[other].config.lines:
            pair = one, each.address.packed.hex()
            self._holes |= {pair, pair[::-1]} if both else {pair}

    def heal(self) -> None:
        """All lines work, everyone is there."""
        domain = self.domain
        peaceful(domain)
        self._holes.clear()
        if not self.own["b"]:
            self._event("usual", "a", "isp1")
        domain.run(1.0)  # refusals that are on their way
        for letter in LETTERS:
            core = domain[letter]
            refused = core._home._unwanted  # a router lists no more what it was refused (spec §10)
            if letter in self._gone or refused or core.config.prefixes != networks(self.own[letter]):
                self._restart(letter)
            for interface in ("isp1", "isp2"):
                domain.line_up(letter, interface)

    def end(self) -> None:
        """Health, and all that must hold then; at last everyone leaves."""
        self.heal()
        assert self.settle()
        self.agree()
        sound(self.domain)
        quiet(self.domain)
        lossless(self.domain, self.world)
        nothing_left(self.domain)
        moderate(self.domain)

    def settle(self, rounds: int = 60) -> bool:
        """Let traffic flow in peace until everyone is direct who can be."""
        pairs = self.world.direct
        for _round in range(rounds):
            self._talk()
            self.domain.run(5.0)
            if all(self._direct(*pair) and self._direct(*pair[::-1]) for pair in pairs):
                return True
        return False

    def agree(self, rounds: int = 30) -> None:
        """Until all tables agree for a minute: the last tries of the bad times are over (AssertionError: never)."""
        good = 0
        for left in reversed(range(rounds)):
            self._talk()
            self.domain.run(15.0)
            try:
                agreed(self.domain, self.world, self.own)
                good += 1
            except AssertionError:
                good = 0
                if not left:
                    raise
            if good == STEADY:
                return
        raise AssertionError("never for a minute")

    def _talk(self) -> None:
        """Somebody in each network says something to everyone."""
        for one, other in self.world.direct:
            self.domain.ping(one, other, 0.1)

    def _direct(self, one: str, other: str) -> bool:
        """Its packets go directly, and each has the other's registration."""
        peer, routes = self.domain[one].cache.get(home_of(other)), self.domain.routes(one)
        direct = all(str(prefix) in routes for prefix in networks(self.own[other]))
        return direct and peer is not None and peer.accepted and peer.registered


def sound(domain: Domain) -> None:
    """What holds at every moment."""
    for letter, node in domain.nodes.items():
        if letter == "HA":
            continue
        for peer in node.core.cache:
            pairs = [each.pair for each in peer.tunnels]
            assert len(set(pairs)) == len(pairs), "one tunnel for each pair of addresses"
            assert not (peer.incoming and peer.incoming.held) or peer.outgoing, "held for nothing"
        tunnels = {item.name for item in node.items.values() if isinstance(item, Tunnel)}
        for item in node.items.values():
            assert not isinstance(item, TunnelRoute) or item.tunnel in tunnels, "no route without its tunnel"


def moderate(domain: Domain) -> None:
    """Nobody knocks, or asks, more often than it may (spec TUN-10, MR-21)."""
    windows: dict[object, deque[float]] = {}
    for t, name, action in domain.echoes:
        if not action.request:
            continue
        window = windows.setdefault((name, action.local, action.remote), deque())
        window.append(t)
        while t - window[0] >= 1.0:
            window.popleft()
        assert len(window) <= ECHOES_A_SECOND, (name, t - domain.began, "keepalives", len(window))


def agreed(domain: Domain, world: World, own: Owned) -> None:
    """Everyone is registered, and the tables of the routers are those of the home agent."""
    bindings = domain.ha.core.bindings
    for letter in LETTERS:
        core = domain[letter]
        base, binding = core._base, bindings.get(core.config.home_address)
        assert core.registered
        assert binding is not None
        assert base.home.careof == binding.careof
        assert base.home.udp == (binding.encapsulation == "udp")
        assert binding.networks == own[letter]
        assert base.home.networks == networks(own[letter])
        box = domain.nats.get(letter)
        assert binding.source == (box.outside if _translates(box) else binding.careof)
        others = {home_of(other): {(o.prefix, o.realm) for o in own[other]} for other in LETTERS if other != letter}
        known = {peer.home: {(n.prefix, n.realm) for n in peer.networks} for peer in core.cache if peer.known}
        assert known == others
    for one, other in world.direct:
        for this, that in ((one, other), (other, one)):
            peer = domain[this].cache.get(home_of(that))
            assert peer.accepted, (this, that)
            assert peer.registered, (this, that)
            assert not peer.outgoing.ending
            assert not peer.outgoing.held
            assert len(domain.tunnels(this, that)) == 1, (this, that)
            assert peer.candidate is None
            assert not peer.draining
            assert not any(pair.state is RRState.IN_PROGRESS for pair in peer.pairs.values())
    if not world.nats:
        for one, other in world.direct:
            mine, its = domain[one].cache.get(home_of(other)).tunnel, domain[other].cache.get(home_of(one)).tunnel
            assert mine.pair == its.pair[::-1]


def lossless(domain: Domain, world: World) -> None:
    """Traffic flows both ways, directly where it can, over the home agent elsewhere."""
    everyone = [(one, other) for one in LETTERS for other in LETTERS if one != other]
    for one, other in everyone:
        before = len(domain.over_ha)
        assert domain.stream(one, other, 0.5) == [], (one, other)
        way = "direct" if len(domain.over_ha) == before else "over the home agent"
        expected = (one, other) in world.direct or (other, one) in world.direct
        assert way == ("direct" if expected else "over the home agent"), (one, other)


def quiet(domain: Domain, seconds: float = 30.0) -> None:
    """Nothing is said but what keeps up what stands."""
    begin = domain.now
    domain.run(seconds)
    tests = [word for word in domain.since(begin, echoes=False) if "oT" in word]
    requests = [m for t, _who, m, _a in domain.sent if t >= begin and isinstance(m, RegistrationRequest)]
    assert len(requests) <= 3 * (1 + 2 * 2), "every registration renewed once, and no more"
    assert len(tests) <= 6 * 4


def nothing_left(domain: Domain) -> None:
    """When all have left, and all times have run out."""
    for letter in LETTERS:
        domain.leave(letter)
        domain.run(2.0)
    domain.run(60.0)
    assert all(domain[letter].left for letter in LETTERS)
    assert not domain.ha.core.bindings
    assert not domain.ha.items
    assert not domain.ha.plane.tunnels
    domain.run(600.0)
    for node in domain.nodes.values():
        assert node.core.next_timer() is None, node.name
        assert all(isinstance(item, (Routing, HomeAddress, OwnNetwork, Line)) for item in node.items.values())
    for letter in LETTERS:
        core = domain[letter]
        assert core._correspondent.parked == 0
        for peer in core.cache:
            assert peer.outgoing is None
            assert peer.incoming is None
            assert not list(peer.tunnels)
            assert not any(pair.state is RRState.IN_PROGRESS for pair in peer.pairs.values())
