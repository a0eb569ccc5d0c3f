"""Tests that need namespaces run inside a sandbox: pytest re-executes itself there when it selected any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance import plugin
from conformance.plugin import (  # noqa: F401  (hooks)
    pytest_runtest_makereport,
)

from testbed import sandbox, signals
from testbed.mininet_api import Topo
from testbed.network import Network

NEEDING = ("netns", "demo")
ONE_OF_A_KIND = {
    "tests/demos/test_command_line.py",
    "tests/netns/test_captures_record.py",
    "tests/netns/test_supervisor.py",
    "tests/netns/test_supervisor_deaf.py",
    "tests/netns/test_supervisor_end.py",
    "tests/netns/test_testbed_network.py",
}
"""Modules about what a sandbox has one of, and all processes in it share: the names of labs that run in the
background, and the links of its own namespace."""


def pytest_addoption(parser: pytest.Parser) -> None:
    plugin.pytest_addoption(parser)
    parser.addoption("--thorough", action="store_true", help="Every variant of every lab, long fuzzing.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    plugin.pytest_collection_modifyitems(items)
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_configure(config: pytest.Config) -> None:
    distributed = getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no"
    if distributed and not hasattr(config, "workerinput"):
        _enter(config)  # workers inherit the sandbox; the controller itself collects nothing
    if sandbox.inside():
        signals.afresh()  # tests start what a lab's own process would
    plugin.configure(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    if any(item.get_closest_marker(name) for item in session.items for name in NEEDING):
        _enter(session.config)


def _enter(config: pytest.Config) -> None:
    if sandbox.inside():
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)  # gives the terminal back before the descriptors are handed on
    sandbox.reexec([sys.executable, "-m", "pytest", *map(str, config.invocation_params.args)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`, a module of unit tests stays in one process: what its tests share is made once.

    So do all tests of what they would take from each other.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if module in ONE_OF_A_KIND:
                return "one of a kind"
            return module if module.startswith("tests/unit/") else nodeid

    return ByModule(config, log)


@pytest.fixture
def network() -> Iterator[Callable[..., Network]]:
    """Start networks from topologies; all are stopped after the test."""
    with ExitStack() as networks:

        def start(topo: Topo) -> Network:
            made = Network(topo)
            networks.callback(made.stop)
            made.start()
            return made

        yield start
