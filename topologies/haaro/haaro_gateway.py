"""A site whose router is the way to everywhere: the home agent tells so, policy decides who goes there (spec S26).

a --- mra --.                 ha: tells that 0.0.0.0/0 is behind mrb
b --- mrb --+-- home agent --- cn
c --- mrc --'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from topologies.haaro import waiting
from topologies.haaro.lab import HaaroLab, HaaroOptions
from topologies.haaro.plan import CORRESPONDENT, HaaroPlan, site
from topologies.haaro.streams import until_direct
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

ROUTERS = ["mra", "mrb", "mrc"]


@dataclass(frozen=True)
class GatewayOptions(HaaroOptions):
    """Options of the gateway lab."""

    policy: str = option("none", "whether C uses the gateway for what is nobody's network", ("none", "gateway"))


class GatewayLab(HaaroLab):
    """An implicit 0.0.0.0/0: all know it, and those use it whose policy says so."""

    name = "haaro-gateway"
    title = "HAARO: a router that leads everywhere"
    options: ClassVar[type] = GatewayOptions
    variants = ({"policy": "none"}, {"policy": "gateway"})

    def plan(self, options: Any) -> HaaroPlan:
        """Sites A, B, C; the home agent adds 0.0.0.0/0 to B's networks."""
        b = site("b", gateway=True)
        served = [{"prefix": b.network, "realm": b.realm}, {"prefix": "0.0.0.0/0", "implicit": True}]
        policy: dict[str, Any] = {"internet_via": b.home_address} if options.policy == "gateway" else {}
        return HaaroPlan((site("a"), replace(b, served={"prefixes": served}), site("c", **policy)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        way = "by the gateway" if options.policy == "gateway" else "by the home agent, as before"
        return [
            "A, B, C register",
            "b and cn, c and cn ping each other",
            "b and c talk directly",
            f"c reaches cn {way}",
            "all leave",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Scenario S26 of the sheet."""
        sites = self.plan(options).sites
        b, c = (one.host for one in sites[1:])
        steps = self.steps(options)
        run.step(steps[0])
        waiting.registered(run, ROUTERS)
        waiting.rested(run)
        run.step(steps[1])
        pings(run, "b-cn", "b", b, "cn", CORRESPONDENT, via="ha")
        pings(run, "cn-b", "cn", CORRESPONDENT, "b", b, via="ha")
        pings(run, "c-cn", "c", c, "cn", CORRESPONDENT, via="" if options.policy == "gateway" else "ha")
        run.step(steps[2])
        until_direct(run, "c-b", sites[2], sites[1], via="")
        pings(run, "b-c-direct", "b", b, "c", c, via="direct")
        run.step(steps[3])
        pings(run, "c-cn-after", "c", c, "cn", CORRESPONDENT, via="gateway" if options.policy == "gateway" else "ha")
        pings(run, "cn-c", "cn", CORRESPONDENT, "c", c, via="")
        pings(run, "b-cn-after", "b", b, "cn", CORRESPONDENT, via="ha")
        until_direct(run, "a-c", sites[0], sites[2])
        run.step(steps[4])
        for name in ROUTERS:
            run.agents[name].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Registrations with an implicit network, advertisements, and the way of every packet."""
        return [
            {"check": "haaro-registration", "bound_ms": 500 * slowness},
            {"check": "haaro-advertising"},
            {"check": "haaro-routability"},
            {"check": "haaro-peers", "expected": [["mrc", "mrb"], ["mrb", "mrc"], ["mrc", "mra"], ["mra", "mrc"]]},
            {"check": "haaro-leaving", "routers": ROUTERS},
            {"check": "haaro-paths", "scenarios": {"b-cn-after": "SC-S26", "c-cn-after": "SC-S26"}},
        ]


LAB = GatewayLab()
