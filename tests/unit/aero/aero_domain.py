"""AERO cores against each other in virtual time, over an underlay of dictionaries with NATs and losses.

The DHCPv6 server is a stand-in made of the codec: it leases by DUID and echoes the relay-supplied options.  The
real one is Kea, in the labs.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from agents.aero.bgp.notices import ToBgp
from agents.aero.client.core import ClientCore
from agents.aero.config import (
    ClientConfig,
    DataPlaneConfig,
    PermanentNeighbor,
    RelayConfig,
    ServerChoice,
    ServerConfig,
    UnderlayLink,
)
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.forwarder import Forwarder
from agents.aero.dataplane.policy import ClientPolicy, RelayPolicy, ServerPolicy
from agents.aero.dataplane.sink import Control
from agents.aero.dataplane.sockaddr import pull_sockaddr, push_sockaddr
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import (
    AddressesChanged,
    Controlled,
    DhcpAnswer,
    FlowUsed,
    PathWanted,
    ReplayTaken,
    SendControl,
    Stranger,
    ToDhcpServer,
    Unaccepted,
)
from agents.aero.relay.core import RelayCore
from agents.aero.server.core import ServerCore
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import (
    ClientId,
    IaPd,
    IaPrefix,
    InterfaceId,
    RapidCommit,
    RelayMessage,
    RelaySupplied,
    ServerId,
    StatusCode,
)

AGGREGATES = (ip_network("2001:db8:1000::/40"), ip_network("192.0.2.0/24"))
_ip = cache(ip_address)
START = 1_700_000_000.0
UDP = Encapsulation.UDP


class DhcpServer:
    """Leases one /56 and one IPv4 /28 a DUID."""

    def __init__(self, name: bytes, *, t1: int = 60, t2: int = 100, valid: int = 300) -> None:
        self.duid = name
        self.times = (t1, t2)
        self.valid = valid
        self.silent = False
        self.rapid = True
        self.more = False
        """A second IPv6 prefix in each association."""
        self.iaids = (1, 4)
        """Of associations that there is a prefix for."""
        self.numbers: dict[bytes, int] = {}
        self.given_up: dict[bytes, list[int]] = {}
        """Numbers that a Client had before: taken back with lifetimes 0."""

    def renumber(self, duid: bytes) -> None:
        """From now on the Client has another prefix."""
        self.given_up.setdefault(duid, []).append(self.numbers[duid])
        self.numbers[duid] += 4

    def prefix(self, duid: bytes, iaid: int, number: int | None = None) -> IPv6Network:
        number = number or self.numbers.setdefault(duid, len(self.numbers) + 0x20)
        if iaid == 4:
            return IPv6Network(f"::ffff:192.0.2.{(number - 0x1F) * 16}/124")
        return IPv6Network((int(IPv6Address("2001:db8:1000::")) + (number << 72), 56))

    def answer(self, data: bytes) -> bytes | None:
        forward = pull_dhcpv6(data)
        assert isinstance(forward, RelayedMessage)
        message = pull_dhcpv6(forward.first(RelayMessage).payload)
        client, server = message.first(ClientId), message.first(ServerId)
        if self.silent or (server and server.duid != self.duid):
            return None
        options = [client, ServerId(self.duid)]
        if message.type == MessageType.RELEASE:
            options.append(StatusCode(0))
        else:
            for association in message.every(IaPd):
                if association.iaid not in self.iaids:
                    options.append(IaPd(association.iaid, 0, 0, (StatusCode(6),)))
                    continue
                leased = IaPrefix(self.prefix(client.duid, association.iaid), self.valid - 100, self.valid)
                if self.more and association.iaid == 1:
                    other = IPv6Network((int(leased.prefix.network_address) + (0x40 << 72), 56))
                    options.append(IaPd(1, *self.times, (leased, replace(leased, prefix=other))))
                    continue
                old = (self.prefix(client.duid, association.iaid, each) for each in self.given_up.get(client.duid, ()))
                taken_back = (IaPrefix(each, 0, 0) for each in old)
                options.append(IaPd(association.iaid, *self.times, (leased, *taken_back)))
        commit = message.type == MessageType.SOLICIT
        if commit and self.rapid:
            options.append(RapidCommit())
        supplied = forward.first(RelaySupplied)
        options += supplied.options if supplied else ()
        kind = MessageType.ADVERTISE if commit and not self.rapid else MessageType.REPLY
        reply = push_dhcpv6(Message(kind, message.transaction, tuple(options)))
        back = (forward.first(InterfaceId), RelayMessage(reply))
        return push_dhcpv6(RelayedMessage(MessageType.RELAY_REPLY, 0, forward.link_address, forward.peer_address, back))


@dataclass
class Nat:
    """Translates one inside address; the mapping can be changed (rebinding).

    "cone" lets everybody in by its one port, "restricted" only whom the inside sent to, "symmetric" has a port for
    each destination, and lets only that one in by it.
    """

    inside: str
    outside: str
    port: int = 40001
    kind: str = "cone"
    ports: dict[LinkLayerAddress, int] = field(default_factory=dict)
    """Sent to -> outside port."""

    def out(self, lladdr: LinkLayerAddress, destination: LinkLayerAddress) -> LinkLayerAddress:
        known = self.ports.get(destination)
        if known is None or (self.kind != "symmetric" and known != self.port):
            known = self.port + (len(self.ports) if self.kind == "symmetric" else 0)
        self.ports[destination] = known
        return LinkLayerAddress(lladdr.encapsulation, _ip(self.outside), known)

    def lets_in(self, port: int, source: LinkLayerAddress) -> bool:
        if self.kind == "cone":
            return port == self.port
        return self.ports.get(source) == port


@dataclass(eq=False)
class Node:
    core: ClientCore | ServerCore | RelayCore
    ip: str
    nat: Nat | None = None
    dhcp: DhcpServer | None = None
    up: bool = True
    sent: list = field(default_factory=list)
    plane: Forwarder | None = None
    delivered: list = field(default_factory=list)
    """(time, packet) that the kernel got."""
    forwarded: int = 0
    """Data packets sent on the underlay."""
    items: dict = field(default_factory=dict)
    replays: dict = field(default_factory=dict)
    """What a Server's journal holds."""


