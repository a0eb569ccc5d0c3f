"""Check "haaro-leaving": routers that go tell their peers, then the home agent, and nothing follows them.

Sources: RFC 6521 §3.3.6, RFC 5944 §3.8.2.2; spec HAARO 7.3, CR-17, HA-18, RR-9.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.series import UNDER_WAY
from captures.run import Run

EXPIRED_HOME_NONCE = 201


@check("haaro-leaving")
def haaro_leaving(run: Run, routers: list[str] | None = None, scenario: str = "") -> list[Result]:
    """Judge the deregistrations; `routers`: who must have left; `scenario`: what of the sheet it shows."""
    operator = run.haaro
    assert operator
    found = list(registrations(operator))
    return [_order(operator, found, routers or [], scenario), _silence(operator, found, run.slowness)]


def _order(operator: Operator, found: list[Registration], routers: list[str], scenario: str) -> Result:
    tally = Tally(
        "haaro-leaving.order",
        "HOV-3, CR-17, HA-18, RR-9" + (f", {scenario}" if scenario else ""),
        "Who leaves tells all peers first, the home agent last",
        "lifetime 0 to each peer registered with that is still there, then to the home agent; all accepted",
    )
    texts = []
    for name in routers:
        router = operator.routers[name]
        mine = [one for one in found if one.router is router]
        last = next((one for one in mine if one.peer is None and not one.request.lifetime), None)
        if last is None:
            tally.demand(not operator.sent(router), f"{name} did not leave the home agent")
            continue
        gone = _gone(found, last)
        peers = _registered(mine, last) - gone
        ends = [one for one in mine if one.peer and not one.request.lifetime]
        for one in (*ends, last):
            tally.see(one.asked)
            accepted = one.reply is not None and one.reply.code == 0 and one.reply.lifetime == 0
            deaf = one.peer is not None and one.peer.name in gone  # it knows no home agent by which to answer
            tally.demand(
                accepted or deaf or _repeated(one, ends),
                f"{one.title}: the end is answered {one.reply and one.reply.code}",
                one.asked,
            )
            tally.demand(one.asked.time <= last.asked.time, f"{one.title}: after the home agent was left", one.asked)
        told = {one.peer.name for one in ends if one.peer}
        tally.demand(told >= peers, f"{name} did not tell {', '.join(sorted(peers - told))}", last.asked)
        texts.append(f"{name} tells {', '.join([*sorted(told), 'the home agent'])}")
    return tally.result("; ".join(texts), "nobody was to leave")


def _registered(mine: list[Registration], last: Registration) -> set[str]:
    """Peers that have a live registration of the router when it leaves, and were not left themselves before."""
    lives: dict[str, float] = {}
    for one in mine:
        if one.peer and one.reply and one.reply.code in (0, 1, 2) and one.request.lifetime:
            lives[one.peer.name] = one.asked.time + one.reply.lifetime
    return {name for name, until in lives.items() if until > last.asked.time}


def _repeated(one: Registration, ends: list[Registration]) -> bool:
    """It was told that its home token is too old, and asked again with another (spec 7.3)."""
    again = any(other.peer is one.peer and other.asked.time > one.asked.time for other in ends)
    return one.reply is not None and one.reply.code == EXPIRED_HOME_NONCE and again


def _gone(found: list[Registration], last: Registration) -> set[str]:
    """Routers that left the home agent before."""
    ends = (one for one in found if one.peer is None and not one.request.lifetime)
    return {one.router.name for one in ends if one.asked.time < last.asked.time}


def _silence(operator: Operator, found: list[Registration], slowness: float) -> Result:
    tally = Tally(
        "haaro-leaving.silence",
        "CR-17, HA-18",
        "Nothing is sent to a router that has left",
        f"no tunnelled packet of the home agent, and no packet of a peer but keepalives, later than "
        f"{milliseconds(UNDER_WAY * slowness)} after the acceptance",
    )
    for one in found:
        if one.request.lifetime or one.answer is None or _again(found, one):
            continue
        begin = one.answer.time + UNDER_WAY * slowness
        tally.see(one.answer)
        sent = operator.at_home if one.peer is None else operator.sent(one.peer)
        for frame in sent:
            late = frame.time > begin and frame.tunnelled and frame.outer.destination in one.router.seen
            own = frame.outer.source == operator.home_agent or one.peer is not None
            if late and own and not _keepalive(frame.inner.destination, one.router):
                tally.wrong(f"{one.title}: a packet to {frame.inner.destination} after the end", frame)
    return tally.result(f"after {plural(len(tally.seen), 'end')}", "nobody left")


def _again(found: list[Registration], end: Registration) -> bool:
    """Whether the router registered there again later."""
    later = (one for one in found if one.router is end.router and one.peer is end.peer and one.request.lifetime)
    return any(one.asked.time > end.asked.time for one in later)


def _keepalive(destination: object, router: MobileRouter) -> bool:
    return destination == router.home_address
