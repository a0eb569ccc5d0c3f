"""The conformance pages are what the last results say, and leave no MUST open."""

from __future__ import annotations

import pytest
from conformance import page, requirements, results


@pytest.mark.parametrize("family", requirements.families())
def test_page_shows_the_last_results(family):
    assert (results.DOCS / f"{family}.md").read_text() == page.render(family, results.load())


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
