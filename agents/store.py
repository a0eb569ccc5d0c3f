"""Saved state of an agent: one JSON file, replaced whole, so that a crash leaves the old or the new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.plain import PlainError


class StateFile:
    """Remembers what was written last and writes only what differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_suffix(".new")
        self._written = ""

    def load(self) -> dict[str, Any] | None:
        """The saved state, None when there is none; PlainError when the file is not what `save` wrote."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        try:
            data = json.loads(text)
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
        if not self._written:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._new.write_text(text)
        self._new.replace(self._path)
        self._written = text
