"""Every lab, played whole and judged from its captures."""

from __future__ import annotations

import json

import pytest

from captures.verdict import judge
from testbed.features import refusal

pytestmark = pytest.mark.demo

VARIANTS = [
    ("basic", {"mode": "relay"}),
    ("basic", {"mode": "direct"}),
    ("basic", {"mode": "relay", "ra_profile": "lowpref"}),
    pytest.param("basic", {"mode": "relay", "tunnel": "ip6tnl"}, marks=pytest.mark.stock),
    ("ietf83", {"mode": "relay"}),
    ("ietf83", {"mode": "direct"}),
    ("ietf83", {"mode": "locator"}),
    ("ietf83", {"mode": "proxy"}),
    ("sc-simul", {"mode": "relay"}),
    ("sc-simul", {"mode": "direct"}),
]


@pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda value: value if isinstance(value, str) else "-".join(value.values())
)
def test_lab_passes_every_check(deploy, name, options):
    tunnel = options.get("tunnel")
    if tunnel and refusal(tunnel):
        pytest.skip(f"this kernel has no {tunnel}: {refusal(tunnel)}")
    run = deploy(name, **options)
    run.play()
    run.stop()
    used = json.loads((run.directory.path / "lab.json").read_text())["kernel"]["tunnel"]
    assert used == (tunnel or used)
    verdict = judge(run.directory.path)
    failed = [(check.id, check.measured) for check in verdict.checks if check.passed is not True]
    assert not failed
    assert verdict.passed
    assert all(check.evidence for check in verdict.checks)
    assert verdict.metrics["moves_without_ra"] == 0
