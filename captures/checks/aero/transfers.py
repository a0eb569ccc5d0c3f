"""Check "aero-transfer": a file arrives unharmed over one TCP connection while both its ends move.

Sources: spec AERO CLI-11, RLY-8, MOB-3, MOB-4, MOB-6, MOB-7, MOB-11, MOB-12, RO-13; RFC 9293 (what a connection is).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from captures.aero.link import AeroLink
from captures.aero.records import Frame
from captures.aero.transfers import FIN, RST, SYN, Stream, Transfer, segments, stream, transfers
from captures.aero.ways import SETTLING, UNDER_WAY, Travel, travels
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run

WORDS = {"moving": "gets another address", "changing": "goes to another Server", "failing": "fails"}
PROVES = {
    "moving": "MOB-3, MOB-4, MOB-12",
    "changing": "MOB-7, MOB-11, MOB-12",
    "failing": "CLI-11, RLY-8, MOB-6",
}
"""Requirements, by what happens meanwhile."""
WHOLE = ("aerod", "node", "relay")
"""What of a node fails when it forwards nothing any more."""
SILENT = "no segment of it in the hosts' captures"


@dataclass(frozen=True, slots=True)
class Seen:
    """A transfer at both its ends."""

    one: Transfer
    here: list[Frame]
    """At the host that fetched it, in both directions."""
    arrived: Stream
    left: Stream
    """At the host that sent it."""


@check("aero-transfer")
def aero_transfer(
    run: Run, moves: dict[str, list[str]], lost_ms: float, bound_ms: float, way: str = "switch"
) -> list[Result]:
    """Judge every transfer; `moves`: Client -> what it does meanwhile, "moving" or "changing"; a Server's: "failing".

    `way`: "direct" from the first packet on, "switch" from some packet on, "servers": never.
    `lost_ms`: what each move may cost, as time of sending at the full rate (spec MOB-12); `bound_ms`: silence at the
    receiving host, which is longer: TCP repeats what was lost when its timer says so.
    """
    link = run.aero
    assert link
    found: list[Result] = []
    for one in transfers(link):
        here = segments(link, one.node, one)
        seen = Seen(one, here, stream(here, one), stream(segments(link, one.peer, one), one))
        wanted = [(name, event) for name, events in moves.items() for event in events]
        moments = [(name, event, _moment(link, one, name, event)) for name, event in wanted]
        found += [_content(seen), _connection(seen), _way(link, seen, lost_ms / 1000, way)]
        for move in moments:
            settling = one.end if move[1] == "failing" else SETTLING  # who fails is not back so soon
            found.append(_cost(seen, *move, _until(move[2], moments, settling), lost_ms, bound_ms))
    return found


def _moment(link: AeroLink, one: Transfer, client: str, event: str) -> float | None:
    """When it happened, if it happened during the transfer."""
    return next((each["t"] for each in link.said(client, event) if one.start < each["t"] < one.end), None)


def _until(moment: float | None, moments: list[tuple[str, str, float | None]], settling: float) -> float:
    """Up to the next move, or until things must have settled."""
    begin = moment or 0.0
    return min([begin + settling, *(other for *_, other in moments if other and other > begin)])


def _content(seen: Seen) -> Result:
    one, arrived = seen.one, seen.arrived
    size = one.sent["octets"]
    tally = Tally(
        f"aero-transfer.{one.name}.content",
        "MOB-6",
        f"{one.node} gets the file from {one.peer} unharmed",
        f"all {size} octets in its capture, and the checksum that they had when they left",
    )
    if not seen.here:
        return tally.result(nothing=SILENT)
    tally.see(*arrived.frames[:1], *arrived.frames[-1:])
    tally.demand(arrived.octets == size, f"{arrived.octets} octets arrive", *arrived.frames[-1:])
    tally.demand(one.fetched["octets"] == size, f"{one.node} has {one.fetched['octets']} octets")
    tally.demand(one.fetched["sha256"] == one.sent["sha256"], "another checksum")
    took = arrived.frames[-1].time - arrived.frames[0].time if arrived.frames else 0.0
    return tally.result(f"{size / 1e6:g} MB in {took:.1f} s, SHA-256 {one.fetched['sha256'][:16]}…")


def _connection(seen: Seen) -> Result:
    one = seen.one
    tally = Tally(
        f"aero-transfer.{one.name}.connection",
        "MOB-6",
        "It is one TCP connection from beginning to end",
        "one pair of ports, opened once, closed by both ends, never reset",
    )
    flags = [(frame, frame.segment.flags) for frame in seen.here if frame.segment]
    tally.see(*[frame for frame, bits in flags if bits & (SYN | FIN)])
    ports = {frozenset(frame.segment.ports) for frame in seen.here if frame.segment}
    tally.demand(len(ports) < 2, f"{plural(len(ports), 'pair')} of ports")
    opened = {frame.segment.sequence for frame, bits in flags if frame.segment and bits & SYN}
    tally.demand(len(opened) <= 2, "opened again", *[frame for frame, bits in flags if bits & SYN])
    reset = [frame for frame, bits in flags if bits & RST]
    tally.demand(not reset, "a reset", *reset)
    closed = {frame.outer.source for frame, bits in flags if bits & FIN}
    tally.demand(not flags or closed == {one.source, one.destination}, f"closed by {len(closed)} of its ends")
    numbers = sorted(next(iter(ports))) if ports else []
    return tally.result(f"ports {numbers}, {plural(len(seen.here), 'segment')}", SILENT)


def _way(link: AeroLink, seen: Seen, in_flight: float, wanted: str) -> Result:
    """`in_flight`: seconds that packets sent before the switch may still be under way."""
    one = seen.one
    tally = Tally(
        f"aero-transfer.{one.name}.way",
        "RO-13, MOB-4, MOB-11" if wanted != "servers" else "RLY-2, CLI-11",
        "The file goes directly, wherever its ends are"
        if wanted != "servers"
        else "The file goes by Servers that live",
        {
            "switch": "by Servers at first; from the switch on directly, after every move too",
            "direct": "directly from the first packet on, whoever fails",
            "servers": "by Servers and Relays in turn; by none that has failed and did not come back",
        }[wanted],
    )
    data = next((each for each in travels(link) if _is_data(each, one)), None)
    if data is None or not data.arrivals:
        return tally.result(nothing="no segment of it between the Clients")
    ways = Counter(" ".join(way) for _time, way, _frame in data.arrivals if way)
    text = ", ".join(f"{count} by {way}" for way, count in ways.most_common())
    if wanted == "servers":
        _by_living(link, tally, data)
        return tally.result(text)
    first = next((arrival for arrival in data.arrivals if not arrival[1]), None)
    if first is None:
        tally.wrong("never directly", data.arrivals[-1][2])
        return tally.result()
    tally.see(data.arrivals[0][2], first[2], data.arrivals[-1][2])
    if wanted == "switch":
        early = "directly from the beginning, though nobody can know where"
        tally.demand(bool(data.arrivals[0][1]), early, first[2])
    else:
        tally.demand(not data.arrivals[0][1], "by Servers first", data.arrivals[0][2])
    back = [frame for time, way, frame in data.arrivals if way and time > first[0] + in_flight]
    tally.demand(not back, f"{plural(len(back), 'packet')} by Servers again", *back)
    since = f"directly from {milliseconds(first[0] - data.arrivals[0][0])} on"
    return tally.result(f"{text}; {since}" if text else since)


def _by_living(link: AeroLink, tally: Tally, data: Travel) -> None:
    """No packet arrives by a node that failed for good, other than what was under way."""
    failed = {name: link.said(name, "failing")[0]["t"] for name in _dead(link)}
    tally.see(data.arrivals[0][2], data.arrivals[-1][2])
    for time, way, frame in data.arrivals:
        tally.demand(bool(way), "directly", frame)
        dead = [name for name in way if time > failed.get(name, time) + UNDER_WAY]
        tally.demand(not dead, f"by {' '.join(dead)}, which has failed", frame)


def _dead(link: AeroLink) -> list[str]:
    """Nodes that failed as a whole and did not come back."""
    nodes = (*link.servers, *link.relays)
    return [name for name in nodes if any(one["what"] in WHOLE for one in link.said(name, "failing"))]


def _is_data(travel: Travel, one: Transfer) -> bool:
    """The direction of the file itself."""
    return travel.kind == "TCP" and travel.start == one.start and travel.ends[1].covers(one.source)


def _cost(
    seen: Seen, client: str, event: str, moment: float | None, until: float, lost_ms: float, bound_ms: float
) -> Result:
    one = seen.one
    tally = Tally(
        f"aero-transfer.{one.name}.{client}-{event}",
        PROVES[event],
        f"{client} {WORDS[event]}: what it costs",
        f"sent again: at most what leaves in {lost_ms:g} ms; silence at {one.node} ≤ {bound_ms:g} ms",
    )
    arrived = seen.arrived.frames
    if moment is None:
        tally.wrong("it did not happen during the transfer")
        return tally.result()
    steps = [(two.time - before.time, before, two) for before, two in pairwise(arrived) if moment <= two.time]
    steps = [step for step in steps if step[1].time < until]
    if not arrived:
        return tally.result(nothing=SILENT)
    if not steps:
        tally.wrong("nothing arrives afterwards", arrived[-1])
        return tally.result()
    longest, before, after = max(steps, key=lambda step: step[0])
    tally.see(before, after)
    tally.demand(longest * 1000 <= bound_ms, f"silent for {milliseconds(longest)}", before, after)
    again = sum(octets for time, octets in seen.left.repeated() if moment <= time < until)
    lost = again / one.rate
    tally.demand(lost * 1000 <= lost_ms, f"{again} octets sent again, which is {milliseconds(lost)}")
    text = f"silent for {milliseconds(longest)} at most, {again} octets sent again ({milliseconds(lost)} of the rate)"
    return tally.result(text)
