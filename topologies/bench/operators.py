"""Plays HAARO's sites for a bench, and reads the captures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from captures.aero.link import Ping
from captures.haaro.operator import Operator
from captures.run import Run as Recorded
from testbed.validation import LabError
from topologies.haaro.lab import HaaroLab
from topologies.runner import Run

T = TypeVar("T")


def played(lab: HaaroLab, read: Callable[[Operator], T], **options: Any) -> T:
    """Play a lab and give what its captures say (LabError when they are none of HAARO)."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder:
        run = Run.deploy(lab, lab.configure(**options), Path(folder) / "run")
        try:
            run.play()
        finally:
            run.stop()
        operator = Recorded(run.directory.path).haaro
        if operator is None:
            raise LabError("the run is none of HAARO")
        return read(operator)


def series(operator: Operator, name: str) -> Ping:
    """A series of pings by its name (LabError when the script sent none)."""
    found = next((one for one in operator.pings if one.name == name), None)
    if found is None:
        raise LabError(f"no pings {name}")
    return found
