"""A domain of two operators and the home LMA between them, which `sc-fig5` and `inter-operator` share.

              cn1
               |
    lma ----- core               home LMA and mobility database of both operators; forwards between them only
             /    \\
     operator A   operator B     no PBU and no tunnel between gateways of A and of B (spec INTER-1)
     dgw1 (dgw4)  dgw2  dgw3     2001:db8:c:N::2, pools a1, b2, c3, d4 as everywhere
       |     |     |     |
    cell1 (cell4) cell2 cell3    mn1 walks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from topologies import traffic
from topologies.dgw.checks import walk_checks
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan, Gateway, peer_config
from topologies.lab import option
from topologies.runner import Run

ROUNDS = 20
"""Replies of every session awaited at every gateway."""


@dataclass(frozen=True)
class OperatorOptions(DgwOptions):
    """Options of the labs."""

    mobiles: int = option(1, "mobile nodes; the script walks mn1", within=(1, 200))


@dataclass(frozen=True)
class OperatorPlan(DgwPlan):
    """A plan whose gateways belong to operators and whose CMD is the home LMA."""

    central: str = "lma"
    operators: Mapping[int, str] = field(default_factory=dict)
    """Gateway number -> operator."""

    def gateway_config(self, gateway: Gateway) -> dict[str, Any]:
        """A gateway knows those of its own operator, and the LMA."""
        mine = self.operators[gateway.index]
        peers = [other for other in self.gateway_list if other != gateway and self.operators[other.index] == mine]
        return {
            **super().gateway_config(gateway),
            "peers": [self._peer(peer) for peer in peers],
            "operator": mine,
            "roaming": True,
        }

    def cmd_config(self) -> dict[str, Any]:
        """The LMA knows all and forwards."""
        return {
            **super().cmd_config(),
            "gateways": [self._peer(gateway) for gateway in self.gateway_list],
            "wan": "eth0",
            "tunnel": self.options.tunnel,
        }

    def domain(self) -> dict[str, Any]:
        """Facts for the checks, with whose gateway is whose."""
        facts = super().domain()
        for gateway in self.gateway_list:
            facts["gateways"][gateway.name]["operator"] = self.operators[gateway.index]
        facts["cmd"]["lma"] = True
        return facts

    def _peer(self, gateway: Gateway) -> dict[str, Any]:
        return {**peer_config(gateway), "operator": self.operators[gateway.index]}


class OperatorLab(DgwLab):
    """A walk between operators; every session goes on at every gateway, both ways."""

    operators: ClassVar[Mapping[int, str]]
    """Gateway number -> operator."""
    walk: ClassVar[tuple[int, ...]]
    """Gateway numbers in the order of the visits."""
    options = OperatorOptions
    variants = ALL_MODES

    def plan(self, options: DgwOptions) -> OperatorPlan:
        """Size and addresses of the lab."""
        assert isinstance(options, OperatorOptions)
        return OperatorPlan(
            options,
            gateways=len(self.operators),
            mobiles=options.mobiles,
            correspondents=("cn1",),
            operators=self.operators,
        )

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, and what must hold between operators."""
        return [*walk_checks(slowness), {"check": "interoperator", "settled": 0.5 * slowness}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            f"mn1 {'moves' if number else 'attaches'} to {Gateway(index).name} of operator {self.operators[index]}"
            for number, index in enumerate(self.walk)
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk; a session and pings with the prefix of every gateway from the first visit on."""
        traffic.echo_server(run, "cn1")
        flows: list[traffic.Flow] = []
        seen: set[int] = set()
        for title, index in zip(self.steps(options), self.walk, strict=True):
            run.step(title)
            run.net.move("mn1", Gateway(index).cell)
            if index not in seen:
                address = traffic.address_in(run, "mn1", Gateway(index).pool)
                flows.append(traffic.echo(run, f"session-{index}", "mn1", address, "cn1"))
                flows.append(traffic.ping(run, f"cn1-pings-{index}", "cn1", "mn1", address))
                seen.add(index)
            traffic.wait_for_progress(flows, ROUNDS)
        run.step("done")
