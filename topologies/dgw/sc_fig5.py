"""Inter-operator mobility as the seed draft's figure 5 shows it (scenario SC-FIG5).

dgw1 belongs to operator A, dgw2 and dgw3 to operator B; mn1 walks dgw1 -> dgw2 -> dgw3.  From dgw2 on the prefix of
dgw1 goes through the home LMA, in two tunnels; at dgw3 the prefix of dgw2 has a direct tunnel besides.
"""

from __future__ import annotations

from typing import ClassVar

from topologies.dgw.operators import OperatorLab


class Fig5Lab(OperatorLab):
    """Figure 5: from operator A to operator B and on inside B, the first prefix through the home LMA."""

    name = "sc-fig5"
    title = "Figure 5: two operators and a home LMA in the data path"
    operators: ClassVar = {1: "A", 2: "B", 3: "B"}
    walk = (1, 2, 3)
    variants = ({"mode": "relay"}, {"mode": "direct"})


LAB = Fig5Lab()
