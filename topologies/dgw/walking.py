"""Scripts that are walks: mobile nodes visit gateways, keep a session and pings on every prefix they ever got."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from topologies import traffic
from topologies.dgw.plan import DgwPlan, Gateway

if TYPE_CHECKING:
    from topologies.runner import Run

ROUNDS = 25
"""Exchanges of every flow between two moves."""


class Walk:
    """The walk of a lab's nodes and the flows it opened so far."""

    def __init__(self, run: Run, plan: DgwPlan, peer: str = "cn1") -> None:
        self._run = run
        self._plan = plan
        self._peer = peer
        self._visited: set[tuple[str, int]] = set()
        self.flows: list[traffic.Flow] = []
        traffic.echo_server(run, peer)

    def visit(self, mobile: str, number: int) -> None:
        """One node goes to a gateway; see `visit_all`."""
        self.visit_all([(mobile, number)])

    def visit_all(self, visits: Iterable[tuple[str, int]]) -> None:
        """Nodes go to gateways by number, all at once; returns when every flow of every node goes on.

        At a gateway new to it a node opens a session and is pinged from then on.
        """
        visits = list(visits)
        gateways = {gateway.index: gateway for gateway in self._plan.gateway_list}
        words = ", ".join(f"{mobile} to {gateways[number].name}" for mobile, number in visits)
        self._run.step(f"{words}: {'moves' if self.flows else 'attaches'}")
        for mobile, number in visits:
            self._run.net.move(mobile, gateways[number].cell)
        for mobile, number in visits:
            if (mobile, number) not in self._visited:
                self._visited.add((mobile, number))
                self._open(mobile, gateways[number])
        traffic.wait_for_progress(self.flows, ROUNDS)

    def _open(self, mobile: str, gateway: Gateway) -> None:
        address = traffic.address_in(self._run, mobile, gateway.pool)
        name = f"{mobile}-{gateway.name}"
        self.flows.append(traffic.echo(self._run, f"session-{name}", mobile, address, self._peer))
        self.flows.append(traffic.ping(self._run, f"pings-{name}", self._peer, mobile, address))
