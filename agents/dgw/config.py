"""Configuration of the D-GW family's roles, as read from standard input."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Literal

from agents.limits import ErrorRates, Rate
from agents.plain import SECRET
from agents.wire.esp import SecurityAssociation

Mode = Literal["direct", "relay", "locator", "proxy"]
GatewayMode = Literal["direct", "relay", "locator", "proxy", "classic"]
"""classic: no distributed gateway at all, a Mobile Access Gateway of RFC 5213."""
RaProfile = Literal["deprecate", "lowpref"]
DflagProfile = Literal["rfc8885", "draft03"]
AnchorTimers = Literal["stop", "run"]
"""What anchors do with a binding's timer when the CMD moves it: stop it (spec DEREG-4), or ask the CMD when it runs
out (DEREG-5).  The same in a whole domain."""
MAX_DOUBLINGS = 64
"""Of a timeout: more than any ceiling needs, and few enough for a float however long a peer is silent (RETX-2)."""
Protection = Literal["off", "auto", "xfrm", "esp", "external"]
"""How signalling is protected (spec SEC-1).  off: by the allow-list only.  xfrm: by the kernel's ESP.  esp: by ESP in
the agent.  auto: xfrm where the kernel has it, else esp.  external: somebody else, an IKEv2 daemon say, keeps the
kernel's associations and policies; nothing is required here."""


def check_associations(
    protection: Protection,
    local: IPv6Address,
    peers: Iterable[IPv6Address],
    associations: Iterable[SecurityAssociation],
) -> None:
    """ValueError unless there is one association each way with every peer, where the protection needs them."""
    if protection in ("off", "external"):
        return
    pairs = [(one.source, one.destination) for one in associations]
    for peer in peers:
        for source, destination in ((local, peer), (peer, local)):
            if pairs.count((source, destination)) != 1:
                raise ValueError(f"protection {protection} needs one association from {source} to {destination}")


@dataclass(frozen=True)
class Profile:
    """Policy profile of one mobile node (RFC 5213 §6.2)."""

    name: str
    """Short name, first part of its DLIF names."""
    mn_id: str
    """Stable, domain-unique NAI."""
    mac: str
    """Link-layer address, lower case, colons."""
    enabled: bool = True
    """False: no mobility service (spec ATT-2, status 152)."""
    gateways: tuple[IPv6Address, ...] | None = None
    """P-CoAs that may serve the node; None: all of the domain (spec SEC-4, status 154)."""


@dataclass(frozen=True)
class Peer:
    """Another gateway of the domain."""

    name: str
    index: int
    """Gateway number, second part of its DLIFs' link-layer addresses."""
    address: IPv6Address
    """P-CoA."""
    pool: IPv6Network
    dflag_profile: DflagProfile = "rfc8885"
    operator: str = ""
    """Whose gateway it is; empty where there is only one operator (spec INTER-7)."""
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Global networks outside its pool that it may announce as reachable only through it (option 66, spec SEC-4)."""


@dataclass(frozen=True)
class Timing:
    """Timers and limits (spec §8), seconds unless named otherwise."""

    lifetime: int = 300
    """Binding lifetime asked for; a multiple of 4."""
    refresh_at: float = 0.5
    """Refresh when this share of the granted lifetime has passed."""
    initial_timeout: float = 1.0
    """INITIAL_BINDACK_TIMEOUT."""
    max_timeout: float = 32.0
    """MAX_BINDACK_TIMEOUT."""
    unreachable_after: int = 5
    """Transmissions without an answer after which a peer is reported unreachable."""
    refused_pause: float = 4.0
    """How long a peer that answered "unrecognized next header" is left alone."""
    rate: int = 3
    """PBUs per second to one node (spec RETX-5); 0 lifts the limit."""
    spacing: float = 0.01
    """Least time between any two PBUs of a CMD (spec CMD-6)."""
    timestamp_window: float = 0.3
    """TimestampValidityWindow."""
    hold: float = 10.0
    """MinDelayBeforeBCEDelete."""
    aggregation: float = 0.5
    """T_agg: how long a CMD collects acknowledgements before a partial answer."""
    quarantine: float = 7200.0
    """Least time a released prefix rests before it is given to another node."""
    idle: float = 600.0
    """T_idle: an anchored prefix without traffic for this long is released (spec DEREG-11); 0: never."""
    errors: ErrorRates = field(default_factory=lambda: ErrorRates(Rate(10.0, 10.0), Rate(100.0, 50.0)))
    """Binding Errors and Parameter Problems in answer to garbage (RFC 6275 §9.2, RFC 4443 §2.4(f))."""

    def __post_init__(self) -> None:
        if not 4 <= self.lifetime <= 262140 or self.lifetime % 4:
            raise ValueError(f"lifetime {self.lifetime} s is not a multiple of 4 between 4 and 262140")

    def timeout(self, sends: int) -> float:
        """Seconds to wait for an answer after `sends` earlier transmissions: doubled up to the ceiling, for ever."""
        return min(self.initial_timeout * 2.0 ** min(sends, MAX_DOUBLINGS), self.max_timeout)


@dataclass(frozen=True)
class AdvertisementPolicy:
    """Values of the Router Advertisements (spec §6), seconds."""

    profile: RaProfile = "deprecate"
    router_lifetime: int = 60
    mtu: int = 1460
    """Octets; less where tunnels hold less (spec RA-13)."""
    route_lifetime: int = 60
    """Of a Route Information option, less near the end of the binding (spec LIPA-9)."""
    retry: float = 0.1
    """A DLIF whose RA was not seen leaving after this long is advertised again."""


@dataclass(frozen=True)
class RadvdFiles:
    """How to reach the node's radvd."""

    config: str
    pid_file: str


