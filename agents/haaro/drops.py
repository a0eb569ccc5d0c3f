"""What came out of no tunnel is told in the log, but not packet by packet (spec §10, last rows)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address

EVERY = 10.0
"""Seconds between two words about one reason, at least."""


class DropLog:
    """Says why packets are dropped: the first of each reason, then their number from time to time."""

    def __init__(self, say: Callable[..., None]) -> None:
        """`say` takes the time and the fields of an event."""
        self._say = say
        self._told: dict[str, float] = {}
        self._since: Counter[str] = Counter()

    def dropped(self, reason: str, local: IPv4Address, remote: IPv4Address, now: float) -> None:
        """One more packet, between these outer addresses."""
        self._since[reason] += 1
        if reason in self._told and 0 <= now - self._told[reason] < EVERY:
            return
        self._told[reason] = now
        self._say(now, reason=reason, local=local, remote=remote, packets=self._since.pop(reason))
