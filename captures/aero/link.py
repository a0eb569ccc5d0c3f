"""The AERO link of a run as the checks see it: roles and addresses from lab.json, frames from the captures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from captures.aero.bgp import End, Message, read_bgp
from captures.aero.decode import read_frame
from captures.aero.records import Frame
from captures.frames import decode_all
from captures.ip import Address

Object = dict[str, Any]
Prefix = IPv4Network | IPv6Network
FAMILY = "aero"
OVERHEAD = {"0": 8, "0F": 16, "1": 0, "1F": 8, "2": 12, "2F": 20, "3": 8}
"""Octets between outer IP header and inner packet, by code (spec §2.1)."""
OUTER = {4: 20, 6: 40}


@dataclass(frozen=True, slots=True)
class Server:
    """An AERO Server as lab.json describes it."""

    name: str
    address: IPv6Address
    underlay: tuple[Address, ...]
    interface: str


@dataclass(frozen=True, slots=True)
class Lan:
    """A link downstream of a Client, recorded at its node."""

    node: str
    mode: str
    """ "slaac", "dhcp", "off-link"."""
    prefix: IPv6Network
    """The /64 of the link."""


@dataclass(frozen=True, slots=True)
class Client:
    """An AERO Client."""

    name: str
    underlay: tuple[Address, ...]
    interface: str
    prefixes: tuple[Prefix, ...]
    """Reserved for it."""
    duid: bytes
    nats: tuple[str, ...]
    """The NATs it is behind, outermost first."""
    host: str | None
    model: str
    downstream: tuple[Lan, ...] = ()
    own: frozenset[Address] = frozenset()
    """Addresses of its prefixes that its AERO interface holds."""

    def covers(self, address: Address) -> bool:
        """Whether an address is in one of its prefixes."""
        return any(address.version == prefix.version and address in prefix for prefix in self.prefixes)


@dataclass(frozen=True, slots=True)
class Ping:
    """One series of echo requests that the script sent."""

    name: str
    node: str
    peer: str
    source: Address
    destination: Address
    identifier: int
    count: int
    size: int
    """Octets of the inner packet."""
    start: float
    end: float
    expect: str
    """ "reply", or "none" where nothing may come back."""
    via: str


class AeroLink:
    """Decoded on first use."""

    def __init__(self, lab: Object, events: list[Object], directory: Path) -> None:
        self.events = events
        self._lab = lab
        self._directory = directory
        domain: Object = lab.get("domain") or {}
        self.domain = domain
        self.servers = {name: _server(name, facts) for name, facts in domain.get("servers", {}).items()}
        self.relays = {name: _server(name, facts) for name, facts in domain.get("relays", {}).items()}
        """Known like Servers: by AERO address and underlay."""
        self.clients = {name: _client(name, facts) for name, facts in domain.get("clients", {}).items()}
        self.aggregates: tuple[Prefix, ...] = tuple(ip_network(text) for text in domain.get("aggregates", []))
        self._bgp: dict[tuple[str, str], list[Message | End]] = {}
        self._kept: dict[tuple[str, str], list[Frame]] = {}
        self.nats: dict[str, dict[str, str]] = domain.get("nats", {})

    @cached_property
    def captures(self) -> dict[tuple[str, str], list[Frame]]:
        """Decoded captures by (node, interface)."""
        listed = [(one["file"], one["node"], one["interface"]) for one in self._lab.get("captures", [])]
        return decode_all(read_frame, self._directory, listed)

    def frames(self, node: str, interface: str) -> list[Frame]:
        """Frames of one capture; none when the lab did not record it."""
        return self.captures.get((node, interface), [])

    def bgp(self, node: str, interface: str) -> list[Message | End]:
        """BGP messages and ends of connections of one capture, in order; none when the lab did not record it."""
        key = (node, interface)
        listed = [one for one in self._lab.get("captures", []) if (one["node"], one["interface"]) == key]
        if key not in self._bgp:
            self._bgp[key] = [each for one in listed for each in read_bgp(self._directory / one["file"], one["file"])]
        return self._bgp[key]

    @cached_property
    def owners(self) -> dict[Address, str]:
        """Configured address -> node."""
        found: dict[Address, str] = {}
        for name, node in self._lab["nodes"].items():
            for facts in node.get("interfaces", {}).values():
                for text in facts.get("addresses", []):
                    found[ip_interface(text).ip] = name
        return found

    @property
    def nodes(self) -> Iterator[Server | Client]:
        """All nodes of the AERO link."""
        yield from self.servers.values()
        yield from self.relays.values()
        yield from self.clients.values()

    def sent(self, node: Server | Client) -> list[Frame]:
        """What a node put on the underlay, at its own interface."""
        return self._keep("sent", node, lambda one: bool(one.code) and one.outer.source in node.underlay)

    def received(self, node: Server | Client) -> list[Frame]:
        """What a node took from the underlay."""
        return self._keep("received", node, lambda one: bool(one.code) and one.outer.destination in node.underlay)

    def conversing(self, node: Server | Client) -> list[Frame]:
        """DHCPv6 at a node's underlay interface."""
        return self._keep("conversing", node, lambda one: one.dhcp is not None)

    def _keep(self, what: str, node: Server | Client, holds: Callable[[Frame], bool]) -> list[Frame]:
        """Asked for again at every message of a conversation, and long."""
        if (what, node.name) not in self._kept:
            self._kept[what, node.name] = [one for one in self.wan(node) if holds(one)]
        return self._kept[what, node.name]

    def wan(self, node: Server | Client) -> list[Frame]:
        """Everything at a node's underlay interface."""
        return self.frames(node.name, node.interface)

    def client_of(self, duid: bytes | None) -> Client | None:
        """Whose DUID this is."""
        return next((client for client in self.clients.values() if client.duid == duid), None)

    def name_of(self, address: Address) -> str:
        """Node with an address of the underlay, of the AERO link, or of a prefix; else the address itself."""
        if address in self.owners:
            return self.owners[address]
        for server in (*self.servers.values(), *self.relays.values()):
            if address == server.address:
                return server.name
        for client in self.clients.values():
            if client.covers(address):
                return client.name
            if address in {aero_address(prefix) for prefix in client.prefixes}:
                return client.name
        return str(address)

    @cached_property
    def pings(self) -> list[Ping]:
        """Series of echo requests, in order."""
        return [read_ping(event) for event in self.events if event["event"] == "pings"]

    def steps(self) -> list[tuple[str, float, float]]:
        """(title, begin, end) of the script's steps."""
        marks = [(event["title"], event["t"]) for event in self.events if event["event"] == "step"]
        ends = [*(when for _title, when in marks), float("inf")][1:]
        return [(title, begin, end) for (title, begin), end in zip(marks, ends, strict=True)]

    def said(self, node: str, event: str) -> list[Object]:
        """Events of a node's agent."""
        return [one for one in self.events if one.get("node") == node and one["event"] == event]


