"""Registrations a second of a HAARO home agent, the size of its advertisements, and what optimisation takes off it.

Rates and times are of one core without sockets and kernel, in seconds of processor time: what the machine does besides
hardly counts.  Octets through the home agent are read from captures of the sites of haaro-triangle,
where A and C exchange the same packets with and without route optimisation.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.haaro.compression import Owner, decode_advertisement, encode_advertisement
from agents.wire.mip4_extensions import RoCapability
from captures.run import Run as Recorded
from testbed.validation import LabError
from topologies.aero.traffic import pings
from topologies.bench.figures import Figure, at_least, at_most, result
from topologies.bench.registering import HEADER_ROOM, OPTIMISE, Crowd, Site, advertised, owner_of, sites
from topologies.haaro import waiting
from topologies.haaro.haaro_triangle import TriangleLab
from topologies.haaro.plan import HaaroPlan, site
from topologies.runner import Run

ROUTERS, ROUNDS = 2000, 3
CUSTOMER = 8
"""Sites with the same realm; 1: each has its own, which is the most work."""
OWNERS, PREFIXES = 100, 10
"""Whose networks, and how many of each, one reply advertises."""
PINGS, INTERVAL, SIZE = 200, 0.005, 1028
TALK, LEAVE = "a and c talk", "all leave"
RATE_GOAL, PREFIX_GOAL = 2000, 1000
DATAGRAM = 65507
"""Octets that fit into one datagram: nothing divides an advertisement (spec A-44)."""


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Measure registrations, advertisements and the home agent's load."""
    figures = _rates("plain", None, CUSTOMER, progress)
    figures |= _rates("optimised", OPTIMISE, CUSTOMER, progress)
    own = _rates("own_realms", OPTIMISE, 1, progress)
    figures |= {name: Figure(figure.value, figure.unit) for name, figure in own.items()}
    progress(f"{OWNERS * PREFIXES} prefixes in one reply")
    for name, compress in (("compressed", True), ("written_out", False)):
        figures |= _advertising(name, sites(OWNERS + 1, PREFIXES), compress=compress)
    return result("haaro", figures | _load(progress))


# --- registrations


def _rates(
    name: str, capability: RoCapability | None, realms: int, progress: Callable[[str], None]
) -> dict[str, Figure]:
    """The first registration of everyone, and the renewal of all when each knows all others; medians."""
    progress(f"{ROUTERS} routers register: {name}")
    first, renewed = [], []
    for _round in range(ROUNDS):
        crowd = Crowd(sites(ROUTERS, realms=realms), capability)
        first.append(ROUTERS / crowd.register())
        crowd.register()
        renewed.append(ROUTERS / crowd.register())
    return {
        f"register_{name}": at_least(statistics.median(first), "per second on a core", RATE_GOAL),
        f"renew_{name}": at_least(statistics.median(renewed), "per second on a core", RATE_GOAL),
    }


# --- advertisements


def _advertising(name: str, members: Sequence[Site], *, compress: bool) -> dict[str, Figure]:
    crowd = Crowd(members, OPTIMISE, compress=compress)
    crowd.register()
    reply = crowd.reply_to(members[-1])
    found = advertised(reply)
    told = sum(len(owner.networks) for owner in found.owners)
    owners = [owner_of(one) for one in members[:-1]]
    if found.error or found.owners != tuple(owners):
        raise LabError("the advertisement does not say what was registered")
    octets = encode_advertisement(owners, compress=compress)
    return {
        f"prefixes_{name}": at_least(told, "in one reply", PREFIX_GOAL),
        f"reply_{name}": at_most(len(reply), "octets", DATAGRAM),
        f"most_prefixes_{name}": Figure(_most(compress), "in one reply"),
        f"encode_{name}": Figure(_best(lambda: encode_advertisement(owners, compress=compress)) * 1000, "ms"),
        f"decode_{name}": Figure(_best(lambda: decode_advertisement(octets)) * 1000, "ms"),
    }


def _most(compress: bool) -> int:
    """How many prefixes of such sites a datagram has room for."""
    many: list[Owner] = [owner_of(one) for one in sites(DATAGRAM // 2 // PREFIXES, PREFIXES)]
    octets = encode_advertisement(many, limit=DATAGRAM - HEADER_ROOM, compress=compress)
    return sum(len(owner.networks) for owner in decode_advertisement(octets).owners)


def _best(what: Callable[[], object]) -> float:
    """Seconds of the fastest of five."""
    times = []
    for _round in range(5):
        begin = time.process_time()
        what()
        times.append(time.process_time() - begin)
    return min(times)


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
        hosts = {one.letter: one.host for one in self.plan(options).sites}
        waiting.registered(run, ["mra", "mrb", "mrc"])
        if self._optimised:
            waiting.rested(run)
            pings(run, "first", "a", hosts["a"], "c", hosts["c"], via="mixed")
            waiting.direct(run, [("mra", "mrc"), ("mrc", "mra")])
        run.step(TALK)
        path = "direct" if self._optimised else "ha"
        ends = ("talk", "a", hosts["a"], "c", hosts["c"])
        pings(run, *ends, size=SIZE, count=PINGS, interval=INTERVAL, via=path)
        run.step(LEAVE)
        for name in ("mra", "mrb", "mrc"):
            run.agents[name].stop()


def _load(progress: Callable[[str], None]) -> dict[str, Figure]:
    progress("haaro-triangle without optimisation")
    star = _through_home_agent(_Sites(optimised=False))
    progress("haaro-triangle with optimisation")
    direct = _through_home_agent(_Sites(optimised=True))
    if not star["data"]:
        raise LabError("without optimisation nothing went through the home agent")
    figures = {}
    for name in ("data", "signalling", "all"):
        figures[f"ha_{name}_star"] = Figure(star[name], "octets")
        figures[f"ha_{name}_direct"] = Figure(direct[name], "octets", star[name], direct[name] / star[name])
    figures["ha_data_direct"] = at_most(direct["data"], "octets", 0, anchor=star["data"])
    return figures


def _through_home_agent(lab: _Sites) -> dict[str, int]:
    """Octets at its interface, in and out: "data" while A and C talk, "signalling" and "all" from begin to end."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder:
        played = Run.deploy(lab, lab.configure(), Path(folder) / "run")
        try:
            played.play()
        finally:
            played.stop()
        operator = Recorded(played.directory.path).haaro
        if operator is None:
            raise LabError("the run is none of HAARO")
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
