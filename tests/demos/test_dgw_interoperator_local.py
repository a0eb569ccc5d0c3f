"""Local networks across operators, where the home LMA shares them: with the owner's own prefix, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from test_dgw_interoperator_kernel import visit

from topologies import traffic
from topologies.dgw.inter_operator import InterOperatorLab
from topologies.dgw.localnet import LocalNetwork, LocalPlan, wait_for_routes
from topologies.dgw.operators import OperatorPlan
from topologies.dgw.plan import CMD_ADDRESS, Gateway

pytestmark = pytest.mark.demo
PRINTER = LocalNetwork(Gateway(1))


@dataclass(frozen=True)
class SharingPlan(LocalPlan, OperatorPlan):
    """Gateways with local networks, of two operators whose home LMA shares them."""

    central: str = "lma"

    def cmd_config(self):
        return super().cmd_config() | {"share_local_prefixes": True}


class SharingLab(InterOperatorLab):
    def plan(self, options):
        return SharingPlan(options, len(self.operators), 1, ("cn1",), operators=self.operators)


def ping(run, source, target):
    return run.net["mn1"].run(["ping", "-6", "-n", "-c", "5", "-i", "0.1", "-W", "1", "-I", source, target]).out


@pytest.mark.parametrize("mode", ["relay", "direct"])
@pytest.mark.requirement("INTER-11", "LIPA-2", "LIPA-7", "LIPA-8")
def test_sessions_with_the_owners_prefix_go_on_and_begin_anew(deploy, mode):
    """Through the LMA both ways; what has another source goes no further than the LMA, and nowhere around it"""
    run = deploy(SharingLab(), mode=mode, ra_profile="lowpref")
    traffic.echo_server(run, PRINTER.printer)
    visit(run, 1, {})
    source = traffic.address_in(run, "mn1", Gateway(1).pool)
    destination = PRINTER.address
    running = traffic.echo(run, "running", "mn1", source, PRINTER.printer, destination=destination)
    traffic.wait_for_progress([running], 10)
    visit(run, 2, {1: CMD_ADDRESS})
    wait_for_routes(run, "mn1", 2)
    other = traffic.address_in(run, "mn1", Gateway(2).pool)
    traffic.wait_for_progress([running], 10)
    assert " 0% packet loss" in ping(run, source, destination)
    assert " 100% packet loss" in ping(run, other, destination)
    dropped = {node: run.agents[node].request({"request": "dropped"})["dropped"] for node in ("lma", "dgw1")}
    assert dropped["lma"]["outside_binding"] == 5
    assert not any(dropped["dgw1"].values())
