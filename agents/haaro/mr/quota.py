"""So many a second from one source, in memory that does not grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

SLOTS = 1024
"""Sources that fall into one slot share its quota."""


class Quota:
    """Counts of the present second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0.0
        self._taken: Counter[int] = Counter()

    def take(self, source: Hashable, now: float) -> bool:
        """Use up one; False when there is none left."""
        if not 0 <= now - self._second < 1.0:
            self._second = now
            self._taken.clear()
        slot = hash(source) % SLOTS
        if self._taken[slot] >= self._per_second:
            return False
        self._taken[slot] += 1
        return True
