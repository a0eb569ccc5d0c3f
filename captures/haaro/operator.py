"""The operator of a HAARO run as the checks see it: roles and addresses from lab.json, frames from the captures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from captures.aero.link import Ping, read_ping
from captures.frames import decode_all
from captures.haaro.decode import read_frame
from captures.haaro.records import Frame
from captures.ip import Address

Object = dict[str, Any]
FAMILY = "haaro"


@dataclass(frozen=True, slots=True)
class Line:
    """An access line of a router."""

    interface: str
    address: IPv4Address
    public: IPv4Address
    """What the Internet sees."""
    nat: str | None


@dataclass(frozen=True, slots=True)
class MobileRouter:
    """A mobile router as lab.json describes it."""

    name: str
    home_address: IPv4Address
    networks: tuple[tuple[IPv4Network, str], ...]
    """(prefix, realm)."""
    host: str
    host_address: IPv4Address
    lines: tuple[Line, ...]
    agent: Object
    """Its configuration, where it is not the usual."""
    served: Object
    """The home agent's, for it."""

    @property
    def optimised(self) -> bool:
        """Whether the home agent grants it route optimisation."""
        return bool(self.served.get("optimise", True))

    @property
    def careof(self) -> tuple[IPv4Address, ...]:
        """Its own addresses on the lines."""
        return tuple(line.address for line in self.lines)

    @property
    def inside(self) -> bool:
        """Whether nobody can open a connection to it: all its lines are behind a NAT or firewall."""
        return all(line.nat for line in self.lines)

    @property
    def own(self) -> tuple[IPv4Address, ...]:
        """All its addresses toward the world; packets from the home address should be in a tunnel."""
        return (*self.careof, self.home_address)

    @property
    def seen(self) -> frozenset[IPv4Address]:
        """Its addresses on the lines, and what NATs make of them."""
        return frozenset(address for line in self.lines for address in (line.address, line.public))

    def owns(self, address: Address) -> bool:
        """Home address or an address in a mobile network."""
        return address == self.home_address or any(address in prefix for prefix, _realm in self.networks)


class Operator:
    """Decoded on first use."""

    def __init__(self, lab: Object, events: list[Object], secrets: dict[str, Object], directory: Path) -> None:
        self.events = events
        self._lab = lab
        self._secrets = secrets
        self._directory = directory
        domain: Object = lab.get("domain") or {}
        self.domain = domain
        agent: Object = domain["home_agent"]
        self.home_agent = IPv4Address(agent["address"])
        self.home_node: str = agent["node"]
        self._home_interface: str = agent["interface"]
        self._at: dict[str, list[Frame]] = {}
        self.routers = {name: _router(name, facts) for name, facts in domain["routers"].items()}

    @cached_property
    def captures(self) -> dict[tuple[str, str], list[Frame]]:
        """Decoded captures by (node, interface)."""
        listed = [(one["file"], one["node"], one["interface"]) for one in self._lab.get("captures", [])]
        return decode_all(read_frame, self._directory, listed)

    @property
    def optimising(self) -> bool:
        """Whether the home agent knows route optimisation."""
        return bool(self.domain["home_agent"].get("haaro", True))

    def frames(self, node: str, interface: str) -> list[Frame]:
        """Frames of one capture; none when the lab did not record it."""
        return self.captures.get((node, interface), [])

    @cached_property
    def at_home(self) -> list[Frame]:
        """Everything at the home agent's interface."""
        return self.frames(self.home_node, self._home_interface)

    def at_router(self, router: MobileRouter) -> list[Frame]:
        """Everything on a router's lines, in order of time."""
        if router.name not in self._at:
            found = [one for line in router.lines for one in self.frames(router.name, line.interface)]
            self._at[router.name] = sorted(found, key=lambda one: one.time)
        return self._at[router.name]

    def sent(self, router: MobileRouter) -> list[Frame]:
        """What a router put on its lines."""
        return [one for one in self.at_router(router) if one.outer.source in router.own]

    def received(self, router: MobileRouter) -> list[Frame]:
        """What it took from them."""
        return [one for one in self.at_router(router) if one.outer.destination in router.own]

    def router_at(self, home_address: Address | None) -> MobileRouter | None:
        """Whose home address this is."""
        return next((one for one in self.routers.values() if one.home_address == home_address), None)

    def owner(self, address: Address) -> MobileRouter | None:
        """The router whose care-of address, as itself or as others see it, this is; the first of several."""
        return next((one for one in self.routers.values() if address in one.seen), None)

    def peer_at(self, address: Address, router: MobileRouter) -> MobileRouter | None:
        """Whom a router means by a care-of address: its own it shares with whoever is behind the same NAT."""
        return next((one for one in self.routers.values() if address in one.seen and one is not router), None)

    def key(self, home_address: IPv4Address | None) -> bytes | None:
        """The key between home agent and a router; None when the run keeps no secrets."""
        for facts in self._secrets.get(self.home_node, {}).get("routers", []):
            if facts["home_address"] == str(home_address):
                return bytes.fromhex(facts["key"])
        return None

    @cached_property
    def pings(self) -> list[Ping]:
        """Series of echo requests, in order."""
        return [read_ping(event) for event in self.events if event["event"] == "pings"]

    def steps(self) -> Iterator[tuple[str, float]]:
        """(title, begin) of the script's steps."""
        return ((event["title"], event["t"]) for event in self.events if event["event"] == "step")

    def said(self, node: str, event: str) -> list[Object]:
        """Events of a node's agent."""
        return [one for one in self.events if one.get("node") == node and one["event"] == event]

    def silenced(self, router: MobileRouter, interface: str, at: float) -> bool:
        """Whether the script let nothing through this line at a time."""
        known = ("line-silenced", "line-healed")
        last = [one for name in known for one in self.said(router.name, name) if one["interface"] == interface]
        before = max((one for one in last if one["t"] < at), key=lambda one: float(one["t"]), default=None)
        return before is not None and before["event"] == "line-silenced"


def _router(name: str, facts: Object) -> MobileRouter:
    return MobileRouter(
        name,
        IPv4Address(facts["home_address"]),
        tuple((IPv4Network(one["prefix"]), one["realm"]) for one in facts["networks"]),
        facts["host"]["node"],
        IPv4Address(facts["host"]["address"]),
        tuple(
            Line(one["interface"], IPv4Address(one["address"]), IPv4Address(one["public"]), one["nat"])
            for one in facts["lines"]
        ),
        facts["agent"],
        facts["served"],
    )
