"""Check "haaro-detour": the path between two routers fails although their lines work, and traffic goes round it.

Sources: RFC 6521 §3.3.4, §3.3.6, §8.3; spec HAARO TUN-8, TUN-9, TUN-11, 7.4, §11 S18.
"""

from __future__ import annotations

from itertools import pairwise

from captures.aero.link import Ping
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.checks.haaro.tunnels import between_homes
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame
from captures.haaro.series import directly, of
from captures.run import Run

SOON = 1.0
"""Seconds within which a keepalive is answered: then comes the next."""
MISSED = 3
"""Keepalives without an answer before a path is given up (spec TUN-11)."""


@check("haaro-detour")
def haaro_detour(run: Run, stream: str, way: str = "home", bound_ms: float = 5000.0) -> list[Result]:
    """Judge a failure of the direct path, which the script logs as "path-cut" and perhaps "path-mended".

    `stream`: the series of pings that ran meanwhile; `way`: "home" or "line", what was left; `bound_ms`: the longest
    silence at the pinging host.
    """
    operator = run.haaro
    assert operator
    ping = next((one for one in operator.pings if one.name == stream), None)
    cut = next((event for event in operator.events if event["event"] == "path-cut"), None)
    if ping is None or cut is None:
        return [_noticed(operator, None, 0.0), _round(operator, None, 0.0, way, bound_ms)]
    return [_noticed(operator, cut["ends"], cut["t"]), _round(operator, ping, cut["t"], way, bound_ms)]


def _noticed(operator: Operator, ends: list[str] | None, cut: float) -> Result:
    tally = Tally(
        "haaro-detour.keepalives",
        "TUN-9, TUN-11, SC-S18",
        "Either end notices by itself that nothing comes any more",
        f"from each end {MISSED} or more keepalives on the path after it failed, none of them answered; fewer only "
        "from an end that the other one's request reaches before its last",
    )
    texts, alone_enough = [], 0
    for router in operator.routers.values() if ends else ():
        here = [one for one in operator.at_router(router) if one.echo and one.time > cut and _on(one, ends or [])]
        probes = [one for one in here if one.echo and one.echo[0] == "request" and between_homes(one, router)]
        back = [one for one in here if one.echo and one.echo[0] == "reply"]
        if not operator.at_router(router):
            continue
        tally.see(*probes)
        alone = [one for one in probes if not any(_answers(each, one) for each in back)]
        text = f"{router.name}: {plural(len(alone), 'keepalive')} unanswered"
        enough = len(alone) >= MISSED
        alone_enough += enough
        told = _told(operator, router, cut)
        tally.demand(enough or bool(told and alone and alone[0].time < told.time), text, *probes[:1])
        texts.append(text if enough or told is None else f"{text}, then told by the other end")
    tally.demand(alone_enough > 0 or not texts, f"neither end sent {MISSED} in vain")
    return tally.result("; ".join(texts), "no path failed")


def _told(operator: Operator, router: MobileRouter, cut: float) -> Frame | None:
    """The first request to a router after the path failed: the other end is elsewhere, or takes its leave."""
    requests = (one for one in operator.received(router) if one.kind == "RRQ" and one.time > cut)
    return next((one for one in requests if one.inner.destination == router.home_address), None)


def _answers(reply: Frame, probe: Frame) -> bool:
    """Soon after it: a later tunnel of the same ends counts from 1 again."""
    soon = 0 <= reply.time - probe.time < SOON
    return soon and reply.echo is not None and probe.echo is not None and reply.echo[1:] == probe.echo[1:]


def _on(frame: Frame, ends: list[str]) -> bool:
    return sorted((str(frame.outer.source), str(frame.outer.destination))) == sorted(ends)


def _round(operator: Operator, ping: Ping | None, cut: float, way: str, bound_ms: float) -> Result:
    tally = Tally(
        "haaro-detour.round",
        "TUN-8, TUN-11, HOV-4, HA-16, SC-S18",
        "Traffic goes round a path that failed, both ways, and takes it again when it works",
        f"no silence of more than {bound_ms:g} ms at the pinging host; meanwhile by "
        + ("the home agent, at the end directly" if way == "home" else "another pair of lines"),
    )
    if ping is None:
        return tally.result(nothing="no path failed")
    frames = operator.frames(ping.node, "eth0")
    sent, back = of(frames, ping, "request"), of(frames, ping, "reply")
    if not sent:
        return tally.result(nothing="its requests are in no capture")
    tally.see(*sent[:1], *back)
    times = [sent[0].time, *(one.time for one in back), sent[-1].time]
    gap = max(later - earlier for earlier, later in pairwise(times))
    tally.demand(gap * 1000 <= bound_ms, f"silent for {milliseconds(gap)}", *back[:1])
    straight = directly(operator, ping)
    for kind in ("request", "reply"):
        mine = [one for one in straight if one.echo and one.echo[0] == kind]
        if way == "home":
            star = [one for one in of(operator.at_home, ping, kind) if one.time > cut]
            tally.demand(bool(star), f"no {kind} came by the home agent")
            again = bool(mine and star) and mine[-1].time > star[-1].time
            tally.demand(again, f"the last {kind} did not go directly", *mine[-1:])
        else:
            pairs = list(dict.fromkeys((one.outer.source, one.outer.destination) for one in mine))
            tally.demand(len(pairs) > 1, f"each {kind} went between {pairs}", *mine[-1:])
    lost = len({one.echo[2] for one in sent if one.echo} - {one.echo[2] for one in back if one.echo})
    return tally.result(f"{lost} of {len(sent)} pings lost, longest silence {milliseconds(gap)}")
