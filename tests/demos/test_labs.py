"""Every lab, played whole and judged from its captures."""

from __future__ import annotations

import pytest

from captures.verdict import judge

pytestmark = pytest.mark.demo

VARIANTS = [
    ("basic", {"mode": "relay"}),
    ("basic", {"mode": "direct"}),
    ("basic", {"mode": "relay", "ra_profile": "lowpref"}),
    ("ietf83", {"mode": "relay"}),
    ("ietf83", {"mode": "direct"}),
]


@pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda value: value if isinstance(value, str) else "-".join(value.values())
)
def test_lab_passes_every_check(deploy, name, options):
    run = deploy(name, **options)
    run.play()
    run.stop()
    verdict = judge(run.directory.path)
    failed = [(check.id, check.measured) for check in verdict.checks if check.passed is not True]
    assert not failed
    assert verdict.passed
    assert all(check.evidence for check in verdict.checks)
    assert verdict.metrics["moves_without_ra"] == 0
