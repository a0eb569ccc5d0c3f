"""Check "haaro-paths": what the script's echo requests went through, from end to end, and when the way changed.

Sources: RFC 6521 §3.4, §6.5; spec HAARO MR-7, MR-15, HA-16, CR-14, §11 S2-S5.
"""

from __future__ import annotations

from captures.aero.link import Ping
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.haaro.figures import round_trip
from captures.haaro.operator import Operator
from captures.haaro.records import Frame
from captures.haaro.series import directly, first_direct, of, under_way, unprobed
from captures.run import Run

WAYS = ("direct", "ha", "mixed", "gateway")
WORDS = {"request": "requests", "reply": "replies"}
SWITCH_TRIPS = 6
"""Round trips between router and home agent that route optimisation may take."""
REQUIREMENTS = {
    "direct": ("MR-16", "CR-14"),
    "ha": ("HA-16",),
    "mixed": ("MR-7", "HA-16"),
    "gateway": ("MR-7", "TUN-6"),
}


@check("haaro-paths")
def haaro_paths(
    run: Run,
    max_lost: dict[str, int] | None = None,
    switch_ms: dict[str, float] | None = None,
    scenarios: dict[str, str] | None = None,
    leaving: dict[str, str] | None = None,
    unprobed_ms: dict[str, float] | None = None,
) -> list[Result]:
    """Judge every series by its `via`: "direct", "ha", "gateway", or "mixed": through the home agent first.

    `max_lost`: name -> how many may be missing; `switch_ms`: name of a mixed one -> how much longer than SWITCH_TRIPS
    round trips its first packet may be ahead of the first direct one, both ways; `scenarios`: name -> what of the sheet
    it shows; `leaving`: name -> router that leaves meanwhile, whose tunnel ends at the home agent before it hears so;
    `unprobed_ms`: name -> how long the end of who asked may take that is told of acceptance after it was used.
    """
    operator = run.haaro
    assert operator
    shown = scenarios or {}
    results = []
    for ping in operator.pings:
        lost, router = (max_lost or {}).get(ping.name, 0), (leaving or {}).get(ping.name)
        excused: dict[str, set[int]] = {}
        if router:
            leave = under_way(operator, ping, operator.routers[router], run.slowness)
            excused["under way while the router left the home agent"] = leave
        if late := (unprobed_ms or {}).get(ping.name):
            excused["sent directly to who had not heard that it was accepted"] = unprobed(operator, ping, late / 1000)
        results.append(_series(operator, ping, lost, shown.get(ping.name), excused))
    for name, bound in (switch_ms or {}).items():
        results.append(_switch(operator, name, bound))
    return [*results, _volume(operator)]


def _series(operator: Operator, ping: Ping, lost: int, scenario: str | None, excused: dict[str, set[int]]) -> Result:
    wanted = {
        "direct": "between the routers' care-of addresses, none through the home agent",
        "ha": "all through the home agent",
        "mixed": "first through the home agent, then directly",
        "gateway": "requests directly to a peer and none through the home agent, which replies come by",
    }.get(ping.via, "any way")
    if ping.expect == "none":
        wanted = "no reply comes back"
    but = "".join(f", but those {why}" for why in excused)
    tally = Tally(
        f"haaro-paths.{ping.name}",
        ", ".join([*REQUIREMENTS.get(ping.via, ("HA-16",)), *([scenario] if scenario else [])]),
        f"{ping.node} pings {ping.peer} ({ping.destination}): {ping.via or 'any way'}",
        f"{ping.count} requests and replies{f', all but {lost}' if lost else ''}{but}; {wanted}",
    )
    sent = of(operator.frames(ping.node, "eth0"), ping, "request")
    back = of(operator.frames(ping.node, "eth0"), ping, "reply")
    tally.see(*sent, *back)
    if not sent:
        return tally.result(nothing="its requests are in no capture")
    if ping.expect == "none":
        tally.demand(not back, f"{plural(len(back), 'reply')} came back", *back)
        return tally.result("no reply")
    answered = {one.echo[2] for one in back if one.echo}
    lost_then = ({one.echo[2] for one in sent if one.echo} - answered).intersection(set().union(*excused.values()))
    missing = ping.count - len(answered) - len(lost_then)
    tally.demand(missing <= lost, f"{missing} of {ping.count} are missing")
    at_home = [one for one in of(operator.at_home, ping) if one.outer.destination == operator.home_agent]
    straight = directly(operator, ping)
    _by_way(tally, operator, ping, at_home, straight)
    octets = sum(one.outer.size for one in at_home)
    besides = f", {len(lost_then)} lost as may be" if excused else ""
    ways = f"{plural(len(at_home), 'packet')} ({octets} octets) through the home agent, {len(straight)} directly"
    return tally.result(f"{len(answered)} of {ping.count} answered{besides}; {ways}")


