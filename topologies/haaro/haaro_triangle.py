"""Three sites register one after the other; a packet between two of them brings about the direct tunnel.

a --- mra --.
b --- mrb ---+-- home agent
c --- mrc --'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import CORRESPONDENT, HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

SWITCH_MS = 100.0
"""First packet to first direct one, beside six round trips to the home agent."""

EXPEDITED = 0xB8
"""A type of service that tunnels must show (RFC 3246)."""
TOO_BIG = 1472
"""Octets of data in a ping that fills 1500, of which a tunnel takes 1468."""
DELAY = 20.0
"""ms between home agent and core, one way, where the kernel can delay."""
PREFERRED = 0x28
"""Type of service of a series that may be divided on its way."""
APART_MS = 10.0
"""Between two pings."""
UNPROBED_MS = 20.0
"""IP in IP has no keepalives: what leaves before the other end has its answer, and made its end, is lost."""
SHOWN = {"a-c": "SC-S2", "a-c-direct": "SC-S2", "b-c": "SC-S4"}
"""Series -> scenario of the sheet."""


@dataclass(frozen=True)
class TriangleOptions(HaaroOptions):
    """Options of the triangle."""

    delay: float = option(0.0, "between the home agent and the core, ms one way, where the kernel can delay")


class TriangleLab(HaaroLab):
    """Three sites of one operator: who learns what when, and route optimisation by the first packet."""

    name = "haaro-triangle"
    title = "HAARO: three sites, from the star to direct tunnels"
    options: ClassVar[type] = TriangleOptions
    variants = ({"encapsulation": "udp"}, {"encapsulation": "ipip"})
    stock_variants = ({"encapsulation": "ipip", "tunnel": "ipip", "delay": DELAY},)

    def plan(self, options: Any) -> HaaroPlan:
        """Sites A, B, C, each with one line."""
        agent = {"encapsulation": options.encapsulation}
        return HaaroPlan(tuple(site(letter, **agent) for letter in "abc"), delay=options.delay)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "A, B, C register",
            "a pings c: C knows A, A does not know C",
            "a and c talk directly",
            "a sends c what does not fit",
            "b pings c, c pings b, cn pings a",
            "all leave",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenarios S1, S2 and S4 of the sheet."""
        sites = {one.letter: one for one in self.plan(options).sites}
        a, b, c = (sites[letter].host for letter in "abc")
        run.step("A, B, C register")
        waiting.registered(run, ["mra", "mrb", "mrc"])
        waiting.rested(run)
        run.step("a pings c: C knows A, A does not know C")
        until_direct(run, "a-c", sites["a"], sites["c"], interval=APART_MS / 1000)
        run.step("a and c talk directly")
        pings(run, "a-c-direct", "a", a, "c", c, count=50, interval=0.01, via="direct", tos=EXPEDITED)
        pings(run, "c-a-direct", "c", c, "a", a, via="direct")
        run.step("a sends c what does not fit")
        for forbidden in ("dont", "do"):
            run.net["a"].run(["ping", "-n", "-q", "-c", "1", "-W", "1", "-s", str(TOO_BIG), "-M", forbidden, c])
        run.log("oversize", node="a", peer="c", size=TOO_BIG)
        run.step("b pings c, c pings b, cn pings a")
        until_direct(run, "b-c", sites["b"], sites["c"], interval=APART_MS / 1000)
        pings(run, "c-b-direct", "c", c, "b", b, via="direct", fragment=True, tos=PREFERRED)
        pings(run, "cn-a", "cn", CORRESPONDENT, "a", a, via="ha")
        run.step("all leave")
        for name in ("mra", "mrb", "mrc"):
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations, advertisements, return routability, tunnels, and the way of every packet."""
        pairs = [["mrc", "mra"], ["mra", "mrc"], ["mrc", "mrb"], ["mrb", "mrc"]]
        bound = SWITCH_MS * slowness
        unprobed = {} if options.encapsulation == "udp" else dict.fromkeys(("a-c", "b-c"), UNPROBED_MS * slowness)
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness + 2 * options.delay},
            {"check": "haaro-advertising", "scenario": "SC-S1"},
            {"check": "haaro-routability"},
            {"check": "haaro-peers", "expected": pairs},
            {
                "check": "haaro-tunnels",
                "probed": options.encapsulation == "udp",
                "carrier": options.encapsulation,
            },
            {"check": "haaro-leaving", "routers": ["mra", "mrb", "mrc"]},
            {"check": "haaro-load", "scenario": "SC-S2"},
            {"check": "haaro-hops"},
            {
                "check": "haaro-paths",
                "switch_ms": {"a-c": bound, "b-c": bound},
                "unprobed_ms": unprobed,
                "scenarios": SHOWN,
            },
        ]


LAB = TriangleLab()
