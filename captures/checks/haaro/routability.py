"""Check "haaro-routability": the way of each test message, leg by leg, and what it carries.

Sources: RFC 6521 §3.2, §5.6-5.9; spec HAARO §1.5, RR-1..RR-8, HA-16.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, plural
from captures.haaro.exchanges import Test, tests
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import PORT, Frame
from captures.run import Run


@check("haaro-routability")
def haaro_routability(run: Run) -> list[Result]:
    """Judge every HoTI and CoTI with its answer."""
    operator = run.haaro
    assert operator
    found = list(tests(operator))
    homes = [one for one in found if one.kind == "HoTI"]
    careofs = [one for one in found if one.kind == "CoTI"]
    return [_home(operator, homes), _careof(operator, careofs), _answers(found), _cookies(found)]


def _home(operator: Operator, found: list[Test]) -> Result:
    tally = Tally(
        "haaro-routability.home",
        "RR-2, RR-5, RR-13, HA-16",
        "Home tests go through the home agent on both legs, both ways",
        "HoTI and HoT between home addresses, each in the tunnel router-agent and in the tunnel agent-peer",
    )
    for one in found:
        tally.see(*one.frames)
        x, y = one.router, one.peer
        _leg(tally, operator, one, one.asked, (x, "to"), (x, y))
        _leg(tally, operator, one, one.arrived, (y, "from"), (x, y))
        if one.answered or one.received:
            _leg(tally, operator, one, one.answered, (y, "to"), (y, x))
            _leg(tally, operator, one, one.received, (x, "from"), (y, x))
    return tally.result(f"{plural(len(found), 'home test')} by {len({one.router.name for one in found})} routers")


def _leg(
    tally: Tally,
    operator: Operator,
    one: Test,
    frame: Frame | None,
    tunnel: tuple[MobileRouter, str],
    ends: tuple[MobileRouter, MobileRouter],
) -> None:
    """A message between home addresses inside a router's tunnel to or from the home agent."""
    if frame is None:
        tally.wrong(f"{one.title} or its answer did not pass {tunnel[0].name}", one.asked)
        return
    router, way = tunnel
    outer = (frame.outer.source, frame.outer.destination)
    near, far = outer if way == "to" else outer[::-1]
    right = frame.tunnelled and near in router.careof and far == operator.home_agent
    tally.demand(right, f"{one.title}: {frame.kind} from {outer[0]} to {outer[1]} at {router.name}", frame)
    inner = (frame.inner.source, frame.inner.destination)
    tally.demand(inner == tuple(e.home_address for e in ends), f"{one.title}: inner {inner[0]} to {inner[1]}", frame)


def _careof(operator: Operator, found: list[Test]) -> Result:
    tally = Tally(
        "haaro-routability.careof",
        "RR-2, RR-5, MR-16",
        "Care-of tests leave outside the tunnel and come back outside it",
        "CoTI from care-of address to the peer's home address, CoT back to it; between agent and peer in its tunnel",
    )
    for one in found:
        tally.see(*one.frames)
        x, y = one.router, one.peer
        plain = not one.asked.tunnelled and one.asked.outer.source in x.careof
        tally.demand(plain, f"{one.title} leaves in a tunnel", one.asked)
        for frame, way in ((one.arrived, "from"), (one.answered, "to")):
            if frame is None:
                if way == "from" or one.received:
                    tally.wrong(f"{one.title} or its answer did not pass {y.name}", one.asked)
                continue
            outer = (frame.outer.source, frame.outer.destination)
            near, far = outer if way == "to" else outer[::-1]
            tunnelled = frame.tunnelled and near in y.careof and far == operator.home_agent
            tally.demand(tunnelled, f"{one.title}: {frame.kind} is not in the tunnel of {y.name}", frame)
            other = frame.inner.destination if way == "to" else frame.inner.source
            tally.demand(other in x.seen, f"{one.title}: {other} at {y.name}", frame)
        if one.received:
            back = not one.received.tunnelled and one.received.outer.destination in x.careof
            tally.demand(back, f"{one.title}: the answer came in a tunnel", one.received)
            tally.demand(one.received.outer.source == y.home_address, f"{one.title}: answered by another", one.received)
    return tally.result(f"{plural(len(found), 'care-of test')} by {len({one.router.name for one in found})} routers")


def _answers(found: list[Test]) -> Result:
    tally = Tally(
        "haaro-routability.answer",
        "RR-5, RR-6, CR-1",
        "The peer answers what it was asked, to where it came from",
        "addresses and ports reversed, from port 434, the cookie echoed, an index other than 0, a token of 8 octets",
    )
    for one in found:
        asked, answered = one.arrived, one.answered
        if asked is None or answered is None or answered.message is None:
            continue
        tally.see(asked, answered)
        ends = (answered.inner.source, answered.inner.destination) == (asked.inner.destination, asked.inner.source)
        ports = answered.ports == (asked.ports or (0, 0))[::-1] and (answered.ports or (0,))[0] == PORT
        tally.demand(
            ends and ports, f"{one.title}: answered to {answered.inner.destination} {answered.ports}", answered
        )
        tally.demand(answered.message.index != 0, f"{one.title}: index 0", answered)
    return tally.result(f"{plural(len(tally.seen) // 2, 'test')} answered", "no test was answered")


def _cookies(found: list[Test]) -> Result:
    tally = Tally(
        "haaro-routability.cookies",
        "RR-3",
        "Every test has a cookie of its own",
        "no cookie twice, also in repetitions",
    )
    cookies: set[bytes] = set()
    for one in found:
        assert one.asked.message
        tally.see(one.asked)
        tally.demand(one.asked.message.cookie not in cookies, f"{one.title}: a cookie used before", one.asked)
        cookies.add(one.asked.message.cookie)
    return tally.result(f"{plural(len(cookies), 'cookie')}", "no test was sent")
