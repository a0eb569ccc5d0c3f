"""What the packet path remembers: where packets come from, and what was decided about their flows.

Everything is forgotten when the neighbor cache changes, and when it grows too large: it can be worked out again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.exits import Exit, exit_over
from agents.aero.dataplane.policy import Action, Verdict
from agents.aero.dataplane.sockaddr import SocketAddress, pull_sockaddr
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, Path
from agents.wire.icmp_errors import Problem

FLOWS = 4096
"""Verdicts kept for one origin; more flows than that are judged anew."""
ALL_FLOWS, ORIGINS = 65536, 16384
"""Verdicts and origins kept in all: what strangers and inventive Clients can make us hold."""

Known = tuple[Verdict, Exit | None]
Flows = dict[bytes, Known]
"""By source and destination of the inner packet."""


@dataclass(slots=True, eq=False)
class Origin:
    """A link-layer address that packets come from."""

    lladdr: LinkLayerAddress
    neighbor: Neighbor | None
    path: Path | None
    key: bytes
    """The neighbor's address, as what is quickly looked up."""
    flows: Flows = field(default_factory=dict)
    refused: float = float("-inf")
    """When the core was last told of something that the neighbor may not send."""


Origins = dict[tuple[Carrier, SocketAddress], Origin]


class Memory:
    """Origins and verdicts of one node's packet path."""

    def __init__(self, cache: NeighborCache, *, dpd: bool) -> None:
        """`dpd`: every packet carries a Fragment Header (spec §3.8)."""
        self._cache = cache
        self._dpd = dpd
        self.generation = cache.generation
        """Of the neighbor cache that everything here was decided by."""
        self.origins: Origins = {}
        self.gue1_origins: Origins = {}
        """Of packets in GUE variant 1, which share a socket with those in variant 0."""
        self.flows: Flows = {}
        """Of packets from the kernel."""
        self.judged = 0
        """Verdicts since everything was forgotten."""

    def forget(self) -> None:
        """Begin anew, with the neighbor cache as it is."""
        self.generation = self._cache.generation
        self.origins.clear()
        self.gue1_origins.clear()
        self.flows.clear()
        self.judged = 0

    def remember(self, flows: Flows, flow: bytes, verdict: Verdict) -> Known:
        """Keep a verdict, and by which exit its packets leave."""
        out = None
        if verdict.neighbor:
            path = verdict.neighbor.path
            out = exit_over(verdict.neighbor, path, verdict.use, dpd=self._dpd) if path else None
            if out is None:
                verdict = Verdict(Action.DROP, counter="no_path", problem=Problem.ADDRESS_UNREACHABLE)
            elif path and flow[len(flow) // 2 :] == path.lladdr.ip.packed:  # spec ENC-8, RFC 2003 §3.2
                out = None
                verdict = Verdict(Action.DROP, counter="recursion", problem=Problem.ADDRESS_UNREACHABLE)
        if len(flows) >= FLOWS:
            flows.clear()
        self.judged += 1
        if self.judged > ALL_FLOWS:
            self.forget()
        flows[flow] = known = (verdict, out)
        return known

    def learn_origin(self, origins: Origins, through: Carrier, source: SocketAddress) -> Origin:
        """Whose link-layer address that is."""
        ip, port = pull_sockaddr(source)
        kind = {Carrier.UDP: Encapsulation.UDP, Carrier.GUE: Encapsulation.GUE}.get(through, Encapsulation.MINIMAL)
        if origins is self.gue1_origins:
            kind = Encapsulation.GUE1
        lladdr = LinkLayerAddress(kind, ip, port if kind.port else 0)
        neighbor = self._cache.at(lladdr)
        if neighbor is None and kind is Encapsulation.GUE:  # fragments of variant 1 come as variant 0
            other = LinkLayerAddress(Encapsulation.GUE1, ip, port)
            neighbor = self._cache.at(other)
            lladdr = other if neighbor else lladdr
        if len(self.origins) + len(self.gue1_origins) >= ORIGINS:
            self.forget()
        path, key = (neighbor.path_at(lladdr), neighbor.address.packed) if neighbor else (None, b"")
        origins[through, source] = origin = Origin(lladdr, neighbor, path, key)
        return origin
