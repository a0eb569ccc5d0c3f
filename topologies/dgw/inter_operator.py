"""Two operators with two gateways each, and a walk through both and back.

dgw1 and dgw4 belong to operator A, dgw2 and dgw3 to operator B; mn1 walks dgw1 -> dgw2 -> dgw3 -> dgw4 -> dgw1.  What
is anchored with the other operator goes through the home LMA, the rest through direct tunnels: on the way back
that is just the other prefixes.
"""

from __future__ import annotations

from typing import ClassVar

from topologies.dgw.lab import ALL_MODES
from topologies.dgw.operators import OperatorLab


class InterOperatorLab(OperatorLab):
    """A walk through two operators and back: through the home LMA what is the other operator's, the rest directly."""

    name = "inter-operator"
    title = "Two operators, a home LMA in the data path, there and back"
    operators: ClassVar = {1: "A", 2: "B", 3: "B", 4: "A"}
    walk = (1, 2, 3, 4, 1)
    variants = (*ALL_MODES[:-1], {"mode": "relay", "protection": "auto"}, ALL_MODES[-1])


LAB = InterOperatorLab()
