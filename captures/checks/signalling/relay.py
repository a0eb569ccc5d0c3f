"""Relay mode: the CMD passes the PBU on and answers with what the anchors said (RFC 8885 §3.2, CMD-RELAY-*)."""

from __future__ import annotations

from captures.checks.base import Result, Tally
from captures.checks.signalling.conversation import told
from captures.checks.signalling.registered import confirmed, named, own_updates, passed_on
from captures.exchanges import Registration
from captures.run import Run


def handover(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    """PBU to the CMD, PBU to each anchor, PBA back, PBA with one option 67 per anchor."""
    stay, anchors = registration.stay, ", ".join(registration.near) or "nobody"
    tally = Tally(
        id_,
        "CMD-RELAY-1, CMD-RELAY-2, CMD-RELAY-3, CMD-4, CMD-5",
        f"{stay.mobile} moves to {stay.gateway}: the CMD relays to the anchors",
        f"PBU {stay.gateway}→CMD, PBU CMD→{anchors} {{HNP = the anchor's, 68 = {stay.gateway}, "
        "65 = the new prefix, same sequence}, PBA back, PBA CMD→gateway with one option 67 per anchor prefix",
    )
    own_updates(run, tally, registration)
    for anchor in registration.near:
        confirmed(tally, anchor, passed_on(run, tally, registration, anchor, literal=True))
    for anchor, answer in named(run, tally, registration, require_dlif).items():
        confirmations = [one for exchange in registration.anchors.get(anchor, []) for one in exchange.accepted]
        if confirmations:
            in_order = min(one.time for one in confirmations) <= answer.time
            tally.demand(in_order, f"{anchor} named before it confirmed", answer)
    return tally.result(told(run, registration), f"no PBU from {stay.gateway}")
