"""The one asyncio shell around every sans-IO core: sockets, timers, control socket, event log, clean stop.

A family's `__main__` builds its core, a `perform(action)` that makes actions true, and its sources of input
(file descriptors with a reader), and calls `Shell.run`.  Everything the core says goes to standard output,
one JSON object a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

from agents.core import Core
from agents.plain import PlainError, plain

Request = dict[str, Any]
Handler = Callable[[Request], dict[str, Any]]


class Clock:
    """Unix time that never steps: the wall clock at start plus monotonic time."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._offset + time.monotonic()

    def ahead(self) -> float:
        """Seconds that the wall clock is ahead: how far it has stepped since the start."""
        return time.time() - self.now()


def announce(event: str, t: float, **fields: Any) -> None:
    """Write one event line to standard output."""
    sys.stdout.write(json.dumps({"t": t, "event": event, **plain(fields)}) + "\n")
    sys.stdout.flush()


def fail(program: str, reason: str, code: int = 2) -> NoReturn:
    """End with one line on standard error."""
    print(f"{program}: {reason}", file=sys.stderr)
    raise SystemExit(code)


def read_configuration(program: str) -> dict[str, Any]:
    """The JSON object on standard input; one clear line and exit 2 when there is none."""
    text = sys.stdin.read()
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        fail(program, f"configuration on standard input is not JSON: {error}")
    if not isinstance(data, dict):
        fail(program, f"configuration on standard input must be a JSON object, found {type(data).__name__}")
    return data


def _run_first() -> None:
    """Do not wait behind programs that use up their time slices, as a router's control plane must not.

    An agent runs for a millisecond at a time; measured on a busy machine, a binding update is answered in 3 ms
    instead of 6.  What the agent starts runs as usual.  Without the privilege (a user namespace) all is as usual.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


class Shell:
    """Owns the loop: feeds the core, performs its actions, prints its events, keeps its timer armed."""

    def __init__(self, core: Core, perform: Callable[[Any], None], clock: Clock | None = None) -> None:
        self.core = core
        self.clock = clock or Clock()
        self._perform = perform
        self._timer: asyncio.TimerHandle | None = None
        self._readers: dict[int, Callable[[], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        """Once it runs."""
        self._handlers: dict[str, Handler] = {"inspect": self._inspect}
        self._farewells: list[Callable[[], Awaitable[None]]] = []
        self._remember: Callable[[], None] = lambda: None
        self._promises: Callable[[Any], bool] = lambda _action: False
        self._connections: set[asyncio.StreamWriter] = set()

    def on_readable(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the descriptor has something to read."""
        self._readers[fd] = callback
        if self._loop:
            self._loop.add_reader(fd, callback)

    def ignore(self, fd: int) -> None:
        """Take no more notice of a descriptor, which is about to be closed."""
        del self._readers[fd]
        if self._loop:
            self._loop.remove_reader(fd)

    def on_request(self, name: str, handler: Handler) -> None:
        """Answer `{"request": name, ...}` on the control socket with what `handler` returns."""
        self._handlers[name] = handler

    def remember(self, save: Callable[[], None], promises: Callable[[Any], bool]) -> None:
        """Call `save` once in each turn, before the first action that tells a peer something (`promises` says which).

        An agent killed at any moment then knows after its restart whatever a peer knows of it.
        """
        self._remember, self._promises = save, promises

    def before_stop(self, farewell: Callable[[], Awaitable[None]]) -> None:
        """Await `farewell` on an orderly stop, while everything still works; it must bound its own time."""
        self._farewells.append(farewell)

    def feed(self, message: Any, source: Any = None) -> None:
        """Give the core one input and carry out what follows from it."""
        self.core.receive(message, source, self.clock.now())
        self.turn()

    def turn(self) -> None:
        """Perform the pending actions, print the pending events, re-arm the timer.

        Events carry the time at which the core had said them: what is sent in the same turn leaves later.
        """
        saved, said = False, self.clock.now()
        for action in self.core.actions():
            if not saved and self._promises(action):
                self._remember()
                saved = True
            self._perform(action)
        if not saved:
            self._remember()
        for event in self.core.events():
            announce(event.name, said, **event.fields)
        self._arm()

    def run(self, control: str | None = None, *, first: bool = True) -> None:
        """Serve until SIGTERM or SIGINT; prints `ready` when everything listens.

        `first` is for agents that only signal: one that also moves packets would let nobody else run.
        """
        if first:
            _run_first()
        asyncio.run(self._main(control))

    async def _main(self, control: str | None) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._loop = loop
        for fd, callback in self._readers.items():
            loop.add_reader(fd, callback)
        server = await self._serve(control) if control else None
        self.turn()
        gc.freeze()  # what is there now stays: later collections need not look at it
        announce("ready", self.clock.now())
        await stop.wait()
        for farewell in self._farewells:
            await farewell()
        if server:
            server.close()
            for writer in self._connections:
                writer.close()
            Path(control or "").unlink(missing_ok=True)
        announce("stopped", self.clock.now())

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self.core.next_timer()
        if due is not None:
            delay = max(0.0, due - self.clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.core.handle_timer(self.clock.now())
        self.turn()

    async def _serve(self, path: str) -> asyncio.Server:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).unlink(missing_ok=True)
        return await asyncio.start_unix_server(self._converse, path)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the asker went away, or we are stopping
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["request"]]
        except (json.JSONDecodeError, TypeError):
            return {"error": "a request is a JSON object on one line"}
        except KeyError:
            return {"error": f"a request is one of {', '.join(sorted(self._handlers))}"}
        try:
            return {"ok": True, **handler(request)}
        except (PlainError, KeyError) as error:
            return {"error": f"{request['request']}: {error}"}

    def _inspect(self, request: Request) -> dict[str, Any]:
        return {"state": plain(self.core.inspect())}
