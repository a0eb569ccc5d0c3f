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
    first: float | None = None
    for part in parts:
        due = part.next_timer()
        if due is not None and (first is None or due < first):
            first = due
    return first


class Timers(Generic[K]):
    """At most one pending time per key; setting a key again replaces it."""

    def __init__(self) -> None:
        self._due: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._set: set[int] = set()
        """Numbers of the times that hold: a shell asks for the next one all the time, and keys are slow to look up."""
        self._order = count()

    def set(self, key: K, due: float) -> None:
        """Arrange for `key` at Unix time `due`."""
        self._unset(key)
        entry = (due, next(self._order))
        self._due[key] = entry
        self._set.add(entry[1])
        heapq.heappush(self._heap, (*entry, key))
        self._tidy()

    def cancel(self, key: K) -> None:
        """Forget `key`; nothing happens when it was not set."""
        if self._unset(key):
            self._tidy()

    def due(self, key: K) -> float | None:
        """When `key` is due, None when it is not set."""
        entry = self._due.get(key)
        return entry[0] if entry else None

    def next_timer(self) -> float | None:
        """The earliest time set."""
        heap = self._heap
        if heap and heap[0][1] not in self._set:
            self._drop_stale()
        return heap[0][0] if heap else None

    def take(self, now: float) -> Iterator[K]:
        """Every key due at `now`, earliest first; each is unset before it is handed out."""
        while True:
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now:
                return
            key = heapq.heappop(self._heap)[2]
            self._unset(key)
            self._tidy()
            yield key

    def _unset(self, key: K) -> bool:
        entry = self._due.pop(key, None)
        if entry is None:
            return False
        self._set.discard(entry[1])
        return True

    def _tidy(self) -> None:
        """Keys set again, or cancelled, leave their old times behind: not too many of them."""
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(*entry, key) for key, entry in self._due.items()]
            heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        while self._heap and self._heap[0][1] not in self._set:
            heapq.heappop(self._heap)
