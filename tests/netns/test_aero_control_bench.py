"""The bench of BGP measures what it says, against goals."""

import pytest

from topologies.bench import aero_control
from topologies.cli import benches

pytestmark = pytest.mark.netns


def test_figures_of_a_small_run(monkeypatch):
    for name, value in (("MANY", 50), ("PRESENT", 100), ("SAMPLES", 2)):
        monkeypatch.setattr(aero_control, name, value)
    told = []
    figures = aero_control.run(told.append)["figures"]
    goals = {name: figure["goal"] for name, figure in figures.items() if figure["goal"] is not None}
    assert goals == {"announce_4000": 5.0, "fib_one_more": 1.0, "fib_one_less": 1.0}
    for name, figure in figures.items():
        assert figure["value"] > 0
        assert figure["met"] == (figure["value"] <= goals[name] if name in goals else None)
    assert "50 announcements to BIRD" in told
    assert "aero-control" in benches.names()
