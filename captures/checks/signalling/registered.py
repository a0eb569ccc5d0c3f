"""What relay, locator and proxy mode share: the PBU to the CMD and the CMD's PBUs to the anchors.

Sources: RFC 8885 §3.1, §3.2; spec ATT-5, ATT-7, CMD-4, CMD-5, CMD-7.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally
from captures.checks.signalling.conversation import anchor_prefixes, own_prefix, told
from captures.exchanges import HANDOVER, Exchange, Registration
from captures.records import MobilityMessage
from captures.run import Run


def first_registered(run: Run, registration: Registration, id_: str) -> Result:
    """First attachment: the CMD answers, there is no anchor to name."""
    stay = registration.stay
    tally = Tally(
        id_,
        "ATT-5, ATT-7",
        f"{stay.mobile} attaches at {stay.gateway}: registered with the CMD",
        "PBU gateway→CMD {HNP from the own pool, HI 1 or 4}, PBA 0 without option 67; no PBU to another gateway",
    )
    for exchange in registration.own:
        update = exchange.update
        tally.see(update, *exchange.answers)
        own_prefix(run, tally, stay.gateway, update)
        tally.demand(update.handoff in (1, 4), f"HI {update.handoff} at the first attachment", update)
        tally.demand(bool(exchange.accepted), "the CMD did not accept", update)
        for answer in exchange.answers:
            tally.demand(not answer.anchors, "PBA lists a previous gateway", answer)
            same = answer.prefixes == update.prefixes or answer.status >= 128
            tally.demand(same, "PBA changes the HNP", answer)
        for answer in exchange.direct:
            tally.wrong(f"PBA from {run.name_of(answer.source)} at the first attachment", answer)
    for exchanges in registration.anchors.values():
        tally.wrong("PBU to another gateway at the first attachment", *[one.update for one in exchanges])
    return tally.result(told(run, registration), f"no PBU from {stay.gateway} to the CMD")


def own_updates(run: Run, tally: Tally, registration: Registration) -> None:
    """The serving gateway's PBUs to the CMD at a handover."""
    gateway = registration.stay.gateway
    tally.demand(bool(registration.own), f"no PBU from {gateway} to the CMD")
    for exchange in registration.own:
        tally.see(exchange.update, *exchange.answers)
        own_prefix(run, tally, gateway, exchange.update)
        tally.demand(exchange.update.handoff in HANDOVER, f"HI {exchange.update.handoff}", exchange.update)


def passed_on(run: Run, tally: Tally, registration: Registration, anchor: str, literal: bool = False) -> list[Exchange]:
    """The CMD's exchanges with one anchor, each PBU judged; `literal`: the new HNP may be left in (spec AMB-8)."""
    gateway = registration.stay.gateway
    exchanges = registration.anchors.get(anchor, [])
    tally.demand(bool(exchanges), f"no PBU from the CMD to {anchor} with option 68 = {gateway}")
    for exchange in exchanges:
        tally.see(exchange.update, *exchange.answers)
        _passed_on(run, tally, registration, anchor, exchange.update, literal)
        for answer in exchange.answers:
            right = answer.serving in (None, run.gateways[gateway].address)
            tally.demand(right, f"{anchor} echoes option 68 as {answer.serving}", answer)
        for answer in exchange.accepted:
            anchor_prefixes(run, tally, registration.stay.mobile, anchor, answer)
    return exchanges


def _passed_on(
    run: Run, tally: Tally, registration: Registration, anchor: str, update: MobilityMessage, literal: bool
) -> None:
    """One PBU from the CMD to an anchor (spec CMD-4, CMD-5)."""
    stay = registration.stay
    tally.demand(update.source == run.cmd_address, f"PBU to {anchor} does not come from the CMD", update)
    tally.demand(update.serving == run.gateways[stay.gateway].address, "option 68 is not the serving gateway", update)
    origin = next((one.update for one in registration.own if one.update.sequence == update.sequence), None)
    if origin is None:
        tally.wrong(f"relayed PBU has sequence {update.sequence}, no PBU to the CMD has", update)
        return
    tally.demand(origin.time <= update.time, "relayed before it was received", origin, update)
    tally.demand(update.handoff == origin.handoff, "relayed HI differs", origin, update)
    tally.demand(update.anchored[:1] == origin.prefixes, "option 65 is not the new prefix", update)
    for prefix in update.anchored[1:]:  # the node's other prefixes may follow (spec LIPA-6)
        mine = run.owner_of_prefix.get(prefix) == stay.mobile and not prefix.subnet_of(run.gateways[anchor].pool)
        tally.demand(mine, f"option 65 names {prefix}", update)
    if not literal or update.prefixes != origin.prefixes:
        anchor_prefixes(run, tally, stay.mobile, anchor, update)


def confirmed(tally: Tally, anchor: str, exchanges: list[Exchange]) -> None:
    """The anchor accepted one of the CMD's PBUs (any: the CMD may have had to repeat itself)."""
    if exchanges:
        tally.demand(any(one.accepted for one in exchanges), f"{anchor} did not accept", exchanges[-1].update)


def named(run: Run, tally: Tally, registration: Registration, require_dlif: bool) -> dict[str, MobilityMessage]:
    """Anchor -> the CMD's first PBA to the serving gateway naming it; every anchor must be, rightly (spec CMD-7)."""
    stay = registration.stay
    finals = [answer for exchange in registration.own for answer in exchange.accepted]
    if registration.own and not finals:
        tally.wrong("the CMD did not accept", *[exchange.update for exchange in registration.own])
    for answer in finals:
        for group in answer.anchors:
            anchor = run.told_anchor(group.address, group.prefix)
            tally.demand(anchor != stay.gateway, "the serving gateway is listed as an anchor", answer)
            if anchor in stay.previous:
                end = run.far_end(anchor, stay.gateway)
                tally.demand(run.name_of(group.address) == end, f"option 67 for {anchor} does not give {end}", answer)
            expected = run.prefixes.get((stay.mobile, anchor), [group.prefix])
            tally.demand(group.prefix in expected, f"option 67 gives {anchor} prefix {group.prefix}", answer)
            if require_dlif:
                whole = group.dlif.link_local is not None and group.dlif.mac is not None
                tally.demand(whole, f"no DLIF identity (69, 70) for {anchor}", answer)
    for anchor in stay.previous:
        if finals and anchor not in registration.named:
            tally.wrong(f"no option 67 for {anchor}", *finals)
    return {anchor: min(answers, key=lambda answer: answer.time) for anchor, answers in registration.named.items()}
