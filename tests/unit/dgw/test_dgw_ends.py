"""Whatever the network does, everything ends: no binding, no tunnel, no session outlives its node (spec §5.7)."""

import pytest
from dgw_domain import CMD, Domain, address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute, Dlif, Tunnel

FATES = {"ok": None, "lose": [], "twice": [0.001, 0.004], "late": [0.15]}
CHANGES = {"stop": {}, "run": {"anchor_timers": "run"}}


@pytest.mark.requirement("DEREG-5", "DEREG-7", "DEREG-11", "HO-16", "SC-DEREG")
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    mode=st.sampled_from(["direct", "relay", "locator", "proxy"]),
    timers=st.sampled_from(["stop", "run"]),
    limit=st.integers(1, 3),
    fates=st.lists(st.sampled_from(["ok", "ok", "lose", "twice", "late"]), max_size=60),
    path=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0.3, 2.0, 25.0, 60.0])), min_size=1, max_size=6),
    away=st.sampled_from([0.0, 3.0, 45.0]),
    idle=st.booleans(),
)
def test_nothing_outlives_its_node(mode, timers, limit, fates, path, away, idle):
    both = CHANGES[timers]
    timing = Timing(lifetime=40, idle=20.0)
    domain = Domain(mode, timing=timing, gateway_changes={**both, "max_anchors": limit}, cmd_changes=both)
    remaining = list(fates)
    domain.filters.append(lambda *_: FATES[remaining.pop(0)] if remaining else None)
    for index, stay in path:
        domain.attach(1, index)
        domain.run(stay)
        if idle:
            domain.idle = {node.own.prefix: 0 for i in (1, 2, 3) if (node := domain.node(i)) and node.own}
        consistent(domain, index)
        domain.detach(1, index)
        domain.run(away)
    remaining.clear()
    domain.run(600)
    for index in (1, 2, 3):
        assert not domain.kernel[address(index)]
        assert not domain.gateway(index)._base.state.nodes
        assert not domain.gateway(index)._base.state.pool.allocated
    assert not domain.cmd._base.state.sessions
    assert not domain.cmd.inspect()["repository"]
    assert all(core.next_timer() is None for a, core in domain.cores.items() if a != CMD)


def consistent(domain, here):
    """At any moment: a tunnel for each peer that is needed and no other, no DLIF twice."""
    for index in (1, 2, 3):
        node = domain.node(index)
        peers = {route.peer for route in domain.items(index, AnchorRoute)}
        if node and node.serving:
            peers |= {anchor.address for anchor in node.anchors if anchor.active}
        assert {tunnel.peer for tunnel in domain.items(index, Tunnel)} == peers
    names = [dlif.name for dlif in domain.items(here, Dlif)]
    assert len(names) == len(set(names))
