"""Every rule of AERO's checks fails on a run in which just that is wrong, and no check passes on nothing."""

import ast
import sys
from pathlib import Path

import aero_nat_world
import aero_path_world
import doctored_aero_attach
import doctored_aero_paths
import pytest
from aero_doctored import DOCTORED
from aero_nat_world import NatWorld
from aero_path_world import PathWorld

import captures.checks.aero
from captures.checks import REGISTRY, call
from captures.checks.base import Tally

RIGHT = [
    *((NatWorld, entry) for entry in aero_nat_world.CHECKS),
    *((PathWorld, entry) for entry in aero_path_world.CHECKS),
]
CHECKS = {entry["check"] for _world, entry in RIGHT}
"""Checks that pass on a right run here."""
SOURCES = Path(captures.checks.aero.__file__).parent
JUDGED = {REGISTRY[name].__module__.rpartition(".")[2] + ".py" for name in CHECKS}
"""The checks' sources."""


def rules():
    """(file, first line, last line) of every rule: what calls Tally.demand or Tally.wrong."""
    for path in sorted(SOURCES / name for name in JUDGED):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("demand", "wrong"):
                yield path.name, node.lineno, node.end_lineno


@pytest.fixture(scope="session")
def judged():
    """name -> results of each doctored run, and which rules failed in any of them."""
    broken, results = set(), {}
    wrong = Tally.wrong

    def noted(tally, what, *frames):
        place = sys._getframe(1)
        while not place.f_code.co_filename.startswith(str(SOURCES)):
            place = place.f_back
        broken.add((Path(place.f_code.co_filename).name, place.f_lineno))
        wrong(tally, what, *frames)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tally, "wrong", noted)
        for name, (make, entry, *_) in DOCTORED.items():
            results[name] = {one.id: one for one in call(make().run(), entry)}
    return results, broken


@pytest.mark.parametrize(("world", "entry"), RIGHT, ids=[entry["check"] + world.__name__ for world, entry in RIGHT])
def test_a_right_run_passes(world, entry):
    for result in call(world().run(), entry):
        assert result.passed is True, f"{result.id}: {result.measured}"
        assert result.evidence


@pytest.mark.parametrize("name", sorted(DOCTORED))
def test_a_doctored_run_fails(judged, name):
    _make, _entry, wanted, outcome, text = DOCTORED[name]
    result = judged[0][name][wanted]
    assert result.passed is outcome, result.measured
    assert text in result.measured


def test_every_rule_was_broken_once(judged):
    """A rule that no run can break proves nothing."""
    never = [
        f"{file}:{first}"
        for file, first, last in rules()
        if not any(name == file and first <= line <= last for name, line in judged[1])
    ]
    assert not never


@pytest.mark.parametrize(("world", "entry"), RIGHT, ids=[entry["check"] + world.__name__ for world, entry in RIGHT])
def test_nothing_is_no_success(world, entry):
    """Empty captures, whatever the script says it sent."""
    silent = world(lambda tag, fields: None if "@" in tag else fields)
    results = call(silent.run(), entry)
    assert not [(one.id, one.measured) for one in results if one.passed is not None]


def test_each_module_doctors():
    modules = {make.__module__ for make, *_ in DOCTORED.values()}
    assert modules == {doctored_aero_attach.__name__, doctored_aero_paths.__name__}
