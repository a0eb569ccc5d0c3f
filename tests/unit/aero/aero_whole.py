"""Whole AERO nodes without sockets: an attached core with its packet path in front, fed octets."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from aero_domain import START, Link, Node
from aero_packets import Sent

from agents.aero.client.core import ClientCore
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.forwarder import Forwarder
from agents.aero.dataplane.policy import ClientPolicy, ServerPolicy
from agents.aero.dataplane.sockaddr import pull_sockaddr, push_sockaddr
from agents.aero.notices import Controlled, SendControl, Stranger, ToDhcpServer

SERVER, CLIENT, STRANGER = "203.0.113.1", "198.51.100.1", "198.51.100.66"
SERVER_ADDRESS = "2001:db8:f::1"


@dataclass
class Whole:
    """One node; what leaves it stays here."""

    node: Node
    now: float = START + 2.0
    sent: list[Sent] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    """What went to the DHCPv6 server."""
    events: list = field(default_factory=list)

    def __post_init__(self) -> None:
        core = self.node.core
        if isinstance(core, ClientCore):
            policy: Any = ClientPolicy(core.cache, lambda: tuple(core.prefixes))
        else:
            policy = ServerPolicy(core.cache, lambda address: str(address) == SERVER_ADDRESS)
        own = {6: ip_address(SERVER_ADDRESS), 4: ip_address(SERVER)}
        self.forwarder = Forwarder(core.cache, policy, self, own=own.get)

    # --- the packet path's sink

    def transmit(self, through, destination, octets, df, tos):
        ip, port = pull_sockaddr(destination)
        self.sent.append(Sent(through, str(ip), port, b"".join(map(bytes, octets)), df, tos))

    def deliver(self, packet):
        self.delivered.append(bytes(packet))

    def control(self, control):
        self.feed(Controlled(control))

    def unknown_origin(self, lladdr, source, size):
        self.feed(Stranger(lladdr, source, size))

    # --- what the test does

    def feed(self, notice) -> None:
        self.node.core.receive(notice, None, self.now)
        for action in self.node.core.actions():
            if isinstance(action, SendControl):
                more = {"df": action.df, "pad": action.pad, "atomic": action.atomic}
                self.forwarder.send_control(action.packet, action.lladdr, **more)
            elif isinstance(action, ToDhcpServer):
                self.asked.append(action.data)
        self.events += self.node.core.events()

    def arrive(self, payload, host=CLIENT, *, through=Carrier.UDP, port=8060, tos=0) -> None:
        source = push_sockaddr(ip_address(host), 0 if through > 1 else port)
        self.forwarder.from_underlay(through, source, memoryview(bytearray(payload)), tos, self.now)

    def counted(self) -> dict[str, int]:
        return {**self.forwarder.counters, **self.node.core.counters}

    def state(self) -> dict[str, Any]:
        """What bad input must not change."""
        return {key: value for key, value in self.node.core.inspect().items() if key != "counters"}

    def said(self, event: str) -> list[dict[str, Any]]:
        return [each.fields for each in self.events if each.name == event]


def attached(**options: Any) -> tuple[Whole, Whole]:
    """A Server, and a Client that attached to it."""
    link = Link()
    server = link.add_server(1, **options.pop("server", {}))
    client = link.add_client(1, [server], **options)
    link.start(client)
    link.run(1.5)
    assert client.core.prefixes
    for node in (server, client):
        node.core.events()
    return Whole(server), Whole(client)
