"""Signalling modes compared with 20 ms between CMD and gateways, in captures (goal B: proxy ≤ locator ≤ relay)."""

from __future__ import annotations

import pytest

from testbed.features import refusal
from topologies.bench import modes

pytestmark = [pytest.mark.demo, pytest.mark.stock, pytest.mark.virtual_time]


def test_the_fewer_legs_of_signalling_the_sooner_the_tunnel_is_usable(tmp_path, record_property):
    if refusal("netem"):
        pytest.skip(f"this kernel cannot delay: {refusal('netem')}")
    times = {mode: modes.measure(mode, modes.DELAY, folder=tmp_path) for mode in modes.MODES}
    print({mode: round(found["pbu_to_usable_ms"], 1) for mode, found in times.items()})
    usable = [times[mode]["pbu_to_usable_ms"] for mode in ("proxy", "locator", "relay")]
    assert usable == sorted(usable), times
    # relay needs the CMD's link four times, the others twice: the difference is seen whatever programs take
    assert usable[2] - usable[1] > modes.DELAY, times
    assert usable[0] >= 2 * modes.DELAY, times
