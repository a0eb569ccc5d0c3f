"""The door of a running lab: an abstract Unix socket named after its owner and the lab.

The name lives in the network namespace of the person at the keyboard, so a running lab is found
in ``/proc/net/unix`` and nothing is left to clean up when its supervisor dies: the kernel drops
the name with the last descriptor. One JSON object a line each way; descriptors ride along.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.validation import LabError

_PREFIX = "roamlab"
_LISTENING = 0x10000  # __SO_ACCEPTCON in the flags column of /proc/net/unix
_MAX_FILES = 8
_MAX_LINE = 4 << 20


@dataclass(frozen=True)
class LabName:
    """What identifies a running lab on this machine."""

    lab: str
    uid: int
    """Owner: the user who deployed it."""

    @property
    def address(self) -> str:
        """Abstract socket address, as Python's socket module takes it."""
        return f"\0{_PREFIX}/{self.uid}/{self.lab}"


def listen(lab: str) -> socket.socket:
    """A listening socket that claims the name of `lab` for this user; LabError if it is running."""
    name = LabName(lab, os.geteuid())
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(name.address)
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise LabError(f"lab {lab} is already running: roamlab destroy {lab}") from None
        raise
    door.listen(16)
    return door


def running(table: Path = Path("/proc/net/unix")) -> list[LabName]:
    """Labs that run now: this user's; all users' for root."""
    found = set()
    for line in table.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        columns = line.split(maxsplit=7)
        if len(columns) < 8 or not int(columns[3], 16) & _LISTENING:
            continue
        parts = columns[7].removeprefix("@").split("/", 2)
        if len(parts) == 3 and parts[0] == _PREFIX and parts[1].isdigit():
            found.add(LabName(parts[2], int(parts[1])))
    me = os.geteuid()
    return sorted((name for name in found if me in (0, name.uid)), key=lambda name: (name.lab, name.uid))


def peer_uid(connection: socket.socket) -> int:
    """User at the other end, as the kernel knows it."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


class Channel:
    """One connection to a lab: JSON objects in lines, with descriptors."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._files: list[int] = []

    def fileno(self) -> int:
        """For select and poll."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], files: Sequence[int] = ()) -> None:
        """One object; the peer gets duplicates of `files`. OSError when the peer is gone."""
        data = json.dumps(message).encode() + b"\n"
        if files:
            sent = socket.send_fds(self._socket, [data], list(files))
            data = data[sent:]
        self._socket.sendall(data)

    def receive(self) -> dict[str, Any] | None:
        """The next object; None at the end of the connection. ValueError for what is no JSON object."""
        while b"\n" not in self._buffer:
            if not self._fill():
                return None
        line, self._buffer = self._buffer.split(b"\n", 1)
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("a request is one JSON object a line")
        return message

    def has_line(self) -> bool:
        """Whether receive() would answer without reading from the socket."""
        return b"\n" in self._buffer

    def take_files(self) -> list[int]:
        """The descriptors that came so far; the caller closes them."""
        files, self._files = self._files, []
        return files

    def close(self) -> None:
        """End the connection."""
        for file in self.take_files():
            os.close(file)
        self._socket.close()

    def _fill(self) -> bool:
        try:
            data, files, _, _ = socket.recv_fds(self._socket, 65536, _MAX_FILES)
        except ConnectionError:
            return False
        self._files += files
        self._buffer += data
        if len(self._buffer) > _MAX_LINE:
            raise ValueError("the line is too long")
        return bool(data)
