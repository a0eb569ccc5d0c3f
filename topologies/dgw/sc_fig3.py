"""Several nodes on one access interface (scenario SC-FIG3, figure 3 of the seed draft).

    dgw1                                        dgw2
    [mn2dgw1] [mn2dgw2] [mn3dgw1] [mn3dgw2]     [mn1dgw1] [mn1dgw2]      two DLIFs a node
    ---------------- phy -----------------      ------- phy -------
          |                   |                          |
         mn2                 mn3                        mn1

All three attach to dgw1 together, all move to dgw2, then mn2 and mn3 go back. Six DLIFs with six MACs of their own
share two access links, and no node hears of another's prefix.
"""

from __future__ import annotations

from topologies.dgw import dumps
from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.walking import Walk
from topologies.runner import Run


class Fig3Lab(DgwLab):
    """Three nodes share access links: two DLIFs each, every RA for one node only."""

    name = "sc-fig3"
    title = "Three nodes on one access interface"
    repeated_dumps = True
    variants = (*ALL_MODES, {"mode": "relay", "ra_profile": "lowpref"})

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=2, mobiles=3, correspondents=("cn1",))

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return ["mn1, mn2 and mn3 attach to dgw1", "all three move to dgw2", "mn2 and mn3 move back to dgw1"]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Attach all, move all, move two back."""
        walk = Walk(run, self.plan(options))
        for number in (1, 2):
            walk.visit_all((mobile, number) for mobile in run.mobiles())
            dumps.settled(run, f"all at dgw{number}")
        walk.visit_all([("mn2", 1), ("mn3", 1)])
        dumps.settled(run, "mn1 at dgw2, mn2 and mn3 at dgw1")


LAB = Fig3Lab()
