"""Captures of a run directory, read frame by frame by a family's own decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from captures.pcapng import CaptureError, Frames

T = TypeVar("T")
ReadFrame = Callable[[bytes, str, int, float, str, str], T | None]
"""(octets, file, number, time, node, interface) -> the frame; None when it is of no interest."""


def decode_all(
    read_frame: ReadFrame[T], directory: Path, captures: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str], list[T]]:
    """Decode (file, node, interface) captures of a run directory: (node, interface) -> frames, in order."""
    return {(one[1], one[2]): decode_file(read_frame, directory / one[0], *one) for one in captures}


def decode_file(read_frame: ReadFrame[T], path: Path, file: str, node: str, interface: str) -> list[T]:
    """Every frame of interest in one file, in order. CaptureError when the file cannot be read."""
    try:
        raw = Frames(path)
    except OSError as error:
        raise CaptureError(f"cannot read capture {path}: {error.strerror}") from error
    try:
        found = (
            read_frame(raw[number], file, number, raw.time(number), node, interface)
            for number in range(1, len(raw) + 1)
        )
        return [frame for frame in found if frame]
    finally:
        raw.close()
