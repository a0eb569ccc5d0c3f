"""What a D-GW core wants done, and what it is told besides datagrams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agents.dgw.forwarding import Advertisement, Item


@dataclass(frozen=True)
class Send:
    """Send a Mobility Header message (its octets) from our P-CoA."""

    destination: IPv6Address
    message: bytes


@dataclass(frozen=True)
class SendParameterProblem:
    """Answer an undecodable Mobility Header with ICMPv6 type 4 code 0 (spec §10)."""

    offending: MobilityDatagram
    field: int
    """Offset of the field at fault from the start of the Mobility Header."""


@dataclass(frozen=True)
class Consult:
    """Send a repository datagram (direct mode)."""

    destination: IPv6Address
    port: int
    message: bytes


@dataclass(frozen=True)
class Install:
    """Make the kernel hold these items, in this order."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Remove:
    """Make the kernel hold no such items, removed in this order."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Adopt:
    """After a restart: make the kernel hold exactly these items."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Advertise:
    """The complete set of Router Advertisements; all are sent at once and from then on periodically."""

    advertisements: tuple[Advertisement, ...]


@dataclass(frozen=True)
class CountTraffic:
    """Read how many packets of each mobile node's prefix passed; the answer is a `TrafficCounted`."""


Action = Send | SendParameterProblem | Consult | Install | Remove | Adopt | Advertise | CountTraffic


@dataclass(frozen=True)
class MobilityDatagram:
    """A Mobility Header that arrived; `source` of `Core.receive` is unused."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address
    hop_limit: int = 64
    extensions: tuple[tuple[int, bytes], ...] = ()
    """Extension headers in front of it: (header type, whole header)."""
    summed: bool = True
    """The kernel verified the checksum; it cannot for what was inside ESP."""


@dataclass(frozen=True)
class Discarded:
    """A Mobility Header, or what should have held one, that protection did not let through (spec SEC-1, §10)."""

    source: IPv6Address
    counter: str
    """Kind, as counted: `unprotected`, `esp-replay`, `esp-integrity` ..."""
    reason: str


@dataclass(frozen=True)
class PeerRefused:
    """A peer's kernel said that it does not know the Mobility Header (ICMPv6 type 4 code 1, spec §10)."""

    peer: IPv6Address


@dataclass(frozen=True)
class RepositoryDatagram:
    """A repository message that arrived."""

    data: bytes
    source: IPv6Address
    port: int


@dataclass(frozen=True)
class Associated:
    """The access point reports a station (spec ATT-1)."""

    mac: str


@dataclass(frozen=True)
class Disassociated:
    """The access point lost a station."""

    mac: str


@dataclass(frozen=True)
class Stations:
    """All stations now associated; whoever is not listed has left."""

    macs: frozenset[str]


@dataclass(frozen=True)
class RouterSolicited:
    """A mobile node sent a Router Solicitation."""

    mac: str
    link_local: IPv6Address | None
    """Source address; None when unspecified."""


@dataclass(frozen=True)
class NeighborSeen:
    """A mobile node showed its link-local address in a Neighbor Solicitation."""

    mac: str
    link_local: IPv6Address


@dataclass(frozen=True)
class RouterAdvertised:
    """One of our Router Advertisements left through the access interface."""

    link_local: IPv6Address
    mac: str
    """Link-layer destination: the mobile node."""


@dataclass(frozen=True)
class LocalAccessChanged:
    """An operator opens or closes local networks to a mobile node."""

    mn_id: str
    allowed: bool


@dataclass(frozen=True)
class TrafficCounted:
    """Packets from and to each prefix so far, as the kernel counted them; may start again at 0."""

    packets: Mapping[IPv6Network, int]


Notice = (
    MobilityDatagram
    | Discarded
    | PeerRefused
    | RepositoryDatagram
    | Associated
    | Disassociated
    | Stations
    | RouterSolicited
    | NeighborSeen
    | RouterAdvertised
    | LocalAccessChanged
    | TrafficCounted
)
