"""The start-up bench measures all three ways and reports what its goals need."""

import pytest

from topologies.bench import startup

pytestmark = pytest.mark.netns


def test_figures_of_a_small_run(monkeypatch):
    monkeypatch.setattr(startup, "SIZES", (2, 4))
    told = []
    outcome = startup.run(told.append)
    assert outcome["bench"] == "startup"
    figures = outcome["figures"]
    assert {"up_2", "down_2", "up_4", "down_4", "up_ratio_4", "down_ratio_4", "up_ip_batch_4"} <= set(figures)
    for figure in figures.values():
        assert set(figure) == {"value", "unit", "anchor", "ratio", "goal", "met"}
        assert figure["value"] > 0
    up = figures["up_ratio_4"]
    assert up["value"] == pytest.approx(figures["up_4"]["anchor"] / figures["up_4"]["value"])
    assert up["met"] == (up["value"] >= 3)
    assert figures["down_ratio_4"]["goal"] == 20
    assert "4 hosts: Mininet" in told
