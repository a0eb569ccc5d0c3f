"""AERO cores against each other in virtual time, over an underlay of dictionaries with NATs and losses.

The DHCPv6 server is a stand-in made of the codec: it leases by DUID and echoes the relay-supplied options.  The
real one is Kea, in the labs.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network, ip_address

from agents.aero.client.core import ClientCore
from agents.aero.config import ClientConfig, DataPlaneConfig, ServerChoice, ServerConfig, UnderlayLink
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import Controlled, DhcpAnswer, SendControl, ToDhcpServer
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
        self._numbers: dict[bytes, int] = {}

    def prefix(self, duid: bytes, iaid: int) -> IPv6Network:
        number = self._numbers.setdefault(duid, len(self._numbers) + 0x20)
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
                leased = IaPrefix(self.prefix(client.duid, association.iaid), self.valid - 100, self.valid)
                options.append(IaPd(association.iaid, *self.times, (leased,)))
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
    """Translates one inside address; the mapping can be changed (rebinding)."""

    inside: str
    outside: str
    port: int = 40001

    def out(self, lladdr: LinkLayerAddress) -> LinkLayerAddress:
        return replace(lladdr, ip=ip_address(self.outside), port=self.port)


@dataclass
class Node:
    core: ClientCore | ServerCore
    ip: str
    nat: Nat | None = None
    dhcp: DhcpServer | None = None
    up: bool = True
    sent: list = field(default_factory=list)
    items: dict = field(default_factory=dict)


class Link:
    """An AERO link in one process."""

    def __init__(self, delay: float = 0.01) -> None:
        self.now = START
        self.delay = delay
        self.nodes: list[Node] = []
        self.events: list[tuple[float, str, str, dict]] = []
        self.lose: Callable[[Node, Node, bytes], bool] = lambda _sender, _receiver, _packet: False
        self.mtu = 1500
        self._queue: list = []
        self._order = itertools.count()

    def add_server(self, number: int, dhcp: DhcpServer | None = None, **options) -> Node:
        ip = f"203.0.113.{number}"
        config = ServerConfig(
            role="server",
            name=f"s{number}",
            address=IPv6Address(f"fe80::{number}"),
            links=(UnderlayLink("eth0", (ip_address(ip),)),),
            control="",
            state="",
            **options,
        )
        node = Node(ServerCore(config), ip, dhcp=dhcp or DhcpServer(b"server%d" % number))
        self.nodes.append(node)
        return node

    def add_client(
        self, number: int, servers: list[Node], *, nat: Nat | None = None, encapsulation: str = "udp", **options
    ) -> Node:
        ip = nat.inside if nat else f"198.51.100.{number}"
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
        node = Node(ClientCore(config), ip, nat)
        self.nodes.append(node)
        return node

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
        for _step in range(200_000):
            due = [(t, node) for node in self.nodes if node.up and (t := node.core.next_timer()) is not None]
            timer = min((t for t, _node in due), default=float("inf"))
            arrival = self._queue[0][0] if self._queue else float("inf")
            if min(timer, arrival) > START + until:
                self.now = START + until
                return
            if arrival <= timer:
                self.now, _order, node, notice = heapq.heappop(self._queue)
                if isinstance(notice, Control):  # whose link-layer address it came from is known on arrival
                    notice = Controlled(replace(notice, neighbor=node.core.cache.at(notice.lladdr)))
                if node.up:
                    self.feed(node, notice)
            else:
                self.now = max(self.now, timer)
                node = min(due, key=lambda entry: entry[0])[1]
                node.core.handle_timer(self.now)
                self._turn(node)
        raise AssertionError("the link does not come to rest")

    def said(self, event: str) -> list[dict]:
        return [fields for _t, _name, name, fields in self.events if name == event]

    def _turn(self, node: Node) -> None:
        for action in node.core.actions():
            if isinstance(action, SendControl):
                node.sent.append(action)
                self._transmit(node, action)
            elif isinstance(action, ToDhcpServer):
                answer = node.dhcp.answer(action.data)
                if answer:
                    self._later(node, DhcpAnswer(answer, IPv6Address("::1")), 0.001)
            else:
                for item in action.items:
                    if type(action).__name__ == "Install":
                        node.items[item.key] = item
                    else:
                        del node.items[item.key]
        for event in node.core.events():
            self.events.append((self.now, node.core.config.name, event.name, event.fields))

    def _transmit(self, sender: Node, action: SendControl) -> None:
        size = len(action.packet) + action.pad
        if size + action.lladdr.overhead > self.mtu and action.df:
            return
        kind = action.lladdr.encapsulation
        source = LinkLayerAddress(kind, ip_address(sender.ip), kind.port)
        if sender.nat:
            source = sender.nat.out(source)
        receiver = self._at(action.lladdr)
        if receiver is None or self.lose(sender, receiver, action.packet):
            return
        self._later(receiver, Control(action.packet, source, None, size, action.atomic), self.delay)

    def _at(self, lladdr: LinkLayerAddress) -> Node | None:
        for node in self.nodes:
            if node.nat and (node.nat.outside, node.nat.port) == (str(lladdr.ip), lladdr.port):
                return node
            if not node.nat and node.ip == str(lladdr.ip):
                return node
        return None

    def _later(self, node: Node, what, delay: float) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), node, what))
