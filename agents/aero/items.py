"""What an AERO node's kernel must hold, as data: the executor makes true what a core wants, and nothing else.

Each item has a `key`: two items with one key are two versions of one kernel object.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal

from agents.aero.addresses import Prefix

Interface = IPv4Interface | IPv6Interface
Key = tuple[str, str]


@dataclass(frozen=True)
class Address:
    """An address of an interface; without duplicate address detection on the AERO interface (spec CLI-5, MODEL-0)."""

    interface: str
    address: Interface
    dad: bool = False
    """Detect duplicates, as on downstream links (spec MODEL-R4)."""

    @property
    def key(self) -> Key:
        """One address of one interface."""
        return ("address", f"{self.interface} {self.address}")


@dataclass(frozen=True)
class DefaultRoute:
    """Everything of an IP version that has no better route goes into the AERO interface (spec CLI-4)."""

    interface: str
    version: Literal[4, 6]
    source: IPv4Address | IPv6Address | None = None
    """Of this node's own packets; None: an address of the AERO interface (spec MODEL-4, RFC 6724 rule 5)."""

    @property
    def key(self) -> Key:
        """One for each IP version."""
        return ("default", str(self.version))


@dataclass(frozen=True)
class PrefixRoute:
    """A prefix behind an interface: a Server's aggregate, or what a downstream node alone has (spec MODEL-R3)."""

    interface: str
    prefix: Prefix

    @property
    def key(self) -> Key:
        """One for each prefix."""
        return ("prefix", str(self.prefix))


@dataclass(frozen=True)
class BlackHole:
    """Parts of a delegated prefix that nothing uses are unreachable, instead of looping (spec CLI-15, MODEL-H3)."""

    prefix: Prefix

    @property
    def key(self) -> Key:
        """One for each prefix."""
        return ("black-hole", str(self.prefix))


@dataclass(frozen=True)
class Routing:
    """The node forwards, or does not (spec MODEL-H1, MODEL-R1, MODEL-Y1)."""

    on: bool

    @property
    def key(self) -> Key:
        """There is one."""
        return ("routing", "")


@dataclass(frozen=True)
class StrongHost:
    """Packets for an address of one interface that arrive on another are dropped (spec MODEL-H4)."""

    @property
    def key(self) -> Key:
        """There is one."""
        return ("strong-host", "")


@dataclass(frozen=True)
class Defence:
    """An address of the AERO interface is defended on a downstream link (spec MODEL-Y2, RFC 7278 R-2)."""

    interface: str
    address: IPv6Address

    @property
    def key(self) -> Key:
        """One address on one link."""
        return ("defence", f"{self.interface} {self.address}")


@dataclass(frozen=True)
class Downstream:
    """Router Advertisements on a downstream link (spec MODEL-R2, MODEL-R3)."""

    interface: str
    prefix: Prefix | None
    """Offered /64; None withdraws everything: the Server is lost."""
    lifetime: int
    """Router lifetime, seconds; 0 while not attached."""
    valid: int
    """Of the prefix, seconds: what remains of the lease."""
    on_link: bool = True
    """False: an off-link prefix, for pseudo-delegation by SLAAC."""
    managed: bool = False
    """Addresses by DHCPv6."""

    @property
    def key(self) -> Key:
        """One for each link."""
        return ("downstream", self.interface)


Item = Address | DefaultRoute | PrefixRoute | BlackHole | Routing | StrongHost | Defence | Downstream
Plan = dict[Key, Item]

INSTALL_ORDER: tuple[type[Item], ...] = (
    Routing,
    BlackHole,
    StrongHost,
    Address,
    Defence,
    PrefixRoute,
    DefaultRoute,
    Downstream,
)
"""Nothing attracts traffic before its unused parts are black holes; removal runs the other way."""


def difference(old: Plan, new: Plan) -> tuple[list[Item], list[Item]]:
    """What to install, in order, and what to remove, in order, to get from one plan to another."""
    rank = {kind: i for i, kind in enumerate(INSTALL_ORDER)}
    install = sorted((item for key, item in new.items() if old.get(key) != item), key=lambda item: rank[type(item)])
    remove = sorted((item for key, item in old.items() if key not in new), key=lambda item: -rank[type(item)])
    return install, remove


def host_address(address: IPv4Address | IPv6Address) -> Interface:
    """An address alone: /32 or /128."""
    if isinstance(address, IPv4Address):
        return IPv4Interface((address, 32))
    return IPv6Interface((address, 128))
