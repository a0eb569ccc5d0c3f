"""Every lab, played whole and judged from its captures."""

from __future__ import annotations

import json

import pytest
from conformance.plugin import proven

from captures.verdict import judge
from testbed.features import refusal
from testbed.radio import hwsim
from topologies import catalog

pytestmark = pytest.mark.demo


def _variants():
    """Of each lab the first and the last variant; the others are for `--thorough`."""
    for name in catalog.names():
        lab = catalog.load(name)
        for number, options in enumerate(lab.variants):
            between = 0 < number < len(lab.variants) - 1
            marks = [pytest.mark.thorough] if between else []
            yield pytest.param(name, options, id=_title(name, options), marks=marks)
        for options in lab.stock_variants:
            yield pytest.param(name, options, id=_title(name, options), marks=pytest.mark.stock)


def _title(name, options):
    return "-".join([name, *map(str, options.values())])


def _need_wifi():
    if refusal("wifi"):
        pytest.skip(f"this kernel has no 802.11: {refusal('wifi')}")
    if hwsim.missing_programs():
        pytest.skip(f"not installed: {', '.join(hwsim.missing_programs())}")


@pytest.mark.parametrize(("name", "options"), list(_variants()))
def test_lab_passes_every_check(deploy, request, name, options):
    tunnel = options.get("tunnel")
    esp = "esp" if options.get("protection") == "xfrm" else None
    netem = "netem" if options.get("delay") else None
    for feature in filter(None, (tunnel, esp, netem)):
        if refusal(feature):
            pytest.skip(f"this kernel has no {feature}: {refusal(feature)}")
    if options.get("radio") == "wifi":
        _need_wifi()
    run = deploy(name, **options)
    run.play()
    run.stop()
    used = json.loads((run.directory.path / "lab.json").read_text())["kernel"]["tunnel"]
    assert used == (tunnel or used)
    verdict = judge(run.directory.path)
    request.node.user_properties.extend(proven(verdict, name))
    failed = [(check.id, check.measured) for check in verdict.checks if not check.fine]
    assert not failed
    assert verdict.passed
    assert all(check.evidence for check in verdict.checks if check.passed)
    if name in catalog.FAMILIES["dgw"]:
        assert verdict.metrics["moves_without_ra"] == 0
