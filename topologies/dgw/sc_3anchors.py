"""A node with three anchors at once (scenario SC-3ANCHORS).

                cn1                flows on the prefixes A (dgw1), B (dgw2) and C (dgw3) at once
                 |
       cmd ---- core
              /  |  \\
          dgw1  dgw2  dgw3         tunnels dgw3 == dgw1 and dgw3 == dgw2; dgw2 == dgw1 is gone
            |     |     |
         cell1  cell2  cell3       mn1: cell1 -> cell2 -> cell3

At dgw3 the node has three default routers, one of medium and two of low preference, and three addresses.
"""

from __future__ import annotations

from typing import Any

from topologies.dgw import dumps
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.walking import Walk
from topologies.runner import Run


class ThreeAnchorsLab(DgwLab):
    """Three prefixes, three routers, two tunnels: sessions on all of them at once."""

    name = "sc-3anchors"
    title = "Sessions on three anchored prefixes at once"
    repeated_dumps = True
    variants = (*ALL_MODES, {"mode": "locator", "ra_profile": "lowpref"})

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=3, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, and the mode's messages to the letter."""
        return [*super().checks(options, slowness), {"check": "modes"}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [f"mn1 at dgw{number}, with a session on each of its {number} prefixes" for number in (1, 2, 3)]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk 1, 2, 3."""
        walk = Walk(run, self.plan(options))
        for number in (1, 2, 3):
            walk.visit("mn1", number)
            dumps.settled(run, f"mn1 at dgw{number}")


LAB = ThreeAnchorsLab()
