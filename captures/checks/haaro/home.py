"""Check "haaro-home": a router that came home is reached without a tunnel, and old tunnels end with their grace.

Sources: RFC 6521 §3.3.6, RFC 5177 §6.7; spec HAARO 7.3, CR-17, A-39, §11 S11.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.series import of
from captures.run import Run

SCENARIO = "SC-S11"
UNDER_WAY = 0.1
"""Seconds from the acceptance at the peer, where the grace begins, to its arrival, at most."""


@check("haaro-home")
def haaro_home(run: Run, router: str, interface: str, grace: float) -> list[Result]:
    """Judge a router's life at home; `interface`: its home link, `grace`: seconds that peers keep old tunnels."""
    operator = run.haaro
    assert operator
    one = operator.routers[router]
    ends = [each for each in registrations(operator) if each.router is one and not each.request.lifetime]
    return [_reached(operator, one, interface, ends), _grace(operator, one, ends, grace)]


def _reached(operator: Operator, router: MobileRouter, interface: str, ends: list[Registration]) -> Result:
    tally = Tally(
        "haaro-home.reached",
        f"HOV-3, HA-18, {SCENARIO}",
        f"{router.name} is reached by its home link once it has left",
        "every packet to its host crosses the home link, none its access lines; replies likewise",
    )
    left = next((each.answer for each in ends if each.peer is None and each.answer), None)
    if left is None:
        return tally.result(nothing=f"{router.name} did not leave the home agent")
    series = [ping for ping in operator.pings if ping.peer == router.host and ping.start > left.time]
    at_home = operator.frames(router.name, interface)
    for ping in series:
        asked = of(operator.frames(ping.node, "eth0"), ping, "request")
        for kind in ("request", "reply"):
            crossed = of(at_home, ping, kind)
            tally.see(*crossed)
            tally.demand(len(crossed) == len(asked), f"{ping.name}: {plural(len(crossed), kind)}")
            for frame in crossed:
                tally.demand(not frame.tunnelled, f"{ping.name}: in a tunnel on the home link", frame)
        away = of(operator.at_router(router), ping)
        tally.demand(not away, f"{ping.name}: {plural(len(away), 'packet')} on an access line", *away[:1])
    return tally.result(f"{len(series)} series of pings at home", "no pings after the end")


def _grace(operator: Operator, router: MobileRouter, ends: list[Registration], grace: float) -> Result:
    tally = Tally(
        "haaro-home.grace",
        f"CR-17, HOV-3, {SCENARIO}",
        "What was under way comes out of the old tunnel for a while, and not after it",
        f"a late packet is delivered within {grace:g} s of the peer's acceptance, and none afterwards",
    )
    texts = []
    for event in operator.events:
        if event["event"] != "late-packet":
            continue
        peer = operator.routers[event["peer"]]
        sent = [one for one in operator.sent(router) if one.echo and one.echo[1] == event["icmp_id"]]
        end = next((each.answer for each in ends if each.peer is peer and each.answer), None)
        if end is None:
            continue
        if not sent:
            tally.wrong(f"late packet {event['icmp_id']} is not in the captures")
            continue
        came = [
            one
            for one in operator.frames(event["host"], "eth0")
            if one.echo and one.echo[:2] == ("request", event["icmp_id"])
        ]
        after = sent[0].time - end.time
        tally.see(end, sent[0], *came)
        tally.demand(after > 0, f"late packet {milliseconds(-after)} before the end", sent[0])
        within: bool = event["delivered"]
        timely = after < grace if within else after > grace - UNDER_WAY
        tally.demand(timely, f"late packet after {milliseconds(after)}", sent[0])
        tally.demand(bool(came) is within, f"after {milliseconds(after)} {'lost' if within else 'delivered'}", sent[0])
        texts.append(f"after {milliseconds(after)}: {'delivered' if came else 'dropped'}")
    tally.demand(len(texts) != 1 or bool(tally.problems), "one late packet cannot show both")
    return tally.result("; ".join(texts), "no late packet")
