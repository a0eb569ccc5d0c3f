"""Duplicate detection and reordering by the identifications of Fragment Headers (spec §3.9)."""

from __future__ import annotations

import enum
from collections import deque

from agents.aero.constants import DPD_AGE, DPD_WINDOW

RESTARTED = 8
"""So many grossly late packets in a row, with rising identifications: the sender started anew."""


class Judgement(enum.Enum):
    """What the window says of a completed packet."""

    NEW = "new"
    LATE = "reorder"
    """New, but behind a later one."""
    DUPLICATE = "dpd_dup"
    GROSS = "reorder_gross"
    """Older than the window remembers."""


class DuplicateWindow:
    """The last identifications of one neighbor: the highest, and which of those below it were seen."""

    def __init__(self, size: int = DPD_WINDOW, age: float = DPD_AGE) -> None:
        self._size = size
        self._age = age
        self._top: int | None = None
        self._seen = 0
        """Bit d: identification top - d was seen."""
        self._stamps: deque[tuple[float, int]] = deque()
        """(time, identification) of what was seen, oldest first."""
        self._gross: list[int] = []

    def judge(self, identification: int, now: float) -> Judgement:
        """Judge and remember one packet."""
        self._forget(now)
        if self._top is None:
            self._restart(identification, now)
            return Judgement.NEW
        distance = _signed(identification - self._top)
        if distance <= -self._size:
            return self._grossly_late(identification, now)
        self._gross.clear()
        if distance > 0:
            self._seen = (self._seen << distance | 1) & ((1 << self._size) - 1) if distance < self._size else 1
            self._top = identification
            self._stamps.append((now, identification))
            return Judgement.NEW
        bit = 1 << -distance
        if self._seen & bit:
            return Judgement.DUPLICATE
        self._seen |= bit
        self._stamps.append((now, identification))
        return Judgement.LATE

    def _grossly_late(self, identification: int, now: float) -> Judgement:
        if identification in self._gross:  # where packets are doubled, a sender that starts anew is doubled, too
            return Judgement.DUPLICATE
        if self._gross and _signed(identification - self._gross[-1]) <= 0:
            self._gross.clear()
        self._gross.append(identification)
        if len(self._gross) >= RESTARTED:
            self._restart(identification, now)
        return Judgement.GROSS

    def _restart(self, identification: int, now: float) -> None:
        """Begin anew with this one as the highest; the grossly late ones before it were seen, as far as they fit."""
        self._top, self._seen = identification, 1
        self._stamps.clear()
        for each in dict.fromkeys((*self._gross, identification)):
            distance = _signed(identification - each)
            if 0 <= distance < self._size:
                self._seen |= 1 << distance
                self._stamps.append((now, each))
        self._gross.clear()

    def _forget(self, now: float) -> None:
        while self._stamps and self._stamps[0][0] <= now - self._age:
            _then, identification = self._stamps.popleft()
            distance = _signed(identification - (self._top or 0))
            if -self._size < distance <= 0:
                self._seen &= ~(1 << -distance)


def _signed(difference: int) -> int:
    """A 32-bit difference as a signed number."""
    difference &= 0xFFFFFFFF
    return difference - (1 << 32) if difference >= 1 << 31 else difference
