"""Saved state of an agent: a file of JSON objects, one a line; the last one counts.

State is written down before every answer.  A line more costs a tenth of a file replaced whole, and like that a crash
leaves the old state or the new one: the new one counts only from its last octet on, the end of its line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agents.plain import PlainError

ROOM = 1 << 18
"""Octets of lines before the file is replaced by its last one."""
FEWEST = 4
"""Lines that it holds at least before that, however long they are."""


class StateFile:
    """Remembers what was written last and writes only what differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_suffix(".new")
        self._written = ""
        self._octets = 0
        """Of the file; 0 before its first line is ours."""

    def load(self) -> dict[str, Any] | None:
        """The saved state, None when there is none; PlainError when the file is not what `save` wrote."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        *lines, rest = text.split("\n")
        last = lines[-1] if lines else rest  # what is behind the last end of a line was being written at a crash
        try:
            data = json.loads(last)
        except json.JSONDecodeError as error:
            raise PlainError(f"saved state {self._path}: {error}; remove the file to start afresh") from error
        if not isinstance(data, dict):
            raise PlainError(f"saved state {self._path}: not an object; remove the file to start afresh")
        return data

    def save(self, state: dict[str, Any]) -> None:
        """Write the state if it changed."""
        text = json.dumps(state)
        if text == self._written:
            return
        line = text.encode() + b"\n"
        if not self._octets or self._octets + len(line) > max(ROOM, FEWEST * len(line)) or not self._append(line):
            self._replace(line)
        self._written = text

    def _append(self, line: bytes) -> bool:
        """Write a line behind the others; False when not all of it went."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            written = os.write(file, line)
        finally:
            os.close(file)
        self._octets += written
        return written == len(line)

    def _replace(self, line: bytes) -> None:
        """Make it the only line, in one step."""
        if not self._octets:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._new.write_bytes(line)
        self._new.replace(self._path)
        self._octets = len(line)
