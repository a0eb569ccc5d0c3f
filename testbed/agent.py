"""Agents: processes of ours in a node, configured on stdin, heard on stdout, asked over a Unix socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.daemon import Daemon
from testbed.events import Event, EventLog
from testbed.nodes import Host
from testbed.validation import LabError

WITHHELD = "(secret)"
"""stands in files for a secret key's value"""
ROOT = Path(__file__).resolve().parent.parent
"""where the packages are that agents are imported from"""


class ControlError(LabError):
    """An agent's control socket could not be reached, or the agent refused a request."""


class Agent(Daemon):
    """One agent process; its events go to the log, its configuration and log to the run directory's agents/."""

    def __init__(
        self,
        node: Host,
        name: str,
        module: str,
        config: Mapping[str, Any],
        directory: Path,
        events: EventLog,
        secrets: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe an agent.

        module is run with `python -m`; directory is the run directory; config["control"] is the path of the agent's
        control socket (needed for request() and notify()). secrets are further keys of its configuration, which only
        the agent gets to see.
        """
        super().__init__(node, name, directory / "agents" / f"{node.name}-{name}.log")
        self.module = module
        self.config = dict(config)
        self._secrets = dict(secrets or {})
        self.config_path = directory / "agents" / f"{node.name}-{name}.json"
        self.events = events
        self._ready = threading.Event()
        self._ending = False
        self._reader: threading.Thread | None = None
        self._control = ControlConnection(str(self), str(self.config.get("control", "")))

    @property
    def shown(self) -> dict[str, Any]:
        """The configuration as it may be written down: what is secret is only named."""
        return {**self.config, **dict.fromkeys(self._secrets, WITHHELD)}

    def render(self) -> Mapping[Path, str]:
        """Return the configuration's file in the run directory, for its owner's eyes."""
        return {self.config_path: json.dumps(self.shown, indent=1, ensure_ascii=False) + "\n"}

    def _write(self, path: Path, text: str) -> None:
        """Policy profiles tell who roams here (spec SEC-5): the file is the owner's alone."""
        path.touch(mode=0o600)
        super()._write(path, text)

    def argv(self) -> Sequence[str]:
        """Return the agent's command."""
        return [sys.executable, "-m", self.module]

    def has_started(self) -> bool:
        """Tell whether the agent said it is ready."""
        return self._ready.is_set()

    def _spawn(self) -> subprocess.Popen[Any]:
        self._ready.clear()
        self._ending = False
        self._control.close()
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with self.log.open("ab") as log:
            process = self.node.popen(
                list(self.argv()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": search, "PYTHONUNBUFFERED": "1"},
            )
        self._reader = threading.Thread(target=self._read, args=(process,), name=f"events of {self}", daemon=True)
        self._reader.start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({**self.config, **self._secrets}).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended without reading; start() reports its exit and last words
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Log the agent's events until its output ends."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                event = self._parse(line)
                self.events.append(event)
                if event.get("event") == "ready":
                    self._ready.set()
        code = process.wait()
        if not self._ending:
            last = self.last_words()
            self.events.record("exited", node=self.node.name, agent=self.name, code=code, last_log=last)

    def _parse(self, line: bytes) -> Event:
        base: Event = {"t": time.time(), "node": self.node.name, "agent": self.name}
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return {**base, "event": "output", "text": line.decode(errors="replace").rstrip()}
        return {**base, **fields, "node": self.node.name, "agent": self.name}

    def _end(self, number: Any, timeout: float) -> int | None:
        self._ending = True
        code = super()._end(number, timeout)
        self._control.close()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(timeout)  # so that its last events are in the log
        return code

    def request(self, message: Mapping[str, Any], timeout: float = 30.0) -> dict[str, Any]:
        """Send a request over the control socket and return the reply; ControlError on {"error": ...}."""
        return self._control.request(message, timeout)

    def notify(self, message: Mapping[str, Any]) -> None:
        """Send a request without waiting for its reply."""
        self._control.notify(message)


class ControlConnection:
    """A persistent connection to an agent's control socket: one JSON object a line each way."""

    def __init__(self, who: str, path: str) -> None:
        self._who = who
        self._path = path
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._unread = 0
        """replies to notifications not yet taken"""

    def request(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send message and return its reply."""
        with self._lock:
            self._send(message)
            try:
                while self._unread:
                    self._line(timeout)
                    self._unread -= 1
                reply = json.loads(self._line(timeout))
            except (OSError, ValueError) as error:
                self._drop()
                reason = f"no answer after {timeout:g} s" if isinstance(error, TimeoutError) else str(error)
                raise ControlError(f"{self._who}: {reason}") from error
        if not isinstance(reply, dict) or "error" in reply:
            said = reply.get("error") if isinstance(reply, dict) else reply
            raise ControlError(f"{self._who}: {said}")
        return reply

    def notify(self, message: Mapping[str, Any]) -> None:
        """Send message; its reply is thrown away later."""
        with self._lock:
            self._send(message)
            self._unread += 1
            self._take_what_is_there()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        with self._lock:
            self._drop()

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        try:
            self._connected().sendall(line)
        except OSError:
            self._drop()  # the agent may have been restarted since
            try:
                self._connected().sendall(line)
            except OSError as error:
                self._drop()
                raise ControlError(f"{self._who}: control socket {self._path}: {error.strerror}") from error

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(30.0)
            self._socket.connect(self._path)
        return self._socket

    def _line(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            assert self._socket is not None
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("the agent closed its control socket")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _take_what_is_there(self) -> None:
        assert self._socket is not None
        try:
            self._buffer += self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except OSError:
            return
        while self._unread and b"\n" in self._buffer:
            self._buffer = self._buffer.partition(b"\n")[2]
            self._unread -= 1

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer, self._unread = None, b"", 0
