"""The five doors every protocol role has: a sans-IO core receives, keeps time, and says what to do and what happened.

A core never touches a socket, the kernel or a clock.  `now` is Unix time in seconds (float).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Event:
    """Something that happened, for the log and the tests."""

    name: str
    """Hyphenated, e.g. `binding-accepted`."""
    fields: dict[str, Any] = field(default_factory=dict)
    """JSON-able details."""


class Core(Protocol):
    """One protocol role as a state machine without input or output of its own."""

    def receive(self, message: Any, source: Any, now: float) -> None:
        """Take a datagram or a kernel event."""

    def handle_timer(self, now: float) -> None:
        """Do what is due at `now`."""

    def next_timer(self) -> float | None:
        """Unix time of the earliest timer, None when nothing is scheduled."""

    def actions(self) -> Iterator[Any]:
        """What to do now, in order; each action comes out once."""

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""

    def inspect(self) -> dict[str, Any]:
        """The present state as JSON-able data."""


class WallClock:
    """What the wall clock says, for values that other nodes compare with theirs.

    A core's own time never steps, so that its timers do not; the wall clock may, once somebody tells it the time.
    """

    def __init__(self) -> None:
        self.ahead: Callable[[], float] = lambda: 0.0
        """Seconds that it is ahead of the core's time now; the shell knows."""

    def at(self, now: float) -> float:
        """Unix time by the wall clock when the core's is `now`."""
        return now + self.ahead()


class Outbox:
    """The two outgoing doors of a core: queued actions and events."""

    def __init__(self) -> None:
        self._actions: list[Any] = []
        self._events: list[Event] = []

    def do(self, *actions: Any) -> None:
        """Queue actions, in order."""
        self._actions.extend(actions)

    def say(self, event: str, **fields: Any) -> None:
        """Queue an event."""
        self._events.append(Event(event, fields))

    def actions(self) -> Iterator[Any]:
        """Hand out and forget the queued actions, including those queued meanwhile."""
        while self._actions:
            yield self._actions.pop(0)

    def events(self) -> Iterator[Event]:
        """Hand out and forget the queued events."""
        while self._events:
            yield self._events.pop(0)


class Speaking:
    """The two outgoing doors of a core that has an Outbox."""

    _outbox: Outbox

    def actions(self) -> Iterator[Any]:
        """What to do now, in order."""
        return self._outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._outbox.events()
