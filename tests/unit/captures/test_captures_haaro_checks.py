"""HAARO's checks pass on the triangle as the sheet tells it, fail on each rule broken, and see nothing in nothing."""

from __future__ import annotations

from pathlib import Path

import doctored_haaro_detour as detour
import doctored_haaro_intruder as intruder
import doctored_haaro_load as load
import pytest
from broken_rules import judge, never_broken
from doctored_haaro import (
    ADVERTISING,
    DOCTORED,
    ENTRIES,
    LEAVING,
    NONCES,
    PEERS,
    REGISTRATION,
    RIGHT,
    ROUTABILITY,
    TUNNELS,
    declining,
    egress,
    left,
    pinged,
    registered,
)
from haaro_wire import Story, triangle

import captures.checks.haaro
from agents.wire.mip4_extensions import RoReply
from captures.checks import REGISTRY, call

SOURCES = Path(captures.checks.haaro.__file__).parent
CHECKS = {entry["check"] for entry in (*ENTRIES, *intruder.ENTRIES, *load.ENTRIES, *detour.ENTRIES)}
RUNS = [*RIGHT, *intruder.RIGHT, *load.RIGHT, *detour.RIGHT]
IDS = [entry["check"] for _make, entry in RUNS]


def judged(story, entry, **parameters):
    """Results by the last part of their ids."""
    return {one.id.split(".", 1)[1]: one for one in call(story.run(), {**entry, **parameters})}


@pytest.fixture(scope="module")
def doctored():
    return judge(DOCTORED, SOURCES)


@pytest.mark.parametrize(("make", "entry"), RUNS, ids=IDS)
def test_a_right_run_passes(make, entry):
    for one in call(make().run(), entry):
        assert one.passed is True, (one.id, one.measured)
        assert one.evidence


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_run_fails(doctored, name):
    _make, _entry, wanted, outcome, text = DOCTORED[name]
    result = doctored[0][name][wanted]
    assert result.passed is outcome, result.measured
    assert text in result.measured


def test_every_rule_was_broken_once(doctored):
    assert not never_broken(SOURCES.glob("*.py"), doctored[1])


@pytest.mark.parametrize(("make", "entry"), RUNS, ids=IDS)
def test_nothing_is_no_success(make, entry):
    """Empty captures, whatever the script says it did; and no script at all."""
    silent = make()
    silent.captures.clear()
    empty = Story()
    empty.sites = silent.sites
    for story in (silent, empty):
        results = call(story.run(), entry)
        assert results
        assert not [(one.id, one.measured) for one in results if one.passed is not None]


def test_checks_of_haaro_are_all_here():
    assert {name for name in REGISTRY if name.startswith("haaro-")} == CHECKS


def test_without_optimisation_nothing_direct_is_proven():
    story = registered(optimised=False)
    for entry in (ROUTABILITY, {"check": "haaro-peers"}, TUNNELS):
        found = judged(story, entry)
        nobody = found.pop("expected", None)
        assert nobody is None or nobody.passed is True
        assert {one.passed for one in found.values()} == {None}


def test_who_probes_first_can_be_said():
    story = registered()
    story.keepalive("a", "c")
    story.keepalive("c", "a")
    assert judged(story, TUNNELS, first={"mra-mrc": "mra"})["keepalive"].passed


@pytest.mark.parametrize(("via", "ways"), [("direct", [True, True]), ("ha", [False, False]), ("mixed", [False, True])])
def test_paths_as_they_should_be(via, ways):
    assert judged(pinged(via, *ways)(), {"check": "haaro-paths"})["x-y"].passed


def test_requests_by_a_gateway_and_replies_by_the_home_agent():
    assert judged(egress(), {"check": "haaro-paths"})["x-y"].passed


def test_a_farewell_is_repeated_with_a_new_token():
    story = triangle()
    story.time += 250.0
    story.refuse("c", "a", 201, lifetime=0)
    story.leave("c", "a")
    assert judged(story, LEAVING)["order"].passed
    found = judged(story, NONCES, expected=[["mrc", "mra", 201]])
    assert found["refused"].passed
    assert "['HoTI']" not in found["again"].measured


def test_pings_that_may_be_lost():
    assert judged(pinged("ha", False, unanswered=1)(), {"check": "haaro-paths"}, max_lost={"x-y": 1})["x-y"].passed


def test_after_leaving():
    story = left()
    assert judged(story, PEERS)["key"].passed
    assert judged(story, LEAVING)["silence"].passed


def test_peers_that_left_before_need_not_be_told():
    story = triangle()
    story.leave("a", "c")
    story.leave("c")
    assert judged(story, LEAVING, routers=["mra", "mrc"])["order"].passed


def test_a_router_that_is_declined():
    story = declining()
    story.register("a")
    story.register("b", owners=[], bits=RoReply(16))
    story.registered.pop("b")
    story.register("c")
    assert judged(story, REGISTRATION)["reply"].passed
    assert judged(story, ADVERTISING)["content"].passed
