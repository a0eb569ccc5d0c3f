"""Prefixes that left a Server for another one just now: their packets go to a Relay, not back (spec MOB-9)."""

from __future__ import annotations

from agents.aero.addresses import Prefix
from agents.aero.constants import DEPART_TIME
from agents.aero.neighbors import Inner
from agents.timers import Timers


class Departures:
    """The prefixes that departed less than DEPART_TIME ago."""

    def __init__(self) -> None:
        self._prefixes: set[Prefix] = set()
        self._timers: Timers[Prefix] = Timers()

    def left(self, prefix: Prefix, now: float) -> None:
        """A Client released it."""
        self._prefixes.add(prefix)
        self._timers.set(prefix, now + DEPART_TIME)

    def returned(self, prefix: Prefix) -> None:
        """A Client of ours has it again."""
        self._prefixes.discard(prefix)
        self._timers.cancel(prefix)

    def covers(self, address: Inner) -> bool:
        """Whether an address is of such a prefix."""
        return any(address.version == prefix.version and address in prefix for prefix in self._prefixes)

    def next_timer(self) -> float | None:
        """When the next one is over."""
        return self._timers.next_timer()

    def handle_timer(self, now: float) -> bool:
        """Forget those that are over; whether there were any."""
        over = list(self._timers.take(now))
        self._prefixes.difference_update(over)
        return bool(over)
