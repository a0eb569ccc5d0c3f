"""Configuration of a Local Mobility Anchor, as read from standard input."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Literal

from agents.dgw.config import Profile, Protection, Timing, check_associations
from agents.plain import SECRET
from agents.wire.esp import SecurityAssociation


@dataclass(frozen=True)
class AccessGateway:
    """A Mobile Access Gateway that may register nodes here (RFC 5213 §5.3.1)."""

    name: str
    address: IPv6Address
    """Proxy-CoA: signalling and tunnel end."""


@dataclass(frozen=True)
class LmaConfig:
    """One Local Mobility Anchor."""

    role: Literal["lma"]
    name: str
    address: IPv6Address
    """LMA address: signalling and tunnel end."""
    pool: IPv6Network
    """Home network prefixes come from here, one /64 a mobility session."""
    wan: str
    """Interface towards the access gateways."""
    gateways: tuple[AccessGateway, ...]
    profiles: tuple[Profile, ...]
    control: str
    """Path of the control socket."""
    state: str
    """Path of the saved state."""
    index: int = 0
    """Number in the link-local addresses it gives to its nodes' home routers; no D-GW of the domain may have it."""
    tunnel: Literal["auto", "seg6", "ip6tnl"] = "auto"
    assign_delay: float = 1.5
    """MaxDelayBeforeNewBCEAssign (RFC 5213 §9.1), seconds."""
    timing: Timing = field(default_factory=Timing)
    protection: Protection = "off"
    associations: tuple[SecurityAssociation, ...] = field(default=(), repr=False, metadata=SECRET)
    """One each way with every access gateway, where the protection needs them."""

    def __post_init__(self) -> None:
        peers = (gateway.address for gateway in self.gateways)
        check_associations(self.protection, self.address, peers, self.associations)
        if self.pool.prefixlen > 64:
            raise ValueError(f"pool {self.pool} holds no /64")
        if not 0 <= self.index <= 0xFFFF:
            raise ValueError(f"index {self.index} is not between 0 and 65535")
