"""Direct mode: the serving gateway tells each anchor itself (spec ATT-6, HO-3, HO-4, HO-7)."""

from __future__ import annotations

from captures.checks.base import Result, Tally
from captures.checks.signalling.conversation import anchor_prefixes, has_dlif, name, told
from captures.exchanges import HANDOVER, Registration
from captures.run import Run


def first(run: Run, registration: Registration, id_: str) -> Result:
    """Nobody to tell at the first attachment."""
    stay = registration.stay
    tally = Tally(
        id_,
        "ATT-6",
        f"{stay.mobile} attaches at {stay.gateway}: nothing to tell an anchor",
        "no PBU about the node before its first move",
    )
    until = min((other.start for other in run.attachments[stay.mobile] if other.number > 0), default=run.end + 1)
    mine = run.mobiles[stay.mobile].mn_id
    for message in run.signalling:
        if message.mn_id == mine and message.kind == "PBU" and stay.start <= message.time < until:
            tally.wrong(f"{name(run, message)} before any move", message)
    wan = run.wan(stay.gateway)
    if wan is not None:
        # Silence only proves something where the recorder was alive.
        tally.see(*[packet for packet in wan.packets if stay.start - 60 <= packet.time < until][:1])
    return tally.result("no PBU", f"capture of {stay.gateway} holds no frame of that time")


def handover(run: Run, registration: Registration, id_: str, require_dlif: bool) -> Result:
    """One PBU per anchor, accepted by it."""
    stay = registration.stay
    anchors = ", ".join(dict.fromkeys(run.far_end(anchor, stay.gateway) for anchor in stay.previous))
    tally = Tally(
        id_,
        "HO-3, HO-4, HO-7",
        f"{stay.mobile} moves to {stay.gateway}: each anchor told directly",
        f"PBU {stay.gateway}→{anchors} {{HNP = the anchor's prefix, HI 3 or 4}}, PBA 0 with the same HNP"
        + (" and DLIF identity (69, 70)" if require_dlif else ""),
    )
    for anchor in stay.previous:
        exchanges = registration.anchors.get(anchor, [])
        tally.demand(bool(exchanges), f"no PBU to {anchor}")
        for exchange in exchanges:
            tally.see(exchange.update, *exchange.answers)
            tally.demand(exchange.update.handoff in HANDOVER, f"HI {exchange.update.handoff}", exchange.update)
            anchor_prefixes(run, tally, stay.mobile, anchor, exchange.update)
            for answer in exchange.accepted:
                tally.demand(answer.prefixes == exchange.update.prefixes, "PBA changes the HNP", answer)
                if require_dlif:
                    has_dlif(tally, answer)
        if exchanges:
            tally.demand(any(one.accepted for one in exchanges), f"{anchor} did not accept", exchanges[-1].update)
    return tally.result(told(run, registration), f"no PBU from {stay.gateway}")
