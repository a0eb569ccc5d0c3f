r"""A site with two access lines changes over: while both work, because one is cut, or because one falls silent.

a --- mra --- isp1 --.
                     +-- home agent
c --- mrc --- isp1 --'
       \----- isp2 --'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.faults import cut, silence
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import Series, pings
from topologies.runner import Run

SCENARIOS = {"make-before-break": "SC-S9", "break-before-make": "SC-S10, SC-S19", "silence": "SC-S18, SC-S19"}
HOW = {
    "make-before-break": "while both work",
    "break-before-make": "because one is cut",
    "silence": "because one carries nothing any more, though it seems to",
}
PAIRS = [["mrc", "mra"], ["mra", "mrc"]]
KEEPALIVE = 1.0
OUTAGE_MS = 3 * KEEPALIVE * 1000 + 200
"""Line failure to traffic on the other line."""
SMOOTH_MS = 500.0
"""Silence that says no more than that the machine had something else to do; nothing may be lost then."""
INTERVAL = 0.05
FROM, TO = "isp1", "isp2"


@dataclass(frozen=True)
class MultihomeOptions(HaaroOptions):
    """Options of the multihoming lab."""

    change: str = option("make-before-break", "how C comes to its other line", tuple(SCENARIOS))


class MultihomeLab(HaaroLab):
    """Two access lines, no routing protocol: a line is left, or fails, and service goes on by the other."""

    name = "haaro-multihome"
    title = "HAARO: two access lines at a site"
    options: ClassVar[type] = MultihomeOptions
    variants = tuple({"change": change} for change in SCENARIOS)

    def plan(self, options: Any) -> HaaroPlan:
        """Site A with one line, site C with two."""
        return HaaroPlan((site("a"), site("c", isps=(1, 2))))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        change = f"C changes lines, {HOW[options.change]}"
        return ["A and C register", "a and c come to talk directly", change, "a and c talk on"]

    def script(self, run: Run, options: Any) -> None:
        """Scenarios S9, S10 and S19 of the sheet."""
        sites = self.plan(options).sites
        a, c = (one.host for one in sites)
        careof = sites[1].lines[1].address
        run.step("A and C register")
        waiting.registered(run, ["mra", "mrc"])
        waiting.rested(run)
        run.step("a and c come to talk directly")
        until_direct(run, "a-c", *sites)
        run.step(self.steps(options)[2])
        stream = Series(run, "change", "a", a, "c", c, interval=INTERVAL)
        match options.change:
            case "make-before-break":
                run.agents["mrc"].request({"request": "move", "interface": TO})
            case "break-before-make":
                cut(run, "mrc", FROM)
            case _:
                silence(run, "mrc", FROM)
        waiting.moved(run, "mrc", careof)
        waiting.direct(run, [("mra", "mrc"), ("mrc", "mra")], by=careof)
        stream.go_on()
        stream.end(via="")
        run.step("a and c talk on")
        pings(run, "a-c-after", "a", a, "c", c, via="direct")
        pings(run, "c-a-after", "c", c, "a", a, via="direct")
        run.step("all leave")
        for name in ("mra", "mrc"):
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations everywhere, the order of the change, what it cost."""
        smooth = options.change == "make-before-break"
        bound = SMOOTH_MS if smooth else OUTAGE_MS
        lost = 0 if smooth else int(OUTAGE_MS / 1000 / INTERVAL)
        failover = {} if smooth else {"failover_ms": OUTAGE_MS * slowness}
        scenario = SCENARIOS[options.change]
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising"},
            {"check": "haaro-routability"},
            {"check": "haaro-load"},
            {"check": "haaro-peers", "expected": PAIRS},
            {"check": "haaro-tunnels"},
            {
                "check": "haaro-change",
                "router": "mrc",
                "interface": TO,
                "stream": "change",
                "bound_ms": bound * slowness,
                "scenario": scenario,
                **failover,
            },
            {"check": "haaro-leaving", "routers": ["mra", "mrc"]},
            {"check": "haaro-paths", "max_lost": {"change": int(lost * slowness)}},
        ]


LAB = MultihomeLab()
