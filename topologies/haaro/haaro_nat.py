"""Sites behind NATs and firewalls: signalling always works, the direct tunnel is opened from inside, or not at all.

Two behind one NAT find each other by the addresses that they have inside it.

a --- mra --- n --.
                  +-- home agent          n: NAT or firewall of the option `nat`, at site A, at both, or one for both
c --- mrc --(n)---'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import HaaroPlan, Site, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

CASES = {
    "one": "SC-S12",
    "symmetric": "SC-S12",
    "outbound": "SC-S13",
    "firewall": "SC-S16",
    "both": "SC-S14",
    "same": "SC-S15",
}
"""Option `nat` -> scenario of the sheet."""
PAIRS = [["mra", "mrc"], ["mrc", "mra"]]


@dataclass(frozen=True)
class NatOptions(HaaroOptions):
    """Options of the NAT lab."""

    nat: str = option("one", "what A is behind; with both, C as well, with same, C too", tuple(CASES))


class NatLab(HaaroLab):
    """A site behind a NAT or firewall, one that says so, and two behind different NATs."""

    name = "haaro-nat"
    title = "HAARO: sites behind NATs and firewalls"
    options: ClassVar[type] = NatOptions
    variants = tuple({"nat": case} for case in CASES)

    def plan(self, options: Any) -> HaaroPlan:
        """Site A behind something, C open or not."""
        if options.nat == "same":
            agent: dict[str, Any] = {"outbound_only": "yes", "probe_same_nat": True}
            return HaaroPlan(tuple(site(letter, nat="restricted", shared=True, **agent) for letter in "ac"))
        kinds = {"symmetric": "symmetric", "firewall": "firewall"}
        kind = kinds.get(options.nat, "restricted")
        told = "no" if options.nat in ("one", "symmetric") else "yes"
        inside = site("a", nat=kind, outbound_only=told, force_udp=options.nat == "firewall")
        return HaaroPlan((inside, self._other(options, kind)))

    @staticmethod
    def _other(options: Any, kind: str) -> Site:
        both = options.nat == "both"
        return site("c", nat=kind if both else "", outbound_only="yes" if both else "no")

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        after = "stay on the home agent" if options.nat == "both" else "talk directly"
        return ["A and C register", "a and c ping each other", f"a and c {after}", "all leave"]

    def script(self, run: Run, options: Any) -> None:
        """Scenarios S12 to S16 of the sheet."""
        sites = self.plan(options).sites
        a, c = (one.host for one in sites)
        run.step("A and C register")
        waiting.registered(run, ["mra", "mrc"])
        if options.nat == "both":
            run.step("a and c ping each other")
            pings(run, "a-c", "a", a, "c", c, count=20, interval=0.05, via="ha")
            run.step("a and c stay on the home agent")
            pings(run, "c-a", "c", c, "a", a, count=20, interval=0.05, via="ha")
        else:
            run.step("a and c ping each other")
            until_direct(run, "a-c", *sites, via="")
            run.step("a and c talk directly")
            pings(run, "a-c-direct", "a", a, "c", c, via="direct")
            pings(run, "c-a-direct", "c", c, "a", a, via="direct")
        run.step("all leave")
        for name in ("mra", "mrc"):
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations, advertisements, tests through NATs, who opens the tunnel, the way of every packet."""
        scenario = CASES[options.nat]
        found: list[dict[str, Any]] = [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-leaving", "routers": ["mra", "mrc"]},
            {"check": "haaro-advertising", "scenario": scenario},
        ]
        if options.nat == "both":
            return [
                *found,
                {"check": "haaro-peers", "expected": [], "optional": True},
                {"check": "haaro-paths", "scenarios": {"a-c": scenario, "c-a": scenario}},
            ]
        return [
            *found,
            {"check": "haaro-routability"},
            {"check": "haaro-peers", "expected": PAIRS},
            {
                "check": "haaro-tunnels",
                "first": {} if options.nat == "same" else {"mra-mrc": "mra"},
                "translated": ["mra"] if options.nat == "symmetric" else [],
            },
            {"check": "haaro-paths", "scenarios": {"a-c-direct": scenario, "c-a-direct": scenario}},
        ]


LAB = NatLab()
