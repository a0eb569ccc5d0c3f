"""The conformance pages are what the last results say, and leave no MUST open."""

from __future__ import annotations

import pytest
from conformance import page, requirements, results
from conformance.__main__ import main as merge

CLOSED = ("dgw", "aero", "haaro")
"""Families that are complete: their pages may leave nothing open that is a MUST."""


@pytest.mark.parametrize("family", requirements.families())
def test_page_shows_the_last_results(family):
    assert (results.DOCS / f"{family}.md").read_text() == page.render(family, results.load())


@pytest.mark.parametrize("family", CLOSED)
def test_no_must_is_open(family):
    left = page.open_requirements(family, results.load())
    assert [requirement.id for requirement in left if requirement.level.startswith("MUST")] == []


def test_requirement_ids_are_unique_over_all_families():
    names = [name for family in requirements.families() for name in requirements.load(family)]
    assert len(names) == len(set(names))


def test_a_requirement_without_a_passing_proof_is_open():
    lane = results.Lane("Linux", "2026-01-01", {"tests/unit/test_x.py::test_x": results.Proof(["HO-5"], skipped=1)})
    left = {requirement.id for requirement in page.open_requirements("dgw", {"present": lane})}
    assert {"HO-5", "HO-6"} <= left
    lane.proofs["lab basic: tunnel.outer"] = results.Proof(["HO-5"], passed=2)
    left = {requirement.id for requirement in page.open_requirements("dgw", {"present": lane})}
    assert "HO-5" not in left
    assert "HO-6" in left


def test_one_failing_proof_fails_the_requirement():
    lane = results.Lane("Linux", "2026-01-01", {"tests/unit/test_x.py::test_x": results.Proof(["HO-5"], failed=1)})
    lane.proofs["lab basic: tunnel.outer"] = results.Proof(["HO-5"], passed=2)
    assert "| HO-5 | must |" in page.render("dgw", {"present": lane})
    assert "**failed**" in page.render("dgw", {"present": lane})


def test_results_of_several_guests_become_one_lane_and_the_pages(tmp_path, monkeypatch):
    here, docs = tmp_path / "docs" / "results.json", tmp_path / "docs"
    old = {"present": results.Lane("Linux 6.18", "2026-01-01"), "stock": results.Lane("Linux 6.0", "2025-01-01")}
    old["stock"].proofs["tests/a.py::gone"] = results.Proof()
    results.save(old, here)
    for number in (1, 2):
        proof = results.Proof()
        proof.count(["HO-5"], "passed")
        lane = results.Lane("Linux 6.1", "2026-02-02", {f"tests/a.py::test_{number}": proof})
        results.save({"stock": lane}, tmp_path / f"{number}.json")
    monkeypatch.setattr(results, "FILE", here)
    monkeypatch.setattr(results, "DOCS", docs)
    monkeypatch.setattr(results.load, "__defaults__", (here,))
    monkeypatch.setattr(results.save, "__defaults__", (here,))
    merge([tmp_path / "1.json", tmp_path / "2.json"])
    found = results.load()
    assert found["present"].kernel == "Linux 6.18"
    assert list(found["stock"].proofs) == ["tests/a.py::test_1", "tests/a.py::test_2"]
    assert found["stock"].date == "2026-02-02"
    assert "HO-5" in (docs / "dgw.md").read_text()
