"""The control interface of hostapd and wpa_supplicant: datagrams with commands, answers and events.

A program listens at a Unix datagram socket. A command is a line of text; so is the answer. Who sends ATTACH is sent
events from then on: `<3>AP-STA-CONNECTED 02:00:00:00:00:11`, a level and a text. Events carry the time at which the
program sent them, which the kernel notes: however late they are read, they are not late.
"""

from __future__ import annotations

import itertools
import re
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.validation import LabError

REQUEST_LIMIT = 60.0
"""seconds an answer may take; an emulated machine is slow"""
SO_TIMESTAMPNS = 35
_EVENT = re.compile(r"<\d>")
_MAC = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
_names = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Report:
    """One event of a program."""

    t: float
    """Unix time at which it was sent, seconds"""
    text: str
    """without its level"""

    @property
    def name(self) -> str:
        """Its first word, such as AP-STA-CONNECTED."""
        return self.text.partition(" ")[0]

    @property
    def mac(self) -> str | None:
        """The first MAC address it names."""
        found = _MAC.search(self.text.lower())
        return found.group() if found else None


def parse(data: bytes, t: float) -> Report | None:
    """Read a datagram; None for what is no event."""
    line = data.decode(errors="replace").strip()
    level = _EVENT.match(line)
    return Report(t, line[level.end() :]) if level else None


def fields(answer: str) -> dict[str, str]:
    """Return the `name=value` lines of an answer, as to STATUS."""
    pairs = (line.partition("=") for line in answer.splitlines())
    return {name: value for name, equals, value in pairs if equals}


class Control:
    """A connection to a program's control socket, for commands or, after attach(), for its events."""

    def __init__(self, who: str, path: Path) -> None:
        """Connect to the socket at path; who is named in errors. OSError when nobody listens there yet."""
        self._who = who
        self._own = path.parent / f"client-{next(_names)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self.socket.bind(str(self._own))
            self.socket.connect(str(path))
        except OSError:
            self.close()
            raise
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.settimeout(REQUEST_LIMIT)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
        self._own.unlink(missing_ok=True)

    def ask(self, command: str) -> str:
        """Send a command and return the answer (LabError when none comes)."""
        try:
            self.socket.send(command.encode())
            return self.socket.recv(1 << 16).decode(errors="replace")
        except OSError as error:
            reason = f"no answer in {REQUEST_LIMIT:g} s" if isinstance(error, TimeoutError) else error.strerror
            raise LabError(f"{self._who}: {command.split()[0]}: {reason}") from error

    def do(self, command: str) -> None:
        """Send a command that is answered OK (LabError with the answer when it is not)."""
        answer = self.ask(command).strip()
        if answer != "OK":
            raise LabError(f"{self._who}: {command}: {answer or 'no answer'}")

    def attach(self) -> None:
        """Have the program send its events here; from then on only read() makes sense."""
        self.do("ATTACH")

    def read(self) -> Report | None:
        """Return the next datagram's event, None when it is none (or the program has gone)."""
        try:
            data, ancillary, _flags, _address = self.socket.recvmsg(1 << 16, 64)
        except OSError:
            return None
        return parse(data, _sent(ancillary))


def _sent(ancillary: Iterable[tuple[int, int, bytes]]) -> float:
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", value[:16])
            return float(seconds + nanoseconds / 1e9)
    return time.time()
