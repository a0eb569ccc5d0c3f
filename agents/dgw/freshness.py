"""Is this Binding Update newer than the last one?  Timestamps first, sequence numbers without (RFC 5213 §5.5)."""

from __future__ import annotations

from dataclasses import dataclass

from agents.wire.mobility_codes import Status

TICKS = 65536
"""Timestamp units per second (option 27)."""
CLOCKS = (Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, Status.TIMESTAMP_MISMATCH)
"""Rejections for the Timestamp's sake; they carry the time of who rejects (spec RETX-7)."""


def ticks(now: float) -> int:
    """Unix seconds as the 64-bit value of a Timestamp option."""
    return int(now * TICKS)


@dataclass
class Freshness:
    """The last accepted ordering marks of one mobile node at one receiver."""

    timestamp: int | None = None
    """64-bit Timestamp option."""
    sequence: int | None = None

    def check(self, timestamp: int | None, sequence: int, now: float, window: float) -> Status | None:
        """The status to reject with (156, 157, 135), or None when the update is fresh (spec RETX-6..8)."""
        if timestamp is not None:
            if self.timestamp is not None and timestamp <= self.timestamp:
                return Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
            if abs(timestamp - ticks(now)) > window * TICKS:
                return Status.TIMESTAMP_MISMATCH
            return None
        if self.sequence is not None and not 1 <= (sequence - self.sequence) % 65536 <= 32767:
            return Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
        return None

    def accept(self, timestamp: int | None, sequence: int) -> None:
        """Remember an accepted update."""
        if timestamp is not None:
            self.timestamp = timestamp
        self.sequence = sequence


class Stamper:
    """Strictly rising timestamps and one monotonic sequence counter per sender (spec RETX-4, RETX-9)."""

    def __init__(self, sequence: int = 0) -> None:
        self._last = 0
        self.sequence = sequence

    def timestamp(self, now: float) -> int:
        """A timestamp later than every one given before."""
        self._last = max(ticks(now), self._last + 1)
        return self._last

    def next_sequence(self) -> int:
        """The next 16-bit sequence number."""
        self.sequence = (self.sequence + 1) % 65536
        return self.sequence
