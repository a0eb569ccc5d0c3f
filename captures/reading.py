"""Reads the text files of a run directory; what is wrong with one is a CaptureError that names it."""

from __future__ import annotations

import json
from pathlib import Path

from captures.domain import Object
from captures.pcapng import CaptureError


def read_object(path: Path) -> Object:
    """The one JSON object in a file."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise CaptureError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CaptureError(f"{path}: one JSON object expected")
    return found


def read_lines(path: Path) -> list[tuple[int, Object]]:
    """(line number, event) of every line that is not empty."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError as error:
            raise CaptureError(f"{path} line {number} is not JSON: {error}") from error
        if not isinstance(event, dict) or "t" not in event or "event" not in event:
            raise CaptureError(f"{path} line {number}: no `t` or no `event`")
        found.append((number, event))
    return found
