"""The overview of distributed anchoring (scenario SC-FIG1, figure 1 of the seed draft).

          cn1                 flow 1: mn1's address of dgw1 <-> cn1, begun at dgw1
           |                  flow 2: mn1's address of dgw2 <-> cn1, begun at dgw2
    cmd -- core
          /    \\
       dgw1 == dgw2           ==  tunnel, for flow 1 only, once mn1 is at dgw2
        |       |
      cell1   cell2           mn1: cell1 -> cell2

Flow 1 survives the move with its addresses; flow 2 is never tunnelled: dgw2 anchors its prefix, out of its own pool.
"""

from __future__ import annotations

from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.walking import Walk
from topologies.runner import Run


class Fig1Lab(DgwLab):
    """One move: the old session goes through a tunnel to its anchor, the new one does not."""

    name = "sc-fig1"
    title = "Overview: one move, one anchored and one new session"
    variants = ALL_MODES

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["mn1 attaches to dgw1, flow 1 begins", "mn1 moves to dgw2, flow 1 goes on, flow 2 begins"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach and move."""
        walk = Walk(run, self.plan(options))
        walk.visit("mn1", 1)
        walk.visit("mn1", 2)


LAB = Fig1Lab()
