r"""The direct path fails although all lines work: traffic takes the home agent's way, or another line, and comes back.

a --- mra --- isp1 --.
                     +-- core --- home agent      isp1 drops what mra and mrc send each other by it
c --- mrc --- isp1 --'   /
       \----- isp2 -----'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import HaaroPlan, Line, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import Series, pings
from topologies.runner import Run

WAYS = {"home": (1,), "line": (1, 2)}
"""Option `way` -> C's lines."""
PAIRS = [["mrc", "mra"], ["mra", "mrc"]]
PATIENT = {"hold_down": 2.0}
"""Seconds before the path is tried again, so that the lab need not wait for 30."""
OUTAGE_MS = 5000.0
"""Until both ends have seen that nothing comes (spec S18)."""
INTERVAL = 0.05
TABLE = "ip roamlab_hole"


@dataclass(frozen=True)
class DetourOptions(HaaroOptions):
    """Options of the lab."""

    way: str = option("home", "what is left when the path fails: the home agent, or C's other line", tuple(WAYS))


class DetourLab(HaaroLab):
    """Keepalives notice at both ends; full connectivity by the home agent whenever the direct path fails."""

    name = "haaro-detour"
    title = "HAARO: the direct path fails, and is found again"
    options: ClassVar[type] = DetourOptions
    variants = tuple({"way": way} for way in WAYS)

    def plan(self, options: Any) -> HaaroPlan:
        """Site A with one line, site C with one or two."""
        return HaaroPlan((site("a", timing=PATIENT), site("c", isps=WAYS[options.way], timing=PATIENT)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        after = "by the home agent, until the path works again" if options.way == "home" else "by C's other line"
        return [
            "A and C register",
            "a and c come to talk directly",
            "the path between them fails",
            f"they talk {after}",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenario S18 of the sheet."""
        one, other = self.plan(options).sites
        steps = self.steps(options)
        run.step(steps[0])
        waiting.registered(run, ["mra", "mrc"])
        waiting.rested(run)
        run.step(steps[1])
        until_direct(run, "a-c", one, other)
        run.step(steps[2])
        stream = Series(run, "fails", "a", one.host, "c", other.host, interval=INTERVAL)
        _dig(run, one.lines[0], other.lines[0])
        if options.way == "home":
            waiting.star(run, [("mra", "mrc"), ("mrc", "mra")])
            run.step(steps[3])
            pings(run, "a-c-round", "a", one.host, "c", other.host, count=10, via="ha")
            _fill(run, one.lines[0], other.lines[0])
        else:
            run.step(steps[3])
            waiting.direct(run, [("mra", "mrc"), ("mrc", "mra")], by=other.lines[1].address)
        waiting.direct(run, [("mra", "mrc"), ("mrc", "mra")])
        stream.go_on()
        stream.end(via="")
        pings(run, "a-c-after", "a", one.host, "c", other.host, via="direct")
        pings(run, "c-a-after", "c", other.host, "a", one.host, via="direct")
        run.step("all leave")
        for name in ("mra", "mrc"):
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations everywhere, what the failure cost, which way was taken meanwhile."""
        lost = int(OUTAGE_MS / 1000 / INTERVAL * slowness)
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising"},
            {"check": "haaro-routability"},
            {"check": "haaro-peers", "expected": PAIRS},
            {"check": "haaro-tunnels"},
            {"check": "haaro-detour", "stream": "fails", "way": options.way, "bound_ms": OUTAGE_MS * slowness},
            {"check": "haaro-leaving", "routers": ["mra", "mrc"]},
            {"check": "haaro-paths", "max_lost": {"fails": lost}},
        ]


def _dig(run: Run, one: Line, other: Line) -> None:
    """The ISP of both lines drops what their addresses send each other, and nothing else."""
    chain = f"add chain {TABLE} hole {{ type filter hook forward priority 0 ; }}"
    ways = ((one.public, other.public), (other.public, one.public))
    rules = [f"add rule {TABLE} hole ip saddr {source} ip daddr {target} drop" for source, target in ways]
    run.log("path-cut", node=one.interface, ends=[one.public, other.public])
    run.net[one.interface].run(["nft", " ; ".join([f"add table {TABLE}", chain, *rules])], check=True)


def _fill(run: Run, one: Line, other: Line) -> None:
    """It carries everything again."""
    run.net[one.interface].run(["nft", f"delete table {TABLE}"], check=True)
    run.log("path-mended", node=one.interface, ends=[one.public, other.public])


LAB = DetourLab()
