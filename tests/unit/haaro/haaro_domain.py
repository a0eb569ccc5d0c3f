"""HAARO cores and their packet paths in virtual time, over an internet of dictionaries with NATs, losses and holes.

Everything between nodes is whole IPv4 packets: a NAT box rewrites octets, the home agent's kernel is a lookup in its
plane, and a packet of a host in a mobile network takes whatever way the routers' items give it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from agents.haaro import inner
from agents.haaro.config import AccessLine, HaConfig, MrConfig, OwnedPrefix, PeerTiming, Router
from agents.haaro.ha.core import HaCore
from agents.haaro.mr.core import MrCore
from agents.haaro.notices import (
    Install,
    Leave,
    LineDown,
    LineUp,
    Move,
    Networks,
    OwnNetworks,
    Remove,
    Send,
    SendEcho,
)
from agents.haaro.plane import Plane
from agents.haaro.sink import Ends
from agents.wire.mip4 import decode
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    RegistrationReply,
    RegistrationRequest,
)

START = 1_760_000_000.0
HA = IPv4Address("203.0.113.1")
HOME = IPv4Network("203.0.113.0/24")
PORT = 434
SHORT = {HomeTestInit: "HoTI", CareofTestInit: "CoTI", HomeTest: "HoT", CareofTest: "CoT"}
MOBILE_NETWORKS = IPv4Network("10.10.0.0/16")
INTERNET = IPv4Network("198.51.100.0/24")
IPIP, UDP = 4, 17


def address(text) -> IPv4Address:
    return IPv4Address(text)


def home_of(letter: str) -> IPv4Address:
    return IPv4Address(int(HA) + 10 + ord(letter) - ord("a"))


def network_of(letter: str, number: int = 0) -> IPv4Network:
    return IPv4Network(f"10.10.{ord(letter) - ord('a') + 1 + 100 * number}.0/24")


def host_of(letter: str, number: int = 0) -> IPv4Address:
    return network_of(letter, number)[10]


def key_of(letter: str) -> bytes:
    return bytes([ord(letter)] * 16)


def router(letter: str, *prefixes, **changes) -> Router:
    owned = tuple(p if isinstance(p, OwnedPrefix) else OwnedPrefix(p) for p in prefixes or (network_of(letter),))
    return replace(Router(letter, home_of(letter), key_of(letter), prefixes=owned), **changes)


@dataclass
class NatBox:
    """Translates to one outside address; lets in only what answers.  With `outside` None: a firewall."""

    outside: IPv4Address | None
    symmetric: bool = False
    """A new port for every destination, instead of keeping ports where they are free."""
    hairpin: bool = False
    out: dict = field(default_factory=dict)
    back: dict = field(default_factory=dict)
    allowed: set = field(default_factory=set)
    _ports: itertools.count = field(default_factory=lambda: itertools.count(40000))

    def forget(self):
        """All mappings are gone: those to come are others."""
        for table in (self.out, self.back, self.allowed):
            table.clear()

    def outbound(self, packet: bytes) -> bytes | None:
        source, destination = inner.source_of(packet), inner.destination_of(packet)
        datagram = inner.pull_udp(packet)
        if datagram is None:
            if self.outside is not None:
                return None  # IP in IP does not pass
            self.allowed.add((source, packet[9], destination))
            return packet
        key = (source, datagram.source_port, destination if self.symmetric else None)
        if self.outside is None:
            self.allowed.add((source, datagram.source_port, destination, datagram.destination_port))
            return packet
        if key not in self.out:
            wanted = datagram.source_port
            free = not self.symmetric and all(port != wanted for _a, port in self.back)
            port = wanted if free else next(self._ports)
            self.out[key] = port
            self.back[self.outside, port] = (source, datagram.source_port)
        port = self.out[key]
        self.allowed.add((port, destination, datagram.destination_port))
        return inner.push_udp(self.outside, destination, (port, datagram.destination_port), datagram.data)

    def inbound(self, packet: bytes) -> bytes | None:
        source, destination = inner.source_of(packet), inner.destination_of(packet)
        datagram = inner.pull_udp(packet)
        if self.outside is None:
            if datagram is None:
                return packet if (destination, packet[9], source) in self.allowed else None
            known = (destination, datagram.destination_port, source, datagram.source_port) in self.allowed
            return packet if known else None
        if datagram is None:
            return None
        found = self.back.get((destination, datagram.destination_port))
        if found is None or (datagram.destination_port, source, datagram.source_port) not in self.allowed:
            return None
        return inner.push_udp(source, found[0], (datagram.source_port, found[1]), datagram.data)


class Node:
    """One router, or the home agent: core, plane, and what its kernel holds."""

    def __init__(self, domain, name, core, ends=None):
        self.domain, self.name = domain, name
        self.begin(core, ends)
        self.lines = {}
        self.ahead = 0.0
        """Seconds its clock is ahead of true time."""
        self.received = []
        """(time, source, destination, payload) of packets for hosts behind it."""

    def begin(self, core, ends=None):
        """With nothing of what was before."""
        self.core = core
        self.plane = Plane(self, ends)
        self.items = {}

    @property
    def now(self):
        """The time by its own clock."""
        return self.domain.now + self.ahead

    # Sink
    def send_udp(self, local, remote, port, data, tos, df=False):
        self.domain.emit(self, inner.push_udp(local, remote, (PORT, port), data))

    def send_ip(self, local, remote, packet, tos, df=False):
        self.domain.emit(self, inner.push_ipv4(local, remote, IPIP, packet, tos=tos))

    def deliver(self, packet):
        self.domain.delivered(self, packet)

    def notice(self, notice):
        self.domain.later(0.0, lambda: self.domain.feed(self, notice))


class Domain:
    """A home agent and routers named by a letter."""

    def __init__(
        self, letters="abc", *, delay=0.01, ha_changes=None, changes=None, routers=None, nats=None, lines=None
    ):
        """By letter: `changes` are fields of its MrConfig, `nats` its NatBox, `lines` its (name, address) pairs."""
        self.now, self.delay = START, delay
        self._queue, self._order = [], itertools.count()
        self.talked = []
        """(time, words) of every message and keepalive sent."""
        self.sent = []
        """(time, node, message, action)"""
        self.log = []
        """(time, node, event)"""
        self.over_ha = []
        """(time, source, destination) of hosts' packets that the home agent forwarded."""
        self.echoes = []
        """(time, node, action) of every keepalive and every answer to one"""
        self.began = START
        self.lose: Callable[[Node, bytes], bool] = lambda _node, _packet: False
        self.dropped: Callable[[bytes], bool] = lambda _packet: False
        """What does not pass between two addresses of the internet."""
        self.delays: Callable[[], tuple[float, ...]] = lambda: (self.delay,)
        self.plain = []
        """Packets to nobody."""
        self.answering = True
        served = routers or tuple(router(letter) for letter in letters)
        config = HaConfig("ha", "HA", HA, served, "control", home_prefix=HOME)
        self.ha = Node(self, "HA", HaCore(replace(config, **(ha_changes or {}))))
        self.nodes = {"HA": self.ha}
        self.nats = nats or {}
        for letter in letters:
            self._add(letter, (changes or {}).get(letter, {}), (lines or {}).get(letter))

    def _add(self, letter, changes, lines):
        number = ord(letter) - ord("a") + 1
        public = f"198.51.100.{10 * number}"
        inside = f"192.168.{number}.2"
        nat = self.nats.get(letter)
        own = inside if nat and nat.outside else public
        wanted = lines or (("isp1", own),)
        access = tuple(AccessLine(name, address(where), None, 200 - 10 * i) for i, (name, where) in enumerate(wanted))
        config = MrConfig(
            "mr", letter.upper(), home_of(letter), HA, key_of(letter), access, "control", prefixes=(network_of(letter),)
        )
        config = replace(config, **changes)
        core = MrCore(config)
        node = Node(self, letter.upper(), core, Ends(config.home_address, config.prefixes, HA, config.gateway))
        node.lines = {line.address: True for line in config.lines}
        self.nodes[letter] = node

    def __getitem__(self, letter) -> MrCore:
        return self.nodes[letter].core

    # --- what tests do

    def start(self, letters=None, apart=2.0):
        for letter in letters or [name for name in self.nodes if name != "HA"]:
            self._begin(self.nodes[letter])
            self.run(apart)

    def _begin(self, node):
        node.core.start(node.now)
        self.perform(node)

    def restart(self, letter, *, ahead=None, **changes):
        """A router begins anew, without a word to anyone; `ahead`: with a clock that differs from what is true."""
        node = self.nodes[letter]
        config = replace(node.core.config, **changes)
        node.begin(MrCore(config), Ends(config.home_address, config.prefixes, HA, config.gateway))
        node.ahead = node.ahead if ahead is None else ahead
        for line in config.lines:  # as its shell does
            if not node.lines[line.address]:
                self.feed(node, LineDown(line.interface))
        self._begin(node)

    def restart_ha(self, *, ahead=None, **changes):
        """The home agent begins anew, and has forgotten everyone."""
        self.ha.begin(HaCore(replace(self.ha.core.config, **changes)))
        self.ha.ahead = self.ha.ahead if ahead is None else ahead

    def packet(self, source, destination, payload=b"ping"):
        """A host's packet arrives at its router."""
        node = self._router_of(source)
        data = inner.push_udp(source, destination, (5000, 5000), payload)
        node.plane.from_kernel(data, self.now)

    def ping(self, one, other, seconds=0.5):
        """A packet there, and its answer; True when the answer arrived in time."""
        payload = b"ping %d" % next(self._order)
        source, destination = host_of(one), host_of(other)
        self.packet(source, destination, payload)
        self.run(seconds)
        return any(what == b"re: " + payload for *_rest, what in self.nodes[one].received)

    def stream(self, one, other, seconds, interval=0.05):
        """Pings all the time; the number of those that were not answered."""
        sent = []
        end = self.now + seconds
        while self.now < end:
            payload = b"ping %d" % next(self._order)
            sent.append(b"re: " + payload)
            self.packet(host_of(one), host_of(other), payload)
            self.run(interval)
        self.run(0.2)
        received = {what for *_rest, what in self.nodes[one].received}
        return [what for what in sent if what not in received]

    def line_down(self, letter, interface):
        self._set_line(letter, interface, up=False)
        self.feed(self.nodes[letter], LineDown(interface))

    def line_up(self, letter, interface):
        self._set_line(letter, interface, up=True)
        self.feed(self.nodes[letter], LineUp(interface))

    def move(self, letter, interface):
        self.feed(self.nodes[letter], Move(interface))

    def leave(self, letter):
        self.feed(self.nodes[letter], Leave())

    def renetwork(self, letter, *networks):
        self.feed(self.nodes[letter], Networks(networks))

    def _set_line(self, letter, interface, *, up):
        node = self.nodes[letter]
        line = next(line for line in node.core.config.lines if line.interface == interface)
        node.lines[line.address] = up

    def run(self, seconds=1.0):
        """Let virtual time pass, handling everything due."""
        end = self.now + seconds
        for _step in range(1_000_000):
            due = [
                (t - n.ahead, i) for i, n in enumerate(self.nodes.values()) if (t := n.core.next_timer()) is not None
            ]
            timer = min(due, default=(float("inf"), 0))
            arrival = self._queue[0][0] if self._queue else float("inf")
            if min(timer[0], arrival) > end:
                self.now = end
                return
            if arrival <= timer[0]:
                at, _order, what = heapq.heappop(self._queue)
                self.now = max(self.now, at)
                what()
            else:
                self.now = max(self.now, timer[0])
                node = list(self.nodes.values())[timer[1]]
                node.core.handle_timer(max(node.now, node.core.next_timer() or 0.0))
                self.perform(node)
        raise AssertionError("the domain does not come to rest")

    def later(self, delay, what):
        heapq.heappush(self._queue, (self.now + delay, next(self._order), what))

    # --- the world

    def feed(self, node, notice):
        node.core.receive(notice, None, node.now)
        self.perform(node)

    def perform(self, node):
        for action in node.core.actions():
            match action:
                case Send():
                    message = decode(action.data)
                    self.sent.append((self.now, node.name, message, action))
                    self._say(node, action.destination, action.port, _word(message))
                    node.plane.send(action)
                case SendEcho():
                    self.echoes.append((self.now, node.name, action))
                    word = "echo" if action.request else "echo reply"
                    self.talked.append((self.now, f"{node.name}>{self._name(action.destination)} {word}"))
                    node.plane.send_echo(action)
                case OwnNetworks():
                    node.plane.own(action.prefixes)
                case Install():
                    for item in action.items:
                        node.items[item.key] = item
                        node.plane.install(item)
                case Remove():
                    for item in action.items:
                        del node.items[item.key]
                        node.plane.remove(item)
        for event in node.core.events():
            self.log.append((self.now, node.name, event))

    def _say(self, node, destination, port, word):
        self.talked.append((self.now, f"{node.name}>{self._name(destination, port)} {word}"))

    def _name(self, where, port=PORT):
        for letter, node in self.nodes.items():
            if letter == "HA":
                if where == HA:
                    return "HA"
            elif where == home_of(letter) or where in node.lines:
                return node.name
        for letter, nat in self.nats.items():
            if nat.outside == where and (found := nat.back.get((where, port))) and found[0] in self.nodes[letter].lines:
                return self.nodes[letter].name
        return str(where)

    def emit(self, node, packet):
        """A packet leaves a node by the line of its source."""
        source = inner.source_of(packet)
        if (node is not self.ha and not node.lines.get(source, False)) or self.lose(node, packet):
            return
        nat = self._nat_of(node)
        if nat:
            destination = inner.destination_of(packet)
            neighbour = self._neighbour(nat, node, destination)
            if neighbour:
                self._arrive_later(neighbour, packet)
                return
            packet = nat.outbound(packet)
            if packet is None:
                return
        if not self.dropped(packet):
            self._travel(packet)

    def _nat_of(self, node):
        return next((nat for letter, nat in self.nats.items() if self.nodes[letter] is node), None)

    def _neighbour(self, nat, node, destination):
        if nat.outside is None:
            return None
        for letter, other in self.nats.items():
            found = self.nodes[letter]
            if other is nat and found is not node and destination in found.lines:
                return found
        return None

    def _travel(self, packet):
        destination = inner.destination_of(packet)
        if destination in HOME or destination in MOBILE_NETWORKS:
            self._arrive_later(self.ha, packet)
            return
        for letter, nat in self.nats.items():
            if destination == nat.outside:
                translated = nat.inbound(packet)
                if translated:
                    self._to_line(translated)
                return
            if nat.outside is None and destination in self.nodes[letter].lines:
                packet = nat.inbound(packet)
                if packet is None:
                    return
        if destination in INTERNET or not destination.is_private:
            self._to_line(packet)

    def _to_line(self, packet):
        destination = inner.destination_of(packet)
        node = next((node for node in self.nodes.values() if destination in node.lines), None)
        if node:
            self._arrive_later(node, packet)
        else:
            self.plain.append(packet)

    def _arrive_later(self, node, packet):
        for delay in self.delays():
            self.later(delay, lambda: self._arrive(node, packet))

    def _arrive(self, node, packet):
        source, destination = inner.source_of(packet), inner.destination_of(packet)
        if node is self.ha and destination != HA:
            node.plane.from_kernel(packet, self.now)
        elif node is self.ha or node.lines.get(destination):
            if packet[9] == IPIP:
                node.plane.from_ip(destination, source, packet[20:])
            elif (datagram := inner.pull_udp(packet)) and datagram.destination_port == PORT:
                node.plane.from_udp(destination, source, datagram.source_port, datagram.data)

    def delivered(self, node, packet):
        """A packet came out of a tunnel: the node's kernel has it."""
        source, destination = inner.source_of(packet), inner.destination_of(packet)
        if node is self.ha:
            if destination == HA:
                echo = inner.pull_echo(packet)
                if echo and echo.request:
                    node.plane.from_kernel(inner.push_echo(HA, source, replace(echo, request=False)), self.now)
            elif node.plane.toward(destination):
                if source in MOBILE_NETWORKS:
                    self.over_ha.append((self.now, source, destination))
                node.plane.from_kernel(packet, self.now)
            else:
                self._travel(packet)
            return
        datagram = inner.pull_udp(packet)
        if datagram:
            node.received.append((self.now, source, destination, datagram.data))
            if self.answering and not datagram.data.startswith(b"re: "):
                answer = b"re: " + datagram.data
                self.later(0.0, lambda: self.packet(destination, source, answer))

    def _router_of(self, host):
        for letter, node in self.nodes.items():
            if letter != "HA" and (
                host == node.core.config.home_address or any(host in network for network in node.core._base.networks)
            ):
                return node
        raise KeyError(host)

    # --- what tests look at

    def since(self, start, *, echoes=True):
        """What was said since a time, in order."""
        return [word for t, word in self.talked if t >= start and (echoes or "echo" not in word)]

    def events(self, name, node=None):
        return [e for _t, who, e in self.log if e.name == name and node in (None, who)]

    def routes(self, letter):
        """Prefix -> remote care-of address of what this router sends directly."""
        node = self.nodes[letter]
        tunnels = {item.name: item for item in node.items.values() if type(item).__name__ == "Tunnel"}
        return {
            str(item.prefix): str(tunnels[item.tunnel].remote)
            for item in node.items.values()
            if type(item).__name__ == "TunnelRoute" and item.prefix.prefixlen
        }

    def tunnels(self, letter, to):
        """(local, remote) of all tunnels between a router and a peer."""
        node = self.nodes[letter]
        return [
            (str(item.local), str(item.remote))
            for item in node.items.values()
            if type(item).__name__ == "Tunnel" and item.peer == home_of(to)
        ]

    def direct(self, one, other):
        """Whether packets from one network to the other go directly."""
        return str(network_of(other)) in self.routes(one)

    def knows(self, letter):
        """Networks in a router's cache, by owner's letter."""
        return {
            chr(ord("a") + int(peer.home) - int(HA) - 10): sorted(str(p) for p in peer.prefixes)
            for peer in self[letter].cache
            if peer.known
        }


TIMING = PeerTiming()


def _word(message):
    if isinstance(message, RegistrationRequest):
        return "RRQ" if message.lifetime else "RRQ 0"
    if isinstance(message, RegistrationReply):
        return f"RRP {message.code}"
    return SHORT[type(message)]
