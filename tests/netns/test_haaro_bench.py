"""The bench of HAARO measures what it says, against goals."""

import pytest

from topologies.bench import aero, blasting, failing, forwarding, haaro, optimising, relaying
from topologies.cli import benches

pytestmark = pytest.mark.netns


def test_figures_of_a_small_run(monkeypatch):
    for name, value in (("ROUTERS", 60), ("ROUNDS", 1), ("OWNERS", 12), ("PREFIXES", 4)):
        monkeypatch.setattr(haaro, name, value)
    monkeypatch.setattr(optimising, "PINGS", 20)
    monkeypatch.setattr(optimising, "LETTERS", "ac")
    monkeypatch.setattr(failing, "SILENCES", 2)
    monkeypatch.setattr(failing, "CUTS", 1)
    monkeypatch.setattr(relaying, "SIZES", (64,))
    monkeypatch.setattr(aero, "SIZES", (64,))
    monkeypatch.setattr(forwarding, "SIZES", (64,))
    for name, value in (("ROUNDS", 1), ("SECONDS", 0.3), ("TCP_SECONDS", 1)):
        monkeypatch.setattr(blasting, name, value)
    told = []
    figures = haaro.run(told.append)["figures"]
    goals = {name: figure["goal"] for name, figure in figures.items() if figure["goal"] is not None}
    rates = {f"{what}_{who}": 2000 for what in ("register", "renew") for who in ("plain", "optimised")}
    kinds = ("compressed", "written_out")
    sizes = {f"prefixes_{kind}": 1000 for kind in kinds} | {f"reply_{kind}": 65507 for kind in kinds}
    trip = figures["home_agent_rtt"]["value"]
    times = {"optimised_worst": 6 * trip + 100, "failover_silent": 3200, "failover_cut": 3200, "smooth_lost": 0}
    assert goals == rates | sizes | times | {"ha_data_direct": 0}
    assert figures["failover_silent"]["met"]
    assert figures["failover_cut"]["met"]
    assert figures["prefixes_compressed"]["value"] == figures["prefixes_written_out"]["value"] == 48
    assert not figures["prefixes_compressed"]["met"]
    assert figures["reply_compressed"]["value"] < figures["reply_written_out"]["value"]
    assert figures["ha_data_star"]["value"] >= 4 * 20 * 1028, "each ping and its answer, in and out"
    assert figures["ha_data_direct"]["met"]
    moved = {f"ha_{way}_{what}" for way in ("udp", "ipip") for what in ("64", "64_core", "tcp")}
    assert moved | {"vxlan_64", "aero_64", "direct_udp_tcp", "direct_ipip_tcp"} <= set(figures)
    assert all(figures[name]["value"] and figures[name]["ratio"] for name in moved)
    assert "60 routers register: plain" in told
    assert "haaro" in benches.names()
