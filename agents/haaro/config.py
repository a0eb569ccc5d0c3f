"""Configuration of the HAARO roles, as read from standard input."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from agents.haaro.nonces import MAX_NONCE_LIFETIME
from agents.haaro.realms import Spelling
from agents.limits import ErrorRates
from agents.plain import SECRET

Encapsulation = Literal["udp", "ipip"]
TunnelKind = Literal["auto", "ipip", "tun"]
"""Who takes care of tunnels in IP: the kernel's ipip driver or the program; auto: the kernel if it can."""


@dataclass(frozen=True)
class OwnedPrefix:
    """A network behind a mobile router, as the home agent knows it (spec §4.1)."""

    prefix: IPv4Network
    realm: str = ""
    implicit: bool = False
    """The home agent adds it by itself: the router need not list it (spec HA-4)."""
    advertised: bool = True
    """Others may be told."""

    def __post_init__(self) -> None:
        """A realm that no advertisement can hold is a mistake now, not when its router registers (spec §2.5, §8.2)."""
        Spelling(self.realm)


@dataclass(frozen=True)
class Router:
    """A mobile router or single node that the home agent serves."""

    name: str
    home_address: IPv4Address
    key: bytes = field(metadata=SECRET, repr=False)
    spi: int = 256
    prefixes: tuple[OwnedPrefix, ...] = ()
    """In order of priority, best first."""
    router: bool = True
    """May act as a router at all; code 148 otherwise."""
    optimise: bool = True
    """False: its wish for route optimisation is declined (spec HA-10)."""

    def __post_init__(self) -> None:
        """SPI 0-255 are reserved (spec §3.2)."""
        if self.spi < 256:
            raise ValueError(f"spi {self.spi} is reserved; use 256 or more")


@dataclass(frozen=True)
class HaConfig:
    """A home agent (spec HA-*)."""

    role: Literal["ha"]
    name: str
    address: IPv4Address
    routers: tuple[Router, ...]
    """In order of priority: so they stand in the prefix advertisement."""
    control: str
    home_prefix: IPv4Network | None = None
    """Home addresses outside it are not served (code 129); None: those of `routers` are."""
    haaro: bool = True
    """False: the home agent of RFC 5177, which steps over the capability (spec S20)."""
    max_lifetime: int = 600
    nat_lifetime: int = 60
    """At most this long behind a NAT (spec NAT-8)."""
    udp: bool = True
    """Allow tunnels in UDP."""
    forced_udp: bool = True
    """Allow them where no NAT is seen, if the router asks for it."""
    keepalive: int = 0
    """Seconds told to routers behind a NAT; 0: they use their own."""
    tolerance: float = 7.0
    """Seconds that clocks may differ; more than 3 (spec §3.2)."""
    require_reverse_tunnel: bool = False
    compress: bool = True
    grace: float = 10.0
    """Seconds that packets from a router's last care-of address are still taken after it moved (spec 7.1)."""
    max_bindings: int = 65536
    max_advertisement: int = 65507 - 1024
    """Octets of prefix information in one reply (spec A-44)."""
    interface: str = "haaro0"
    tunnel: TunnelKind = "auto"
    errors: ErrorRates = field(default_factory=ErrorRates)
    """How many ICMP errors inner sources are told."""


@dataclass(frozen=True)
class AccessLine:
    """One of the router's interfaces to the world."""

    interface: str
    address: IPv4Address
    gateway: IPv4Address | None = None
    preference: int = 128
    """The highest that is up is used."""


@dataclass(frozen=True)
class StaticKey:
    """A key shared with one peer by configuration: no return routability (spec §3.3)."""

    home_address: IPv4Address
    key: bytes = field(metadata=SECRET, repr=False)


@dataclass(frozen=True)
class PeerTiming:
    """Times toward peers, seconds; the sheet's recommendations (spec §9)."""

    keepalive: float = 1.0
    lost_after: int = 3
    """Keepalives without an answer."""
    first_keepalive: float = 0.5
    first_tries: int = 3
    grace: float = 10.0
    """That an old path still is received on (spec 7.1, 7.3)."""
    hold_down: float = 30.0
    solicit: float = 3.0
    """That a request waits for the home agent's word (spec CR-7)."""
    held: float = 5.0
    """That code 2 is waited upon (spec 7.5)."""
    tries: int = 5
    """Of return routability, and of a registration."""

    def __post_init__(self) -> None:
        """Not more than 5 keepalives a second (spec TUN-10)."""
        if self.keepalive < 0.2 or self.first_keepalive < 0.2:
            raise ValueError("keepalives come at most 5 times a second: 0.2 or more")


