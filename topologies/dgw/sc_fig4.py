"""The eight steps of the seed draft's Figure 4, one after the other (scenario SC-FIG4).

    cn1 --- core --- cmd
            |  \\
        dgw1    dgw2
        |  \\    |  \\              printer1 is in the local network of dgw1
    cell1 printer1 cell2 printer2

 1  mn1 attaches to dgw1, which detects it          5  mn1 moves to dgw2, which detects it
 2  prefix A on a DLIF of dgw1                      6  prefix B on a DLIF of dgw2
 3  the database knows no earlier gateway           7  binding update to dgw1, acknowledgement
 4  Internet and printer1 by plain routing          8  tunnel, dgw1's DLIF at dgw2, printer1 through it
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


class FigureFourLab(DgwLab):
    """The eight steps of Figure 4 as a table with times, the local network's included."""

    name = "sc-fig4"
    title = "Figure 4, step by step: attach, use the local network, move, use it from afar"
    variants = ALL_MODES

    def plan(self, options: DgwOptions) -> LocalPlan:
        """Size and addresses of the lab."""
        return LocalPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As after any walk, and the step table."""
        walk = [check for check in walk_checks(slowness) if check["check"] != "reachability"]
        return [*walk, {"check": "figure-four"}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [
            "steps 1 to 3: mn1 attaches to dgw1",
            "step 4: it talks to cn1 and pings printer1",
            "steps 5 to 7: it moves to dgw2",
            "step 8: both sessions go on through the tunnel, a new one to cn1 does without",
        ]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Two attachments, two sessions that stay and one that is new."""
        first, second = self.plan(options).gateway_list
        network = self.plan(options).networks[0]
        traffic.echo_server(run, "cn1")
        run.step("steps 1 to 3: mn1 attaches to dgw1")
        run.net.attach("mn1", first.cell)
        home = traffic.address_in(run, "mn1", first.pool)
        run.step("step 4: Internet and local network by plain routing")
        flows = [
            traffic.echo(run, "session-1", "mn1", home, "cn1"),
            traffic.ping_from(run, "printer-pings", "mn1", home, network.printer),
        ]
        traffic.wait_for_progress(flows, 20)
        run.step("steps 5 to 7: mn1 moves to dgw2")
        run.net.move("mn1", second.cell)
        localnet.wait_for_routes(run, "mn1", len(network.prefixes))
        localnet.dump_routes(run, "mn1", "away")
        run.step("step 8: what began at dgw1 goes on through the tunnel")
        away = traffic.address_in(run, "mn1", second.pool)
        flows.append(traffic.echo(run, "session-2", "mn1", away, "cn1"))
        traffic.wait_for_progress(flows, 40)
        run.step("done")


LAB = FigureFourLab()
