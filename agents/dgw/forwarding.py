"""What a gateway's kernel must hold, as data: the items a core wants and the executor makes true.

A core derives the complete set of items from its bindings and hands over the difference (`Install`, `Remove`).
Each item has a `key`: two items with the same key are two versions of one kernel object, and installing the new
version replaces the old one.  Installing what is there, or removing what is not, changes nothing (spec RETX-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network


@dataclass(frozen=True)
class Dlif:
    """A Distributed Logical Interface: macvlan towards one mobile node for one anchor (spec DLIF-1, §7)."""

    name: str
    """Interface name, `mn<i>dgw<j>`, at most 15 characters."""
    phy: str
    """Access interface below the macvlan."""
    mac: str
    """Link-layer address, the anchor's for this node, the same at every gateway (spec DLIF-2)."""
    link_local: IPv6Address
    prefix: IPv6Network
    """The anchored /64; the interface takes its first address (prefix::1)."""

    @property
    def key(self) -> tuple[str, str]:
        """One macvlan of this name."""
        return ("dlif", self.name)

    @property
    def address(self) -> IPv6Address:
        """The prefix's first address, held by the DLIF."""
        return self.prefix[1]


@dataclass(frozen=True)
class Tunnel:
    """Bidirectional IPv6-in-IPv6 tunnel to another gateway (RFC 5213 §5.6.1); one per peer, shared."""

    peer: IPv6Address

    @property
    def key(self) -> tuple[str, str]:
        """One tunnel per peer."""
        return ("tunnel", str(self.peer))


@dataclass(frozen=True)
class AnchorRoute:
    """Downlink at the anchor: the prefix goes through the tunnel to the serving gateway (spec HO-5).

    Preferred over the connected route of a DLIF that is still there, so traffic turns before the teardown.
    """

    prefix: IPv6Network
    peer: IPv6Address
    first: bool = False
    """Goes before every source rule: where the prefix is relayed, traffic between two such prefixes must not turn
    back to where it came from (LMA, spec INTER-6)."""

    @property
    def key(self) -> tuple[str, str]:
        """One anchor route per prefix."""
        return ("anchor-route", str(self.prefix))


@dataclass(frozen=True)
class Uplink:
    """Uplink at the serving gateway or the LMA: packets from the prefix go to its anchor (spec HO-10, INTER-6)."""

    prefix: IPv6Network
    peer: IPv6Address
    table: int
    """Routing table number, 1000 + slot; rule preference 1000."""
    direct: tuple[tuple[IPv6Network, str], ...]
    """(prefix, DLIF name) of all the node's prefixes: these stay local instead of looping through the tunnel."""

    @property
    def key(self) -> tuple[str, str]:
        """One source rule per prefix."""
        return ("uplink", str(self.prefix))


@dataclass(frozen=True)
class SourceGate:
    """Packets that enter this DLIF may come from this prefix (anti-leak gate, spec §7, ATT-13)."""

    dlif: str
    prefix: IPv6Network

    @property
    def key(self) -> tuple[str, str]:
        """One gate per (DLIF, prefix)."""
        return ("source-gate", f"{self.dlif} {self.prefix}")


@dataclass(frozen=True)
class TunnelGate:
    """The peer may tunnel packets from or to this prefix to us (RFC 5213 §6.10.5, spec §10 last row)."""

    peer: IPv6Address
    prefix: IPv6Network
    inner: str
    """"source" at the anchor (uplink of its prefix), "destination" at the serving gateway; an LMA has both."""

    @property
    def key(self) -> tuple[str, str]:
        """One gate per (peer, prefix, side)."""
        return ("tunnel-gate", f"{self.peer} {self.prefix} {self.inner}")


@dataclass(frozen=True)
class LocalAccess:
    """What enters this DLIF for a local network goes where that network is, whatever its source (spec LIPA-4).

    Matched by DLIF, so that equal local prefixes of two gateways do not clash.
    """

    dlif: str
    prefix: IPv6Network
    """The local prefix."""
    table: int | None
    """The anchor's routing table (rule preference 900); None for this gateway's own network (plain, LIPA-1)."""

    @property
    def key(self) -> tuple[str, str]:
        """One destination rule per (DLIF, local prefix, own or an anchor's)."""
        return ("local-access", f"{self.dlif} {self.prefix}{'' if self.table else ' own'}")


