"""Local IP access: a closed network behind a gateway stays in reach of a node that moved on (scenario SC-LIPA).

    cn1 --- core --- cmd           cn1 keeps knocking at printer1 and is never let in
            |  \\
        dgw1    dgw2               printer1, printer2: hosts that only their gateway reaches
        |  \\    |  \\              2001:db8:a1:ffff::/64, 2001:db8:b2:ffff::/64; fd00:10ca:1::/64 on both
    cell1 printer1 cell2 printer2

mn1 opens sessions to printer1 at dgw1 and moves to dgw2: they go on through the tunnel, and so does a new one.  mn2
lives at dgw2 and talks to printer2 under the same address that mn1 knows printer1 by.  In the end dgw2 and dgw1 close
the local networks to mn1: its routes are withdrawn.
"""

from __future__ import annotations

from typing import Any

from topologies import traffic
from topologies.dgw import localnet
from topologies.dgw.checks import walk_checks
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.localnet import LocalPlan
from topologies.dgw.plan import DgwOptions
from topologies.runner import Run

PATIENT = 20
"""Exchanges of a session that count as working."""


class LipaLab(DgwLab):
    """A printer behind a gateway, reached plainly at home, through the tunnel from elsewhere, and by nobody else."""

    name = "lipa"
    scenario = "SC-LIPA"
    title = "Local IP access: a closed network stays in reach of a node that moved"
    variants = (*ALL_MODES, {"mode": "relay", "ra_profile": "lowpref"}, {"mode": "direct", "ra_profile": "lowpref"})

    def plan(self, options: DgwOptions) -> LocalPlan:
        """Size and addresses of the lab."""
        return LocalPlan(options, gateways=2, mobiles=2, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As after any walk, and what is special about local networks."""
        walk = [check for check in walk_checks(slowness) if check["check"] != "reachability"]
        return [*walk, {"check": "local-access"}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            "mn1 attaches to dgw1 and opens sessions to printer1 and cn1; mn2 likewise at dgw2 with printer2",
            "cn1 tries to reach printer1 all the time",
            "mn1 moves to dgw2: its sessions go on, and it opens new ones to printer1",
            "the gateways close the local networks to mn1",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Print at home, print from afar, be shut out."""
        first, second = self.plan(options).gateway_list
        one, two = self.plan(options).networks
        for server in ("cn1", one.printer, two.printer):
            traffic.echo_server(run, server)
        localnet.knock(run, "cn1", one.address, one.printer)
        run.step("mn1 attaches to dgw1, mn2 to dgw2")
        run.net.attach("mn1", first.cell)
        run.net.attach("mn2", second.cell)
        home = traffic.address_in(run, "mn1", first.pool)
        local = [
            localnet.session(run, "print-1", "mn1", home, one),
            localnet.session(run, "print-shared-1", "mn1", home, one, shared=True),
        ]
        neighbour = traffic.address_in(run, "mn2", second.pool)
        others = [
            traffic.echo(run, "session-1", "mn1", home, "cn1"),
            traffic.echo(run, "neighbour-session", "mn2", neighbour, "cn1"),
            localnet.session(run, "neighbour-print", "mn2", neighbour, two, shared=True),
        ]
        traffic.wait_for_progress([*local, *others], PATIENT)
        run.step("mn1 moves to dgw2")
        run.net.move("mn1", second.cell)
        away = traffic.address_in(run, "mn1", second.pool)
        others.append(traffic.echo(run, "session-2", "mn1", away, "cn1"))
        localnet.wait_for_routes(run, "mn1", len(one.prefixes))
        localnet.dump_routes(run, "mn1", "away")
        run.step("mn1 opens new sessions to printer1")
        for shared, name in ((False, "print-2"), (True, "print-shared-2")):
            source = localnet.source_for(run, "mn1", one.shared_address if shared else one.address)
            local.append(localnet.session(run, name, "mn1", source, one, shared=shared))
        traffic.wait_for_progress([*local, *others], 2 * PATIENT)
        for flow in local:
            flow.stop()
        self._close(run, home, one.address)
        run.step("done")

    def _close(self, run: Run, source: str, printer: str) -> None:
        """The gateways withdraw the node's access; what it then tries fails, from the old prefix too."""
        run.step("local networks are closed to mn1")
        mn_id = self.plan(run.options).mobile_list[0].mn_id
        run.log("local-access-ended", node="mn1")
        for gateway in ("dgw1", "dgw2"):
            run.agents[gateway].request({"request": "local-access", "mn_id": mn_id, "allowed": False})
        localnet.wait_for_routes(run, "mn1", 0)
        localnet.dump_routes(run, "mn1", "closed")
        run.log("attempt-started", node="mn1", target="printer1", destination=printer)
        run.net["mn1"].run(["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-I", source, printer])


LAB = LipaLab()
