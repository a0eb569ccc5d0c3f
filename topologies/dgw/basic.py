"""Two gateways, one handover: the smallest distributed-anchoring lab.

    cn1 --- core --- cmd
            |  \\
         dgw1  dgw2
           |    |
        cell1  cell2      mn1 attaches in cell1, talks to cn1, moves to cell2 and talks on
"""

from __future__ import annotations

from dataclasses import dataclass

from topologies import traffic
from topologies.dgw.classic import ClassicPlan
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import MODES, DgwOptions, DgwPlan
from topologies.lab import option
from topologies.runner import Run


@dataclass(frozen=True)
class BasicOptions(DgwOptions):
    """Options of the lab."""

    mode: str = option(
        "relay",
        f"{MODES}; classic: Proxy Mobile IPv6 without distributed anchoring (RFC 5213)",
        ("relay", "locator", "proxy", "direct", "classic"),
    )


class BasicLab(DgwLab):
    """Two gateways, a central database, one mobile node that moves once."""

    name = "basic"
    title = "Two distributed gateways, one handover"
    options = BasicOptions
    variants = (
        {"mode": "relay"},
        {"mode": "direct"},
        {"mode": "relay", "ra_profile": "lowpref"},
        {"mode": "relay", "dflag_profile": "mixed"},
        {"mode": "direct", "dflag_profile": "draft03"},
        {"mode": "classic"},
    )
    # An emulated machine may need longer than the usual window from stamping an update to reading it.
    stock_variants = (
        {"mode": "relay", "tunnel": "ip6tnl", "timestamp_window": 5.0},
        {"radio": "wifi", "tunnel": "ip6tnl", "timestamp_window": 5.0},
    )

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        kind = ClassicPlan if options.mode == "classic" else DgwPlan
        return kind(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["mn1 attaches to dgw1 and talks to cn1", "mn1 moves to dgw2", "the old and a new session go on"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach, talk, move, talk on."""
        plan = self.plan(options)
        gateways = plan.gateway_list
        traffic.echo_server(run, "cn1")
        run.step("mn1 attaches to dgw1")
        run.net.attach("mn1", "cell1")
        first = traffic.address_in(run, "mn1", plan.pool_at(gateways[0]))
        old = traffic.echo(run, "session-1", "mn1", first, "cn1")
        pings = traffic.ping(run, "cn1-pings-1", "cn1", "mn1", first)
        traffic.wait_for_progress([old, pings], 20)
        run.step("mn1 moves to dgw2")
        run.net.move("mn1", "cell2")
        second = traffic.address_in(run, "mn1", plan.pool_at(gateways[1]))
        if second == first:  # under a central anchor the address stays, and does not tell that the node has arrived
            traffic.wait_for_progress([old, pings], 1)
        new = traffic.echo(run, "session-2", "mn1", second, "cn1")
        new_pings = traffic.ping(run, "cn1-pings-2", "cn1", "mn1", second)
        traffic.wait_for_progress([old, pings, new, new_pings], 40)
        run.step("done")


LAB = BasicLab()
