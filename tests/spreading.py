"""Tests in several processes (pytest-xdist, `-n`): each process in a sandbox of its own, and which test goes where."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from testbed import sandbox

UNIT = "tests/unit/"
LABS = "tests/demos/"
BENCH = "_bench.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tiers-apart",
        action="store_true",
        help="With -n: labs one after another, beside them the other tests of the kernel, also one after another.",
    )


def sandboxes(specs: Sequence[Any]) -> None:
    """Start each process in a sandbox: labs are found by names that belong to a network namespace."""
    for spec in specs:
        if spec.popen:
            spec.python = shlex.join(sandbox.command(shlex.split(spec.python or sys.executable)))


def scope(test: str, apart: bool) -> str:
    """What stays in one process: a module of unit tests, for what its tests share is made once.

    `apart`: whole labs, which are judged by times, and benches are one after another in one process; beside them, in
    another, the other tests of the kernel, which wait most of the time.
    """
    module = test.partition("::")[0]
    if module.startswith(UNIT):
        return module
    if not apart:
        return test
    return "labs" if module.startswith(LABS) or module.endswith(BENCH) else "kernel"


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
