"""Check "aero-flows": which way every packet of every flow went, and what each flow missed and why.

Sources: spec AERO §2.4 (hop limits), §5.3, MOB-6, MOB-9, MOB-11, MOB-12, MOB-14, RO-13.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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
Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a series of pings."""

    name: str
    kind: str
    """ "request" or "reply"."""
    identifier: int
    source: Address
    destination: Address
    ends: tuple[Client, Client]
    count: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Packets in a row that did not arrive."""

    begin: float
    end: float
    """When the next one did."""
    lost: int


@check("aero-flows")
def aero_flows(run: Run, bound_ms: float, both_ms: float) -> list[Result]:
    """Judge all series between Clients, each direction by itself.

    `bound_ms`: from a move of an end until packets arrive again; `both_ms`: where both ends move at the same time.
    """
    link = run.aero
    assert link
    passed = _passed(link)
    moves = {name: _moves(link, name) for name in link.clients}
    gaps: list[float] = []
    found = [_judge(link, flow, passed, moves, (bound_ms / 1000, both_ms / 1000), gaps) for flow in _flows(link)]
    return [*found, _all(link, moves, gaps)]


def _flows(link: AeroLink) -> Iterator[Flow]:
    for ping in link.pings:
        one, other = _client(link, ping.source), _client(link, ping.destination)
        if one and other:
            yield _flow(ping, "request", (one, other))
            yield _flow(ping, "reply", (other, one))


def _flow(ping: Ping, kind: str, ends: tuple[Client, Client]) -> Flow:
    addresses = (ping.source, ping.destination) if kind == "request" else (ping.destination, ping.source)
    name = f"{ping.name}-{kind}"
    return Flow(name, kind, ping.identifier, *addresses, ends, ping.count)


def _client(link: AeroLink, address: Address) -> Client | None:
    return next((client for client in link.clients.values() if client.covers(address)), None)


def _moves(link: AeroLink, client: str) -> list[float]:
    return sorted(one["t"] for event in MOVES for one in link.said(client, event))


def _passed(link: AeroLink) -> dict[Key, list[Frame]]:
    """Each echo packet at everybody who put it on the underlay, in order."""
    found: dict[Key, list[Frame]] = {}
    for node in link.nodes:
        for frame in link.sent(node):
            if frame.echo and frame.inner:
                found.setdefault(frame.echo, []).append(frame)
    for frames in found.values():
        frames.sort(key=lambda one: (-one.innermost.ttl, one.time))
    return found


def _judge(
    link: AeroLink,
    flow: Flow,
    passed: dict[Key, list[Frame]],
    moves: dict[str, list[float]],
    bounds: tuple[float, float],
    gaps: list[float],
) -> Result:
    one, other = flow.ends
    tally = Tally(
        f"aero-flows.{flow.name}",
        "RO-13, MOB-6, MOB-11, MOB-12, MOB-14",
        f"{one.name} to {other.name}: every packet's way is known, and why some are missing",
        f"directly, or by Servers and Relays in turn, one hop limit each; what is missing ends at most "
        f"{bounds[0] * 1000:g} ms after a move of an end, {bounds[1] * 1000:g} ms when both moved",
    )
    arrived = _arrived(link, flow)
    ways: Counter[str] = Counter()
    for number, frame in arrived.items():
        ways[_way(link, tally, passed.get((flow.kind, flow.identifier, number), []), frame)] += 1
    missing = list(_gaps(flow, arrived, passed)) if arrived else []
    for gap in missing:
        gaps.append(gap.end - gap.begin)
        _explain(tally, flow, gap, moves, bounds, arrived)
    last = max(arrived, default=0)
    if arrived:
        tally.demand(last == flow.count, f"nothing arrives after packet {last} of {flow.count}", arrived[last])
    texts = [f"{count} {way}" for way, count in ways.most_common()]
    longest = milliseconds(max((gap.end - gap.begin for gap in missing), default=0.0))
    lost = f"{plural(sum(gap.lost for gap in missing), 'packet')} lost in {plural(len(missing), 'gap')}"
    text = f"{len(arrived)} of {flow.count} arrived: {', '.join(texts)}; {lost}"
    return tally.result(text + (f", the longest {longest}" if missing else ""), "no packet of it arrived")


def _arrived(link: AeroLink, flow: Flow) -> dict[int, Frame]:
    """By sequence number, at the target's underlay interface."""
    found: dict[int, Frame] = {}
    for frame in link.received(flow.ends[1]):
        mine = frame.echo and frame.echo[:2] == (flow.kind, flow.identifier)
        if mine and frame.echo and frame.inner and frame.inner.destination == flow.destination:
            found.setdefault(frame.echo[2], frame)
    return dict(sorted(found.items()))


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


def _gaps(flow: Flow, arrived: dict[int, Frame], passed: dict[Key, list[Frame]]) -> Iterator[Gap]:
    """Runs of packets that were sent, or should have been, and did not arrive."""
    for before, after in pairwise([0, *arrived]):
        if after - before < 2:
            continue
        sent = passed.get((flow.kind, flow.identifier, before + 1))
        earlier = arrived.get(before)
        begin = sent[0].time if sent else earlier.time if earlier else arrived[after].time
        yield Gap(begin, arrived[after].time, after - before - 1)


def _explain(
    tally: Tally,
    flow: Flow,
    gap: Gap,
    moves: dict[str, list[float]],
    bounds: tuple[float, float],
    arrived: dict[int, Frame],
) -> None:
    """A gap is a move's that is not over for longer than that may take."""
    one, other = (moves[client.name] for client in flow.ends)
    alone, both = bounds
    here = [(t, both if any(abs(t - each) <= TOGETHER for each in other) else alone) for t in one]
    there = [(t, both if any(abs(t - each) <= TOGETHER for each in one) else alone) for t in other]
    after = next(frame for frame in arrived.values() if frame.time == gap.end)
    near = [(t, bound) for t, bound in (*here, *there) if t <= gap.end and gap.begin <= t + bound]
    text = f"{plural(gap.lost, 'packet')} missing"
    if not near:
        tally.wrong(f"{text} though nobody moved", after)
        return
    moved, bound = max(near)
    took = gap.end - moved
    tally.demand(took <= bound, f"{text} until {milliseconds(took)} after a move", after)


def _all(link: AeroLink, moves: dict[str, list[float]], gaps: list[float]) -> Result:
    tally = Tally(
        "aero-flows.moves",
        "MOB-12",
        "What all moves together cost",
        "Clients moved while they talked",
    )
    number = sum(map(len, moves.values()))
    for client in link.clients.values():
        first = next((t for t in moves[client.name]), None)
        later = (one for one in link.sent(client) if first is not None and one.time >= first and one.echo)
        tally.see(*[frame for frame, _ in zip(later, range(1), strict=False)])
    ordered = sorted(gaps)
    middle = milliseconds(ordered[len(ordered) // 2]) if ordered else "0 ms"
    text = f"{plural(number, 'move')}, {plural(len(gaps), 'gap')}"
    text += f", half of them up to {middle}, the longest {milliseconds(ordered[-1])}" if ordered else ""
    return tally.result(text, "nobody moved, or nobody talked")
