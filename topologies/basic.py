"""Two gateways, one handover: the smallest distributed-anchoring lab.

    cn1 --- core --- cmd
            |  \\
         dgw1  dgw2
           |    |
        cell1  cell2      mn1 attaches in cell1, talks to cn1, moves to cell2 and talks on
"""

from __future__ import annotations

from typing import Any

from testbed.mininet_api import Topo
from topologies import traffic
from topologies.dgw_checks import walk_checks
from topologies.dgw_plan import DgwOptions, DgwPlan
from topologies.lab import AgentSpec, Lab, RadvdSpec
from topologies.runner import Run


class BasicLab(Lab):
    """Two gateways, a central database, one mobile node that moves once."""

    name = "basic"
    title = "Two distributed gateways, one handover"
    options = DgwOptions

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def topo(self, options: DgwOptions) -> Topo:
        """The topology as plain data."""
        return self.plan(options).topo()

    def agents(self, options: DgwOptions) -> list[AgentSpec]:
        """CMD and gateways."""
        return self.plan(options).agents()

    def radvds(self, options: DgwOptions) -> list[RadvdSpec]:
        """One per gateway."""
        return self.plan(options).radvds()

    def captures(self, options: DgwOptions) -> list[tuple[str, str]]:
        """Gateways and end nodes."""
        return self.plan(options).captures()

    def domain(self, options: DgwOptions) -> dict[str, Any]:
        """Facts for the checks."""
        return self.plan(options).domain()

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """What the captures must show."""
        return walk_checks(slowness)

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["mn1 attaches to dgw1 and talks to cn1", "mn1 moves to dgw2", "the old and a new session go on"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach, talk, move, talk on."""
        gateways = self.plan(options).gateway_list
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        run.net.attach("mn1", "cell1")
        first = traffic.address_in(run, "mn1", gateways[0].pool)
        old = traffic.echo(run, "session-1", "mn1", first, "cn1")
        pings = traffic.ping(run, "cn1-pings-1", "cn1", "mn1", first)
        traffic.wait_for_progress([old, pings], 20)
        run.step("mn1 moves to dgw2")
        run.net.move("mn1", "cell2")
        second = traffic.address_in(run, "mn1", gateways[1].pool)
        new = traffic.echo(run, "session-2", "mn1", second, "cn1")
        new_pings = traffic.ping(run, "cn1-pings-2", "cn1", "mn1", second)
        traffic.wait_for_progress([old, pings, new, new_pings], 40)
        run.step("done")


LAB = BasicLab()
