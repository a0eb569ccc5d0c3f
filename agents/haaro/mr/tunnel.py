"""One tunnel between two care-of addresses, and how well it does (spec §4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from agents.haaro.config import Encapsulation
from agents.haaro.items import TUNNEL_PORT

SLOWEST, QUICKEST = 0.2, 0.05
"""Seconds that the last of several unanswered keepalives has, at most and at least: those before had theirs."""
PATIENCE = 4
"""Round trips that it has in between."""


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
    probed: float = 0.0
    """When the last keepalive left."""
    round_trip: float | None = None
    """Seconds that answers took lately; None: there was none yet."""

    @property
    def pair(self) -> tuple[IPv4Address, IPv4Address]:
        """Own and remote care-of address."""
        return self.local, self.remote

    @property
    def up(self) -> bool:
        """May carry traffic."""
        return self.state is TunnelState.UP

    @property
    def last_word(self) -> float:
        """Seconds after which the last of several keepalives counts as unanswered, too."""
        return SLOWEST if self.round_trip is None else min(SLOWEST, max(QUICKEST, PATIENCE * self.round_trip))

    def answered(self, sequence: int, now: float) -> None:
        """A keepalive came back."""
        self.unanswered = 0
        if sequence == self.sequence:
            self.round_trip = max(now - self.probed, (self.round_trip or 0.0) / 2)
