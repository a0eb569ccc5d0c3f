"""Where every mobile node is at a moment, and what the gateways must therefore hold for it (spec §7 table).

From the lab's own events (who attached where) and the Router Advertisements the nodes saw; nothing an agent says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv6Network

from captures.records import Router
from captures.run import Run
from captures.walk import Attachment


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One (node, prefix) that needs a tunnel, seen from one end of it."""

    mobile: str
    prefix: IPv6Network
    uplink: bool
    """At the serving gateway: towards the anchor. Else at the anchor: towards the serving gateway."""


class Placement:
    """The domain at one moment."""

    def __init__(self, run: Run, when: float) -> None:
        """`when`: Unix seconds; a node that left a cell still belongs to the gateway it left (spec DEREG-1)."""
        self._run = run
        self.stays: dict[str, Attachment] = {}
        for mobile, stays in run.attachments.items():
            here = [stay for stay in stays if stay.start <= when]
            if here:
                self.stays[mobile] = here[-1]

    def served_by(self, gateway: str) -> list[Attachment]:
        """The nodes whose serving gateway this is."""
        return [stay for stay in self.stays.values() if stay.gateway == gateway]

    def routers(self, mobile: str) -> dict[str, Router | None]:
        """Gateway -> DLIF that the node must have: its serving gateway's, then those of its anchors.

        None: the node never heard an RA of it.
        """
        stay = self.stays[mobile]
        return {name: self._run.routers.get((mobile, name)) for name in (stay.gateway, *stay.previous)}

    def references(self, gateway: str) -> dict[str, set[Reference]]:
        """Peer (gateway, or LMA between operators) -> what this gateway needs the tunnel to it for (R5213 §5.6.1)."""
        found: dict[str, set[Reference]] = defaultdict(set)
        for mobile, stay in self.stays.items():
            for anchor in stay.previous:
                for prefix in self._run.prefixes.get((mobile, anchor), []):
                    if stay.gateway == gateway:
                        found[self._run.far_end(anchor, gateway)].add(Reference(mobile, prefix, uplink=True))
                    elif anchor == gateway:
                        found[self._run.far_end(stay.gateway, anchor)].add(Reference(mobile, prefix, uplink=False))
        return dict(found)
