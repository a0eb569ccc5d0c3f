"""Tests in several processes (pytest-xdist, `-n`): each process in a sandbox of its own, and which test goes where."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from testbed import sandbox

UNIT, LABS = "tests/unit/", "tests/demos/test_labs.py"
WHOLE = (LABS, "tests/demos/", "tests/netns/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tiers-apart",
        action="store_true",
        help="With -n: of labs, other demos and kernel tests each in one process, unit tests where there is time.",
    )


def sandboxes(specs: Sequence[Any]) -> None:
    """Start each process in a sandbox: labs are found by names that belong to a network namespace."""
    for spec in specs:
        if spec.popen:
            spec.python = shlex.join(sandbox.command(shlex.split(spec.python or sys.executable)))


def scope(test: str, apart: bool) -> str:
    """What stays in one process: a module of unit tests, for what its tests share is made once; `apart`: whole tiers.

    Those wait most of the time, so that two of them together leave a machine with two processors half idle.
    """
    if test.startswith(UNIT):
        return test.partition("::")[0]
    return next((place for place in WHOLE if apart and test.startswith(place)), test)


def scheduler(config: pytest.Config, log: object) -> object:
    """Of `--dist load`, which `-n` means; None for what somebody else asked for."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    apart = config.getoption("--tiers-apart")
    if apart:
        config.option.loadscopereorder = False  # in the order of the command line: what takes longest begins first

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid, apart)

    return ByScope(config, log)
