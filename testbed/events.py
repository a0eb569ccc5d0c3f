"""The event log of a run: one JSON object a line, from all nodes, in the order they came in."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from testbed.validation import LabError
from testbed.waiting import WaitTimeout

Event = dict[str, Any]
"""keys `t` (Unix seconds, float), `node`, `agent`, `event`, and the event's own fields"""


class EventLog:
    """Append-only log, safe for many threads; kept in memory and, with a path, in a file.

    When the file cannot be written (its disk is full), events go on in memory, and wait_for() and close() say so
    by a LabError: those are called by who plays the lab, append() by threads that could tell nobody.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("ab") if path else None
        self._size = self._file.tell() if self._file else 0
        self._failure: LabError | None = None
        self._events: list[Event] = []
        self._grown = threading.Condition()
        self._listeners: list[Callable[[Event], None]] = []

    def append(self, event: Mapping[str, Any]) -> Event:
        """Add an event (`t` is now when missing), tell listeners, and return it as logged."""
        entry = {"t": event.get("t", time.time()), **event}
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        with self._grown:
            self._events.append(entry)
            self._write(line.encode())
            self._grown.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener(entry)
        return entry

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line)
            self._file.flush()
            self._size += len(line)
        except OSError as error:
            path, size = self._file.name, self._size
            self._failure = LabError(f"{path}: {error.strerror}: the run's later events are lost; make room, run again")
            self._shut()
            with suppress(OSError):
                os.truncate(path, size)  # no half line for readers

    def _shut(self) -> None:
        if self._file:
            with suppress(OSError):  # it tries once more to write what it holds
                self._file.close()
            self._file = None

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

        WaitTimeout after timeout seconds, with the last event seen; LabError when the file could not be written.
        """
        deadline = time.monotonic() + timeout
        position = since
        with self._grown:
            while True:
                if self._failure:
                    raise self._failure
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
        """Close the file; later events are kept in memory only. LabError, once, when it could not be written."""
        with self._grown:
            self._shut()
            failure, self._failure = self._failure, None
        if failure:
            raise failure
