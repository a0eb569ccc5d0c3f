"""Check "aero-sweep": a series in which every inner size came once, and how each one travelled.

Sources: spec AERO §3.1-3.4, FRAG-1, FRAG-2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from captures.aero.link import AeroLink, Ping
from captures.aero.records import Frame
from captures.checks.aero.fragments import SPLIT, echoes, packets
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run


@check("aero-sweep")
def aero_sweep(
    run: Run,
    name: str,
    smallest: int,
    largest: int,
    whole: Mapping[str, int] | None = None,
    around: Sequence[int] = (0, 0),
) -> list[Result]:
    """Judge a series of every size from `smallest` to `largest`, sequence number = size: each gets through, and back.

    `whole`: node -> largest inner size that it sends whole; `around`: outer octets beside the inner ones of a whole
    packet, and of each part of a packet that is cut.
    """
    link = run.aero
    assert link
    ping = next((one for one in link.pings if one.name == name), None)
    found = [_through(link, name, ping, smallest, largest)]
    for node, limit in (whole or {}).items():
        found.append(_outside(link, name, ping, node, limit, around))
    return found


def _through(link: AeroLink, name: str, ping: Ping | None, smallest: int, largest: int) -> Result:
    tally = Tally(
        f"aero-sweep.{name}",
        "FRAG-1",
        "Every inner size gets through",
        f"requests and replies of every size from {smallest} to {largest} octets at both ends",
    )
    if ping is None:
        return tally.result(nothing=f"the script sent no {name}")
    for node, kind in ((ping.peer, "request"), (ping.node, "reply")):
        arrived = list(_arrived(link, node, (kind, ping.identifier)))
        tally.see(*arrived)
        other = sorted({one.innermost.size for one in arrived if one.echo and one.innermost.size != one.echo[2]})
        tally.demand(not other, f"{plural(len(other), kind)} of another size at {node}: {other[:8]}")
        missing = sorted(set(range(smallest, largest + 1)) - {one.innermost.size for one in arrived})
        tally.demand(not missing, f"{plural(len(missing), kind)} missing at {node}: {missing[:8]}")
    if not tally.seen:
        return replace(tally, problems=[]).result(nothing=f"no packet of {name} at its ends")
    return tally.result(f"{largest - smallest + 1} sizes, both ways, in {ping.end - ping.start:.1f} s")


def _arrived(link: AeroLink, node: str, wanted: tuple[str, int]) -> Iterator[Frame]:
    """Packets of the series that reached a node whole, or in all their parts where it is the end of the tunnel."""
    for (where, _interface), frames in link.captures.items():
        if where == node:
            yield from (one for one in frames if one.echo and one.echo[:2] == wanted and not one.code)
    end = link.servers.get(node) or link.clients.get(node)
    for parts in packets(link.received(end)) if end else ():
        first = parts[0]
        if first.echo and first.echo[:2] == wanted and sum(part.carried for part in parts) == first.innermost.size:
            yield first


def _outside(link: AeroLink, name: str, ping: Ping | None, node: str, limit: int, around: Sequence[int]) -> Result:
    tally = Tally(
        f"aero-sweep.{name}.{node}",
        "FRAG-2, FRAG-1",
        f"{node} cuts what is too large, and nothing else",
        f"up to {limit} octets whole, {around[0]} more outside; larger ones as {SPLIT} + rest, each {around[1]} more",
    )
    counts = {1: 0, 2: 0}
    for parts in echoes(link, node, ping.identifier) if ping else ():
        size = parts[0].innermost.size
        tally.see(*parts)
        wanted = [size + around[0]] if size <= limit else [SPLIT + around[1], size - SPLIT + around[1]]
        seen = [frame.outer.size for frame in parts]
        tally.demand(seen == wanted, f"{size} octets as {' + '.join(map(str, seen))}", *parts)
        counts[len(wanted)] += 1
    return tally.result(f"{counts[1]} whole, {counts[2]} cut", f"{node} sent nothing of {name}")
