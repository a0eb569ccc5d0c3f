"""Many nodes move in the same second (scenario SC-SIMUL).

Four gateways, twenty mobile nodes, five in each cell, each with a session to cn1.  Then all hand over at once, the
odd ones to the next cell, the even ones to the one before: every gateway loses five nodes and gains five, and
between most pairs of gateways nodes travel in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topologies import traffic
from topologies.dgw.checks import walk_checks
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway, Mobile
from topologies.lab import option
from topologies.runner import Run

GATEWAYS = 4
INTERVAL = 0.05
"""Seconds between two datagrams of a session."""


@dataclass(frozen=True)
class SimulOptions(DgwOptions):
    """Options of the lab."""

    mobiles: int = option(20, "mobile nodes")
    rate: int = option(3, "PBUs a second to one node; 0 lifts the limit (RFC 8885 §3.6)")


def cell_number(mobile: int, moved: bool) -> int:
    """Where mobile node number `mobile` is: at first, and after its move."""
    here = (mobile - 1) % GATEWAYS
    if moved:
        here = (here + (1 if mobile % 2 else -1)) % GATEWAYS
    return here + 1


class SimulLab(DgwLab):
    """Twenty nodes on four gateways hand over in the same second, in both directions."""

    name = "sc-simul"
    title = "Simultaneous handovers of many nodes"
    options = SimulOptions
    variants = ({"mode": "relay"}, {"mode": "direct"})

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        assert isinstance(options, SimulOptions)
        return DgwPlan(options, gateways=GATEWAYS, mobiles=options.mobiles, correspondents=("cn1",), rate=options.rate)

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, but a session may wait for its turn under the rate limit."""
        assert isinstance(options, SimulOptions)
        turns = -(-options.mobiles // (GATEWAYS * options.rate)) if options.rate else 0
        gap = (1000.0 * turns + 1000.0) * slowness
        kept = [check for check in walk_checks(slowness) if check["check"] not in ("flows", "ra", "reachability")]
        return [
            *kept,
            {"check": "ra", "bound_ms": gap, "anchor_bound_ms": gap},
            {"check": "flows", "max_gap_ms": gap, "max_lost": 2 * gap / 1000 / INTERVAL},
        ]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["all nodes attach and open a session", "all nodes move at once", "all sessions go on"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach all, move all, wait for all."""
        mobiles = self.plan(options).mobile_list
        traffic.echo_server(run, "cn1")
        run.step(f"{len(mobiles)} nodes attach")
        for mobile in mobiles:
            run.net.attach(mobile.name, Gateway(cell_number(mobile.index, False)).cell)
        flows = [self._open(run, mobile, moved=False) for mobile in mobiles]
        traffic.wait_for_progress(flows, 20)
        run.step("all nodes move at once")
        for mobile in mobiles:
            run.net.move(mobile.name, Gateway(cell_number(mobile.index, True)).cell)
        flows += [self._open(run, mobile, moved=True) for mobile in mobiles]
        traffic.wait_for_progress(flows, 20)
        run.step("done")

    def _open(self, run: Run, mobile: Mobile, *, moved: bool) -> traffic.Flow:
        pool = Gateway(cell_number(mobile.index, moved)).pool
        address = traffic.address_in(run, mobile.name, pool)
        name = f"{mobile.name}-{'new' if moved else 'old'}"
        return traffic.echo(run, name, mobile.name, address, "cn1", INTERVAL)


LAB = SimulLab()
