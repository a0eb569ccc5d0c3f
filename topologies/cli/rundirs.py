"""Where runs are written, and which one a verb about a finished run means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.rundir import RunDirectory, default_path
from topologies.cli.errors import Failure


def choose(lab: str, wanted: Path | None) -> Path:
    """A directory for a new run, proven writable and with room; LabError or Failure otherwise."""
    directory = wanted.absolute() if wanted else default_path(lab)
    if Path("/run") in directory.resolve().parents:
        raise Failure(f"{directory}: a lab has a /run of its own, choose a run directory elsewhere")
    RunDirectory.create(directory).close()
    return directory


def resolve(argument: str | None) -> Path:
    """The run directory named, or the latest run of a lab of that name, or the latest of all; Failure if none."""
    if argument and (Path(argument) / "lab.json").is_file():
        return Path(argument).absolute()
    if argument and "/" in argument:
        raise Failure(f"{argument} is not a run directory: no lab.json is there")
    runs = [path.parent for path in Path("runs").glob("*/lab.json") if path.parent.name.startswith(argument or "")]
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
    if not isinstance(lab, dict):
        raise Failure(f"{run / 'lab.json'} is damaged: one JSON object expected")
    return lab


def kept_tests() -> Path:
    """Where one session of the tests keeps its run directories."""
    directory = default_path("tests")
    directory.parent.mkdir(exist_ok=True)
    return directory