@dataclass(frozen=True)
class ReturnPath:
    """Routing table at the owner of a local network: everything goes through the tunnel to this gateway."""

    peer: IPv6Address
    table: int
    """Routing table number, 2000 + the peer's index."""

    @property
    def key(self) -> tuple[str, str]:
        """One table per peer, shared by all nodes there."""
        return ("return-path", str(self.peer))


@dataclass(frozen=True)
class LocalReturn:
    """At the owner: answers of the local network to a prefix that the node has elsewhere (spec LIPA-6)."""

    interface: str
    """Interface of the local network."""
    prefix: IPv6Network
    """Prefix of the node, anchored by another gateway."""
    table: int
    """Of the `ReturnPath` to the serving gateway; rule preference 950."""

    @property
    def key(self) -> tuple[str, str]:
        """One rule per (interface, prefix)."""
        return ("local-return", f"{self.interface} {self.prefix}")


@dataclass(frozen=True)
class LocalGate:
    """The peer may tunnel packets between a node's prefix and a local network to us (spec LIPA-6)."""

    peer: IPv6Address
    source: IPv6Network
    destination: IPv6Network
    """One end is a prefix of the node, the other the local network."""

    @property
    def key(self) -> tuple[str, str]:
        """One gate per (peer, source, destination)."""
        return ("local-gate", f"{self.peer} {self.source} {self.destination}")


@dataclass(frozen=True)
class LocalBar:
    """The local networks of this gateway are closed to this prefix of a mobile node."""

    prefix: IPv6Network

    @property
    def key(self) -> tuple[str, str]:
        """One bar per prefix."""
        return ("local-bar", str(self.prefix))


Item = (
    Dlif
    | Tunnel
    | AnchorRoute
    | Uplink
    | SourceGate
    | TunnelGate
    | LocalAccess
    | ReturnPath
    | LocalReturn
    | LocalGate
    | LocalBar
)

Plan = dict[tuple[str, str], Item]
"""Every item a kernel must hold, by key."""
FIRST_TABLE = 1000
"""Routing table of slot s is FIRST_TABLE + s (spec §7)."""
INSTALL_ORDER: tuple[type[Item], ...] = (
    Tunnel,
    TunnelGate,
    LocalGate,
    LocalBar,
    AnchorRoute,
    ReturnPath,
    LocalReturn,
    Uplink,
    LocalAccess,
    Dlif,
    SourceGate,
)
"""Routes before the interface that attracts traffic, the gate's permission last; removal runs the other way."""

MAX_ROUTES = 17
"""Route options in one router's RAs (RFC 4191 §4, spec RA-14)."""


def difference(old: Plan, new: Plan) -> tuple[list[Item], list[Item]]:
    """What to install, in order, and what to remove, in order, to get from one plan to another."""
    rank = {kind: i for i, kind in enumerate(INSTALL_ORDER)}
    install = [item for key, item in new.items() if old.get(key) != item]
    remove = [item for key, item in old.items() if key not in new]
    install.sort(key=lambda item: rank[type(item)])
    remove.sort(key=lambda item: -rank[type(item)])
    return install, remove


@dataclass(frozen=True)
class RouteInformation:
    """A more-specific route offered in an RA (RFC 4191 §2.3, spec RA-7)."""

    prefix: IPv6Network
    preference: str
    """"low", "medium" or "high"."""
    lifetime: int
    """Seconds."""


@dataclass(frozen=True)
class Advertisement:
    """Router Advertisements of one DLIF to one mobile node (spec §6)."""

    dlif: str
    client: IPv6Address
    """The node's link-local address: RAs go to it alone (spec RA-8)."""
    router_lifetime: int
    """Seconds; 0 or >= the longest interval."""
    preference: str
    """"low" or "medium" (spec RA-5, RA-6)."""
    prefix: IPv6Network
    valid: int
    """Valid lifetime, seconds."""
    preferred: int
    """Preferred lifetime, seconds; 0 deprecates (spec RA-2)."""
    mtu: int
    """Octets; the same on all DLIFs of a node (spec RA-9)."""
    routes: tuple[RouteInformation, ...] = ()