@dataclass(frozen=True)
class MrConfig:
    """A mobile router (spec MR-*, CR-*)."""

    role: Literal["mr"]
    name: str
    home_address: IPv4Address
    home_agent: IPv4Address
    key: bytes = field(metadata=SECRET, repr=False)
    lines: tuple[AccessLine, ...]
    control: str
    spi: int = 256
    prefixes: tuple[IPv4Network, ...] = ()
    """Mobile networks, registered explicitly."""
    capability: bool = True
    """False: the mobile router of RFC 5177 (spec S20)."""
    accept: bool = True
    """A: others may learn our networks, and we accept their registrations."""
    learn: bool = True
    """R: we want to learn others' networks."""
    outbound_only: Literal["auto", "yes", "no"] = "auto"
    """O: no line takes connections from outside; auto: when the home agent sees a NAT on all of them (spec MR-3)."""
    force_udp: bool = False
    """UDP to the home agent even without a NAT."""
    encapsulation: Encapsulation = "udp"
    """Toward peers; UDP anyway where a NAT is (spec MR-11)."""
    home_lifetime: int = 600
    peer_lifetime: int = 120
    home_keepalive: int = 110
    """Seconds of silence toward the home agent behind a NAT; 10 or more (spec NAT-8)."""
    eager: bool = False
    """Use a peer's tunnel before it has registered here (spec MR-15)."""
    mesh: bool = False
    """Optimise toward everyone at once instead of on demand (spec MR-7)."""
    probe_same_nat: bool = False
    """Both behind a NAT: it may be the same one, try each listed address (spec NAT-6)."""
    check_prefixes: bool = True
    """False: believe a peer's claims without the home agent, which is not recommended (spec CR-9)."""
    realms: tuple[str, ...] | None = None
    """Optimise toward prefixes of these realms only; None: all."""
    static_keys: tuple[StaticKey, ...] = ()
    line_for: dict[IPv4Address, str] = field(default_factory=dict)
    """Peer's home address -> interface to use toward it (spec MR-22)."""
    tolerance: float = 7.0
    nonce_lifetime: float = MAX_NONCE_LIFETIME
    """Seconds for which tokens of ours are good, 240 at most; with less than 210 peers must ask anew before they would
    (spec §3.4)."""
    timing: PeerTiming = field(default_factory=PeerTiming)
    gateway: bool = False
    """0.0.0.0/0 is ours, and the home agent says so: packets from everywhere may go to peers through us, and what peers
    send for nobody's network leaves by a line (spec S26)."""
    internet_via: IPv4Address | None = None
    """Home address of the router to use for what is nobody's network, if the home agent says that 0.0.0.0/0 is behind
    it; None: the home agent (spec S26)."""
    interface: str = "haaro0"
    tunnel: TunnelKind = "auto"
    errors: ErrorRates = field(default_factory=ErrorRates)
    """How many ICMP errors inner sources are told."""

    def __post_init__(self) -> None:
        """What RFC 3519 and RFC 5944 fix; lines are told apart by their addresses (spec MR-22)."""
        if self.home_keepalive < 10:
            raise ValueError("home_keepalive is 10 or more seconds (RFC 3519 §4.9)")
        if not self.lines:
            raise ValueError("a mobile router needs at least one line")
        if not 0 < self.nonce_lifetime <= MAX_NONCE_LIFETIME:
            raise ValueError(
                f"nonce_lifetime {self.nonce_lifetime:g} is not in 0-{MAX_NONCE_LIFETIME:g} seconds (RFC 6521 §9)"
            )
        for what in ("interface", "address"):
            values = [str(getattr(line, what)) for line in self.lines]
            if twice := next((each for each in values if values.count(each) > 1), None):
                raise ValueError(f"two lines have the {what} {twice}; what is sent from it must leave by one")
        if self.gateway and self.internet_via:
            raise ValueError("gateway and internet_via exclude each other: packets would go from tunnel to tunnel")
        for realm in self.realms or ():
            Spelling(realm)
        if self.spi < 256:
            raise ValueError(f"spi {self.spi} is reserved; use 256 or more")
