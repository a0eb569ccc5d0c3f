"""What the data plane and the kernel of a HAARO node must hold, as data, applied by difference.

Each item has a `key`: two items with one key are two versions of one object.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import AccessLine, Encapsulation

Key = tuple[str, str]
EVERYTHING = IPv4Network("0.0.0.0/0")
HALVES = tuple(EVERYTHING.subnets())
"""Everything beside the way over the home agent, which stays: signalling takes it (spec MR-16)."""
TUNNEL_PORT = 434
TUNNEL_MTU = 1468
"""1500 octets less the 32 of outer IP, UDP and tunnel header (spec TUN-3); the same in IP, so that no path shrinks."""


@dataclass(frozen=True)
class Tunnel:
    """One tunnel: outer addresses, encapsulation, and whose packets may come out of it (spec TUN-1..TUN-6)."""

    peer: IPv4Address
    """Home address of the other end, or the home agent's address."""
    local: IPv4Address
    remote: IPv4Address
    encapsulation: Encapsulation
    port: int = TUNNEL_PORT
    """Remote UDP port."""
    sources: tuple[IPv4Network, ...] = ()
    """Inner sources that may come out of it."""
    realm: str = ""
    """Where its inner addresses have their meaning, if prefixes overlap."""

    @cached_property
    def name(self) -> str:
        """One for each pair of outer addresses toward a peer."""
        return f"{self.peer} {self.local}>{self.remote}"

    @property
    def key(self) -> Key:
        """One of each name."""
        return ("tunnel", self.name)


@dataclass(frozen=True)
class TunnelRoute:
    """A prefix reached through a tunnel."""

    prefix: IPv4Network
    tunnel: str
    """Name of the tunnel."""
    realm: str = ""
    exclusive: bool = False
    """For packets of its realm only: another realm may have the same prefix."""

    @property
    def key(self) -> Key:
        """One for each prefix in each realm."""
        return ("route", f"{self.prefix} {self.realm}".strip())


@dataclass(frozen=True)
class Watched:
    """A prefix whose packets are to be seen: they go over the home agent, and may go directly (spec MR-7).

    Without it the kernel would lead them past us, where it takes care of the home agent's tunnel.
    """

    prefix: IPv4Network

    @property
    def key(self) -> Key:
        """One for each prefix."""
        return ("watched", str(self.prefix))


@dataclass(frozen=True)
class HomeAddress:
    """The router's home address, an address of the node itself (spec §13)."""

    address: IPv4Address

    @property
    def key(self) -> Key:
        """There is one."""
        return ("home-address", str(self.address))


@dataclass(frozen=True)
class OwnNetwork:
    """A network behind the router: what is not for one of them leaves it in a tunnel only (spec MR-23)."""

    prefix: IPv4Network

    @property
    def key(self) -> Key:
        """One for each prefix."""
        return ("network", str(self.prefix))


@dataclass(frozen=True)
class Line:
    """Packets from a line's address leave by that line (spec MR-22)."""

    line: AccessLine
    table: int

    @property
    def key(self) -> Key:
        """One for each interface."""
        return ("line", self.line.interface)


@dataclass(frozen=True)
class Gateway:
    """What comes out of tunnels for nobody's network leaves by a line, not by the next tunnel (spec S26, TUN-6)."""

    @property
    def key(self) -> Key:
        """There is one."""
        return ("gateway", "")


@dataclass(frozen=True)
class Routing:
    """The node forwards, and filters no reverse paths on these interfaces (spec 7.8)."""

    interfaces: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """There is one."""
        return ("routing", "")


Item = Tunnel | TunnelRoute | Watched | HomeAddress | OwnNetwork | Line | Gateway | Routing
Plan = dict[Key, Item]

INSTALL_ORDER: tuple[type[Item], ...] = (Routing, HomeAddress, OwnNetwork, Line, Gateway, Tunnel, Watched, TunnelRoute)
"""A route needs its tunnel; removal runs the other way."""


def plan_of(*items: Item) -> Plan:
    """The items by key; a later one of a key wins."""
    return {item.key: item for item in items}


def difference(old: Plan, new: Plan) -> tuple[list[Item], list[Item]]:
    """What to install, in order, and what to remove, in order, to get from one plan to another."""
    rank = {kind: i for i, kind in enumerate(INSTALL_ORDER)}
    install = sorted((item for key, item in new.items() if old.get(key) != item), key=lambda item: rank[type(item)])
    remove = sorted((item for key, item in old.items() if key not in new), key=lambda item: -rank[type(item)])
    return install, remove
