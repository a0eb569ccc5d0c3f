"""Check "aero-pings": what the script's echo requests did on the wire, from end to end.

Sources: spec AERO §1.4, §2.4 (hop limits), FRAG-1, SRV-6, SRV-7, ENC-5.
"""

from __future__ import annotations

from captures.aero.link import AeroLink, Ping
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check
from captures.run import Run


@check("aero-pings")
def aero_pings(
    run: Run,
    requirement: str = "SRV-7",
    ttl: dict[str, int] | None = None,
    max_lost: dict[str, int] | None = None,
    requirements: dict[str, str] | None = None,
    unsent: dict[str, int] | None = None,
) -> list[Result]:
    """Judge every series; `ttl`: name -> hop limit its requests arrive with; `max_lost`: how many may be missing;
    `unsent`: how many its sender may leave out, having no router; `requirements`: what series prove that prove
    something else."""
    link = run.aero
    assert link
    proved = requirements or {}
    return [
        _series(
            link,
            ping,
            proved.get(ping.name, requirement),
            (ttl or {}).get(ping.name),
            (max_lost or {}).get(ping.name, 0),
            (unsent or {}).get(ping.name, 0),
        )
        for ping in link.pings
        if ping.expect != "every size"
    ]


def end_frames(link: AeroLink, node: str, ping: Ping, kind: str) -> list[Frame]:
    """Echo requests or replies of a series in the captures of a node, unencapsulated or not."""
    found = []
    for (name, _interface), frames in link.captures.items():
        if name == node:
            found += [one for one in frames if one.echo and one.echo[:2] == (kind, ping.identifier)]
    return found


def _series(link: AeroLink, ping: Ping, requirement: str, ttl: int | None, lost: int, unsent: int) -> Result:
    wanted = f"{ping.count} requests of {ping.size} octets reach {ping.peer}, their replies {ping.node}"
    if ping.expect == "none":
        wanted = "no reply comes back"
    elif lost:
        wanted += f", all but {lost}"
    if unsent:
        wanted += f"; {unsent} or fewer of them may never have left"
    title = f"{ping.node} pings {ping.peer} ({ping.destination}, {ping.size} octets)"
    tally = Tally(f"aero-pings.{ping.name}", requirement, title, wanted)
    sent = end_frames(link, ping.node, ping, "request")
    if not sent:
        return tally.result(nothing="its sender's capture holds no request")
    requests = _once(end_frames(link, ping.peer, ping, "request"), ping, towards=True)
    replies = _once(end_frames(link, ping.node, ping, "reply"), ping, towards=False)
    if ping.expect == "none":
        tally.see(*sent)
        tally.demand(not replies, f"{len(replies)} replies", *replies.values())
        return tally.result("no reply")
    tally.see(*sent[:1], *requests.values(), *replies.values())
    left_out = ping.count - len({one.echo[2] for one in sent if one.echo})
    count = ping.count - min(max(left_out, 0), unsent)
    missing = count - len(requests), count - len(replies)
    tally.demand(max(missing) <= lost, f"{missing[0]} requests and {missing[1]} replies are missing")
    for frame in [*requests.values(), *replies.values()]:
        tally.demand(frame.innermost.size == ping.size, f"{frame.innermost.size} octets arrived", frame)
    if ttl is not None:
        for frame in requests.values():
            tally.demand(frame.innermost.ttl == ttl, f"hop limit {frame.innermost.ttl}, not {ttl}", frame)
    text = f"{len(requests)} of {ping.count} requests, {len(replies)} replies"
    times = sorted({frame.innermost.ttl for frame in requests.values()})
    return tally.result(f"{text}, hop limit {'/'.join(map(str, times))}")


def _once(frames: list[Frame], ping: Ping, *, towards: bool) -> dict[int, Frame]:
    """By sequence number, those between the two ends of the series, whole."""
    ends = (ping.source, ping.destination) if towards else (ping.destination, ping.source)
    found: dict[int, Frame] = {}
    for frame in frames:
        inner = frame.innermost
        if frame.echo and (inner.source, inner.destination) == ends:
            found.setdefault(frame.echo[2], frame)
    return found
