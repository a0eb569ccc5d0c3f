"""Which rules of a package of checks have been seen to fail: a rule that no run can break proves nothing."""

import ast
import sys
from pathlib import Path

import pytest

from captures.checks import call
from captures.checks.base import Tally


def rules(paths):
    """(file, first line, last line) of every rule: what calls Tally.demand or Tally.wrong."""
    for path in sorted(paths):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("demand", "wrong"):
                yield path.name, node.lineno, node.end_lineno


def judge(doctored, sources):
    """`doctored`: name -> (what makes the run, entry of lab.json's checks, ...).

    Returns name -> results by their ids, and (file, line) of the rules below `sources` that failed in any of them.
    """
    broken, results = set(), {}
    wrong = Tally.wrong

    def noted(tally, what, *frames):
        place = sys._getframe(1)
        while not place.f_code.co_filename.startswith(str(sources)):
            place = place.f_back
        broken.add((Path(place.f_code.co_filename).name, place.f_lineno))
        wrong(tally, what, *frames)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tally, "wrong", noted)
        for name, (make, entry, *_) in doctored.items():
            results[name] = {one.id: one for one in call(make().run(), entry)}
    return results, broken


def never_broken(paths, broken):
    """`file:line` of every rule that is not among those that failed."""
    return [
        f"{file}:{first}"
        for file, first, last in rules(paths)
        if not any(name == file and first <= line <= last for name, line in broken)
    ]
