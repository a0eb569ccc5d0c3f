"""Check "aero-flows": which way every packet of every flow went, what each flow missed, when it was silent, and why.

Sources: spec AERO §2.4 (hop limits), §5.3, MOB-6, MOB-9, MOB-11, MOB-12, MOB-14, RO-13, RO-16.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from captures.aero.link import AeroLink, Client, Ping
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.ip import Address
from captures.run import Run

MOVES = ("moving", "changing")
"""Events of the script: another underlay address; another Server."""
DIRECT = "directly"
TOGETHER = 0.2
"""Seconds between moves of both ends in which neither may hear where the other is now."""
IN_FLIGHT = 0.05
"""Seconds before a move in which a packet may have left that finds nobody any more."""
Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds from a move until all is well again; of silence."""

    alone: float
    both: float
    silence: float


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a series of pings, and what became of it."""

    ping: Ping
    kind: str
    """ "request" or "reply"."""
    ends: tuple[Client, Client]
    arrived: dict[int, Frame]
    """By sequence number, at the target's underlay interface."""

    @property
    def name(self) -> str:
        """ "c1-c2-request"."""
        return f"{self.ping.name}-{self.kind}"

    def key(self, number: int) -> Key:
        """Of one of its packets."""
        return self.kind, self.ping.identifier, number


@dataclass(frozen=True, slots=True)
class Missing:
    """A packet that did not arrive."""

    number: int
    time: float
    """When it left, or should have."""


@check("aero-flows")
def aero_flows(run: Run, flows: int, moves: int, bound_ms: float, both_ms: float, silence_ms: float) -> list[Result]:
    """Judge all series between Clients, each direction by itself; there must be `flows`, and `moves` moves at least.

    `bound_ms`: what leaves later than this and one and a half round trips after a move of an end must arrive;
    `both_ms`: where both ends move at the same time; `silence_ms`: how much later than it is due a packet may come
    while nobody moves.
    """
    link = run.aero
    assert link
    passed = _passed(link)
    moved = {name: _moves(link, name) for name in link.clients}
    found, lost = [], []
    for request, reply in _flows(link):
        bounds = Bounds(bound_ms / 1000 + 1.5 * _round_trip(passed, reply), both_ms / 1000, silence_ms / 1000)
        for flow, asked in ((request, None), (reply, request.arrived)):
            missing = list(_missing(flow, passed, asked))
            found.append(_judge(link, flow, passed, missing, _windows(flow, moved, bounds), bounds))
            lost += [len(each) for each in _runs(missing)]
    return [*found, _series(link, flows), _all(link, moved, moves, lost)]


def _flows(link: AeroLink) -> Iterator[tuple[Flow, Flow]]:
    for ping in link.pings:
        one, other = _client(link, ping.source), _client(link, ping.destination)
        if one and other:
            there = Flow(ping, "request", (one, other), _arrived(link, ping, "request", other, ping.destination))
            yield there, Flow(ping, "reply", (other, one), _arrived(link, ping, "reply", one, ping.source))


def _client(link: AeroLink, address: Address) -> Client | None:
    return next((client for client in link.clients.values() if client.covers(address)), None)


def _arrived(link: AeroLink, ping: Ping, kind: str, target: Client, address: Address) -> dict[int, Frame]:
    found: dict[int, Frame] = {}
    for frame in link.received(target):
        mine = frame.echo and frame.echo[:2] == (kind, ping.identifier)
        if mine and frame.echo and frame.inner and frame.inner.destination == address:
            found.setdefault(frame.echo[2], frame)
    return dict(sorted(found.items()))


def _moves(link: AeroLink, client: str) -> list[float]:
    return sorted(one["t"] for event in MOVES for one in link.said(client, event))