def _by_way(tally: Tally, operator: Operator, ping: Ping, at_home: list[Frame], straight: list[Frame]) -> None:
    """Whether a series went as it should: `at_home` to the home agent, `straight` between routers."""
    if ping.via == "direct":
        tally.demand(not at_home, f"{plural(len(at_home), 'packet')} through the home agent", *at_home[:1])
        tally.demand(bool(straight), "none went directly")
    elif ping.via == "ha":
        tally.demand(not straight, f"{plural(len(straight), 'packet')} went directly", *straight[:1])
        tally.demand(bool(at_home), "none came by the home agent")
    elif ping.via == "mixed":
        tally.demand(bool(at_home), "none came by the home agent")
        tally.demand(bool(straight), "none went directly")
        requests = [one for one in at_home if one.echo and one.echo[0] == "request"]
        late = [one for one in requests if straight and one.time > straight[-1].time]
        tally.demand(not late, "back through the home agent at the end", *late[:1])
    elif ping.via == "gateway":
        here = of(operator.at_home, ping)
        asked = [one for one in here if one.echo and one.echo[0] == "request"]
        tally.demand(not asked, f"{plural(len(asked), 'request')} through the home agent", *asked[:1])
        tally.demand(len(here) > len(asked), "no reply came by the home agent")
        out = [one for one in straight if one.echo and one.echo[0] == "request"]
        tally.demand(bool(out), "no request went to a peer")


def _switch(operator: Operator, name: str, fixed: float) -> Result:
    trip = round_trip(operator) or 0.0
    bound = SWITCH_TRIPS * trip + fixed
    tally = Tally(
        f"haaro-paths.switch-{name}",
        "MR-7, MR-15, CR-14",
        f"{name}: from the first packet to the first direct one, each way",
        f"within {SWITCH_TRIPS} round trips to the home agent, the quickest of {trip:.1f} ms, and {fixed:g} ms",
    )
    ping = next((one for one in operator.pings if one.name == name), None)
    if ping is None:
        return tally.result(nothing="no such series")
    begin = of(operator.frames(ping.node, "eth0"), ping, "request")
    found = first_direct(operator, ping) if begin else {}
    for kind, straight in found.items():
        took = (straight.time - begin[0].time) * 1000
        tally.see(begin[0], straight)
        tally.demand(took <= bound, f"{WORDS[kind]} after {took:.1f} ms", straight)
    for kind in WORDS if begin else ():
        tally.demand(kind in found, f"no {kind} went directly")
    texts = [f"{WORDS[kind]} after {milliseconds(one.time - begin[0].time)}" for kind, one in found.items()]
    return tally.result(", ".join(texts))


def _volume(operator: Operator) -> Result:
    tally = Tally(
        "haaro-paths.volume",
        "HA-16",
        "Once routes are direct, the home agent carries signalling only",
        "no packet of a series that goes directly at the home agent's interface; octets by way",
    )
    totals = dict.fromkeys(WAYS, 0)
    for ping in operator.pings:
        seen = of(operator.at_home, ping)
        tally.see(*of(operator.frames(ping.node, "eth0"), ping)[:1])
        if ping.via in totals:
            totals[ping.via] += sum(one.outer.size for one in seen)
        if ping.via == "direct":
            tally.demand(not seen, f"{ping.name}: {plural(len(seen), 'packet')}", *seen[:1])
    texts = [f"{name}: {octets} octets" for name, octets in totals.items()]
    return tally.result("at the home agent, of series " + ", ".join(texts), "no series of pings")
