"""Identification of registrations: NTP timestamps that rise, and who may still be answered (spec §3.2)."""

from __future__ import annotations

import random
from collections.abc import Hashable

NTP_EPOCH = 2208988800
"""Seconds from 1900 to 1970."""
TOLERANCE = 7.0
"""Seconds a timestamp may differ from the receiver's clock (RFC 5944 §5.7.1)."""
UNKNOWN_BITS = 10
"""Low bits that a float of Unix seconds does not have."""


def timestamp(now: float) -> int:
    """Unix seconds as a 64-bit NTP timestamp."""
    return int((now + NTP_EPOCH) * (1 << 32)) % (1 << 64)


def seconds(identification: int) -> float:
    """Unix seconds of a 64-bit NTP timestamp."""
    return identification / (1 << 32) - NTP_EPOCH


class Stamper:
    """Identifications of one sender: rising over all its peers, in each peer's own time."""

    def __init__(self) -> None:
        self._last = 0
        self._offsets: dict[Hashable, float] = {}

    def next(self, peer: Hashable, now: float) -> int:
        """A new identification for a request to this peer."""
        base = timestamp(now) >> UNKNOWN_BITS << UNKNOWN_BITS | random.getrandbits(UNKNOWN_BITS)
        self._last = max(base, self._last + 1)
        return (self._last + int(self.offset(peer) * (1 << 32))) % (1 << 64)

    def resynchronise(self, peer: Hashable, identification: int, now: float) -> None:
        """Take over the peer's clock from the high 32 bits of its denial 133 (spec MR-19)."""
        self._offsets[peer] = float((identification >> 32) - (timestamp(now) >> 32))

    def offset(self, peer: Hashable) -> float:
        """Seconds by which the peer's clock is ahead."""
        return self._offsets.get(peer, 0.0)


def answers(reply: int, request: int) -> bool:
    """Whether the low 32 bits are those of the request (spec MR-12)."""
    return (reply ^ request) & 0xFFFFFFFF == 0


class ReplayGuard:
    """Identifications a receiver has accepted, by home address."""

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        self._tolerance = tolerance
        self._last: dict[Hashable, int] = {}

    def fresh(self, sender: Hashable, identification: int, now: float) -> bool:
        """Near this clock and later than everything accepted; remembered only by `accept`."""
        near = abs(seconds(identification) - now) <= self._tolerance
        return near and identification > self._last.get(sender, -1)

    def accept(self, sender: Hashable, identification: int) -> None:
        """Remember what has been accepted."""
        self._last[sender] = identification

    def denial(self, identification: int, now: float) -> int:
        """Identification of a reply with code 133: this clock above the sender's low 32 bits."""
        return timestamp(now) >> 32 << 32 | identification & 0xFFFFFFFF
