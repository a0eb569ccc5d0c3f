"""The comparison to the IETF 87 demonstration: the same network and script, anchored centrally (RFC 5213).

The network is drawn in `topologies.dgw.content`; the Local Mobility Anchor stands where the CMD stands there.  Whatever
mn1 asks for comes out of a tunnel at the anchor, at the far side of the core, so the caches at the gateways
are of no use to it: the centre's serves it, from everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from topologies.dgw.content import GATEWAYS, CentralContentPlan, ContentLab, ContentOptions
from topologies.lab import option


@dataclass(frozen=True)
class CentralOptions(ContentOptions):
    """Options of the lab."""

    mode: str = option("classic", "classic: Proxy Mobile IPv6 without distributed anchoring (RFC 5213)", ("classic",))


class CentralAnchorLab(ContentLab):
    """The same film with one anchor in the operator's centre: every octet takes the detour."""

    name = "central-anchor"
    title = "Content caches with one central anchor, for comparison"
    options = CentralOptions
    # An emulated machine may need longer than the usual window from stamping an update to reading it.
    stock_variants = ({"tunnel": "ip6tnl", "delay": 5.0, "timestamp_window": 5.0},)
    hops = (5, 5)

    def plan(self, options: ContentOptions) -> CentralContentPlan:
        """Size, addresses and configurations of the lab."""
        return CentralContentPlan(options, gateways=GATEWAYS, mobiles=1, correspondents=())


LAB = CentralAnchorLab()
