"""Named timers for sans-IO cores: set, cancel, ask for the earliest, take what is due."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)


SLACK = 64
"""Outdated times kept before they are cleared out."""


class Timed(Protocol):
    """A part of a core with timers of its own."""

    def next_timer(self) -> float | None:
        """When it has something to do."""


def earliest(*parts: Timed) -> float | None:
    """When the first of several parts has something to do."""
    due = (part.next_timer() for part in parts)
    return min((each for each in due if each is not None), default=None)


class Timers(Generic[K]):
    """At most one pending time per key; setting a key again replaces it."""

    def __init__(self) -> None:
        self._due: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = count()

    def set(self, key: K, due: float) -> None:
        """Arrange for `key` at Unix time `due`."""
        entry = (due, next(self._order))
        self._due[key] = entry
        heapq.heappush(self._heap, (*entry, key))
        self._tidy()

    def cancel(self, key: K) -> None:
        """Forget `key`; nothing happens when it was not set."""
        if self._due.pop(key, None):
            self._tidy()

    def due(self, key: K) -> float | None:
        """When `key` is due, None when it is not set."""
        entry = self._due.get(key)
        return entry[0] if entry else None

    def next(self) -> float | None:
        """The earliest time set."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> Iterator[K]:
        """Every key due at `now`, earliest first; each is unset before it is handed out."""
        while True:
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now:
                return
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            self._tidy()
            yield key

    def _tidy(self) -> None:
        """Keys set again, or cancelled, leave their old times behind: not too many of them."""
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(*entry, key) for key, entry in self._due.items()]
            heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
