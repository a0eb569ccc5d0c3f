"""Permanent neighbors: the Relays of a Server and the Servers of a Relay, there by configuration (spec §5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from agents.aero.bgp.rib import Source
from agents.aero.config import PermanentNeighbor
from agents.aero.constants import SERVER_KEEPALIVE
from agents.aero.discovery.core import Discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path
from agents.aero.underlay_links import UnderlayLinks

PREFERRED = 128
STEP = 2
"""Between the preferences of two underlay addresses: another encapsulation at one is one better than UDP there."""


def take_up(
    neighbors: Sequence[PermanentNeighbor],
    cache: NeighborCache,
    discovery: Discovery,
    links: UnderlayLinks,
    now: float,
) -> None:
    """Make their entries and watch them: silence only marks a path unusable, it never ends an entry."""
    for each in neighbors:
        lladdrs = [LinkLayerAddress(Encapsulation.UDP, ip, Encapsulation.UDP.port) for ip in each.addresses]
        reachable = [lladdr for lladdr in lladdrs if links.toward(lladdr)]
        paths = [
            Path.to(lladdr, links.mtu(lladdr), preference=PREFERRED - STEP * number)
            for number, lladdr in enumerate(reachable)
        ]
        neighbor = Neighbor(each.address, NeighborType.PERMANENT, router=True, paths=paths)
        cache.add(neighbor)
        discovery.watch(neighbor, SERVER_KEEPALIVE, now)
        discovery.encapsulations.improve(neighbor, now)


def source_of(neighbor: PermanentNeighbor) -> Source:
    """Whose routes are whose."""
    return Source(neighbor.peer, neighbor.address, neighbor.asn, neighbor.addresses)