def _passed(link: AeroLink) -> dict[Key, list[Frame]]:
    """Each echo packet at everybody who put it on the underlay, in order."""
    found: dict[Key, list[Frame]] = defaultdict(list)
    for node in link.nodes:
        for frame in link.sent(node):
            if frame.echo and frame.inner:
                found[frame.echo].append(frame)
    for frames in found.values():
        frames.sort(key=lambda one: (-one.innermost.ttl, one.time))
    return found


def _round_trip(passed: dict[Key, list[Frame]], reply: Flow) -> float:
    """Seconds from a request at its Client's interface to the reply there, median."""
    asked = ((passed.get(("request", reply.ping.identifier, number)), frame) for number, frame in reply.arrived.items())
    return median([frame.time - sent[0].time for sent, frame in asked if sent] or [0.0])


def _windows(flow: Flow, moved: dict[str, list[float]], bounds: Bounds) -> list[tuple[float, float]]:
    """Spans of time in which what leaves may be lost."""
    one, other = (moved[client.name] for client in flow.ends)
    found = []
    for mine, theirs in ((one, other), (other, one)):
        for t in mine:
            together = any(abs(t - each) <= TOGETHER for each in theirs)
            found.append((t - IN_FLIGHT, t + (bounds.both if together else bounds.alone)))
    return sorted(found)


# --- one direction of a flow


def _judge(
    link: AeroLink,
    flow: Flow,
    passed: dict[Key, list[Frame]],
    missing: list[Missing],
    windows: list[tuple[float, float]],
    bounds: Bounds,
) -> Result:
    one, other = flow.ends
    tally = Tally(
        f"aero-flows.{flow.name}",
        "RO-13, MOB-6, MOB-11, MOB-12, MOB-14",
        f"{one.name} to {other.name}: every packet's way is known, and why some are missing or late",
        f"directly, or by Servers and Relays in turn, one hop limit each; missing is only what left up to "
        f"{milliseconds(bounds.alone)} after a move of an end, {milliseconds(bounds.both)} when both moved; "
        f"nothing is more than {milliseconds(bounds.silence)} late otherwise",
    )
    arrived = flow.arrived
    if not arrived:
        return tally.result(nothing="no packet of it arrived")
    ways = Counter(_way(link, tally, passed.get(flow.key(number), []), frame) for number, frame in arrived.items())
    last = max(arrived)
    tally.demand(last == flow.ping.count, f"nothing arrives after packet {last} of {flow.ping.count}", arrived[last])
    for packet in missing:
        begun = [(begin, end) for begin, end in windows if begin <= packet.time]
        near = next((frame for number, frame in arrived.items() if number > packet.number), arrived[last])
        inside = any(packet.time <= end for _begin, end in begun)
        since = milliseconds(packet.time - begun[-1][0] - IN_FLIGHT) + " after a move" if begun else "nobody had moved"
        tally.demand(inside, f"packet {packet.number} is missing: {since}", near)
    silence = _silences(tally, arrived, windows, bounds.silence)
    texts = [f"{count} {way}" for way, count in ways.most_common()]
    lost = f"{plural(len(missing), 'packet')} lost in {plural(len(_runs(missing)), 'gap')}"
    text = f"{len(arrived)} of {flow.ping.count} arrived: {', '.join(texts)}; {lost}"
    return tally.result(f"{text}; the longest silence {milliseconds(silence)}")


def _way(link: AeroLink, tally: Tally, hops: list[Frame], arrived: Frame) -> str:
    """Through whom a packet came, and whether that is a way: Server, or Server, Relay, Server."""
    tally.see(arrived)
    if not hops:
        tally.wrong("a packet that nobody sent", arrived)
        return "from nowhere"
    routers = [frame.node for frame in hops[1:]]
    spent = hops[0].innermost.ttl - arrived.innermost.ttl
    tally.demand(spent == len(routers), f"hop limit {spent} less, by {' '.join(routers) or 'nobody'}", arrived)
    turns = all((name in link.servers) == (place % 2 == 0) for place, name in enumerate(routers))
    ends = not routers or (turns and routers[-1] in link.servers)
    tally.demand(ends, f"by {' '.join(routers)}", *hops)
    servers = routers[::2]
    tally.demand(len(set(servers)) == len(servers), f"in a circle: {' '.join(routers)}", *hops)
    return f"by {' '.join(routers)}" if routers else DIRECT


