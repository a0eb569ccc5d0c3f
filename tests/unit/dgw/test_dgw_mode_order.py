"""The signalling modes in virtual time with 20 ms between CMD and gateways: who has a usable tunnel when."""

from __future__ import annotations

import pytest
from dgw_domain import CMD, Domain, address

from agents.dgw.forwarding import AnchorRoute, Tunnel, TunnelGate, Uplink
from agents.wire.mobility import BindingUpdate

DELAY, CORE = 0.020, 0.001
"""Seconds one way: to and from the CMD, between gateways."""
STEP = 0.0005


def far_cmd(_now, source, destination, _octets):
    return [DELAY if CMD in (source, destination) else CORE]


def usable(domain, serving, anchor):
    """Whether a packet of the anchor's prefix can go through the tunnel both ways, as the kernels' items say."""
    there = domain.kernel[address(serving)].values()
    gate = [item for item in domain.items(anchor, TunnelGate) if item.peer == address(serving)]
    back = [item for item in domain.items(anchor, AnchorRoute) if item.peer == address(serving)]
    up = [item for item in there if isinstance(item, Uplink) and item.peer == address(anchor)]
    tunnels = [item for item in there if isinstance(item, Tunnel) and item.peer == address(anchor)]
    return bool(gate and back and up and tunnels)


def time_to_tunnel(mode):
    """Seconds from the serving gateway's PBU to a usable tunnel."""
    domain = Domain(mode)
    domain.filters.append(far_cmd)
    domain.attach(1, 1)
    domain.run(1.0)
    domain.move(1, 1, 2)
    [update, *_] = domain.sent(BindingUpdate, source=address(2))
    start = update[0]
    while not usable(domain, 2, 1):
        domain.run(STEP)
        assert domain.now < start + 1, f"{mode}: no usable tunnel in a second"
    return domain.now - start


@pytest.mark.requirement("CMD-PROXY-1", "CMD-LOC-1", "CMD-RELAY-1")
def test_proxy_is_no_slower_than_locator_and_locator_no_slower_than_relay():
    times = {mode: time_to_tunnel(mode) for mode in ("proxy", "locator", "relay")}
    assert times["proxy"] <= times["locator"] <= times["relay"]
    # proxy: to the CMD, and from it to gateway and anchor at once; locator: on from the anchor to the gateway;
    # relay: from the anchor back to the CMD and from there to the gateway
    assert times["proxy"] == pytest.approx(2 * DELAY, abs=2 * STEP)
    assert times["locator"] == pytest.approx(2 * DELAY + CORE, abs=2 * STEP)
    assert times["relay"] == pytest.approx(4 * DELAY, abs=2 * STEP)
