"""Proxy mode: the CMD answers at once from what it knows, the anchors only confirm (RFC 8885 §3.4, CMD-PROXY-*)."""

from __future__ import annotations

from captures.checks.base import Result, Tally
from captures.checks.signalling.conversation import told
from captures.checks.signalling.registered import confirmed, named, own_updates, passed_on
from captures.exchanges import Arrivals, Exchange, Registration
from captures.records import MobilityMessage
from captures.run import Run

AT_ONCE = 0.25
"""Seconds from PBU to answer at the CMD: half of T_agg (spec §8), so that no anchor's silence was waited for."""


def handover(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    """PBU to the CMD, PBA with one option 67 per anchor at once, PBU to each anchor, PBA back to the CMD."""
    stay = registration.stay
    anchors = ", ".join(registration.near) or "nobody"
    tally = Tally(
        id_,
        "CMD-PROXY-1, CMD-PROXY-2, CMD-4, CMD-5",
        f"{stay.mobile} moves to {stay.gateway}: the CMD answers for the anchors",
        f"PBU {stay.gateway}→CMD, PBA back at once with one option 67 per anchor prefix, not after an anchor's PBA; "
        f"PBU CMD→{anchors} {{HNP = the anchor's, 68 = {stay.gateway}, 65 = the new prefix, same sequence}}, PBA back; "
        "a PBA with status ≥ 128 for an anchor's prefix only if it refused",
    )
    own_updates(run, tally, registration)
    answers = named(run, tally, registration, require_dlif)
    arrivals = Arrivals(run)
    corrections = _corrections(run, registration)
    for anchor in registration.near:
        exchanges = passed_on(run, tally, registration, anchor)
        _at_once(tally, registration, arrivals, anchor, answers.get(anchor))
        _outcome(tally, anchor, exchanges, corrections.pop(anchor, []))
    for other, found in corrections.items():
        if other in registration.crossing:
            continue  # judged with its two exchanges, by the check "interoperator"
        tally.wrong(f"PBA withdraws {other}, which is no anchor", *found)
    return tally.result(told(run, registration), f"no PBU from {stay.gateway}")


def _at_once(
    tally: Tally, registration: Registration, arrivals: Arrivals, anchor: str, answer: MobilityMessage | None
) -> None:
    """The CMD named the anchor before it could have heard of it, and without waiting."""
    if answer is None:
        return
    heard = [
        time
        for exchange in registration.anchors.get(anchor, [])
        for one in exchange.answers
        if (time := arrivals.time(one)) is not None
    ]
    after = answer.time - min(heard, default=answer.time)
    tally.demand(after <= 0, f"{anchor} named {after * 1000:.1f} ms after its PBA reached the CMD", answer)
    asked = next((arrivals.time(one.update) for one in registration.own if answer in one.answers), None)
    took = answer.time - asked if asked is not None else 0.0
    tally.demand(took <= AT_ONCE, f"the CMD took {took * 1000:.1f} ms to name {anchor}", answer)


def _corrections(run: Run, registration: Registration) -> dict[str, list[MobilityMessage]]:
    """Anchor -> the CMD's PBAs that take it back: refusal (or lifetime 0) of a prefix that is not the gateway's own."""
    found: dict[str, list[MobilityMessage]] = {}
    for exchange in registration.own:
        for answer in exchange.answers:
            if answer.status < 128 and answer.lifetime > 0:
                continue
            for prefix in answer.prefixes:
                if prefix not in exchange.update.prefixes:
                    anchor = run.anchor_of(prefix.network_address) or str(prefix)
                    found.setdefault(anchor, []).append(answer)
    return found


def _outcome(tally: Tally, anchor: str, exchanges: list[Exchange], corrections: list[MobilityMessage]) -> None:
    """The anchor accepted, or refused and the serving gateway was told so (spec CMD-PROXY-2)."""
    refusals = [answer for exchange in exchanges for answer in exchange.answers if answer.status >= 128]
    if any(exchange.accepted for exchange in exchanges) or not refusals:
        confirmed(tally, anchor, exchanges)
        tally.demand(not corrections, f"PBA withdraws {anchor}, which did not refuse", *corrections)
        return
    tally.demand(bool(corrections), f"{anchor} refused, no PBA withdraws it", *refusals)
    for answer in corrections:
        in_order = min(refusal.time for refusal in refusals) <= answer.time
        tally.demand(in_order, f"PBA withdraws {anchor} before it refused", answer)
