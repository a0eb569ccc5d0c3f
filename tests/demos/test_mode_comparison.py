"""Signalling modes compared with 20 ms between CMD and gateways, in captures (goal B: proxy ≤ locator ≤ relay)."""

from __future__ import annotations

import pytest

from testbed.features import refusal
from topologies.bench import modes

pytestmark = [pytest.mark.demo, pytest.mark.stock, pytest.mark.virtual_time]


def test_the_fewer_legs_of_signalling_the_sooner_the_tunnel_is_usable(tmp_path):
    if refusal("netem"):
        pytest.skip(f"this kernel cannot delay: {refusal('netem')}")
    times = {mode: modes.measure(mode, modes.DELAY, folder=tmp_path) for mode in modes.MODES}
    print(times)
    for name, resolution in modes.RESOLUTION.items():
        proxy, locator, relay = (times[mode][name] for mode in ("proxy", "locator", "relay"))
        assert proxy <= locator + resolution, times
        assert locator <= relay, times
        assert proxy >= 2 * modes.DELAY, times
        # relay crosses the CMD's link four times, the others twice: that is seen whatever programs take
        assert relay - locator > modes.DELAY, times
