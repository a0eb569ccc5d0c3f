"""Pytest hooks that note which requirements each test proves, and its outcome (`--conformance FILE`)."""

from __future__ import annotations

import datetime
import platform
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from captures.verdict import Verdict
from conformance import page, requirements, results

PROVEN = "proven"
"""Key of the user properties by which a test reports checks of its own: (name, requirement ids, outcome)."""
OUTCOMES = {True: "passed", False: "failed", None: "skipped"}


def proven(verdict: Verdict, lab: str) -> Iterator[tuple[str, tuple[str, list[str], str]]]:
    """A lab's checks as user properties of the test that played it (tests/demos)."""
    for check in verdict.checks:
        ids = requirements.split(check.requirement)
        yield PROVEN, (f"lab {lab}: {family_of(check.id)}", ids, OUTCOMES[check.passed])


def family_of(check: str) -> str:
    """A check's id without the node, flow and move it is about: "tunnel.used.mn1.1.dgw1" is "tunnel.used"."""
    parts = check.split(".")
    return parts[0] if parts[0] in ("flows", "reachability") else ".".join(parts[:2])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", metavar="FILE", help="Write what the tests proved, by requirement, to FILE.")
    parser.addoption("--conformance-lane", default="present", help="Name of the results: present or stock.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = requirements.load_all()
    for item in items:
        for name in _cited(item):
            if name not in known and not requirements.READING.fullmatch(name):
                raise pytest.UsageError(f"{item.nodeid}: there is no requirement {name!r} in tests/conformance/*.toml")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    report = yield
    report.requirements = _cited(item)
    return report


class Noting:
    """Collects the outcomes of one session."""

    def __init__(self, lane: str, path: Path) -> None:
        self._lane = lane
        self._path = path
        self._proofs: dict[str, results.Proof] = defaultdict(results.Proof)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once, by its call; a failed set-up or a skip counts too."""
        if report.when != "call" and report.passed:
            return
        cited = getattr(report, "requirements", [])
        if cited:
            reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
            self._proofs[re.sub(r"\[.*", "", report.nodeid)].count(cited, report.outcome, reason)
        for key, value in report.user_properties:
            if key == PROVEN:
                name, ids, outcome = value
                self._proofs[name].count(ids, outcome)

    def pytest_sessionfinish(self) -> None:
        """Merge into the file: the lane's former results are replaced."""
        found = results.load(self._path)
        kernel = "Linux " + ".".join(platform.release().split(".")[:2])
        found[self._lane] = results.Lane(kernel, datetime.date.today().isoformat(), dict(self._proofs))
        results.save(found, self._path)
        if self._path == results.FILE:
            write_pages(found)


def write_pages(found: results.Results) -> None:
    """Render the pages of all families that have results or requirements."""
    for family in requirements.families():
        (results.DOCS / f"{family}.md").write_text(page.render(family, found))


def configure(config: pytest.Config) -> None:
    """Start noting, where asked for."""
    path = config.getoption("--conformance")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Noting(config.getoption("--conformance-lane"), Path(path).resolve()))


def _cited(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("requirement") for name in mark.args]
