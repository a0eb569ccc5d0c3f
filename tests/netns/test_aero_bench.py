"""The AERO bench measures every way and says what it is compared with."""

import pytest

from topologies.bench import aero, attaching, blasting, forwarding

pytestmark = pytest.mark.netns


def test_figures_of_a_small_run(monkeypatch):
    monkeypatch.setattr(aero, "SIZES", (64,))
    monkeypatch.setattr(forwarding, "SIZES", (64,))
    monkeypatch.setattr(aero, "WAYS", {name: aero.WAYS[name] for name in ("minimal", "minimal_f")})
    monkeypatch.setattr(attaching, "CLIENTS", 40)
    monkeypatch.setattr(attaching, "STAY", 0.5)
    monkeypatch.setattr(attaching, "ROUNDS", 1)
    for name, value in (("ROUNDS", 1), ("SECONDS", 0.3), ("TCP_SECONDS", 1)):
        monkeypatch.setattr(blasting, name, value)
    told = []
    outcome = aero.run(told.append)
    figures = outcome["figures"]
    moved = {"vxlan_64", "vxlan_tcp"}
    moved |= {f"{name}_{figure}" for name in ("minimal", "minimal_f") for figure in ("64", "tcp", "64_core")}
    attached = {"attach_ms", "attach_rate", "attach_rate_core", "attach_loaded_ms", "memory_40", "idle_load_40"}
    assert set(figures) == moved | attached
    idle = figures["idle_load_40"]
    assert 0 <= idle["value"] < 1, "so few may leave it nothing to do for half a second"
    nothing = [name for name, figure in figures.items() if not figure["value"] and figure is not idle]
    assert nothing == []
    one = figures["minimal_64"]
    assert one["ratio"] == pytest.approx(one["value"] / figures["vxlan_64"]["value"])
    core = figures["minimal_64_core"]
    assert core["met"] == (core["value"] >= core["goal"] == 60_000)
    assert "minimal: 64 octets" in told
    assert "attach: 40 Clients" in told
    assert figures["memory_40"]["anchor"] < figures["memory_40"]["value"] + 1
    assert figures["attach_ms"]["value"] < 1000
