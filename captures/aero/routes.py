"""Which routes a Relay had at a moment, worked out from the BGP messages in its own capture (spec §8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from captures.aero.bgp import KEEPALIVE, UPDATE, End, Message, Prefix
from captures.aero.link import AeroLink, Server
from captures.ip import Address

INFINITY = float("inf")


@dataclass(slots=True)
class Session:
    """One span of time in which two nodes spoke BGP."""

    server: Server
    begin: float
    end: float = INFINITY
    closed: Message | End | None = None
    heard: list[Message] = field(default_factory=list)
    """Updates of the Server."""
    told: list[Message] = field(default_factory=list)
    """Updates of the Relay."""

    def during(self, time: float) -> bool:
        """Whether it was up at a moment."""
        return self.begin <= time < self.end


def sessions(link: AeroLink, relay: Server) -> list[Session]:
    """All sessions of a Relay with Servers."""
    found: list[Session] = []
    present: dict[str, Session] = {}
    for each in link.bgp(relay.name, relay.interface):
        server, inward = _server_of(link, relay, each)
        if server is None:
            continue
        if isinstance(each, End):
            session = present.pop(server.name, None)
            if session:
                session.end, session.closed = each.time, each
        elif each.type == KEEPALIVE and server.name not in present:
            present[server.name] = Session(server, each.time)
            found.append(present[server.name])
        elif each.type == UPDATE and server.name in present:
            (present[server.name].heard if inward else present[server.name].told).append(each)
    return found


def _server_of(link: AeroLink, relay: Server, each: Message | End) -> tuple[Server | None, bool]:
    inward = each.destination in relay.underlay
    far = each.source if inward else each.destination
    return next((server for server in link.servers.values() if far in server.underlay), None), inward


class Routes:
    """A Relay's best routes over time."""

    def __init__(self, link: AeroLink, relay: Server) -> None:
        self._best: dict[Prefix, list[tuple[float, str | None]]] = {}
        """By prefix: from when on, whose route was the best."""
        offers: dict[Prefix, dict[str, tuple[int, Address]]] = {}
        for time, server, prefix, rank in sorted(_changes(link, relay), key=lambda change: change[0]):
            of_prefix = offers.setdefault(prefix, {})
            if rank is None:
                of_prefix.pop(server, None)
            else:
                of_prefix[server] = rank
            best = min(of_prefix, key=lambda name: (of_prefix[name][0], int(of_prefix[name][1])), default=None)
            self._best.setdefault(prefix, []).append((time, best))

    def owners(self, address: Address, begin: float, end: float) -> set[str | None]:
        """Servers whose route was the best for an address in a span of time; None: at times there was none."""
        covering = [prefix for prefix in self._best if address.version == prefix.version and address in prefix]
        found: set[str | None] = set()
        for prefix in sorted(covering, key=lambda prefix: -prefix.prefixlen):
            spans = pairwise([(0.0, None), *self._best[prefix], (INFINITY, None)])
            during = {best for (start, best), (stop, _next) in spans if start <= end and stop > begin}
            found |= during - {None}
            if None not in during:
                return found
        return found | {None}


_Change = tuple[float, str, Prefix, tuple[int, Address] | None]


def _changes(link: AeroLink, relay: Server) -> Iterator[_Change]:
    for session in sessions(link, relay):
        held: set[Prefix] = set()
        for update in session.heard:
            for prefix in update.withdrawn:
                yield update.time, session.server.name, prefix, None
            for prefix in update.announced:
                assert update.next_hop
                held.add(prefix)
                yield update.time, session.server.name, prefix, (update.med or 0, update.next_hop)
        if session.end < INFINITY:
            for prefix in held:
                yield session.end, session.server.name, prefix, None
