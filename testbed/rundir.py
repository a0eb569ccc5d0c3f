"""The run directory: what a lab leaves, made and checked before anything starts (docs/run-directory.md)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.events import EventLog
from testbed.validation import LabError

FORMAT = 1
MINIMUM_FREE = 64 * 2**20
"""octets that must be free before a lab starts"""


class RunDirectory:
    """One run's directory: lab.json, events.jsonl, agents/, pcap/; readers get theirs from here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = _locked(path)
        self.log = EventLog(path / "events.jsonl")
        self.agents = path / "agents"
        self.pcap = path / "pcap"

    @classmethod
    def create(cls, path: Path | str, *, minimum_free: int = MINIMUM_FREE) -> RunDirectory:
        """Make the directory and see that it can be written and has room.

        LabError in one line when it cannot be made or written, holds a run already or is another run's at this moment,
        or its disk is (nearly) full.
        """
        path = Path(path).absolute()
        if path.is_file():
            raise LabError(f"run directory {path} is a file: choose another with --run-dir")
        if (path / "lab.json").exists():
            raise LabError(f"run directory {path} holds a run already: name another one, or remove it")
        try:
            for directory in (path, path / "agents", path / "pcap"):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # who was where is nobody else's (spec SEC-5)
            with tempfile.TemporaryFile(dir=path / "pcap") as probe:
                probe.write(bytes(1 << 16))
                probe.flush()
                os.fsync(probe.fileno())
            free = shutil.disk_usage(path).free
        except OSError as error:
            raise LabError(f"run directory {path}: {error.strerror}: choose another with --run-dir") from error
        if free < minimum_free:
            raise LabError(
                f"run directory {path}: {free / 2**20:.0f} MB free, a run needs {minimum_free / 2**20:.0f} MB: "
                "make room or choose another with --run-dir"
            )
        return cls(path)

    def write_lab(self, lab: Mapping[str, Any]) -> None:
        """Write lab.json, in one step; `format` is added. LabError when it cannot be written."""
        draft = self.path / ".lab.json.new"
        text = json.dumps({"format": FORMAT, **lab}, indent=1, ensure_ascii=False) + "\n"
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.path / "lab.json")
        except OSError as error:
            raise LabError(f"run directory {self.path}: lab.json: {error.strerror}") from error

    def write_secrets(self, secrets: Mapping[str, Any]) -> None:
        """Write secrets.json, which only its owner can read: keys that checks need and no report shows (LabError)."""
        path = self.path / "secrets.json"
        try:
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(json.dumps(secrets, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise LabError(f"run directory {self.path}: secrets.json: {error.strerror}") from error

    def hand_over(self) -> None:
        """Give the finished run to the person behind sudo, who could not look into root's directory otherwise."""
        user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
        if os.geteuid() == 0 and user and group:
            with contextlib.suppress(OSError):  # a file system without owners
                os.chown(self.path, int(user), int(group))

    def capture(self, node: str, interface: str) -> Path:
        """Return the path of the capture of a node's interface."""
        return self.pcap / f"{node}-{interface}.pcapng"

    def close(self) -> None:
        """Close the event log; the directory may be another's."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.log.close()


def _locked(path: Path) -> int:
    """A descriptor that nobody else has while it is open, whatever becomes of us; LabError if somebody has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LabError(f"another lab is writing to the run directory {path}: choose another with --run-dir") from None
    except OSError:
        pass  # a file system without locks
    return descriptor


def default_path(lab: str, base: Path | None = None) -> Path:
    """Return runs/<lab>-<time> (with a number when taken) below base or the current directory."""
    stem = f"{lab}-{time.strftime('%Y%m%d-%H%M%S')}"
    directory = (base or Path.cwd()) / "runs"
    path, number = directory / stem, 1
    while path.exists():
        number += 1
        path = directory / f"{stem}-{number}"
    return path
