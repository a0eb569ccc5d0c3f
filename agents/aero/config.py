"""Configuration of the AERO roles, as read from standard input."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from agents.aero.constants import DPD_WINDOW
from agents.limits import ErrorRates

Model = Literal["host", "router", "hybrid"]
EncapsulationName = Literal["udp", "minimal", "gue", "gue1"]
Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True)
class UnderlayLink:
    """An underlay interface that the node sends and receives encapsulated packets on."""

    interface: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    link_id: int = 1
    preference: int = 128
    """Higher wins; 0: do not use."""


@dataclass(frozen=True)
class DataPlaneConfig:
    """How inner packets travel (spec §2, §3)."""

    encapsulation: EncapsulationName = "udp"
    """What the node would like to use for data towards its neighbors; control always starts on udp."""
    dpd: Literal["off", "always"] = "off"
    """always: every packet carries a Fragment Header for its identification (spec §3.8)."""
    drop_gross: bool = False
    """Drop grossly late packets instead of counting them (spec §3.9)."""
    reassembly_cap: int = 9216
    dpd_window: int = DPD_WINDOW
    runs: bool = True
    """Give the kernel runs of equally long UDP packets to one neighbor as one, where it can cut them (UDP segmentation
    offload): over IPv6, and of proven size over IPv4.  It does that after a capture on this node has seen them, unless
    `ethtool -K DEVICE tx-udp-segmentation off` has it done before."""
    errors: ErrorRates = field(default_factory=ErrorRates)
    """How many ICMP errors inner sources are told."""


@dataclass(frozen=True)
class OptimisationConfig:
    """How a node takes part in route optimisation (spec RO-*)."""

    originate: bool = True
    """Server: start it for its Clients."""
    tokens: bool = True
    """Server: give both Clients a key to prove to each other who they are."""
    target: bool = True
    """Client: let others send to it directly (spec RO-6 `ro_target`)."""
    probe: bool = True
    """Client: test a direct path before it is used (spec RO-12 `ro_probe`)."""
    framing: Literal["nd", "rfc6706"] = "nd"
    """How Predirects and Redirects are sent (spec §6.6 `redirect_framing`); both are understood."""


@dataclass(frozen=True)
class DownstreamLink:
    """A router or hybrid Client's link to its own nodes."""

    interface: str
    subnet: int = 1
    """Number of its /64 in the delegated prefix."""
    mode: Literal["slaac", "dhcp", "off-link"] = "slaac"
    """How nodes get addresses (spec MODEL-R3)."""


@dataclass(frozen=True)
class ServerChoice:
    """One entry of a Client's ordered list of Servers (spec CLI-1)."""

    addresses: tuple[IPv4Address | IPv6Address, ...]
    name: str = ""


@dataclass(frozen=True)
class ClientConfig:
    """An AERO Client (spec CLI-*, MODEL-*)."""

    role: Literal["client"]
    name: str
    duid: str
    """DHCPv6 Client-ID, hexadecimal."""
    links: tuple[UnderlayLink, ...]
    servers: tuple[ServerChoice, ...]
    control: str
    """Path of the control socket."""
    state: str
    """Path of the saved state."""
    model: Model = "host"
    families: tuple[Literal["ipv4", "ipv6"], ...] = ("ipv6",)
    """Which prefixes to ask for: IAID 1 for IPv6, 4 for IPv4."""
    addresses: int = 1
    """Host and hybrid: how many addresses of the prefix to assign to aero0."""
    downstream: tuple[DownstreamLink, ...] = ()
    auth_key: str = ""
    """Hexadecimal; empty: no DHCPv6 authentication (spec §6.11)."""
    radvd_config: str = ""
    radvd_pid_file: str = ""
    dataplane: DataPlaneConfig = field(default_factory=DataPlaneConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    interface: str = "aero0"


@dataclass(frozen=True)
class DhcpServer:
    """Where the LDRA finds the DHCPv6 server (spec SRV-1, LDRA-6, LDRA-7)."""

    address: IPv6Address = field(default=IPv6Address("::1"))
    port: int = 547
    relay_port: int = 0
    """Port to relay from: 547 for a server that knows no option 135, e.g. ISC dhcpd; 0: any (spec LDRA-6)."""
    rsoo: bool = True
    """Send the Client's link-layer address along (spec LDRA-10)."""


@dataclass(frozen=True)
class PermanentNeighbor:
    """A Relay of a Server, or a Server of a Relay (spec §5.1)."""

    name: str
    address: IPv6Address
    """AERO address."""
    addresses: tuple[IPv4Address | IPv6Address, ...]
    """Of the underlay, the preferred first."""
    asn: int
    peer: IPv4Address | IPv6Address
    """Its end of the BGP session."""


@dataclass(frozen=True)
class NativePeer:
    """A router of the native Internet that a Relay speaks BGP with (spec RLY-3)."""

    peer: IPv4Address | IPv6Address
    next_hops: tuple[IPv4Address | IPv6Address, ...]
    """Our addresses that it reaches us at."""


@dataclass(frozen=True)
class ServerConfig:
    """An AERO Server (spec SRV-*, LDRA-*)."""

    role: Literal["server"]
    name: str
    address: IPv6Address
    """AERO address, fe80::1 .. fe80::ffff:ffff."""
    links: tuple[UnderlayLink, ...]
    control: str
    state: str
    aggregates: tuple[Prefix, ...] = ()
    """Prefixes of the whole AERO link."""
    dhcp: DhcpServer = field(default_factory=DhcpServer)
    auth_keys: dict[str, str] = field(default_factory=dict)
    """DUID to key, both hexadecimal; a Client without one is served only when this is empty (spec SRV-13)."""
    rate_per_address: float = 20.0
    """DHCPv6 client messages per second from one link-layer address (spec SRV-14)."""
    rate_total: float = 2000.0
    relays: tuple[PermanentNeighbor, ...] = ()
    """The preferred first; none: this node's own kernel leads to the native Internet."""
    bgp: str = ""
    """Socket at which the program of this node's ExaBGP is waited for; empty: nothing is announced."""
    dataplane: DataPlaneConfig = field(default_factory=DataPlaneConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    interface: str = "aero0"


@dataclass(frozen=True)
class RelayConfig:
    """An AERO Relay (spec RLY-*)."""

    role: Literal["relay"]
    name: str
    address: IPv6Address
    """AERO address."""
    links: tuple[UnderlayLink, ...]
    control: str
    bgp: str
    """Socket at which the program of this node's ExaBGP is waited for."""
    servers: tuple[PermanentNeighbor, ...]
    natives: tuple[NativePeer, ...] = ()
    aggregates: tuple[Prefix, ...] = ()
    """Prefixes of the whole AERO link."""
    dataplane: DataPlaneConfig = field(default_factory=DataPlaneConfig)
    interface: str = "aero0"


NodeConfig = ClientConfig | ServerConfig | RelayConfig
