"""The same walk in every signalling mode, message by message (scenario SC-CMDMODES, RFC 8885 §3.2..§3.4).

    N: new serving gateway    P: anchors    C: CMD           mn1: dgw1 -> dgw2 -> dgw3 -> dgw1

    relay     PBU(N->C)  PBU*(C->P)  PBA*(P->C)  PBA(C->N)
    locator   PBU(N->C)  PBU*(C->P)  PBA*(P->C) and PBA*(P->N)
    proxy     PBU(N->C)  PBA(C->N) beside PBU*(C->P)  PBA*(P->C)
    direct    PBU*(N->P) PBA*(P->N)

The time from PBU to usable tunnels (`pbu_to_tunnel_ms` in verdict.json) tells the modes apart once the way to the
CMD is long: `--set delay=20`, where the kernel can delay.
"""

from __future__ import annotations

from typing import Any

from topologies.dgw.lab import ALL_MODES, DgwLab
from topologies.dgw.plan import DgwOptions, DgwPlan
from topologies.dgw.walking import Walk
from topologies.runner import Run

VISITS = (1, 2, 3, 1)


class CmdModesLab(DgwLab):
    """One walk; the messages are the mode's, in its order, and no others."""

    name = "sc-cmdmodes"
    title = "The signalling modes, message by message"
    variants = ALL_MODES

    def plan(self, options: DgwOptions) -> DgwPlan:
        """Size and addresses of the lab."""
        return DgwPlan(options, gateways=3, mobiles=1, correspondents=("cn1",))

    def checks(self, options: DgwOptions, slowness: float) -> list[dict[str, Any]]:
        """As for any walk, and the mode's messages to the letter."""
        return [*super().checks(options, slowness), {"check": "modes"}]

    def steps(self, options: DgwOptions) -> list[str]:
        """The script in words."""
        return [f"mn1 at dgw{number}" for number in VISITS]

    def script(self, run: Run, options: DgwOptions) -> None:
        """Walk 1, 2, 3 and back to 1."""
        walk = Walk(run, self.plan(options))
        for number in VISITS:
            walk.visit("mn1", number)


LAB = CmdModesLab()
