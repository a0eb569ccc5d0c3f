"""What the cores of AERO are told, and what they want done."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.bgp.notices import BgpNotice
from agents.aero.dataplane.sink import Control
from agents.aero.dataplane.usage import Use
from agents.aero.items import Item
from agents.aero.lladdr import LinkLayerAddress, Underlay
from agents.aero.neighbors import Inner, Neighbor, Path


@dataclass(frozen=True)
class Controlled:
    """A control packet arrived on the AERO link."""

    control: Control


@dataclass(frozen=True)
class Stranger:
    """Data of an inner source came from a link-layer address that nobody has (spec SRV-9)."""

    lladdr: LinkLayerAddress
    source: Inner
    size: int
    """Octets of the packet: an answer must not be larger."""


@dataclass(frozen=True)
class Unaccepted:
    """Data came from a correspondent's link-layer address for no pair that is accepted (spec RO-14)."""

    lladdr: LinkLayerAddress
    packet: bytes
    """Its start, from the network-layer header on."""


@dataclass(frozen=True)
class PathWanted:
    """The size of a path began to matter: it has probes to send (spec §3.5)."""

    neighbor: Neighbor
    path: Path


@dataclass(frozen=True)
class FlowUsed:
    """A packet went by that somebody waited for (spec RO-1)."""

    use: Use
    packet: bytes
    """Its start, from the network-layer header on."""
    idle: float
    """Seconds since the one before it."""


@dataclass(frozen=True)
class AddressesChanged:
    """The underlay interface has these global addresses now, and no others."""

    interface: str
    addresses: tuple[Underlay, ...]


@dataclass(frozen=True)
class ChangeServer:
    """A Client is to attach at another Server of its list, and leave the present one (spec MOB-7)."""

    number: int


@dataclass(frozen=True)
class TooBig:
    """The underlay said that a packet of ours to `ip` does not fit (spec §2.8)."""

    ip: Underlay
    mtu: int
    """Octets of the outer packet; 0 where an old router named none."""
    about: tuple[LinkLayerAddress, ...] = ()
    """What the quoted packet was sent to, one of these; none: our own kernel says so, of all that goes to `ip`."""


@dataclass(frozen=True)
class LinkChanged:
    """An underlay interface has another MTU."""

    interface: str
    mtu: int
    """Octets."""


@dataclass(frozen=True)
class Unreachable:
    """The underlay said that a packet of ours to `lladdr` did not arrive (spec §2.8)."""

    lladdr: LinkLayerAddress
    protocol: bool
    """True: the protocol itself is not known there, so minimal encapsulation is unusable at once."""


@dataclass(frozen=True)
class DhcpAnswer:
    """The DHCPv6 server sent something to the relay."""

    data: bytes
    source: IPv6Address


@dataclass(frozen=True)
class SendControl:
    """Send an inner control packet to one link-layer address, never fragmented."""

    packet: bytes
    lladdr: LinkLayerAddress
    df: bool = False
    pad: int = 0
    """Zero octets behind the inner packet (spec §3.6)."""
    atomic: bool = False
    """Behind a Fragment Header, whole (spec FRAG-14)."""


@dataclass(frozen=True)
class ToDhcpServer:
    """Send a Relay-forward to the DHCPv6 server."""

    data: bytes


@dataclass(frozen=True)
class ReplayTaken:
    """A client message counts from now on: none with its replay value or a lower one may, after a restart either."""

    duid: bytes
    value: int


@dataclass(frozen=True)
class Install:
    """Make the kernel hold these items, in this order."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Remove:
    """Make the kernel hold no such items, removed in this order."""

    items: tuple[Item, ...]


Notice = (
    Controlled
    | Stranger
    | Unaccepted
    | PathWanted
    | FlowUsed
    | AddressesChanged
    | ChangeServer
    | TooBig
    | LinkChanged
    | Unreachable
    | DhcpAnswer
    | BgpNotice
)
