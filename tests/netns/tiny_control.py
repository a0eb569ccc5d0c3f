"""Starting the tiny lab and typing roamlab commands, for the supervisor's tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed import labsocket, sandbox
from testbed.labsocket import LabName

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "topologies.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def name_of(lab: str) -> LabName:
    """What identifies our lab of that name."""
    return LabName(lab, os.geteuid())


def start(lab: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """The tiny lab, ready to answer; started with words `before` its own."""
    with labsocket.listen(lab) as door:
        reading, writing = os.pipe()
        argv = [sys.executable, str(Path(__file__).with_name("tiny_lab.py")), str(door.fileno()), str(writing)]
        process = subprocess.Popen(
            [*before, *sandbox.command(argv)],
            pass_fds=[door.fileno(), writing],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=ENVIRONMENT,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            assert ready.readline() == b"ready\n"
    return process


def roamlab(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "text": True, "timeout": 30, "env": ENVIRONMENT, **options}
    return subprocess.run([*CLI, *words], **settings)  # type: ignore[call-overload,no-any-return]


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for member in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            for children in Path(f"/proc/{member}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
    return found


def cmdline(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []
