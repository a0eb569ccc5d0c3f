"""The AERO bench measures every way and says what it is compared with."""

import pytest

from topologies.bench import aero, blasting

pytestmark = pytest.mark.netns


def test_figures_of_a_small_run(monkeypatch):
    monkeypatch.setattr(aero, "SIZES", (64,))
    monkeypatch.setattr(aero, "ENCAPSULATIONS", {"minimal": aero.ENCAPSULATIONS["minimal"]})
    for name, value in (("ROUNDS", 1), ("SECONDS", 0.3), ("TCP_SECONDS", 1)):
        monkeypatch.setattr(blasting, name, value)
    told = []
    outcome = aero.run(told.append)
    figures = outcome["figures"]
    assert set(figures) == {"vxlan_64", "vxlan_tcp", "minimal_64", "minimal_tcp", "minimal_64_core"}
    for figure in figures.values():
        assert figure["value"] > 0
    one = figures["minimal_64"]
    assert one["ratio"] == pytest.approx(one["value"] / figures["vxlan_64"]["value"])
    core = figures["minimal_64_core"]
    assert core["met"] == (core["value"] >= core["goal"] == 60_000)
    assert "minimal: 64 octets" in told