RELAY = IPv6Address("fe80::ff01"), "203.0.113.9"


def permanent(name: str, address: IPv6Address, ip: str) -> PermanentNeighbor:
    """A Relay to its Servers, or a Server to its Relay."""
    return PermanentNeighbor(name, address, (ip_address(ip),), 65000, ip_address(ip))


def with_relay(link: Link, count: int, **options) -> tuple[Node, ...]:
    """Servers that have the same reservations, with a Relay between them."""
    servers = []
    for number in range(1, count + 1):
        dhcp = DhcpServer(b"server%d" % number)
        if servers:
            dhcp.numbers = servers[0].dhcp.numbers
        servers.append(link.add_server(number, dhcp, relays=(permanent("r1", *RELAY),), **options))
    link.add_relay(servers)
    for server in servers:
        link.start(server)
    return tuple(servers)


@dataclass
class _Plane:
    """Where a node's data plane leads: the virtual underlay, a list for a kernel, and the core."""

    link: Link
    node: Node

    def transmit(self, through, destination, octets, df, tos):
        self.node.forwarded += 1
        self.link.carry(self.node, through, destination, b"".join(map(bytes, octets)))

    def deliver(self, packet):
        self.node.delivered.append((self.link.now, bytes(packet)))

    def control(self, control):
        raise AssertionError("control packets have a way of their own here")

    def unknown_origin(self, lladdr, source, size):
        self.link.later(self.node, Stranger(lladdr, source, size), 0)


@dataclass
class _Arrival:
    """A data packet on the underlay."""

    through: Carrier
    source: LinkLayerAddress
    payload: bytes


