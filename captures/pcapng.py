"""Raw octets of chosen frames of a pcapng file (draft-ietf-opsawg-pcapng), without reading packets into scapy."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

ENHANCED_PACKET = 0x00000006
SIMPLE_PACKET = 0x00000003
INTERFACE_DESCRIPTION = 0x00000001
TIME_RESOLUTION = 9
"""Option if_tsresol: a negative power of 10, or of 2 with the top bit set; microseconds without it."""
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
        self._times: list[float] = []
        self.whole = True
        """Whether the file ends with a complete block: one whose recorder was killed may not."""
        if path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._data[:4] != b"\x0a\x0d\x0d\x0a":
            self.close()
            raise CaptureError(f"{path}: not a pcapng file")
        units: list[float] = []
        end = 0
        for kind, offset, length, order in blocks(self._data):
            end = offset + length
            if kind == INTERFACE_DESCRIPTION:
                units.append(_time_unit(self._data[offset + 16 : offset + length - 4], order))
            elif kind == ENHANCED_PACKET:
                interface, high, low, size = struct.unpack_from(order + "IIII", self._data, offset + 8)
                self._spans.append((offset + 28, size))
                self._times.append((high << 32 | low) * units[interface] if interface < len(units) else 0.0)
            elif kind == SIMPLE_PACKET:
                size = struct.unpack_from(order + "I", self._data, offset + 8)[0]
                self._spans.append((offset + 12, size))
                self._times.append(0.0)
        self.whole = end == len(self._data)

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, number: int) -> bytes:
        start, size = self._spans[number - 1]
        return self._data[start : start + size]

    def time(self, number: int) -> float:
        """When the frame was captured, Unix time in seconds; 0.0 where the file does not tell."""
        return self._times[number - 1]

    def close(self) -> None:
        """Unmap the file."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()


def _time_unit(options: bytes, order: str) -> float:
    """Seconds of one unit of an interface's timestamps."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == TIME_RESOLUTION and length == 1:
            exponent = options[at + 4]
            return float(2 ** -(exponent & 0x7F) if exponent & 0x80 else 10**-exponent)
        if code == 0:
            break
        at += 4 + (length + 3) // 4 * 4
    return 1e-6


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
