"""The event log of a run: one JSON object a line, from all nodes, in the order they came in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.waiting import WaitTimeout

Event = dict[str, Any]
"""keys `t` (Unix seconds, float), `node`, `agent`, `event`, and the event's own fields"""


class EventLog:
    """Append-only log, safe for many threads; kept in memory and, with a path, in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None
        self._events: list[Event] = []
        self._grown = threading.Condition()
        self._listeners: list[Callable[[Event], None]] = []

    def append(self, event: Mapping[str, Any]) -> Event:
        """Add an event (`t` is now when missing), tell listeners, and return it as logged."""
        entry = {"t": event.get("t", time.time()), **event}
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        with self._grown:
            self._events.append(entry)
            if self._file:
                self._file.write(line)
                self._file.flush()
            self._grown.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener(entry)
        return entry

    def record(self, event: str, *, node: str = "lab", agent: str = "lab", **fields: Any) -> Event:
        """Append an event of the lab itself, or of the named node and agent."""
        return self.append({"t": time.time(), "node": node, "agent": agent, "event": event, **fields})

    def events(self) -> list[Event]:
        """Return all events so far."""
        with self._grown:
            return list(self._events)

    def mark(self) -> int:
        """Return the number of events so far, for wait_for's since."""
        with self._grown:
            return len(self._events)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Have listener called with each later event, in the thread that appends it; call the result to end that."""
        with self._grown:
            self._listeners.append(listener)

        def end() -> None:
            with self._grown:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def wait_for(
        self,
        predicate: Callable[[Event], bool],
        timeout: float = 10.0,
        *,
        since: int = 0,
        what: str = "event",
    ) -> Event:
        """Return the first event from number since on that predicate accepts, past or future.

        WaitTimeout after timeout seconds, with the last event seen.
        """
        deadline = time.monotonic() + timeout
        position = since
        with self._grown:
            while True:
                while position < len(self._events):
                    entry = self._events[position]
                    position += 1
                    if predicate(entry):
                        return entry
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    last = json.dumps(self._events[-1], default=str) if len(self._events) > since else "no event"
                    raise WaitTimeout(what, timeout, last)
                self._grown.wait(remaining)

    def close(self) -> None:
        """Close the file; later events are kept in memory only."""
        with self._grown:
            if self._file:
                self._file.close()
                self._file = None
