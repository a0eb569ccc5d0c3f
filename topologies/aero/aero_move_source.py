"""The source of an AERO flow moves: c1 gets another underlay address while h1 pings h2 directly."""

from __future__ import annotations

from topologies.aero.moves import MoveLab


class MoveSourceLab(MoveLab):
    """c1 moves."""

    name = "aero-move-source"
    title = "The source of an AERO flow moves"
    mover = 1


LAB = MoveSourceLab()
