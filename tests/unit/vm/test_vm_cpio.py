"""The guest's first root, read back by the ordinary cpio program's rules."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from testbed.validation import LabError
from testbed.vm import cpio
from testbed.vm.kernel import program

ENTRIES = [
    cpio.directory("bin"),
    cpio.file("bin/tool", b"#!/bin/sh\n", 0o755),
    cpio.file("odd", b"12345"),
    cpio.file("empty", b""),
    cpio.character_device("console", 5, 1),
]


def records(data: bytes):
    """(name, mode, content, major, minor) of each record, by the format's own definition."""
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, major, minor, named = fields[1], fields[6], fields[9], fields[10], fields[11]
        name = data[at + 110 : at + 110 + named - 1].decode()
        assert data[at + 110 + named - 1] == 0
        start = (at + 110 + named + 3) & ~3
        if name == "TRAILER!!!":
            return
        yield name, mode, data[start : start + size], major, minor
        at = (start + size + 3) & ~3


def test_every_entry_comes_back() -> None:
    data = cpio.archive(ENTRIES)
    assert len(data) % 512 == 0
    assert list(records(data)) == [
        ("bin", stat.S_IFDIR | 0o755, b"", 0, 0),
        ("bin/tool", stat.S_IFREG | 0o755, b"#!/bin/sh\n", 0, 0),
        ("odd", stat.S_IFREG | 0o644, b"12345", 0, 0),
        ("empty", stat.S_IFREG | 0o644, b"", 0, 0),
        ("console", stat.S_IFCHR | 0o600, b"", 5, 1),
    ]


def test_each_file_has_a_number_of_its_own() -> None:
    data = cpio.archive(ENTRIES)
    numbers = [data[at + 6 : at + 14] for at in range(0, len(data), 4) if data[at : at + 6] == b"070701"]
    assert len(set(numbers)) == len(numbers) == len(ENTRIES) + 1


def test_busybox_unpacks_it(tmp_path) -> None:
    try:
        busybox = program("busybox")
    except LabError as error:
        pytest.skip(str(error))
    files = [entry for entry in ENTRIES if not stat.S_ISCHR(entry.mode)]  # a device takes root
    done = subprocess.run([busybox, "cpio", "-id"], input=cpio.archive(files), cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "odd").read_bytes() == b"12345"
    assert os.access(tmp_path / "bin" / "tool", os.X_OK)