def aero_address(prefix: Prefix) -> IPv6Address:
    """The AERO address of a Client with this prefix (spec §4)."""
    if isinstance(prefix, IPv4Network):
        return IPv6Address(0xFE80 << 112 | 0xFFFF << 32 | int(prefix.network_address))
    return IPv6Address(0xFE80 << 112 | int(prefix.network_address) >> 64)


def within(frames: Iterable[Frame], begin: float, end: float) -> list[Frame]:
    """Frames of a span of time."""
    return [frame for frame in frames if begin <= frame.time < end]


def _server(name: str, facts: Object) -> Server:
    underlay = tuple(ip_address(text) for text in facts["underlay"])
    return Server(name, IPv6Address(facts["address"]), underlay, facts["interface"])


def _client(name: str, facts: Object) -> Client:
    return Client(
        name,
        tuple(ip_address(text) for text in facts["underlay"]),
        facts["interface"],
        tuple(ip_network(text) for text in facts["prefixes"]),
        bytes.fromhex(facts["duid"]),
        tuple(facts["nats"]),
        facts["host"],
        facts["model"],
        tuple(Lan(one["node"], one["mode"], IPv6Network(one["prefix"])) for one in facts.get("downstream", ())),
        frozenset(map(ip_address, facts.get("own", ()))),
    )


def read_ping(event: Object) -> Ping:
    """As the script wrote it down."""
    return Ping(
        event["name"],
        event["node"],
        event["peer"],
        ip_address(event["source"]),
        ip_address(event["destination"]),
        event["icmp_id"],
        event["count"],
        event["size"],
        event["t"],
        event["end"],
        event.get("expect", "reply"),
        event.get("via", ""),
    )
