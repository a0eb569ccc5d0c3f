"""A logical interface moves with its node (scenario SC-FIG2, figure 2 of the seed draft).

    before                          after
    dgw1          dgw2              dgw1          dgw2
    [mn1dgw1]                                     [mn1dgw1] [mn1dgw2]      DLIFs: macvlans over phy
       |                                              |  low    | medium   default router preference
      mn1                                            mn1 -------+

What mn1 holds of dgw1's DLIF (default route, neighbour entry with the same MAC) is the same before and after, while
the interface itself is gone from dgw1 and has appeared on dgw2: state dumps of all three before and after the move.
"""

from __future__ import annotations

from topologies.dgw import dumps
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.walking import Walk
from topologies.runner import Run


class Fig2Lab(DgwLab):
    """One move: the node cannot tell that its old router is now another machine."""

    name = "sc-fig2"
    title = "A DLIF moves with its node, which sees the same router"
    repeated_dumps = True
    variants = (*ALL_MODES, {"mode": "direct", "ra_profile": "lowpref"})

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=2, mobiles=1, correspondents=("cn1",))

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["mn1 attaches to dgw1; dump the state of all", "mn1 moves to dgw2; dump the state of all again"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach, dump, move, dump."""
        walk = Walk(run, self.plan(options))
        walk.visit("mn1", 1)
        dumps.settled(run, "before the move")
        walk.visit("mn1", 2)
        dumps.settled(run, "after the move")


LAB = Fig2Lab()
