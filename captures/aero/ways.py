"""Which way the packets of each flow between two Clients went, as a function of time, and where they stayed away."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import cast

from captures.aero.link import AeroLink, Client
from captures.aero.records import Frame
from captures.aero.transfers import transfers
from captures.ip import Address

Way = tuple[str, ...]
"""Servers and Relays in between, in order; none: directly."""
Key = tuple[object, ...]
Ends = tuple[Address, Address]
MOVES = ("moving", "changing")
"""Events of the script: another underlay address; another Server."""
FAILURE = "failing"
"""What of a Server or Relay, or all of it, stops."""
UNDER_WAY = 0.5
"""Seconds that a packet may take from the first router in between to its target."""
SETTLING = 3.0
"""Seconds after a move in which a silence is put down to it."""
BEFORE = 0.05
USUAL, LEAST = 5, 0.05
"""A silence is one if it is so many times longer than usual, and so many seconds at least."""


@dataclass(frozen=True, slots=True)
class Span:
    """Packets in a row that went the same way."""

    way: Way
    begin: float
    end: float
    packets: int
    first: Frame


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest silence at the receiving end that began at a move of an end or at a failure, or soon after."""

    client: str
    event: str
    moved: float
    begin: float
    seconds: float


@dataclass(slots=True)
class Travel:
    """One direction of a flow."""

    name: str
    kind: str
    """ "ping" or "TCP"."""
    ends: tuple[Client, Client]
    start: float
    end: float
    arrivals: list[tuple[float, Way, Frame]] = field(default_factory=list)
    """At the underlay interface of the receiving Client."""
    usual: float = 0.0
    """Seconds between two arrivals, median."""

    def spans(self) -> list[Span]:
        """Its way over time; a silence is between two spans."""
        found: list[Span] = []
        pause = max(LEAST, USUAL * self.usual)
        for time, way, frame in self.arrivals:
            last = found[-1] if found else None
            if last and last.way == way and time - last.end <= pause:
                found[-1] = Span(way, last.begin, time, last.packets + 1, last.first)
            else:
                found.append(Span(way, time, time, 1, frame))
        return found

    def gaps(self, moves: list[tuple[float, str, str]]) -> list[Gap]:
        """One for each move of an end, and each failure, while it lasted; `moves`: (time, node, event), in order."""
        ends = {client.name for client in self.ends}
        mine = [move for move in moves if move[1] in ends or move[2] == FAILURE]
        times = [time for time, _way, _frame in self.arrivals]
        found = []
        for number, (moved, client, event) in enumerate(mine):
            until = min([moved + SETTLING, *(later for later, *_ in mine[number + 1 : number + 2])])
            if not times or not self.start < moved < self.end:
                continue
            steps = pairwise(times[max(0, bisect_right(times, moved) - 1) :])
            since = moved - max(BEFORE, 2 * self.usual)  # what was silent already is not this move's
            near = [(after - before, before) for before, after in steps if since <= before < until]
            if near:
                longest, begin = max(near)
                found.append(Gap(client, event, moved, begin, longest))
        return found


def moves(link: AeroLink) -> list[tuple[float, str, str]]:
    """(time, Client, event), and the failures of Servers and Relays, in order."""
    found = [(one["t"], name, event) for name in link.clients for event in MOVES for one in link.said(name, event)]
    failed = [(name, link.said(name, FAILURE)) for name in (*link.servers, *link.relays)]
    return sorted([*found, *((told[0]["t"], name, FAILURE) for name, told in failed if told)])


def travels(link: AeroLink) -> list[Travel]:
    """Both directions of each flow between two Clients, in the order in which the flows began."""
    routed, arrived = _routed(link), _arrived(link)
    found = []
    for source, destination, travel, mine in sorted(_flows(link), key=lambda one: one[2].start):
        seen: set[Key] = set()
        for frame in arrived[travel.ends[1].name, source, destination]:
            key = _key(frame)
            if key is None or key[: len(mine)] != mine or not travel.start <= frame.time <= travel.end + UNDER_WAY:
                continue
            if key in seen and travel.kind == "ping":
                continue
            seen.add(key)
            travel.arrivals.append((frame.time, _way(routed[key], frame), frame))
        steps = [after[0] - before[0] for before, after in pairwise(travel.arrivals)]
        travel.usual = median(steps) if steps else 0.0
        found.append(travel)
    return found


def _flows(link: AeroLink) -> Iterator[tuple[Address, Address, Travel, Key]]:
    """(source, destination, flow without its packets, beginning of its packets' keys)."""
    for ping in link.pings:
        for kind, kinds, source, destination in (
            ("request", "requests", ping.source, ping.destination),
            ("reply", "replies", ping.destination, ping.source),
        ):
            ends = _owner(link, source), _owner(link, destination)
            if None not in ends:
                pair = cast(tuple[Client, Client], ends)
                travel = Travel(f"{ping.name}, {kinds}", "ping", pair, ping.start, ping.end)
                yield source, destination, travel, (source, destination, kind, ping.identifier)
    for one in transfers(link):
        for words, source, destination in (
            ("data", one.destination, one.source),
            ("acknowledgements", one.source, one.destination),
        ):
            ends = _owner(link, source), _owner(link, destination)
            if None not in ends:
                pair = cast(tuple[Client, Client], ends)
                travel = Travel(f"{one.name}, {words}", "TCP", pair, one.start, one.end)
                yield source, destination, travel, (source, destination, "segment")


def _owner(link: AeroLink, address: Address) -> Client | None:
    return next((client for client in link.clients.values() if client.covers(address)), None)


def _key(frame: Frame) -> Key | None:
    """What a packet has in all captures on its way, and hardly another one at that time."""
    inner = frame.inner
    if inner and frame.echo:
        return inner.source, inner.destination, *frame.echo
    if inner and frame.segment:
        one = frame.segment
        return inner.source, inner.destination, "segment", one.sequence, one.acknowledgement, one.octets
    return None


def _routed(link: AeroLink) -> dict[Key, list[tuple[float, int, str]]]:
    """(time, hop limit, node) of each packet that a Server or Relay sent on."""
    found: dict[Key, list[tuple[float, int, str]]] = defaultdict(list)
    for node in (*link.servers.values(), *link.relays.values()):
        for frame in link.sent(node):
            if key := _key(frame):
                found[key].append((frame.time, frame.innermost.ttl, node.name))
    for passed in found.values():
        passed.sort()
    return found


def _arrived(link: AeroLink) -> dict[tuple[str, Address, Address], list[Frame]]:
    """Data at each Client, by its addresses."""
    found: dict[tuple[str, Address, Address], list[Frame]] = defaultdict(list)
    for client in link.clients.values():
        for frame in link.received(client):
            if frame.inner and (frame.echo or frame.segment):
                found[client.name, frame.inner.source, frame.inner.destination].append(frame)
    return found


def _way(routed: list[tuple[float, int, str]], arrived: Frame) -> Way:
    """Routers with a higher hop limit than it arrived with, or the same one for the last, while it was under way."""
    last = bisect_right(routed, (arrived.time, 256, ""))
    first = bisect_left(routed, (arrived.time - UNDER_WAY,))
    near = [one for one in routed[first:last] if one[1] >= arrived.innermost.ttl]
    return tuple(name for _ttl, name in sorted({(-ttl, name) for _time, ttl, name in near}, key=lambda each: each[0]))
