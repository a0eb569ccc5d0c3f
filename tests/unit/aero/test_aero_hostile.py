"""Whatever happens to an AERO link: when it has stopped, everybody reaches everybody, and nothing is left of it."""

from __future__ import annotations

import random

import pytest
from aero_hostile import Flow, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SHARE = 5
"""A world takes as long as a hundred packets: fewer of them are tried than of other examples."""

numbers = st.integers(0, 2)
pauses = st.sampled_from((0.5, 2.0, 5.0, 12.0))
trouble = st.one_of(
    st.tuples(st.sampled_from(("move", "rebind", "change_server", "restart", "reboot", "renumber")), numbers),
    st.tuples(st.sampled_from(("sleep", "wake", "freeze", "thaw", "silence")), numbers),
    st.tuples(st.just("loss"), st.sampled_from((0.1, 0.3, 0.6))),
    st.tuples(st.just("jitter"), st.sampled_from((0.05, 0.3))),
    st.tuples(st.just("repetition"), st.just(0.3)),
    st.tuples(st.just("calm"), st.none()),
    st.tuples(st.just("block"), st.tuples(st.integers(0, 5), st.integers(0, 5))),
    st.tuples(st.sampled_from(("replay", "spoof", "alter")), st.booleans()),
)
nats = st.sampled_from((None, None, "cone", "restricted", "symmetric"))
flows = st.builds(Flow, numbers, numbers, st.sampled_from((4, 6)), st.booleans())


worlds = st.fixed_dictionaries(
    {
        "nats": st.lists(nats, min_size=2, max_size=3),
        "servers": st.integers(1, 2),
        "outer": st.sampled_from((4, 4, 6)),
        "framing": st.sampled_from(("nd", "rfc6706", "mixed")),
        "encapsulations": st.sampled_from((("udp",), ("udp", "minimal"))),
    }
)


@pytest.mark.requirement("RO-2", "RO-13", "RO-14", "RO-15", "RO-16", "RO-19")
@pytest.mark.requirement("MOB-1", "MOB-6", "MOB-7", "MOB-10", "MOB-11", "MOB-14", "SEC9-6")
@settings(
    max_examples=max(1, settings.default.max_examples // SHARE),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(
    worlds,
    st.lists(flows, min_size=1, max_size=2),
    st.lists(st.tuples(trouble, pauses), min_size=1, max_size=8),
    st.integers(0, 1 << 16),
)
def test_everything_settles_and_nothing_is_left(made, between, steps, seed):
    random.seed(seed)  # of retransmissions
    world = World(random.Random(seed), **made)
    for flow in between:
        world.add_flow(flow)
    world.link.run(1.0)
    world.run(2)
    for (what, how), pause in steps:
        world.do(what, how)
        world.run(pause)
    world.settled()
    world.idle()
    world.over()
