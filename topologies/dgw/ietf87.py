"""The distributed-anchoring demonstration of IETF 87: content caches at the gateways (scenario SC-IETF87).

The network is drawn in `topologies.dgw.content`.  The film begun at dgw1 keeps coming from cache1 through the tunnel
between dgw2 and dgw1, because its packets still have an address of dgw1; the next request has an address of dgw2, and
is served by cache2, one hop away, without any tunnel.  `central-anchor` is the same with everything anchored centrally:
`roamlab compare` puts two runs side by side.
"""

from __future__ import annotations

from topologies.dgw.content import GATEWAYS, ContentLab, ContentOptions, ContentPlan
from topologies.dgw.lab import ALL_MODES


class Ietf87Lab(ContentLab):
    """A download survives the move through its anchor; the next request is served by the nearest cache."""

    name = "ietf87"
    title = "IETF 87 demonstration: content caches at the gateways"
    variants = ALL_MODES
    hops = (1, 3)

    def plan(self, options: ContentOptions) -> ContentPlan:
        """Size, addresses and configurations of the lab."""
        return ContentPlan(options, gateways=GATEWAYS, mobiles=1, correspondents=())


LAB = Ietf87Lab()