def _server_policy(core: ServerCore) -> ServerPolicy:
    watch, departed = core.mediator.origination.watch, core.departures.covers
    return ServerPolicy(core.cache, lambda _address: False, watch=watch, departed=departed)


def _client_policy(core: ClientCore) -> ClientPolicy:
    return ClientPolicy(core.cache, lambda: tuple(core.prefixes), core.correspondence.correspondents)


class Link:
    """An AERO link in one process."""

    def __init__(self, delay: float = 0.01, *, outer: int = 4) -> None:
        """`outer` is the IP version of the underlay."""
        self.outer = outer
        self.now = START
        self.delay = delay
        self.nodes: list[Node] = []
        self.events: list[tuple[float, str, str, dict]] = []
        self.lose: Callable[[Node, Node, bytes], bool] = lambda _sender, _receiver, _packet: False
        self.passes: Callable[[Node, Node, LinkLayerAddress], bool] = lambda _sender, _receiver, _lladdr: True
        self.mtu = 1500
        self.relay: Node | None = None
        self._routes: dict = {}
        self._queue: list = []
        self._order = itertools.count()
        self._due: dict[Node, float] = {}
        """What cores said of their next timers."""

    def host(self, network: str, number: int) -> str:
        """An underlay address: of a Server or Relay ("core"), a Client, or of a Client after a move."""
        four, six = {
            "core": ("203.0.113.", "2001:db8:f::"),
            "client": ("198.51.100.", "2001:db8:c::"),
            "moved": ("192.88.99.", "2001:db8:d::"),
        }[network]
        return f"{four}{number}" if self.outer == 4 else f"{six}{number:x}"

    def add_server(self, number: int, dhcp: DhcpServer | None = None, **options) -> Node:
        ip = self.host("core", number)
        config = ServerConfig(
            role="server",
            name=f"s{number}",
            address=IPv6Address(f"fe80::{number}"),
            links=(UnderlayLink("eth0", (ip_address(ip),)),),
            control="",
            state="",
            **{"aggregates": AGGREGATES, **options},
        )
        core = ServerCore(config)
        node = Node(core, ip, dhcp=dhcp or DhcpServer(b"server%d" % number))
        self.nodes.append(node)
        return self._plug(node, _server_policy(core))

    def reboot_server(self, node: Node) -> None:
        """A Server dies, and begins anew with what it saved."""
        saved = node.core.saved_state()
        node.core = ServerCore(node.core.config)
        node.core.restore(saved, self.now)
        node.core.restore_replays(node.replays)
        self._plug(node, _server_policy(node.core))
        self.start(node)

    def reboot_client(self, node: Node) -> None:
        """A Client dies, and begins anew with what it saved."""
        saved = node.core.saved_state()
        node.core = ClientCore(replace(node.core.config, links=(UnderlayLink("eth0", (ip_address(node.ip),)),)))
        node.core.restore(saved, self.now)
        node.items.clear()
        self._plug(node, _client_policy(node.core))
        self.start(node)

    def restart_server(self, number: int, old: Node) -> Node:
        """Killed and started again: it knows what it had written down."""
        self.nodes.remove(old)
        config = {name: getattr(old.core.config, name) for name in ("auth_keys", "optimisation", "relays")}
        node = self.add_server(number, old.dhcp, **config)
        node.replays = dict(old.replays)
        node.core.restore(old.core.saved_state(), self.now)
        node.core.restore_replays(node.replays)
        self.start(node)
        return node

    def add_relay(self, servers: list[Node], **options) -> Node:
        """A Relay that learns routes from these Servers at once, the newest attachment first."""
        peers = tuple(permanent(s.core.config.name, s.core.address, s.ip) for s in servers)
        config = RelayConfig(
            role="relay",
            name="r1",
            address=RELAY[0],
            links=(UnderlayLink("eth0", (ip_address(self.host("core", 9)),)),),
            control="",
            bgp="",
            servers=peers,
            aggregates=AGGREGATES,
            **options,
        )
        core = RelayCore(config)
        node = Node(core, self.host("core", 9))
        self.nodes.append(node)
        self._plug(node, RelayPolicy(core.cache, lambda _address: False, AGGREGATES))
        self.relay = node
        self.start(node)
        return node

    def _announce(self, server: Node) -> None:
        """In place of BGP: what a Server's core announces is known to the Relay at once; the lowest MED wins."""
        address = server.core.address
        known = self._routes.get(address, {})
        present = {route.prefix: (route.med, int(ip_address(server.ip))) for route in server.core._speaker._all()}
        self._routes[address] = present
        for prefix in {prefix for prefix, _rank in known.items() ^ present.items()}:
            ranks = {each: routes[prefix] for each, routes in self._routes.items() if prefix in routes}
            self._due.pop(self.relay, None)
            self.relay.core._routed([(prefix, sorted(ranks, key=ranks.__getitem__))], self.now)

    def _plug(self, node: Node, policy) -> Node:
        node.plane = Forwarder(node.core.cache, policy, _Plane(self, node))
        node.plane.when_used(lambda use, packet, idle: self.later(node, FlowUsed(use, packet, idle), 0))
        node.plane.when_refused(lambda lladdr, packet: self.later(node, Unaccepted(lladdr, packet), 0))
        node.plane.when_probing(lambda neighbor, path: self.later(node, PathWanted(neighbor, path), 0))
        return node

    def add_client(
        self, number: int, servers: list[Node], *, nat: Nat | None = None, encapsulation: str = "udp", **options
    ) -> Node:
        ip = nat.inside if nat else self.host("client", number)
        config = ClientConfig(
            role="client",
            name=f"c{number}",
            duid=f"0003000102000000{number:04x}",
            links=(UnderlayLink("eth0", (ip_address(ip),)),),
            servers=tuple(ServerChoice((ip_address(server.ip),)) for server in servers),
            control="",
            state="",
            dataplane=DataPlaneConfig(encapsulation=encapsulation),
            **options,
        )
        core = ClientCore(config)
        node = Node(core, ip, nat)
        self.nodes.append(node)
        return self._plug(node, _client_policy(core))

    def start(self, node: Node) -> None:
        node.core.start(self.now)
        self._turn(node)

    def stop(self, node: Node) -> None:
        node.core.stop(self.now)
        self._turn(node)

    def feed(self, node: Node, notice) -> None:
        node.core.receive(notice, None, self.now)
        self._turn(node)

    def run(self, until: float) -> None:
        """Let virtual time pass, `until` seconds after START."""
        self._due.clear()
        self._run(until)

    def _run(self, until: float) -> None:
        """Every node whose timers were changed since the last time must have been forgotten in `_due`."""
        for _step in range(200_000):
            timer, due = self._first()
            arrival = self._queue[0][0] if self._queue else float("inf")
            if min(timer, arrival) > START + until:
                self.now = START + until
                return
            if arrival <= timer:
                self.now, _order, node, notice = heapq.heappop(self._queue)
                if isinstance(notice, Control):  # whose link-layer address it came from is known on arrival
                    notice = Controlled(replace(notice, neighbor=node.core.cache.at(notice.lladdr)))
                if node.up and isinstance(notice, _Arrival):
                    source = push_sockaddr(notice.source.ip, notice.source.port)
                    node.plane.from_underlay(notice.through, source, memoryview(bytearray(notice.payload)), 0, self.now)
                    self._due.pop(node, None)
                elif node.up:
                    self.feed(node, notice)
            else:
                self.now = max(self.now, timer)
                due.core.handle_timer(self.now)
                self._turn(due)
        raise AssertionError("the link does not come to rest")

    def _first(self) -> tuple[float, Node]:
        """Who has something to do before all others. Cores are asked anew only when something happened to them."""
        timer, first = float("inf"), self.nodes[0]
        for node in self.nodes:
            if node not in self._due:
                due = node.core.next_timer()
                self._due[node] = float("inf") if due is None else due
            if node.up and self._due[node] < timer:
                timer, first = self._due[node], node
        return timer, first

    def said(self, event: str) -> list[dict]:
        return [fields for _t, _name, name, fields in self.events if name == event]

    def _turn(self, node: Node) -> None:
        self._due.pop(node, None)
        for action in node.core.actions():
            if isinstance(action, SendControl):
                node.sent.append(action)
                self._transmit(node, action)
            elif isinstance(action, ToBgp):
                pass
            elif isinstance(action, ReplayTaken):
                node.replays[action.duid] = action.value
            elif isinstance(action, ToDhcpServer):
                answer = node.dhcp.answer(action.data)
                if answer:
                    self.later(node, DhcpAnswer(answer, IPv6Address("::1")), 0.001)
            else:
                for item in action.items:
                    if type(action).__name__ == "Install":
                        node.items[item.key] = item
                    else:
                        del node.items[item.key]
        if self.relay and node.dhcp:
            self._announce(node)
        for event in node.core.events():
            self.events.append((self.now, node.core.config.name, event.name, event.fields))

    def _transmit(self, sender: Node, action: SendControl) -> None:
        size = len(action.packet) + action.pad
        if size + action.lladdr.overhead > self.mtu and action.df:
            return
        way = self._way(sender, action.lladdr)
        if way and not self.lose(sender, way[0], action.packet):
            self.later(way[0], Control(action.packet, way[1], None, size, action.atomic), self.delay)

    def carry(self, sender: Node, through: Carrier, destination, payload: bytes) -> None:
        ip, port = pull_sockaddr(destination)
        kind = {Carrier.UDP: UDP, Carrier.GUE: Encapsulation.GUE}.get(through, Encapsulation.MINIMAL)
        way = self._way(sender, LinkLayerAddress(kind, ip, port))
        if way and not self.lose(sender, way[0], payload):
            self.later(way[0], _Arrival(through, way[1], payload), self.delay)

    def _way(self, sender: Node, lladdr: LinkLayerAddress) -> tuple[Node, LinkLayerAddress] | None:
        """Who gets what is sent to a link-layer address, and from where it seems to come."""
        source = LinkLayerAddress(lladdr.encapsulation, _ip(sender.ip), lladdr.encapsulation.port)
        if sender.nat:
            source = sender.nat.out(source, lladdr)
        for node in self.nodes:
            here = _ip(node.ip) == lladdr.ip
            if node.nat:
                hairpin = sender.nat and sender.nat.outside == node.nat.outside
                known = node.nat.lets_in(lladdr.port, source) and not hairpin
                here = _ip(node.nat.outside) == lladdr.ip and known
            if here and self.passes(sender, node, lladdr):
                return node, source
        return None

    # --- what happens to nodes

    def move(self, node: Node, ip: str) -> None:
        """A Client without NAT gets another underlay address."""
        node.ip = ip
        self.feed(node, AddressesChanged("eth0", (ip_address(ip),)))

    def attach(self, *clients: Node) -> None:
        for client in clients:
            self.start(client)
        self.run(self.now - START + 0.5)

    def send(self, node: Node, packet: bytes) -> None:
        """A packet from a node's kernel."""
        node.plane.from_kernel(memoryview(bytearray(packet)), self.now)
        self._due.pop(node, None)

    def flow(self, node: Node, packet: Callable[[int], bytes], *, seconds: float, rate: float = 50.0) -> int:
        """Send from now on; how many packets that were."""
        count = int(seconds * rate)
        begin = self.now - START
        self._due.clear()
        for number in range(count):
            self._run(begin + number / rate)
            self.send(node, packet(number))
        self.run(begin + count / rate)
        return count

    def later(self, node: Node, what, delay: float) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), node, what))
