"""Many nodes move in the same second (scenario SC-SIMUL).

    cell1        cell2        cell3        cell4         five nodes in each, each with a session to cn1
      |            |            |            |
    dgw1 <-5/5-> dgw2         dgw3 <-5/5-> dgw4          1. all move at once, in both directions
      \\ \\________/ /            |            |
       \\ 9, then the last one -> dgw3                    2. those of dgw1 and dgw2 go on to dgw3, all but one
                                                         3. the last of them follows: the tunnel dgw1 == dgw2 goes

Every gateway loses five nodes and gains five, and between dgw1 and dgw2 (dgw3 and dgw4) nodes travel in both
directions. A tunnel is there for as many prefixes as nodes need it for: state dumps before and after each departure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from topologies import traffic
from topologies.dgw import dumps
from topologies.dgw.checks import walk_checks
from topologies.dgw.lab import DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway, Mobile
from topologies.lab import option
from topologies.runner import Run

GATEWAYS = 4
INTERVAL = 0.05
"""Seconds between two datagrams of a session."""
CLOSE_INTERVAL = 0.02
"""The same when the rate limit is lifted: gaps are to be measured, not waited for."""
MEDIAN_GAP_MS = 60.0
"""Without the rate limit."""
MEMORY_MB = 2048.0
ROUNDS = 20


@dataclass(frozen=True)
class SimulOptions(DgwOptions):
    """Options of the lab."""

    mobiles: int = option(20, "mobile nodes", within=(1, 200))
    rate: int = option(3, "PBUs a second to one node; 0 lifts the limit (RFC 8885 §3.6)", within=(0, 1000))


def cell_number(mobile: int, moved: bool) -> int:
    """Where mobile node number `mobile` is: at first, and after its move."""
    here = (mobile - 1) % GATEWAYS
    if moved:
        here = (here + (1 if mobile % 2 else -1)) % GATEWAYS
    return here + 1


def of_first_pair(mobile: int) -> bool:
    """Whether the node goes between dgw1 and dgw2."""
    return {cell_number(mobile, False), cell_number(mobile, True)} == {1, 2}


class SimulLab(DgwLab):
    """Twenty nodes on four gateways hand over in the same second, in both directions."""

    name = "sc-simul"
    title = "Simultaneous handovers of many nodes"
    options = SimulOptions
    variants = (
        {"mode": "locator", "mobiles": 8},
        {"mode": "relay"},  # played by tests/demos/test_dgw_many_nodes.py, on two CPUs
        {"mode": "direct"},
        {"mode": "relay", "rate": 0},
        {"mode": "proxy", "mobiles": 8},
    )
    repeated_dumps = True

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        assert isinstance(options, SimulOptions)
        return DgwPlan(options, gateways=GATEWAYS, mobiles=options.mobiles, correspondents=("cn1",), rate=options.rate)

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, but a session may wait for its turn under the rate limit."""
        assert isinstance(options, SimulOptions)
        # The most that move to one gateway at once, and that many PBUs go to each of two anchors.
        together = sum(map(of_first_pair, range(1, options.mobiles + 1)))
        turns = -(-together // options.rate) if options.rate else 0
        bound = (1000.0 * turns + 1000.0) * slowness
        interval = INTERVAL if options.rate else CLOSE_INTERVAL
        flows: dict[str, Any] = {"check": "flows", "max_gap_ms": bound, "max_lost": 2 * bound / 1000 / interval}
        if not options.rate:
            flows |= {"max_median_gap_ms": MEDIAN_GAP_MS * slowness, "median_of": 1}  # when all move at once
        replaced = ("flows", "ra", "reachability", "pace")
        walk = walk_checks(slowness, rate=options.rate, repeated=True)
        return [
            *(check for check in walk if check["check"] not in replaced),
            {"check": "ra", "bound_ms": bound, "anchor_bound_ms": bound},
            flows,
            {"check": "pace", "rate": options.rate, "complete_ms": bound},
            {"check": "resources", "memory_mb": MEMORY_MB},
        ]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            "all nodes attach and open a session",
            "all nodes move at once, between dgw1 and dgw2 and between dgw3 and dgw4",
            "all but one of those at dgw1 and dgw2 go on to dgw3: the tunnel between them is still needed",
            "the last one follows: the tunnel between dgw1 and dgw2 is gone",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach all, move all, move half of them on."""
        assert isinstance(options, SimulOptions)
        mobiles = self.plan(options).mobile_list
        interval = INTERVAL if options.rate else CLOSE_INTERVAL
        flows: list[traffic.Flow] = []

        def go(visits: Iterable[tuple[Mobile, int]], label: str) -> None:
            run.step(label)
            visits = list(visits)
            for mobile, number in visits:
                run.net.move(mobile.name, Gateway(number).cell)
            flows.extend(_session(run, mobile, Gateway(number), interval) for mobile, number in visits)
            traffic.wait_for_progress(flows, ROUNDS)
            dumps.settled(run, label)

        traffic.echo_server(run, "cn1")
        go(((mobile, cell_number(mobile.index, False)) for mobile in mobiles), f"{len(mobiles)} nodes attach")
        go(((mobile, cell_number(mobile.index, True)) for mobile in mobiles), "all nodes move at once")
        *most, last = (mobile for mobile in mobiles if of_first_pair(mobile.index))
        go(((mobile, 3) for mobile in most), "all but one of dgw1 and dgw2 go on to dgw3")
        go([(last, 3)], "the last one follows")


def _session(run: Run, mobile: Mobile, gateway: Gateway, interval: float) -> traffic.Flow:
    """A session on the node's prefix of a gateway."""
    address = traffic.address_in(run, mobile.name, gateway.pool)
    return traffic.echo(run, f"{mobile.name}-{gateway.name}", mobile.name, address, "cn1", interval)


LAB = SimulLab()
