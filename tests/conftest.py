"""Tests that need namespaces run inside a sandbox: pytest re-executes itself there when it selected any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import spreading
from conformance import plugin
from conformance.plugin import (  # noqa: F401  (hooks)
    pytest_runtest_makereport,
)

from testbed import sandbox, signals
from testbed.mininet_api import Topo
from testbed.network import Network

NEEDING = ("netns", "demo")


def pytest_addoption(parser: pytest.Parser) -> None:
    plugin.pytest_addoption(parser)
    spreading.pytest_addoption(parser)
    parser.addoption("--thorough", action="store_true", help="Every variant of every lab, long fuzzing.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    plugin.pytest_collection_modifyitems(items)
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_configure(config: pytest.Config) -> None:
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
def pytest_xdist_setupnodes(specs: list[object]) -> None:
    spreading.sandboxes(specs)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return spreading.scheduler(config, log)


@pytest.fixture
def network() -> Iterator[Callable[..., Network]]:
    """Start networks from topologies; all are stopped after the test."""
    networks: list[Network] = []

    def start(topo: Topo) -> Network:
        made = Network(topo)
        networks.append(made)
        made.start()
        return made

    yield start
    for made in networks:
        made.stop()
