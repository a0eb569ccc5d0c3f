"""HAARO's route optimisation: how long it takes, and what it takes off the home agent; read from captures."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from captures.haaro.figures import round_trip
from captures.haaro.operator import Operator
from captures.haaro.series import first_direct, of
from testbed.validation import LabError
from topologies.bench.figures import Figure, at_most
from topologies.bench.operators import played, series
from topologies.haaro import waiting
from topologies.haaro.haaro_triangle import TriangleLab
from topologies.haaro.plan import HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.pings import pings
from topologies.runner import Run

LETTERS = "abcd"
APART = 0.01
"""Seconds between two pings of a pair that has no direct path yet."""
TRIPS, FIXED = 6, 100.0
"""Goal: so many round trips between router and home agent, and so many ms."""
PINGS, INTERVAL, SIZE = 200, 0.005, 1028
TALK, LEAVE = "a and c talk", "all leave"


class _Pairs(TriangleLab):
    """Four sites; each pair finds its direct path in its turn."""

    def plan(self, options: Any) -> HaaroPlan:
        """Sites with one line each."""
        return HaaroPlan(tuple(site(letter) for letter in LETTERS), delay=options.delay)

    def script(self, run: Run, options: Any) -> None:
        """Pair after pair, when routers may ask the home agent again."""
        waiting.registered(run, [f"mr{letter}" for letter in LETTERS])
        for one, other in itertools.combinations(self.plan(options).sites, 2):
            waiting.rested(run)
            until_direct(run, f"{one.letter}-{other.letter}", one, other, interval=APART)


def optimising(delay: float, progress: Callable[[str], None]) -> dict[str, Figure]:
    """From the first packet to the first direct one each way, of every pair of four sites, ms."""
    progress("four sites find their direct paths")
    times, trip = played(_Pairs(), _times, delay=delay)
    goal = TRIPS * trip + FIXED
    return {
        "home_agent_rtt": Figure(trip, "ms"),
        "optimised_median": Figure(statistics.median(times), "ms", trip),
        "optimised_worst": at_most(max(times), "ms", goal, anchor=trip),
    }


def _times(operator: Operator) -> tuple[list[float], float]:
    trip = round_trip(operator)
    found = []
    for one, other in itertools.combinations(LETTERS, 2):
        ping = series(operator, f"{one}-{other}")
        begin = of(operator.frames(ping.node, "eth0"), ping, "request")
        straight = first_direct(operator, ping)
        if len(straight) < 2 or not begin or trip is None:
            raise LabError(f"{ping.name}: not direct both ways")
        found.append((max(frame.time for frame in straight.values()) - begin[0].time) * 1000)
    assert trip
    return found, trip


# --- the home agent's load


class _Sites(TriangleLab):
    """The triangle's sites, with or without route optimisation; A and C talk once they are as they will be."""

    def __init__(self, optimised: bool) -> None:
        self._optimised = optimised

    def plan(self, options: Any) -> HaaroPlan:
        """Sites A, B, C, each with one line."""
        agent = {"encapsulation": options.encapsulation, "capability": self._optimised}
        return HaaroPlan(tuple(site(letter, **agent) for letter in "abc"))

    def script(self, run: Run, options: Any) -> None:
        """Register, optimise if so, talk."""
        a, _b, c = self.plan(options).sites
        waiting.registered(run, ["mra", "mrb", "mrc"])
        if self._optimised:
            waiting.rested(run)
            until_direct(run, "first", a, c, interval=APART)
        run.step(TALK)
        path = "direct" if self._optimised else "ha"
        ends = ("talk", "a", a.host, "c", c.host)
        pings(run, *ends, size=SIZE, count=PINGS, interval=INTERVAL, via=path)
        run.step(LEAVE)
        for name in ("mra", "mrb", "mrc"):
            run.agents[name].stop()


def load(progress: Callable[[str], None]) -> dict[str, Figure]:
    """Octets through the home agent without and with optimisation."""
    progress("haaro-triangle without optimisation")
    star = played(_Sites(optimised=False), _through_home_agent)
    progress("haaro-triangle with optimisation")
    direct = played(_Sites(optimised=True), _through_home_agent)
    if not star["data"]:
        raise LabError("without optimisation nothing went through the home agent")
    figures = {}
    for name in ("data", "signalling", "all"):
        figures[f"ha_{name}_star"] = Figure(star[name], "octets")
        figures[f"ha_{name}_direct"] = Figure(direct[name], "octets", star[name], direct[name] / star[name])
    figures["ha_data_direct"] = at_most(direct["data"], "octets", 0, anchor=star["data"])
    return figures


def _through_home_agent(operator: Operator) -> dict[str, int]:
    """Octets at its interface, in and out: "data" while A and C talk, "signalling" and "all" from begin to end."""
    begin, end = (_at(operator.events, title) for title in (TALK, LEAVE))
    talk = [one for one in operator.at_home if begin <= one.time < end and not one.message]
    return {
        "data": sum(one.outer.size for one in talk),
        "signalling": sum(one.outer.size for one in operator.at_home if one.message),
        "all": sum(one.outer.size for one in operator.at_home),
    }


def _at(events: Sequence[dict[str, Any]], title: str) -> float:
    """When the script came to a step."""
    return next(float(event["t"]) for event in events if event["event"] == "step" and event["title"] == title)
