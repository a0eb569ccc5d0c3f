"""An AERO link with Relays in virtual time: real cores, real helper programs, and what stands in for ExaBGP between.

The stand-in takes ExaBGP's commands and writes the lines that a real one was seen to write; the real one is in the
kernel tests and the labs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

from aero_domain import Link, Node

from agents.aero.bgp.helper import Helper, ToAgent, ToExabgp
from agents.aero.bgp.notices import BgpConnected, BgpGone, ToBgp, read_news
from agents.aero.config import NativePeer, PermanentNeighbor, RelayConfig, UnderlayLink
from agents.aero.dataplane.policy import RelayPolicy
from agents.aero.relay.core import RelayCore

AGGREGATES = (ip_network("2001:db8:1000::/40"), ip_network("192.0.2.0/24"))
RELAY_ASN, NATIVE = 65000, "198.18.91.2"


def asn(ip):
    number = int(ip.rsplit(".", 1)[1])
    return 4200000000 + number if number < 8 else RELAY_ASN


def line(peer, **fields):
    whole = {"neighbor": {"address": {"local": "0.0.0.0", "peer": peer}, **fields.pop("neighbor", {})}, **fields}
    return json.dumps({"exabgp": "5.0.0", **whole}).encode() + b"\n"


def state(peer, word):
    return line(peer, type="state", neighbor={"state": word})


def update(peer, prefix=None, next_hop=None, *, med=None, path=None, withdrawn=None):
    family = "ipv6 unicast" if ":" in str(prefix or withdrawn) else "ipv4 unicast"
    body = {}
    if withdrawn:
        body["withdraw"] = {family: [{"nlri": str(withdrawn)}]}
    if prefix:
        attributes = {"origin": "igp"} | ({"med": med} if med is not None else {})
        ases = [asn(peer)] if path is None else path
        attributes["as-path"] = {"0": {"element": "as-sequence", "value": ases}}
        body |= {"attribute": attributes, "announce": {family: {str(next_hop): [{"nlri": str(prefix)}]}}}
    return line(peer, type="update", neighbor={"message": {"update": body}})


@dataclass
class Exabgp:
    """The speaker of one node."""

    ip: str
    helper: Helper = field(default_factory=Helper)
    routes: dict = field(default_factory=dict)
    """(prefix, peers) -> (next hop, MED)."""
    peers: dict = field(default_factory=dict)
    """Of sessions that are up."""
    commands: list = field(default_factory=list)


class RoutedLink(Link):
    """Servers, Relays, Clients."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.speakers: dict[str, Exabgp] = {}
        self.told: list[dict] = []
        """What helpers said to agents."""

    def add_relayed_server(self, number: int, relays, **options) -> Node:
        neighbors = tuple(
            PermanentNeighbor(
                f"r{relay}",
                IPv6Address(f"fe80::ff{relay:02x}"),
                (ip_address(f"203.0.113.{8 + relay}"),),
                RELAY_ASN,
                ip_address(f"203.0.113.{8 + relay}"),
            )
            for relay in relays
        )
        return self.add_server(number, relays=neighbors, aggregates=AGGREGATES, **options)

    def add_relay(self, number: int, servers) -> Node:
        ip = f"203.0.113.{8 + number}"
        config = RelayConfig(
            role="relay",
            name=f"r{number}",
            address=IPv6Address(f"fe80::ff{number:02x}"),
            links=(UnderlayLink("eth0", (ip_address(ip), ip_address(f"2001:db8:f::{8 + number:x}"))),),
            control="",
            bgp="",
            servers=tuple(
                PermanentNeighbor(
                    f"s{one}",
                    IPv6Address(f"fe80::{one}"),
                    (ip_address(f"203.0.113.{one}"), ip_address(f"2001:db8:f::{one}")),
                    asn(f"203.0.113.{one}"),
                    ip_address(f"203.0.113.{one}"),
                )
                for one in servers
            ),
            natives=(NativePeer(ip_address(NATIVE), (ip_address("198.18.91.1"),)),),
            aggregates=AGGREGATES,
        )
        core = RelayCore(config)
        node = Node(core, ip)
        self.nodes.append(node)
        return self._plug(node, RelayPolicy(core.cache, lambda _address: False, AGGREGATES))

    # --- BGP

    def start_bgp(self, node: Node) -> Exabgp:
        """Start a node's ExaBGP and its program."""
        speaker = self.speakers[node.ip] = Exabgp(node.ip)
        speaker.helper.agent_connected()
        self.feed(node, BgpConnected())
        return speaker

    def stop_bgp(self, node: Node) -> None:
        """It dies, and all sessions with it."""
        for other in list(self.speakers[node.ip].peers):
            self.session(node.ip, other, up=False)
        del self.speakers[node.ip]
        self.feed(node, BgpGone())

    def session(self, one: str, other: str, *, up: bool = True) -> None:
        """A session comes up or goes down, at both ends."""
        for own, peer in ((one, other), (other, one)):
            speaker = self.speakers.get(own)
            if speaker:
                if up:
                    speaker.peers[peer] = True
                else:
                    speaker.peers.pop(peer, None)
                self.hear(own, state(peer, "up" if up else "down"))
        for own, peer in ((one, other), (other, one)) if up else ():
            for (prefix, peers), (hop, med) in list(self.speakers[own].routes.items()):
                if not peers or peer in peers:
                    self.hear(peer, update(own, prefix, hop, med=med))

    def hear(self, ip: str, *lines: bytes) -> None:
        """A node's ExaBGP writes lines to its program."""
        speaker = self.speakers.get(ip)
        if speaker:
            speaker.helper.from_exabgp(b"".join(lines))
            self._act(speaker)

    def _act(self, speaker: Exabgp) -> None:
        for action in speaker.helper.actions():
            match action:
                case ToExabgp():
                    for command in action.data.decode().splitlines():
                        speaker.commands.append(command)
                        self._obey(speaker, command)
                        self.hear(speaker.ip, b"done\n")
                case ToAgent():
                    self.told.append(action.message)
                    node = next(node for node in self.nodes if node.ip == speaker.ip)
                    if node.up:
                        self.feed(node, read_news(json.loads(json.dumps(action.message))))

    def _obey(self, speaker: Exabgp, command: str) -> None:
        head, _, rest = command.rpartition(" route ")
        words = rest.split()
        peers = tuple(word.strip(",") for word in head.split() if "." in word)
        verb = head.split()[-1]
        prefix, hop = words[0], words[2]
        if verb == "announce":
            med = int(words[4]) if len(words) > 3 else None
            speaker.routes[prefix, peers] = (hop, med)
        else:
            speaker.routes.pop((prefix, peers), None)
        for peer in list(speaker.peers):
            if peers and peer not in peers:
                continue
            if verb == "announce":
                self.hear(peer, update(speaker.ip, prefix, hop, med=med))
            else:
                self.hear(peer, update(speaker.ip, withdrawn=prefix))

    def _turn(self, node: Node) -> None:
        core = node.core
        whole = list(core.actions())
        told = [action for action in whole if isinstance(action, ToBgp)]
        others = iter([action for action in whole if not isinstance(action, ToBgp)])
        core.actions, real = lambda: others, core.actions
        try:
            super()._turn(node)
        finally:
            core.actions = real
        speaker = self.speakers.get(node.ip)
        for action in told if speaker else ():
            speaker.helper.from_agent(json.dumps(action.message).encode())
            self._act(speaker)


def routed(servers=(1, 2), relays=(1,), **options):
    """A link on which everybody speaks with everybody they should."""
    link = RoutedLink()
    made = {f"s{n}": link.add_relayed_server(n, relays, **options) for n in servers}
    made |= {f"r{n}": link.add_relay(n, servers) for n in relays}
    for node in made.values():
        link.start(node)
        link.start_bgp(node)
    for server in servers:
        for relay in relays:
            link.session(f"203.0.113.{server}", f"203.0.113.{8 + relay}")
    return link, made
