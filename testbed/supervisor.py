"""Keeps a deployed lab running in the background and answers requests about it.

It runs inside the lab's sandbox as its first process: when it ends, however it ends, the lab is
gone. What it serves comes as an object (`Deployment`), so it knows no protocol. Requests, one
JSON object a line: ``inspect``, ``move``, ``exec``, ``events``, ``captures``, ``stop-captures``,
``destroy``; the answer is ``{"ok": true, ...}`` or ``{"error": "one line"}``.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from testbed.labsocket import Channel, peer_uid
from testbed.validation import LabError

Message = dict[str, Any]


class Deployment(Protocol):
    """What the supervisor needs of a deployed lab; every method may raise LabError(one line)."""

    def inspect(self, node: str | None) -> Message:
        """The lab's state, or one node's."""

    def move(self, node: str, cell: str) -> Message:
        """Hand `node` over to `cell`."""

    def spawn(
        self, node: str, argv: Sequence[str], files: Sequence[int], environment: dict[str, str], directory: str
    ) -> subprocess.Popen[Any]:
        """Start argv in `node` with descriptors files[0:3] as its 0, 1 and 2."""

    def subscribe(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on; the returned function ends it."""

    def captures(self) -> list[Message]:
        """The captures that were made or still run: node, interface, file, running."""

    def stop_captures(self) -> None:
        """End recording; nothing that was on the wire is lost."""

    def destroy(self) -> None:
        """Stop captures and agents; the sandbox drops the rest."""


class Supervisor:
    """Serves one deployed lab until somebody asks to destroy it, or SIGTERM."""

    def __init__(self, door: socket.socket, deployment: Deployment) -> None:
        self._door = door
        self._deployment = deployment
        self._changing = threading.Lock()  # one change of the lab at a time
        self._ending = os.eventfd(0)
        self._farewell: Channel | None = None
        self._handlers: dict[str, Callable[[Channel, Message], Message | None]] = {
            "inspect": self._inspect,
            "move": self._move,
            "exec": self._exec,
            "events": self._events,
            "captures": self._captures,
            "stop-captures": self._stop_captures,
            "destroy": self._destroy,
        }

    def serve(self, begun: Callable[[], None] = lambda: None) -> None:
        """Answer requests; returns when the lab has been taken down. Call from the main thread.

        `begun` is called once requests and signals are heard.
        """
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGINT, self._terminated)
        begun()
        while True:
            if self._ending in _ready(self._door, self._ending):
                break
            connection, _ = self._door.accept()
            threading.Thread(target=self._converse, args=[connection], daemon=True).start()
        answer: Message = {"ok": True}
        try:
            with self._changing:
                self._deployment.destroy()
        except LabError as error:
            answer = {"error": str(error)}
        if self._farewell is not None:
            _try_send(self._farewell, answer)
        self._door.close()

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        os.eventfd_write(self._ending, 1)

    def _converse(self, connection: socket.socket) -> None:
        channel = Channel(connection)
        # In a user namespace this user is 0 and everybody else is nobody, so that one test does for both.
        if peer_uid(connection) not in (0, os.geteuid()):
            _try_send(channel, {"error": "this lab belongs to another user"})
            channel.close()
            return
        try:
            while (request := channel.receive()) is not None:
                answer = self._answer(channel, request)
                if answer is None:  # the main thread answers
                    return
                channel.send(answer)
        except ValueError as error:
            _try_send(channel, {"error": f"bad request: {error}"})
        except ConnectionError:
            pass  # the client went away: nobody to tell
        channel.close()

    def _answer(self, channel: Channel, request: Message) -> Message | None:
        handler = self._handlers.get(str(request.get("request")))
        if handler is None:
            return {"error": f"unknown request {request.get('request')!r}"}
        try:
            return handler(channel, request)
        except LabError as error:
            return {"error": str(error)}
        except KeyError as error:
            return {"error": f"the request lacks {error}"}

    def _inspect(self, channel: Channel, request: Message) -> Message:
        return {"ok": True, "state": self._deployment.inspect(request.get("node"))}

    def _move(self, channel: Channel, request: Message) -> Message:
        with self._changing:
            return {"ok": True, **self._deployment.move(request["node"], request["cell"])}

    def _captures(self, channel: Channel, request: Message) -> Message:
        return {"ok": True, "captures": self._deployment.captures()}

    def _stop_captures(self, channel: Channel, request: Message) -> Message:
        with self._changing:
            self._deployment.stop_captures()
        return {"ok": True}

    def _destroy(self, channel: Channel, request: Message) -> None:
        self._farewell = channel
        os.eventfd_write(self._ending, 1)

    def _exec(self, channel: Channel, request: Message) -> Message:
        files = channel.take_files()
        try:
            process = start_for(self._deployment, request, files)
        except OSError as error:
            return {"error": f"{request['node']}: {request['argv'][0]}: {error.strerror}", "exit": 127}
        finally:
            for file in files:
                os.close(file)
        return {"ok": True, "exit": attend(process, channel)}

    def _events(self, channel: Channel, request: Message) -> Message:
        waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        arrived = os.eventfd(0)

        def put(event: Message) -> None:
            waiting.put(event)
            os.eventfd_write(arrived, 1)

        end = self._deployment.subscribe(put)
        try:
            channel.send({"ok": True})
            while channel not in _ready(channel, arrived):
                for _ in range(os.eventfd_read(arrived)):
                    channel.send({"event": waiting.get()})
        finally:
            end()
            os.close(arrived)
        return {"ok": True}


def start_for(deployment: Deployment, request: Message, files: Sequence[int]) -> subprocess.Popen[Any]:
    """Start what an exec request names, in a session of its own (so that signals reach all of it)."""
    if len(files) != 3:
        raise LabError("exec needs three descriptors")
    argv = [str(word) for word in request["argv"]]
    if not argv:
        raise LabError("exec needs a command")
    session = ["setsid", "--ctty"] if request.get("terminal") else ["setsid"]  # of util-linux
    directory = str(request.get("directory", "/"))
    ours = {name: value for name, value in os.environ.items() if name.startswith("ROAMLAB_")}
    return deployment.spawn(
        request["node"],
        [*session, *argv],
        files,
        {**request.get("environment", {}), **ours},
        directory if Path(directory).is_dir() else "/",
    )


def attend(process: subprocess.Popen[Any], channel: Channel) -> int:
    """Wait for a process, passing the client's signals on; its exit code (128 + signal, as shells say)."""
    ended = os.pidfd_open(process.pid)
    watched: list[Any] = [ended, channel]
    try:
        while True:
            ready = watched if channel.has_line() else _ready(*watched)
            if ended in ready:
                break
            message = channel.receive()
            if message is None:  # the client is gone, as when a terminal hangs up
                watched.remove(channel)
            _signal_group(process, signal.SIGHUP if message is None else int(message.get("signal", 0)))
    finally:
        os.close(ended)
    code = process.wait()
    return 128 - code if code < 0 else code


def _ready(*watched: Any) -> list[Any]:
    """Those of `watched` that can be read; waits for the first."""
    return select.select(watched, [], [])[0]


def _signal_group(process: subprocess.Popen[Any], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        process.send_signal(number)


def _try_send(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except ConnectionError:
        return
