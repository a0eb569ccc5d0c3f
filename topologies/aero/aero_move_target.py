"""The target of an AERO flow moves: c2 gets another underlay address while h1 pings h2 directly."""

from __future__ import annotations

from topologies.aero.moves import MoveLab


class MoveTargetLab(MoveLab):
    """c2 moves."""

    name = "aero-move-target"
    title = "The target of an AERO flow moves"
    mover = 2


LAB = MoveTargetLab()
