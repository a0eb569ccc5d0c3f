"""One tunnel between two care-of addresses, and how well it does (spec §4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from agents.haaro.config import Encapsulation
from agents.haaro.items import TUNNEL_PORT


class TunnelState(Enum):
    """Only an UP tunnel carries routes."""

    WAITING = "waiting"
    """For the other end's first keepalive."""
    PROBING = "probing"
    UP = "up"
    DRAINING = "draining"
    """Packets still come out of it, none go in."""


@dataclass(eq=False)
class PeerTunnel:
    """A tunnel to a correspondent."""

    local: IPv4Address
    remote: IPv4Address
    encapsulation: Encapsulation
    state: TunnelState
    port: int = TUNNEL_PORT
    """Remote UDP port, learnt from keepalives (spec CR-15)."""
    sequence: int = 0
    """Of the last keepalive."""
    unanswered: int = 0
    """Keepalives since the last answer."""
    heard: bool = False
    """The other end's keepalives come by it: to that end it may work, even if not to us."""
    until: float = 0.0
    """Draining: when it goes."""

    @property
    def pair(self) -> tuple[IPv4Address, IPv4Address]:
        """Own and remote care-of address."""
        return self.local, self.remote

    @property
    def up(self) -> bool:
        """May carry traffic."""
        return self.state is TunnelState.UP
