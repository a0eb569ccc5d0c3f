"""Raw octets of chosen frames of a pcapng file (draft-ietf-opsawg-pcapng), without reading packets into scapy."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

ENHANCED_PACKET = 0x00000006
SIMPLE_PACKET = 0x00000003
BYTE_ORDER_MAGIC = 0x1A2B3C4D


class CaptureError(Exception):
    """A capture cannot be recorded or read; the text says which and why."""


def blocks(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int, str]]:
    """Yield (type, offset, length, byte order) of each complete block; a cut-off last block is left out."""
    offset, order = 0, "<"
    while offset + 12 <= len(data):
        if data[offset : offset + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if struct.unpack_from("<I", data, offset + 8)[0] == BYTE_ORDER_MAGIC else ">"
        kind, length = struct.unpack_from(order + "II", data, offset)
        if length < 12 or offset + length > len(data):
            return
        yield kind, offset, length, order
        offset += length


class Frames:
    """Random access to frames by number."""

    def __init__(self, path: Path) -> None:
        """Index the file; CaptureError when it is not pcapng."""
        self._data: mmap.mmap | bytes = b""
        self._spans: list[tuple[int, int]] = []
        if path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._data[:4] != b"\x0a\x0d\x0d\x0a":
            self.close()
            raise CaptureError(f"{path}: not a pcapng file")
        for kind, offset, _length, order in blocks(self._data):
            if kind == ENHANCED_PACKET:
                size = struct.unpack_from(order + "I", self._data, offset + 20)[0]
                self._spans.append((offset + 28, size))
            elif kind == SIMPLE_PACKET:
                size = struct.unpack_from(order + "I", self._data, offset + 8)[0]
                self._spans.append((offset + 12, size))

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, number: int) -> bytes:
        start, size = self._spans[number - 1]
        return self._data[start : start + size]

    def close(self) -> None:
        """Unmap the file."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()


def holds(path: Path, token: bytes) -> bool:
    """Whether a complete block near the end of a growing pcapng file carries the token."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - (1 << 20)))
            tail = file.read()
    except FileNotFoundError:
        return False
    return token in tail
