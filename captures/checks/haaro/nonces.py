"""Check "haaro-nonces": a peer's nonces serve their time and no longer, and who is told so asks for new tokens.

Sources: RFC 6521 §3.2.2, §3.2.3, §9; spec HAARO §3.4, §3.5, CR-3, MR-18, RR-9, S8.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import CorrespondentAuth
from captures.run import Run

MAX_NONCE_LIFETIME = 240.0
HALVES = {201: {"HoTI"}, 202: {"CoTI"}, 203: {"HoTI", "CoTI"}}
"""Code -> tests that bring what it says is expired."""
TOKENS = {"HoTI": "HoT", "CoTI": "CoT"}


@check("haaro-nonces")
def haaro_nonces(run: Run, expected: list[tuple[str, str, int]] | None = None) -> list[Result]:
    """Judge the nonces of all registrations between routers; `expected`: (router, peer, code) that were answered."""
    operator = run.haaro
    assert operator
    found = [_Named(operator, one, one.peer) for one in registrations(operator) if one.peer and one.reply]
    return [_refused(found, [tuple(one) for one in expected or []]), _accepted(found), _again(operator, found)]


class _Named:
    """A registration that was answered, and when the nonces that it names were first used."""

    def __init__(self, operator: Operator, one: Registration, peer: MobileRouter) -> None:
        self.one, self.peer = one, peer
        assert one.answer
        assert one.reply
        self.answer, self.code = one.answer, one.reply.code
        self.lifetime = float(peer.agent.get("nonce_lifetime", MAX_NONCE_LIFETIME))
        self.used: dict[str, float] = {}
        auth = one.request.auths[0] if one.request.auths else None
        if isinstance(auth, CorrespondentAuth):
            named = {"HoTI": auth.home_index, "CoTI": auth.careof_index}
            if not one.request.lifetime:
                del named["CoTI"]  # does not count (spec RR-9)
            for kind, index in named.items():
                given = (f for f in operator.sent(peer) if f.kind == TOKENS[kind] and f.message)
                times = [f.time for f in given if f.message and f.message.index == index]
                if times:
                    self.used[kind] = min(times)

    def expired(self, at: float) -> set[str]:
        """Tests whose nonce is too old at a time."""
        return {kind for kind, first in self.used.items() if at - first > self.lifetime}

    def oldest(self, at: float) -> float:
        """Seconds since the first use of its older nonce."""
        return at - min(self.used.values())


def _refused(found: list[_Named], expected: list[tuple[object, ...]]) -> Result:
    tally = Tally(
        "haaro-nonces.refused",
        "RR-11, CR-3, ERR-27, SC-S8",
        "A nonce that has served its time is refused, and named",
        "201, 202, 203 for an expired home nonce, care-of nonce, both; no authenticator",
    )
    seen = []
    for named in found:
        if named.code not in HALVES:
            continue
        one = named.one
        tally.see(one.asked, named.answer)
        old = named.expired(named.answer.time)
        tally.demand(old == HALVES[named.code], f"{one.title}: {named.code}, expired is {sorted(old)}", named.answer)
        assert one.reply
        tally.demand(not one.reply.auths, f"{one.title}: {named.code} with an authenticator", named.answer)
        age = f" at {milliseconds(named.oldest(named.answer.time))}" if named.used else ""
        seen.append(((one.router.name, named.peer.name, named.code), f"{one.title}: {named.code}{age}"))
    if seen:
        for wanted in expected:
            tally.demand(wanted in [key for key, _text in seen], f"{wanted[0]} got no {wanted[2]} from {wanted[1]}")
    return tally.result("; ".join(text for _key, text in seen), "no nonce was refused")


def _accepted(found: list[_Named]) -> Result:
    tally = Tally(
        "haaro-nonces.accepted",
        "RR-11, CR-3",
        "No registration is accepted with a nonce that has served its time",
        "first used in a HoT or CoT not longer ago than the peer's nonces last",
    )
    oldest = 0.0
    for named in found:
        if named.code not in (0, 1, 2) or not named.used:
            continue
        tally.see(named.one.asked, named.answer)
        asked = named.one.asked.time
        age = milliseconds(named.oldest(asked))
        tally.demand(not named.expired(asked), f"{named.one.title}: accepted at {age}", named.answer)
        oldest = max(oldest, named.oldest(asked))
    return tally.result(f"{plural(len(tally.seen) // 2, 'registration')}, the oldest nonce at {milliseconds(oldest)}")


def _again(operator: Operator, found: list[_Named]) -> Result:
    tally = Tally(
        "haaro-nonces.again",
        "MR-18, RR-9, SC-S8",
        "Who is told of expired nonces asks for those tokens alone, and registers",
        "HoTI after 201, CoTI after 202, both after 203; then the same request, accepted",
    )
    for named in found:
        one = named.one
        if named.code not in HALVES:
            continue
        tally.see(named.answer)
        later = [
            other
            for other in found
            if other.one.router is one.router and other.peer is named.peer and other.one.asked.time > named.answer.time
        ]
        if not later:
            tally.wrong(f"{one.title}: no request was answered after {named.code}", named.answer)
            continue
        span = named.answer.time, later[0].one.asked.time
        sent = (f for f in operator.sent(one.router) if span[0] <= f.time <= span[1] and f.kind in TOKENS)
        asked = {f.kind for f in sent if operator.router_at(f.inner.destination) is named.peer}
        tally.demand(asked == HALVES[named.code], f"{one.title}: {sorted(map(str, asked))} after {named.code}")
        right = later[0].code == 0 and bool(later[0].one.request.lifetime) == bool(one.request.lifetime)
        tally.demand(right, f"{one.title}: {later[0].code} after {named.code}", later[0].answer)
    return tally.result(f"{plural(len(tally.seen), 'refusal')} overcome", "no nonce was refused")
