"""The time to a usable tunnel is read from packets that got through it."""

import pytest
from doctoring import run_of
from synthetic import SETTLE, STEP, T0, World

from captures.usable import pbu_to_usable
from captures.verdict import judge

MODES = ("direct", "relay", "locator", "proxy")


@pytest.mark.parametrize("mode", MODES)
def test_every_anchor_of_every_move_has_its_time(tmp_path, mode):
    found = pbu_to_usable(run_of(World(mode), tmp_path))
    assert {move: set(anchors) for move, anchors in found.items()} == {"mn1.1": {"dgw1"}, "mn1.2": {"dgw1", "dgw2"}}
    for times in found.values():
        assert all(0 < time <= (SETTLE + 2 * STEP) * 1000 for time in times.values())


def test_what_the_anchor_drops_is_not_yet_a_usable_tunnel(tmp_path):
    world = World("proxy")
    before = pbu_to_usable(run_of(world, tmp_path / "whole"))
    world.drop(lambda frame: frame.capture == "dgw1-wan" and T0 + 3 < frame.t < T0 + 3.5 and is_data(frame))
    after = pbu_to_usable(run_of(world, tmp_path / "dropped"))
    assert after["mn1.1"]["dgw1"] > before["mn1.1"]["dgw1"] + 400
    assert after["mn1.2"] == before["mn1.2"]


def is_data(frame):
    """Whether a frame is neither signalling nor neighbour discovery."""
    return not frame.tag.startswith(("pb", "rs", "ra", "lookup"))


def test_without_traffic_there_is_no_time(tmp_path):
    world = World("relay")
    world.drop(is_data)
    assert pbu_to_usable(run_of(world, tmp_path)) == {}


def test_the_verdict_has_it(tmp_path):
    metrics = judge(run_of(World("relay"), tmp_path)).metrics
    assert metrics["pbu_to_usable_ms"]["mn1.2"].keys() == {"dgw1", "dgw2"}
    assert 0 < metrics["pbu_to_usable_ms_median"] < 200
