"""Who does not take part keeps full connectivity through the home agent.

a --- mra --.
b --- mrb ---+-- home agent      legacy: B's router, the home agent itself, or B, which the home agent declines
c --- mrc --'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

CASES = {"router": "SC-S20", "agent": "SC-S20", "declined": "SC-S21"}
"""Option `legacy` -> scenario of the sheet."""
PAIRS = [["mrc", "mra"], ["mra", "mrc"]]
ROUTERS = ["mra", "mrb", "mrc"]


@dataclass(frozen=True)
class LegacyOptions(HaaroOptions):
    """Options of the legacy lab."""

    legacy: str = option("router", "who has no route optimisation", tuple(CASES))


class LegacyLab(HaaroLab):
    """A router or a home agent of plain network mobility, and a router that is declined."""

    name = "haaro-legacy"
    title = "HAARO: next to routers and agents that know nothing of it"
    options: ClassVar[type] = LegacyOptions
    variants = tuple({"legacy": case} for case in CASES)

    def plan(self, options: Any) -> HaaroPlan:
        """Three sites; B is the odd one, or the home agent is."""
        odd = site("b", capability=options.legacy != "router")
        if options.legacy == "declined":
            odd = replace(odd, served={"optimise": False})
        return HaaroPlan((site("a"), odd, site("c")), home={"haaro": options.legacy != "agent"})

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["A, B, C register", "a and b, c and b ping each other", "a and c ping each other", "all leave"]

    def script(self, run: Run, options: Any) -> None:
        """Scenarios S20 and S21 of the sheet."""
        sites = self.plan(options).sites
        a, b, c = (one.host for one in sites)
        run.step("A, B, C register")
        waiting.registered(run, ROUTERS)
        run.step("a and b, c and b ping each other")
        for name, one, source, other, target in (
            ("a-b", "a", a, "b", b),
            ("b-a", "b", b, "a", a),
            ("c-b", "c", c, "b", b),
            ("b-c", "b", b, "c", c),
        ):
            pings(run, name, one, source, other, target, count=10, interval=0.05, via="ha")
        run.step("a and c ping each other")
        if options.legacy == "agent":
            pings(run, "a-c", "a", a, "c", c, count=10, interval=0.05, via="ha")
        else:
            until_direct(run, "a-c", sites[0], sites[2])
            pings(run, "c-a", "c", c, "a", a, via="direct")
        run.step("all leave")
        for name in ROUTERS:
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations without HAARO's extensions, nobody told of the odd one, every packet by the home agent."""
        alone = options.legacy == "agent"
        scenario = CASES[options.legacy]
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising", "scenario": scenario, "optional": alone},
            {"check": "haaro-peers", "expected": [] if alone else PAIRS, "optional": alone},
            {"check": "haaro-leaving", "routers": ROUTERS},
            {"check": "haaro-paths", "scenarios": dict.fromkeys(("a-b", "b-a", "c-b", "b-c", "a-c"), scenario)},
        ]


LAB = LegacyLab()
