"""The Server that a Client with a lease is about to attach at: data may overtake its Reply (spec SRV-2, MOB-7).

A Server has the Client's entry, and has announced it, before the Reply leaves: what others send comes from it at once.
Until the Reply there is no neighbor that it could come from.  That the source is a Server of the configured list, asked
by us just now, is as much as is known of one that has answered (spec §5.5 (1)); nothing but data is taken from it.
"""

from __future__ import annotations

from dataclasses import replace

from agents.aero.addresses import ANYCAST
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path


class Expected:
    """A stand-in for the entry of the Server that is being asked; its AERO address is not known yet."""

    def __init__(self, cache: NeighborCache) -> None:
        self._cache = cache

    def begin(self, lladdr: LinkLayerAddress, mtu: int) -> None:
        """Take data from this Server; an entry of its own comes with its Reply."""
        self.end()
        if self._cache.at(lladdr) is None:
            self._cache.add(Neighbor(ANYCAST, NeighborType.STATIC, router=True, paths=[Path.to(lladdr, mtu)]))

    def end(self) -> None:
        """It is attached at, or another one is asked."""
        self._cache.remove(ANYCAST)

    def unknown(self, control: Control) -> Control:
        """A control packet of it is a stranger's still."""
        expected = control.neighbor is not None and control.neighbor.address == ANYCAST
        return replace(control, neighbor=None) if expected else control