def _missing(flow: Flow, passed: dict[Key, list[Frame]], asked: dict[int, Frame] | None) -> Iterator[Missing]:
    """What did not arrive, up to the last that did; a reply is missing only if its request arrived (`asked`)."""
    due = flow.ping.start
    pace = _interval(flow.arrived)
    for number in range(1, max(flow.arrived, default=0) + 1):
        due += pace
        sent = passed.get(flow.key(number))
        if sent:
            due = sent[0].time
        elif asked is not None and number in asked:
            due = asked[number].time
        if number not in flow.arrived and (asked is None or number in asked):
            yield Missing(number, due)


def _runs(missing: list[Missing]) -> list[list[Missing]]:
    """Packets in a row."""
    found: list[list[Missing]] = []
    for packet in missing:
        if found and found[-1][-1].number == packet.number - 1:
            found[-1].append(packet)
        else:
            found.append([packet])
    return found


def _interval(arrived: dict[int, Frame]) -> float:
    """Usual seconds between two packets."""
    return median([two.time - one.time for one, two in pairwise(arrived.values())] or [0.0])


def _silences(
    tally: Tally, arrived: dict[int, Frame], windows: list[tuple[float, float]], longest_alone: float
) -> float:
    """Judge how long nothing came, lost or late: what was due in a move's time may be late; the longest silence."""
    pace, longest = _interval(arrived), 0.0
    for one, two in pairwise(arrived.values()):
        longest = max(longest, two.time - one.time)
        due = one.time + pace
        if two.time - due <= longest_alone:
            continue
        excused = two.time <= _covered(due, windows, pace)
        tally.demand(excused, f"silent for {milliseconds(two.time - one.time)}", one, two)
    return longest


def _covered(due: float, windows: list[tuple[float, float]], pace: float) -> float:
    """Up to when moves one after the other excuse that nothing comes; the packet that ends it leaves a pace later."""
    covered = due
    for begin, end in windows:
        if begin <= covered + pace:
            covered = max(covered, end + pace + IN_FLIGHT)
    return covered


# --- all of them


def _series(link: AeroLink, flows: int) -> Result:
    tally = Tally(
        "aero-flows.series",
        "MOB-6",
        "No flow is missing",
        f"{plural(flows, 'series')} of pings between Clients, each seen at the Client that sends it",
    )
    for ping in link.pings:
        one, other = _client(link, ping.source), _client(link, ping.destination)
        sent = link.sent(one) if one and other else []
        tally.see(*[frame for frame in sent if frame.echo and frame.echo[1] == ping.identifier][:1])
    seen = len(tally.seen)
    tally.demand(seen in (0, flows), f"{seen} of {flows}")
    return tally.result(f"{seen} of {flows}", "no series at all")


def _all(link: AeroLink, moved: dict[str, list[float]], least: int, lost: list[int]) -> Result:
    tally = Tally(
        "aero-flows.moves",
        "MOB-12",
        "What all moves together cost",
        f"Clients moved {least} times at least while they talked",
    )
    number = sum(map(len, moved.values()))
    for client in link.clients.values():
        first = next((t for t in moved[client.name]), None)
        later = (one for one in link.sent(client) if first is not None and one.time >= first and one.echo)
        tally.see(*[frame for frame, _ in zip(later, range(1), strict=False)])
    tally.demand(number >= least or not tally.seen, f"only {plural(number, 'move')}")
    text = f"{plural(number, 'move')}, {plural(len(lost), 'gap')}"
    text += f" of {plural(sum(lost), 'packet')}, {max(lost)} at most in a row" if lost else ""
    return tally.result(text, "nobody moved, or nobody talked")
