"""Archives in cpio's "newc" format, which the kernel unpacks as its first root (initramfs buffer format)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

MAGIC = "070701"
END = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or device."""

    name: str
    """path without a leading slash"""
    mode: int
    """type and permissions, as in stat(2)"""
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    """major and minor of a device"""


def directory(name: str) -> Entry:
    """Return a directory that all may read."""
    return Entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, permissions: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(name, stat.S_IFREG | permissions, data)


def character_device(name: str, major: int, minor: int) -> Entry:
    """Return a character device for root."""
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of these entries, in their order: a directory comes before what it holds."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry(END, 0)], start=1):
        out += _header(number, entry)
        out += entry.name.encode() + b"\0"
        _pad(out, 4)
        out += entry.data
        _pad(out, 4)
    _pad(out, 512)
    return bytes(out)


def _header(number: int, entry: Entry) -> bytes:
    owner, group, links, time, check = 0, 0, 1, 0, 0
    named = len(entry.name.encode()) + 1
    fields = [number, entry.mode, owner, group, links, time, len(entry.data)]
    fields += [0, 0, *entry.device, named, check]  # the device that holds the file; the device that it is
    return (MAGIC + "".join(f"{value:08X}" for value in fields)).encode()


def _pad(out: bytearray, to: int) -> None:
    out += bytes(-len(out) % to)
