"""What the cores of HAARO are told, and what they want done."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import Encapsulation
from agents.haaro.items import TUNNEL_PORT, Item


@dataclass(frozen=True)
class Datagram:
    """A signalling message that arrived on UDP 434."""

    data: bytes
    source: IPv4Address
    port: int
    destination: IPv4Address
    """Which of our addresses: a router's home address or one of its care-of addresses."""


@dataclass(frozen=True)
class Echo:
    """An ICMP echo between the ends of a tunnel, as it came out of the tunnel (spec TUN-7)."""

    request: bool
    source: IPv4Address
    """Inner source: a peer's home address, or the home agent."""
    identifier: int
    sequence: int
    data: bytes
    local: IPv4Address
    """Outer addresses and port, seen from here."""
    remote: IPv4Address
    port: int
    encapsulation: Encapsulation


@dataclass(frozen=True)
class TrafficSeen:
    """A packet of an own network left through the home agent's tunnel (spec MR-7)."""

    source: IPv4Address
    destination: IPv4Address


@dataclass(frozen=True)
class LineUp:
    """A line can be used."""

    interface: str


@dataclass(frozen=True)
class LineDown:
    """A line cannot be used."""

    interface: str


@dataclass(frozen=True)
class Move:
    """Use this line from now on, while the present one still works (spec 7.1)."""

    interface: str


@dataclass(frozen=True)
class Networks:
    """These are the router's mobile networks from now on (spec 7.7)."""

    prefixes: tuple[IPv4Network, ...]


@dataclass(frozen=True)
class Leave:
    """Deregister everywhere (spec 7.3)."""


@dataclass(frozen=True)
class Send:
    """Send a signalling message; from the home address it takes the home agent's tunnel (spec §1.5)."""

    data: bytes
    source: IPv4Address
    destination: IPv4Address
    port: int = TUNNEL_PORT


@dataclass(frozen=True)
class SendEcho:
    """Send an ICMP echo inside a tunnel, between these outer addresses."""

    request: bool
    destination: IPv4Address
    """Inner destination."""
    identifier: int
    sequence: int
    data: bytes
    local: IPv4Address
    remote: IPv4Address
    port: int
    encapsulation: Encapsulation


@dataclass(frozen=True)
class OwnNetworks:
    """Packets of these networks are the router's own from now on, and no others."""

    prefixes: tuple[IPv4Network, ...]


@dataclass(frozen=True)
class Install:
    """Make data plane and kernel hold these items, in this order."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Remove:
    """Make them hold no such items, removed in this order."""

    items: tuple[Item, ...]


Notice = Datagram | Echo | TrafficSeen | LineUp | LineDown | Move | Networks | Leave
Action = Send | SendEcho | OwnNetworks | Install | Remove