@dataclass(frozen=True)
class GatewayConfig:
    """One distributed gateway."""

    role: Literal["gateway"]
    name: str
    index: int
    """Gateway number, unique in the domain, 1..65535."""
    mode: GatewayMode
    address: IPv6Address
    """P-CoA: signalling and tunnel end."""
    pool: IPv6Network
    wan: str
    phy: str
    cmd: IPv6Address
    """The CMD, the repository (direct), or the Local Mobility Anchor (classic)."""
    peers: tuple[Peer, ...]
    profiles: tuple[Profile, ...]
    radvd: RadvdFiles
    control: str
    """Path of the control socket."""
    state: str
    """Path of the saved state."""
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Networks reachable only through this gateway (Local Prefix option)."""
    local_interfaces: tuple[str, ...] = ()
    """Interfaces of these networks."""
    tunnel: Literal["auto", "seg6", "ip6tnl"] = "auto"
    dflag_profile: DflagProfile = "rfc8885"
    """D flag positions used towards the CMD."""
    dgw_support: bool = True
    """False: updates with the D flag are refused (129), own ones go out without it (spec AMB-6)."""
    accept_legacy: bool = False
    """Take updates without the D flag as plain ones of RFC 5213; False: refuse them (129)."""
    repository_port: int = 5213
    anchor_timers: AnchorTimers = "stop"
    max_anchors: int = 8
    """Anchors of one node; the oldest beyond is released (spec HO-16)."""
    local_only_after: int = 0
    """Serve a new node without its anchors when the CMD left this many updates unanswered (spec AMB-4); 0: never."""
    timing: Timing = field(default_factory=Timing)
    advertisements: AdvertisementPolicy = field(default_factory=AdvertisementPolicy)
    operator: str = ""
    roaming: bool = False
    """The CMD is the home LMA as well: it stands for gateways of other operators (spec INTER-2, INTER-3)."""
    protection: Protection = "off"
    associations: tuple[SecurityAssociation, ...] = field(default=(), repr=False, metadata=SECRET)
    """Two with every peer and the CMD, one each way."""

    def __post_init__(self) -> None:
        strangers = [peer.name for peer in self.peers if peer.operator != self.operator]
        if strangers:
            raise ValueError(f"peer {strangers[0]} is another operator's: only the LMA talks to it (spec INTER-1)")
        peers = [self.cmd, *(peer.address for peer in self.peers)]
        check_associations(self.protection, self.address, peers, self.associations)
        if self.pool.prefixlen > 64:
            raise ValueError(f"pool {self.pool} holds no /64")
        if not 1 <= self.index <= 0xFFFF:
            raise ValueError(f"index {self.index} is not between 1 and 65535")
        for one, other in itertools.combinations(self.local_prefixes, 2):
            if one.overlaps(other):
                raise ValueError(f"local prefixes {one} and {other} overlap")
        if self.advertisements.router_lifetime < 4:
            raise ValueError("advertisements.router_lifetime is below the longest interval, 4 s")
        if self.max_anchors < 1:
            raise ValueError(f"max_anchors {self.max_anchors} is below 1")


@dataclass(frozen=True)
class CmdConfig:
    """The central mobility database: relay, locator or proxy (RFC 8885 §3.2-3.4), or the direct mode's repository."""

    role: Literal["cmd"]
    name: str
    mode: Mode
    address: IPv6Address
    gateways: tuple[Peer, ...]
    profiles: tuple[Profile, ...]
    control: str
    state: str
    dgw_support: bool = True
    """False: updates with the D flag are refused (129, spec AMB-6)."""
    accept_legacy: bool = False
    """Take updates without the D flag as plain ones of RFC 5213; False: refuse them (129)."""
    repository_port: int = 5213
    anchor_timers: AnchorTimers = "stop"
    timing: Timing = field(default_factory=Timing)
    wan: str | None = None
    """Interface towards the core of a home LMA, which forwards between operators; None: out of the data path."""
    tunnel: Literal["auto", "seg6", "ip6tnl"] = "auto"
    share_local_prefixes: bool = False
    """Gateways hear of local prefixes of another operator's gateways (spec INTER-11, optional there).

    The home LMA forwards a session between such a network and a node's prefix of the same anchor. From another prefix
    it forwards none, as LIPA-6 would have it inside one operator: share where `lowpref` makes nodes choose that
    anchor's address (LIPA-7).
    """
    protection: Protection = "off"
    associations: tuple[SecurityAssociation, ...] = field(default=(), repr=False, metadata=SECRET)
    """Two with every gateway, one each way."""

    def __post_init__(self) -> None:
        operators = sorted({gateway.operator for gateway in self.gateways})
        if len(operators) > 1 and self.wan is None:
            raise ValueError(
                f"wan is missing: between operators {', '.join(operators)} the LMA forwards (spec INTER-6)"
            )
        check_associations(self.protection, self.address, [peer.address for peer in self.gateways], self.associations)
