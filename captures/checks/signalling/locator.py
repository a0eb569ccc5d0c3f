"""Locator mode: the CMD finds the anchors, they answer the serving gateway themselves (RFC 8885 §3.3, CMD-LOC-*)."""

from __future__ import annotations

from captures.checks.base import Result, Tally
from captures.checks.signalling.conversation import anchor_prefixes, has_dlif, told
from captures.checks.signalling.registered import confirmed, own_updates, passed_on
from captures.exchanges import Arrivals, Exchange, Registration, accepting
from captures.run import Run

T_AGG = 0.5
"""Seconds the CMD waits for silent anchors before it may answer itself (spec CMD-RELAY-4, §8)."""
SLACK = 0.01
"""Seconds a timer may seem early: the CMD reads its clock a moment away from the capture."""


def handover(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    """PBU to the CMD, PBU to each anchor, and from each anchor one PBA to the CMD, one to the serving gateway."""
    stay = registration.stay
    anchors = ", ".join(registration.near) or "nobody"
    tally = Tally(
        id_,
        "CMD-LOC-1, CMD-LOC-2, CMD-LOC-3, CMD-4, CMD-5",
        f"{stay.mobile} moves to {stay.gateway}: the anchors answer it directly",
        f"PBU {stay.gateway}→CMD, PBU CMD→{anchors} {{HNP = the anchor's, 68 = {stay.gateway}, 65 = the new prefix, "
        f"same sequence}}; PBA of each to the CMD (68 echoed) and to {stay.gateway} {{HNP = the anchor's, sequence of "
        f"its PBU{', 69, 70' if require_dlif else ''}}}; no option 67 from the CMD"
        + (" but for other operators' anchors" if registration.crossing else ""),
    )
    own_updates(run, tally, registration)
    for anchor in registration.near:
        exchanges = passed_on(run, tally, registration, anchor)
        confirmed(tally, anchor, exchanges)
        _echoed(run, tally, stay.gateway, anchor, exchanges)
        _directly(run, tally, registration, anchor, require_dlif)
    _uninvited(run, tally, registration)
    _silent_cmd(run, tally, registration)
    return tally.result(told(run, registration), f"no PBU from {stay.gateway}")


def _echoed(run: Run, tally: Tally, gateway: str, anchor: str, exchanges: list[Exchange]) -> None:
    """The anchor's PBA to the CMD names the serving gateway again (spec CMD-RELAY-2, CMD-LOC-1)."""
    for answer in (answer for exchange in exchanges for answer in exchange.accepted):
        tally.demand(answer.serving is not None, f"PBA {anchor}→CMD without option 68 = {gateway}", answer)


def _directly(run: Run, tally: Tally, registration: Registration, anchor: str, require_dlif: bool) -> None:
    """The anchor's PBA to the serving gateway: the one its tunnel waits for."""
    stay, exchanges = registration.stay, registration.anchors.get(anchor, [])
    found = [copy for exchange in exchanges for copy in accepting(exchange.copies)]
    if not found:
        tally.wrong(f"no PBA from {anchor} to {stay.gateway}", *[exchange.update for exchange in exchanges])
    for answer in found:
        tally.see(answer)
        tally.demand(bool(answer.prefixes), f"PBA {anchor}→{stay.gateway} without HNP", answer)
        tally.demand(not answer.anchors, f"PBA {anchor}→{stay.gateway} with option 67", answer)
        anchor_prefixes(run, tally, stay.mobile, anchor, answer)
        if require_dlif:
            has_dlif(tally, answer)


def _uninvited(run: Run, tally: Tally, registration: Registration) -> None:
    """No gateway answers that the CMD did not ask, and none before it did."""
    asked = {answer for many in registration.anchors.values() for one in many for answer in one.copies}
    for answer in (answer for exchange in registration.own for answer in exchange.direct):
        who = run.name_of(answer.source)
        tally.demand(answer in asked, f"{who} answers {registration.stay.gateway} without a PBU from the CMD", answer)


def _silent_cmd(run: Run, tally: Tally, registration: Registration) -> None:
    """The CMD hands no anchor's answer on; one of its own, without groups, only after waiting T_agg."""
    arrivals = Arrivals(run)
    received = [time for one in registration.own if (time := arrivals.time(one.update)) is not None]
    for answer in (answer for exchange in registration.own for answer in exchange.accepted):
        named = [run.told_anchor(group.address, group.prefix) for group in answer.anchors]
        anchors = ", ".join(anchor for anchor in named if anchor not in registration.crossing)
        tally.demand(not anchors, f"the CMD forwards option 67 for {anchors}", answer)
        if named and not anchors:
            continue  # as the LMA it speaks for other operators' anchors, and need not wait for others
        waited = answer.time - min(received, default=answer.time)
        early = f"the CMD answers a handover after {waited * 1000:.1f} ms, not the anchors alone"
        tally.demand(waited >= T_AGG - SLACK, early, answer)
