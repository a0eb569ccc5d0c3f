"""When a DHCPv6 client sends again (RFC 8415 §15): exponential back-off with a little chance in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Schedule:
    """Retransmission parameters of one message type, seconds (RFC 8415 §7.6)."""

    initial: float
    """IRT."""
    maximum: float
    """MRT; 0: none."""
    count: int = 0
    """MRC: transmissions at most; 0: without end."""
    never_early: bool = False
    """The first transmission waits a little longer, never less (RFC 8415 §18.2.1, RAND > 0)."""

    def capped(self, maximum: float) -> Schedule:
        """The same with another MRT (option SOL_MAX_RT)."""
        return replace(self, maximum=maximum)


SOLICIT, REQUEST = Schedule(1, 3600, never_early=True), Schedule(1, 30, 10)
RENEW_MOVED = Schedule(1, 10)
"""After a move: until the Server knows, nothing reaches us (spec MOB-1)."""
RENEW, REBIND, RELEASE = Schedule(10, 600), Schedule(10, 600), Schedule(1, 0, 4)


class Retransmission:
    """One message on its way: how often it was sent, and when it is due again."""

    def __init__(self, schedule: Schedule, now: float) -> None:
        self.schedule = schedule
        self.started = now
        self.sent = 0
        self.due = now
        self._timeout = 0.0

    def note_sent(self, now: float) -> None:
        """One more transmission left."""
        chance = random.uniform(-0.1, 0.1)
        if self.sent == 0:
            chance = abs(chance) if self.schedule.never_early else chance
            self._timeout = self.schedule.initial * (1 + chance)
        else:
            self._timeout *= 2 + chance
        if self.schedule.maximum and self._timeout > self.schedule.maximum:
            self._timeout = self.schedule.maximum * (1 + random.uniform(-0.1, 0.1))
        self.sent += 1
        self.due = now + self._timeout

    @property
    def exhausted(self) -> bool:
        """Sent as often as it may be."""
        return bool(self.schedule.count) and self.sent >= self.schedule.count

    def elapsed(self, now: float) -> int:
        """Hundredths of a second since the first transmission, for the Elapsed Time option."""
        return min(int((now - self.started) * 100), 0xFFFF)
