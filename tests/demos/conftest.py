"""Whole labs: deployed in the sandbox, ended after the test, their run directory kept when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from topologies import catalog
from topologies.lab import Lab
from topologies.runner import Run


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Deploy labs by name (or made for the test) with options; every one is ended after the test."""
    runs: list[Run] = []

    def start(name: str | Lab, **options: object) -> Run:
        lab = catalog.load(name) if isinstance(name, str) else name
        run = Run.deploy(lab, lab.configure(**options), tmp_path / f"{lab.name}-{len(runs)}")
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.stop()
