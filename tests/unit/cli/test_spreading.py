"""Which tests run in which process: what is judged by times is never beside another such test."""

from __future__ import annotations

from pathlib import Path

import pytest
import spreading

from topologies.cli import quality

TESTS = Path(spreading.__file__).parent


def test_labs_and_benches_are_in_one_process() -> None:
    labs, kernel = ([f"tests/{tier}/{path.name}::test_x" for path in modules_of(tier)] for tier in ("demos", "netns"))
    benches = [module for module in kernel if "_bench" in module]
    assert benches
    assert {spreading.scope(module, True) for module in [*labs, *benches]} == {"labs"}
    modules = labs + kernel
    assert {spreading.scope(module, True) for module in modules} == {"labs", "kernel"}
    assert {spreading.scope(module, False) for module in modules} == set(modules)


def modules_of(tier: str) -> list[Path]:
    return sorted((TESTS / tier).glob("test_*.py"))


@pytest.mark.parametrize("apart", [True, False])
def test_unit_tests_of_a_module_stay_together(apart: bool) -> None:
    assert spreading.scope("tests/unit/dgw/test_dgw_walk.py::test_it[1]", apart) == "tests/unit/dgw/test_dgw_walk.py"


@pytest.mark.parametrize(
    ("tiers", "workers", "few", "cpus", "words"),
    [
        ({"unit", "netns", "demos"}, None, False, 2, ["-n", "2", "--tiers-apart"]),
        ({"unit", "netns", "demos"}, None, False, 8, ["-n", "3", "--tiers-apart"]),
        ({"unit", "netns", "demos"}, None, False, 1, []),
        ({"unit", "netns", "demos"}, None, True, 8, []),
        ({"unit"}, None, False, 8, ["-n", "auto"]),
        ({"demos"}, None, False, 8, []),
        ({"demos"}, "4", False, 8, ["-n", "4"]),
        ({"demos"}, "0", True, 8, ["-n", "0"]),
    ],
)
def test_processes(
    tiers: set[str], workers: str | None, few: bool, cpus: int, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality.os, "sched_getaffinity", lambda _process: set(range(cpus)))
    assert quality._spread(tiers, workers, few=few) == words
