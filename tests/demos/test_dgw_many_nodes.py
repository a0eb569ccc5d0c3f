"""Twenty nodes on two CPUs, and the signalling modes compared over a long way to the CMD."""

import os

import pytest
from conformance.plugin import proven

from captures.verdict import judge
from testbed.features import refusal

pytestmark = pytest.mark.demo


@pytest.fixture
def two_cpus():
    """This process and all it starts run on two CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


def played(run):
    run.play()
    run.stop()
    return judge(run.directory.path)


def test_twenty_nodes_run_on_two_cpus_in_little_memory(deploy, two_cpus, request):
    verdict = played(deploy("sc-simul", mode="relay"))
    request.node.user_properties.extend(proven(verdict, "sc-simul"))
    assert [(one.id, one.measured) for one in verdict.checks if one.passed is not True] == []
    assert len({move["move"].split(".")[0] for move in verdict.metrics["moves"]}) == 20
    assert 100 < verdict.metrics["memory_mb"] < 2048


@pytest.mark.requirement("SC-CMDMODES")
def test_the_modes_differ_where_the_cmd_is_far(deploy):
    """PBU to usable tunnels: proxy ≤ locator ≤ relay (spec SC-CMDMODES); emulated, test_mode_comparison tells."""
    if refusal("netem"):
        pytest.skip(f"this kernel has no netem: {refusal('netem')}")
    took = {}
    for mode in ("proxy", "locator", "relay"):
        verdict = played(deploy("sc-cmdmodes", mode=mode, delay=20))
        assert verdict.passed, [(one.id, one.measured) for one in verdict.checks if one.passed is not True]
        took[mode] = verdict.metrics["pbu_to_tunnel_ms_median"]
    assert took["proxy"] <= took["locator"] <= took["relay"]
    assert took["proxy"] >= 40  # to the CMD and back
