r"""Two customers of one operator use the same addresses: their realms keep them apart.

a --- mra --.                 .-- mrc --- c      10.10.2.0/24 is B's network in one.example
            +-- home agent ---+                  and C's in two.example
b --- mrb --'                 '-- mrd --- d
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab
from topologies.haaro.plan import HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.pings import pings
from topologies.runner import Run

REALMS = {"a": "one.example", "b": "one.example", "c": "two.example", "d": "two.example"}
TWINS = {"c": "b"}
"""Site -> the site whose addresses it has, too."""
ROUTERS = ["mra", "mrb", "mrc", "mrd"]
ALLIES = (("a", "b"), ("d", "c"))
"""Sites of one realm: who asks, and who has the addresses that are there twice."""


class RealmsLab(HaaroLab):
    """The same prefix twice, by the home agent and directly, and none of it in the wrong hands."""

    name = "haaro-realms"
    title = "HAARO: one prefix in two realms"
    variants = ({},)

    def plan(self, options: Any) -> HaaroPlan:
        """Two sites in each realm; a router optimises within its own."""
        sites = (
            replace(site(letter, realms=[realm]), realm=realm, same_as=TWINS.get(letter, ""))
            for letter, realm in REALMS.items()
        )
        return HaaroPlan(tuple(sites))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "A, B, C, D register",
            "a pings b, d pings c, who have one address",
            "and back, directly",
            "a and d, of different realms, ping each other",
            "all leave",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenario S23 of the sheet, as far as it is about two realms."""
        sites = {one.letter: one for one in self.plan(options).sites}
        hosts = {letter: one.host for letter, one in sites.items()}
        run.step(self.steps(options)[0])
        waiting.registered(run, ROUTERS)
        waiting.rested(run)
        run.step(self.steps(options)[1])
        for one, other in ALLIES:
            until_direct(run, f"{one}-{other}", sites[one], sites[other])
        run.step(self.steps(options)[2])
        for one, other in ALLIES:
            pings(run, f"{one}-{other}-direct", one, hosts[one], other, hosts[other], via="direct")
            pings(run, f"{other}-{one}-direct", other, hosts[other], one, hosts[one], via="direct")
        run.step(self.steps(options)[3])
        pings(run, "a-d", "a", hosts["a"], "d", hosts["d"], count=10, interval=0.05, via="ha")
        pings(run, "d-a", "d", hosts["d"], "a", hosts["a"], via="ha")
        run.step(self.steps(options)[4])
        for name in ROUTERS:
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations, both realms in every advertisement, each packet with its realm's host."""
        pairs = [[f"mr{x}", f"mr{y}"] for one, other in ALLIES for x, y in ((one, other), (other, one))]
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising", "scenario": "SC-S23"},
            {"check": "haaro-routability"},
            {"check": "haaro-load"},
            {"check": "haaro-peers", "expected": pairs},
            {"check": "haaro-tunnels"},
            {"check": "haaro-realms", "scenario": "SC-S23"},
            {"check": "haaro-leaving", "routers": ROUTERS},
            {"check": "haaro-paths"},
        ]


LAB = RealmsLab()
