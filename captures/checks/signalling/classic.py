"""Classic mode: access gateways register with the one anchor, which gives the prefix (RFC 5213 §5.3, §6.9.1)."""

from __future__ import annotations

from captures.checks.base import Result, Tally, required
from captures.checks.signalling.conversation import name, told
from captures.exchanges import HANDOVER, Arrivals, Exchange, Registration
from captures.records import MobilityMessage
from captures.run import Run

FIRST = (1, 4)
"""Handoff Indicators of a first attachment: new interface, unknown."""


def conversation(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    """PBU {HNP ::/0} to the anchor, PBA {the node's one home prefix, the name of its one home router}."""
    stay = registration.stay
    handoffs = HANDOVER if stay.number else FIRST
    tally = Tally(
        id_,
        required(run, "HO-8"),
        f"{stay.mobile} {'moves to' if stay.number else 'attaches at'} {stay.gateway}: registered with the anchor",
        f"PBU {stay.gateway}→{run.cmd_node} {{HNP ::/0, HI {handoffs[0]} or {handoffs[1]}}}, PBA 0 with the same HNP "
        "and link-local address (26) as at every gateway; no PBU to anybody else",
    )
    for exchange in registration.own:
        update = exchange.update
        tally.see(update, *exchange.answers)
        tally.demand(update.handoff in handoffs, f"HI {update.handoff}", update)
        asked = {prefix.prefixlen for prefix in update.prefixes}
        tally.demand(asked == {0}, f"asks for {', '.join(map(str, update.prefixes))}", update)
        for answer in exchange.accepted:
            _grant(run, tally, answer, require_dlif)
    if registration.own:
        accepted = any(exchange.accepted for exchange in registration.own)
        tally.demand(accepted, "the anchor did not accept", registration.own[-1].update)
    for message in _elsewhere(run, registration):
        tally.wrong(f"{name(run, message)}: not to the anchor", message)
    return tally.result(told(run, registration), f"no PBU from {stay.gateway}")


def _grant(run: Run, tally: Tally, answer: MobilityMessage, require_dlif: bool) -> None:
    """One /64 of the home network, and the same answer at every gateway."""
    first = next(
        one
        for one in run.signalling
        if one.kind == "PBA" and one.mn_id == answer.mn_id and one.status == 0 and one.lifetime > 0
    )
    tally.demand(len(answer.prefixes) == 1, f"{len(answer.prefixes)} prefixes granted", answer)
    for prefix in answer.prefixes:
        inside = run.central is not None and prefix.subnet_of(run.central.pool)
        tally.demand(inside, f"HNP {prefix} is not from the anchor's pool", answer)
    tally.demand(answer.prefixes == first.prefixes, "another prefix than before", first, answer)
    tally.demand(answer.link_local == first.link_local, "another home router than before", first, answer)
    if require_dlif:
        named = answer.link_local is not None and answer.link_local.is_link_local
        tally.demand(named, f"option 26 names {answer.link_local} as home router", answer)


def _elsewhere(run: Run, registration: Registration) -> list[MobilityMessage]:
    """Updates about the node that do not go from an access gateway to the anchor."""
    stay = registration.stay
    mine = run.mobiles[stay.mobile].mn_id
    gateways = {gateway.address for gateway in run.gateways.values()}
    return [
        one
        for one in run.signalling
        if one.kind == "PBU"
        and one.mn_id == mine
        and stay.start <= one.time < stay.end
        and (one.destination != run.cmd_address or one.source not in gateways)
    ]


def farewell(run: Run, registration: Registration, exchanges: list[Exchange]) -> Result:
    """At a move the gateway left tells the anchor, which keeps the session all the same (RFC 5213 §6.9.1.4)."""
    stay = registration.stay
    old = run.attachments[stay.mobile][stay.number - 1].gateway
    tally = Tally(
        f"signalling.{stay.mobile}.{stay.number}.left",
        required(run, "HO-13", "DEREG-6"),
        f"{stay.mobile} left {old}: de-registered there, and its session lives on",
        f"PBU {old}→{run.cmd_node} {{lifetime 0, HI 4}}",
    )
    mine = run.mobiles[stay.mobile].mn_id
    for exchange in exchanges:
        update = exchange.update
        here = update.source == run.gateways[old].address and stay.left <= update.time <= stay.start + 1.0
        if update.mn_id == mine and update.lifetime == 0 and here:
            tally.see(update, *exchange.answers)
            tally.demand(update.handoff == 4, f"HI {update.handoff}", update)
    return tally.result("told, accepted or too late to matter", f"no PBU with lifetime 0 from {old}")


def in_time(run: Run, exchanges: list[Exchange]) -> list[Exchange]:
    """Without the de-registrations that reached the anchor when it knew the node elsewhere already.

    These it ignores or calls stale, and rightly so (RFC 5213 §5.3.5-1, §5.5).
    """
    arrivals = Arrivals(run)

    def overtaken(one: Exchange) -> bool:
        came = arrivals.time(one.update)
        return one.update.lifetime == 0 and any(
            other.accepted
            and other.update.mn_id == one.update.mn_id
            and other.update.source != one.update.source
            and came is not None
            and one.update.time - 1.0 < (arrivals.time(other.update) or came) < came
            for other in exchanges
        )

    return [one for one in exchanges if not overtaken(one)]
