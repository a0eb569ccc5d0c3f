"""So many a second from one source, in memory that does not grow."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable

SLOTS = 1024
"""Sources that fall into one slot share its quota."""
SECOND = 1.0


class Quota:
    """Remembers when the last ones were: in no second, wherever it begins, are there more."""

    def __init__(self, per_second: int) -> None:
        self._taken: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=per_second))

    def take(self, source: Hashable, now: float) -> bool:
        """Use up one; False when there is none left."""
        last = self._taken[hash(source) % SLOTS]
        if len(last) == last.maxlen and 0 <= now - last[0] < SECOND:
            return False
        last.append(now)
        return True
