"""Where runs are written, and which one a verb about a finished run means."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from topologies.cli.errors import Failure

_PROBE_BYTES = 4 << 20  # a run of the demonstration is about this large


def choose(lab: str, wanted: Path | None) -> Path:
    """An empty directory for a new run, proven writable with room for a capture; Failure otherwise."""
    directory = (wanted or Path("runs") / f"{lab}-{time.strftime('%Y%m%d-%H%M%S')}").absolute()
    if wanted is None:
        directory = _unused(directory)
    if Path("/run") in directory.resolve().parents:
        raise Failure(f"{directory}: a lab has a /run of its own, choose a run directory elsewhere")
    if (directory / "lab.json").exists():
        raise Failure(f"{directory} already holds a run: name another --run-dir, or delete it")
    _prove_writable(directory)
    return directory


def resolve(argument: str | None) -> Path:
    """The run directory named, or the latest run of a lab of that name, or the latest of all; Failure if none."""
    if argument and (Path(argument) / "lab.json").is_file():
        return Path(argument).absolute()
    runs = [path.parent for path in Path("runs").glob(f"{argument or ''}*/lab.json")]
    if argument:
        runs = [run for run in runs if load(run).get("lab") == argument]
    if not runs:
        what = (
            f"{argument} is neither a run directory nor a lab with a run in ./runs" if argument else "no run in ./runs"
        )
        raise Failure(f"{what}: roamlab demo LAB makes one")
    return max(runs, key=lambda run: (run / "lab.json").stat().st_mtime).absolute()


def load(run: Path) -> dict[str, Any]:
    """A run's lab.json; Failure when it is damaged."""
    try:
        lab = json.loads((run / "lab.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise Failure(f"{run / 'lab.json'} is damaged: {error}") from error
    return dict(lab)


def kept_tests() -> Path:
    """Where one session of the tests keeps its run directories."""
    directory = _unused(Path.cwd() / "runs" / f"tests-{time.strftime('%Y%m%d-%H%M%S')}")
    directory.parent.mkdir(exist_ok=True)
    return directory


def _unused(directory: Path) -> Path:
    number, candidate = 1, directory
    while candidate.exists():
        number += 1
        candidate = directory.with_name(f"{directory.name}-{number}")
    return candidate


def _prove_writable(directory: Path) -> None:
    probe = directory / ".room"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _PROBE_BYTES)
        probe.unlink()
    except OSError as error:
        probe.unlink(missing_ok=True) if error.errno == errno.ENOSPC else None
        raise Failure(f"cannot write a run in {directory}: {error.strerror}") from error
