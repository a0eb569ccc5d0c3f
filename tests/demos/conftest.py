"""Whole labs: deployed in the sandbox, ended after the test, their run directory kept when asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from topologies import catalog
from topologies.lab import Lab
from topologies.runner import Run


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Deploy labs by name (or made for the test) with options; every one is ended after the test, whatever became of
    the others."""
    numbers = itertools.count()
    with ExitStack() as runs:

        def start(name: str | Lab, **options: object) -> Run:
            lab = catalog.load(name) if isinstance(name, str) else name
            run = Run.deploy(lab, lab.configure(**options), tmp_path / f"{lab.name}-{next(numbers)}")
            runs.callback(run.stop)
            return run

        yield start
