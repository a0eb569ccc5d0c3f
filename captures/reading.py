"""Reads the text files of a run directory; what is wrong with one is a CaptureError that names it."""

from __future__ import annotations

import json
from pathlib import Path

from captures.domain import Object
from captures.pcapng import CaptureError

FORMAT = 1
"""Of run directories (docs/run-directory.md)."""
NEEDED = ("lab", "nodes")
"""Keys of lab.json without which nothing can be said of a run."""


def read_lab(directory: Path) -> Object:
    """lab.json of a run that this version can read."""
    path = directory / "lab.json"
    lab = read_object(path)
    if lab.get("format") != FORMAT:
        raise CaptureError(
            f"{path}: format {lab.get('format')!r}, only {FORMAT} is known: "
            "read it with the roamlab that wrote it, or play the lab again"
        )
    if missing := [key for key in NEEDED if key not in lab]:
        raise CaptureError(f"{path} lacks {', '.join(missing)}: play the lab again")
    return lab


def read_object(path: Path) -> Object:
    """The one JSON object in a file."""
    try:
        found = json.loads(_text(path))
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
        lines = _text(path).splitlines()
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path} is not text: octet {error.start}: {error.reason}") from error
