"""AERO links on which everything goes wrong for a while, and what must be true once it has stopped.

A world is Servers around a Relay and Clients with and without NATs.  Its underlay loses, delays, repeats and
overtakes; Clients move, change their Server, are cut off, sleep; Servers and NATs forget; somebody hears all control
packets and sends them again, whole and altered, from a place of his own and in others' names.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from aero_domain import RELAY, START, UDP, DhcpServer, Link, Nat, Node, permanent
from aero_packets import ipv4, ipv6

from agents.aero.client.core import ClientCore
from agents.aero.config import OptimisationConfig
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.notices import ChangeServer
from agents.aero.optimisation.pairs import Correspondent, Stage

EVIL = LinkLayerAddress(UDP, ip_address("198.18.66.66"), 8060)
OVERHEARD = 200
"""Control packets that are remembered."""
DIRECT = 64
"""Hop limit of a packet that no Server forwarded."""


class HostileLink(Link):
    """An underlay that may be bad."""

    def __init__(self, chance: random.Random, outer: int) -> None:
        super().__init__(outer=outer)
        self.chance = chance
        self.loss = self.repetition = self.jitter = 0.0
        self.blocked: set[frozenset[str]] = set()
        """Pairs of node names between which nothing passes."""
        self.passes = lambda a, b, _lladdr: frozenset((_name(a), _name(b))) not in self.blocked
        self.lose = lambda _a, _b, _packet: self.chance.random() < self.loss
        self.overheard: deque[tuple[Node, bytes, LinkLayerAddress]] = deque(maxlen=OVERHEARD)

    @property
    def delay(self) -> float:
        return 0.01 + self.chance.random() * self.jitter

    @delay.setter
    def delay(self, seconds: float) -> None:
        """The first one is all that a quiet link needs."""

    def _transmit(self, sender, action) -> None:
        way = self._way(sender, action.lladdr)
        if way and not _is_dhcp(action.packet):
            self.overheard.append((way[0], action.packet, way[1]))
        for _copy in range(1 + (self.chance.random() < self.repetition)):
            super()._transmit(sender, action)

    def carry(self, sender, through, destination, payload) -> None:
        assert destination[0] != str(EVIL.ip), "data for a liar"
        for _copy in range(1 + (self.chance.random() < self.repetition)):
            super().carry(sender, through, destination, payload)

    def say_again(self, *, spoofed: bool, altered: bool) -> None:
        """What was overheard arrives once more."""
        for _packet in range(20 if self.overheard else 0):
            receiver, packet, source = self.chance.choice(self.overheard)
            octets = bytearray(packet)
            if altered:
                octets[self.chance.randrange(40, len(octets))] ^= 1 << self.chance.randrange(8)
            lladdr = source if spoofed else EVIL
            self.later(receiver, Control(bytes(octets), lladdr, None, len(octets)), self.chance.random())

    def calm(self) -> None:
        self.loss = self.repetition = self.jitter = 0.0
        self.blocked.clear()


def _is_dhcp(packet: bytes) -> bool:
    """A request that was lost is carried out for whoever repeats it: its replay value knows no time (spec §6.11)."""
    return packet[6] == 17 and packet[42:44] in (b"\x02\x22", b"\x02\x23")


def _name(node: Node) -> str:
    return node.core.config.name


@dataclass
class Flow:
    """Packets of one Client to another."""

    source: int
    target: int
    version: int
    back: bool
    """The other answers."""


@dataclass
class World:
    """Everything there is, and the means to make it hard."""

    chance: random.Random
    nats: list[str | None]
    servers: int = 2
    framing: str = "nd"
    encapsulations: tuple[str, ...] = ("udp",)
    families: tuple[str, ...] = ("ipv6", "ipv4")
    outer: int = 4
    flows: list[Flow] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.outer == 6:  # without NATs; and an IPv4 prefix has no next hop there
            self.nats, self.families = [None] * len(self.nats), ("ipv6",)
        self.link = HostileLink(self.chance, self.outer)
        self.keys = {f"0003000102000000{number:04x}": f"{number:032x}" for number in range(1, len(self.nats) + 1)}
        self.homes: list[Node] = []
        relays = (permanent("r1", RELAY[0], self.link.host("core", 9)),) if self.servers > 1 else ()
        for number in range(1, self.servers + 1):
            dhcp = DhcpServer(b"server%d" % number)
            if self.homes:
                dhcp.numbers, dhcp.given_up = self.homes[0].dhcp.numbers, self.homes[0].dhcp.given_up
            options = {"relays": relays, "optimisation": self._settings(), "auth_keys": self.keys}
            self.homes.append(self.link.add_server(number, dhcp, **options))
        if relays:
            self.link.add_relay(self.homes)
        for home in self.homes:
            self.link.start(home)
        self.clients = [self._client(number, kind) for number, kind in enumerate(self.nats, 1)]
        self.addresses = 100

    def _settings(self) -> OptimisationConfig:
        """Of one node: everybody understands both framings."""
        framing = self.chance.choice(("nd", "rfc6706")) if self.framing == "mixed" else self.framing
        return OptimisationConfig(framing=framing)

    def _client(self, number: int, kind: str | None) -> Node:
        nat = Nat(f"10.{number}.1.2", f"198.51.100.{100 + number}", 30000 + 1000 * number, kind) if kind else None
        turned = self.homes[number % len(self.homes) :] + self.homes[: number % len(self.homes)]
        families = tuple(self.chance.sample(self.families, len(self.families)))
        client = self.link.add_client(
            number,
            turned,
            nat=nat,
            encapsulation=self.chance.choice(self.encapsulations),
            families=families,
            optimisation=self._settings(),
            auth_key=list(self.keys.values())[number - 1],
        )
        self.link.start(client)
        return client

    # --- traffic

    def address(self, client: int, version: int) -> str:
        """An inner address of a Client."""
        duid = bytes.fromhex(self.clients[client].core.config.duid)
        prefix = self.homes[0].dhcp.prefix(duid, 1 if version == 6 else 4)
        return str((prefix.network_address.ipv4_mapped or prefix.network_address) + 1)

    def packet(self, flow: Flow, *, back: bool = False) -> bytes:
        ends = [self.address(each, flow.version) for each in (flow.source, flow.target)]
        return bytes((ipv6 if flow.version == 6 else ipv4)(*(reversed(ends) if back else ends), 100))

    def run(self, seconds: float, rate: float = 2.0) -> None:
        """Let time pass while all flows go on."""
        begin = self.link.now - START
        for number in range(int(seconds * rate)):
            for flow in self.flows:
                for node, packet in self._sent(flow):
                    self.link.send(node, packet)
            self.link.run(begin + (number + 1) / rate)

    def _sent(self, flow: Flow) -> Iterator[tuple[Node, bytes]]:
        if self.clients[flow.source].up:
            yield self.clients[flow.source], self.packet(flow)
        if flow.back and self.clients[flow.target].up:
            yield self.clients[flow.target], self.packet(flow, back=True)

    def add_flow(self, flow: Flow) -> None:
        """Between Clients that there are, and no other between them in this IP version."""
        count = len(self.clients)
        source, target = flow.source % count, flow.target % count
        target = target if source != target else (target + 1) % count
        made = Flow(source, target, flow.version, flow.back)
        if made.version == 4 and "ipv4" not in self.families:
            made.version = 6
        if all({each.source, each.target} != {source, target} or each.version != made.version for each in self.flows):
            self.flows.append(made)

    # --- trouble

    @property
    def routers(self) -> list[Node]:
        return [*self.homes, *((self.link.relay,) if self.link.relay else ())]

    def reboot(self, number: int) -> None:
        """A Client dies and is there again, with what it saved."""
        self.link.reboot_client(self.clients[number])

    def do(self, what: str, how: Any) -> None:
        """One step of trouble, by its name."""
        match what:
            case "loss" | "jitter" | "repetition":
                setattr(self.link, what, how)
            case "calm":
                self.link.calm()
            case "block":
                names = [_name(self.link.nodes[each % len(self.link.nodes)]) for each in how]
                self.link.blocked.add(frozenset(names))
            case "sleep":
                self.clients[how % len(self.clients)].up = False
            case "wake":
                self.clients[how % len(self.clients)].up = True
            case "restart":
                self.restart(how % len(self.homes))
            case "freeze":
                self.routers[how % len(self.routers)].up = False
            case "thaw":
                self.routers[how % len(self.routers)].up = True
            case "silence":
                self.homes[how % len(self.homes)].dhcp.silent = True
            case "replay" | "spoof" | "alter":
                self.link.say_again(spoofed=what == "spoof", altered=bool(how) or what == "alter")
            case _:
                getattr(self, what)(how % len(self.clients))

    def move(self, number: int) -> None:
        """To another network, of the same kind as the one before."""
        client = self.clients[number]
        self.addresses += 1
        if client.nat:
            client.nat = replace(client.nat, inside=f"10.{self.addresses}.1.2", ports={}, port=client.nat.port + 100)
            self.link.move(client, client.nat.inside)
        else:
            self.link.move(client, self.link.host("moved", self.addresses))

    def renumber(self, number: int) -> None:
        """A Client gets another prefix with its next Renew."""
        duid = bytes.fromhex(self.clients[number].core.config.duid)
        if len(self.homes[0].dhcp.given_up.get(duid, ())) < 2:
            self.homes[0].dhcp.renumber(duid)

    def rebind(self, number: int) -> None:
        """The NAT forgets its mappings."""
        nat = self.clients[number].nat
        if nat:
            nat.port, nat.ports = nat.port + 100, {}

    def change_server(self, number: int) -> None:
        """To the next one of the Client's list."""
        core = self.clients[number].core
        if core._attachment.choice:
            self.link.feed(self.clients[number], ChangeServer((core._attachment.choice.number + 1) % len(self.homes)))

    def restart(self, number: int) -> None:
        """A Server dies and is there again at once, with what it saved."""
        self.link.reboot_server(self.homes[number])

    # --- the end

    def expected_direct(self, flow: Flow) -> bool:
        kinds = {self.nats[flow.source], self.nats[flow.target]}
        both = [self.nats[flow.source], self.nats[flow.target]]
        return not ("symmetric" in kinds and (kinds <= {"symmetric", "restricted"}) and None not in both)

    def settled(self, *, wait: float = 150.0) -> None:
        """Trouble is over: everybody finds everybody again."""
        self.link.calm()
        for each in (*self.routers, *self.clients):
            each.up = True
        for home in self.homes:
            home.dhcp.silent = False
        self.run(wait)
        before = {id(node): len(node.delivered) for node in self.clients}
        self.run(10)
        self.link.run(self.link.now - START + 0.3)
        self._check_bindings()
        self._check_traffic(before)
        self._check_agreement()

    def _check_bindings(self) -> None:
        for node in self.link.nodes:
            assert EVIL not in node.core.cache._by_lladdr
        for client in self.clients:
            core = client.core
            assert len(core.prefixes) == len(core.config.families), core.inspect()
            homes = [home for home in self.homes if home.core.address == core.cache.default.address]
            assert len(homes) == 1
            entry = homes[0].core._leases.of(bytes.fromhex(core.config.duid))
            assert entry, (core.inspect(), homes[0].core.inspect())
            assert set(entry.prefixes) == set(core.prefixes)
            seen = self.seen(client, LinkLayerAddress(UDP, ip_address(homes[0].ip), 8060))
            assert entry.path_at(seen), (str(seen), [str(path.lladdr) for path in entry.paths])
            assert core.seen == seen
            assert core.nat == bool(client.nat)

    @staticmethod
    def seen(client: Node, toward: LinkLayerAddress) -> LinkLayerAddress:
        own = LinkLayerAddress(UDP, ip_address(client.ip), 8060)
        return client.nat.out(own, toward) if client.nat else own

    def _check_traffic(self, before: dict[int, int]) -> None:
        for number, client in enumerate(self.clients):
            arrived = [packet for _t, packet in client.delivered[before[id(client)] :]]
            for flow in self.flows:
                for own, back in ((flow.target, False), (flow.source, True)):
                    if own != number or (back and not flow.back):
                        continue
                    wanted = self.packet(flow, back=back)
                    limits = [_hops(packet) for packet in arrived if _same(packet, wanted)]
                    assert len(limits) == 20, (flow, back, limits)
                    if self.expected_direct(flow):
                        assert set(limits) == {DIRECT}, (flow, back, limits)

    def _check_agreement(self) -> None:
        """What one may send, the other takes, and from where it comes."""
        for client in self.clients:
            for each in correspondents(client):
                for pair, forward in each.forward.items():
                    if forward.stage is not Stage.FORWARDING:
                        continue
                    peer = next(one for one in self.clients if pair.destination in one.core.prefixes)
                    mirrored = [one for one in correspondents(peer) if pair in one.accept]
                    assert len(mirrored) == 1, (str(pair), peer.core.inspect())
                    assert each.path
                    came = self.seen(client, each.path.lladdr)
                    assert mirrored[0].path_at(came), (str(came), [str(one.lladdr) for one in mirrored[0].paths])
                    assert len(each.tokens) in range(1, 9)

    def idle(self) -> None:
        """Nobody sends: what was made for flows is gone, and nothing is left of it."""
        self.flows.clear()
        self.link.run(self.link.now - START + 130)
        for client in self.clients:
            core = client.core
            assert not correspondents(client)
            parts = core.correspondence
            kept = {
                "pairs": len(parts.correspondents._timers._due),
                "table": len(parts.correspondents.table._entries),
                "announcements": len(parts._moving._announcements),
                "keepalives": len(parts._source._keepalives._due),
                "fellows": len(core.cache._fellows),
            }
            assert not any(kept.values()), kept
            self._check_discovery(client)
            routers = [each for each in core.cache if each.router]
            assert len(routers) == len(core.cache) == 1, core.inspect()
        for home in self.homes:
            self._check_discovery(home)
            paces = home.core.mediator.origination._paces
            mine = {each.address for each in home.core.cache}
            assert {pace.client.address for pace in paces.values()} <= mine

    @staticmethod
    def _check_discovery(node: Node) -> None:
        discovery = node.core._discovery
        alive = {path for each in node.core.cache for path in each.paths}
        assert len(discovery.solicitations._outstanding) <= 2 * len(alive) + 2
        assert sum(discovery.solicitations._asked.values()) <= len(discovery.solicitations._outstanding)
        assert set(discovery.sizes._neighbors) == set(discovery.sizes._timers._due)
        assert set(discovery._watched) <= {each.address for each in node.core.cache}
        known = node.core.cache
        assert set(known._by_lladdr) == {path.lladdr for path in alive}
        assert {address for each in known._by_ip.values() for address in each} <= {each.address for each in known}

    def over(self) -> None:
        """Everybody leaves."""
        for client in self.clients:
            self.link.stop(client)
        self.link.run(self.link.now - START + 320)
        for home in self.homes:
            assert not [each for each in home.core.cache if each.duid], home.core.inspect()
        if self.link.relay:
            assert not self.link.relay.core._routes


def correspondents(node: Node) -> list[Correspondent]:
    assert isinstance(node.core, ClientCore)
    return [each for each in node.core.cache if isinstance(each, Correspondent)]


def _hops(packet: bytes) -> int:
    return packet[7] if packet[0] >> 4 == 6 else packet[8]


def _same(packet: bytes, wanted: bytes) -> bool:
    """The same packet but for its hop limit."""
    if packet[0] >> 4 != wanted[0] >> 4:
        return False
    ends = slice(8, 40) if packet[0] >> 4 == 6 else slice(12, 20)
    return packet[ends] == wanted[ends]
