"""Checks "retransmission", "partial-answer", "no-retransmission": what unanswered updates lead to (spec SC-LOSS).

Sources: RFC 8885 §3.2, §3.6; RFC 6275 §11.8; RFC 5213 §6.9.4; spec RETX-1..5, CMD-RELAY-4, HO-15.
"""

from __future__ import annotations

from itertools import pairwise

from captures.checks.base import Result, Tally, check, milliseconds
from captures.checks.lifecycle import agent_dumps
from captures.exchanges import REFRESH, pair
from captures.records import MobilityMessage
from captures.run import Run
from captures.walk import Attachment

PER_SECOND = 3
"""PBUs to one node in a second (RFC 8885 §3.6)."""


@check("retransmission")
def retransmission(
    run: Run, stay: int, lost: int, initial_ms: float = 1000.0, tolerance_ms: float = 100.0
) -> list[Result]:
    """The first `lost` acknowledgements of stay number `stay` of every node never arrive."""
    results = []
    for stays in run.attachments.values():
        if len(stays) > stay:
            results.append(_schedule(run, stays[stay], lost, initial_ms / 1000, tolerance_ms / 1000))
            results.append(_once(run, stays[stay]))
    return results or [Tally("retransmission", "RETX-2", "Updates are repeated", "a stay").result("", "no such stay")]


def _updates(run: Run, stay: Attachment, until: float) -> list[MobilityMessage]:
    """The registrations (no refresh, no end) of the serving gateway during a stay, to whom it told first."""
    serving, mn_id = run.gateways[stay.gateway].address, run.mobiles[stay.mobile].mn_id
    found = [
        message
        for message in run.signalling
        if message.kind == "PBU"
        and (message.source, message.mn_id) == (serving, mn_id)
        and message.lifetime
        and message.handoff != REFRESH
        and stay.start <= message.time < until
    ]
    return [message for message in found if message.destination == found[0].destination]


def _schedule(run: Run, stay: Attachment, lost: int, initial: float, tolerance: float) -> Result:
    times = [initial * (2**n - 1) for n in range(lost + 1)]
    tally = Tally(
        f"retransmission.schedule.{stay.mobile}.{stay.number}",
        "RETX-1, RETX-2, RETX-4, RETX-5, SC-LOSS",
        f"{stay.gateway} repeats an update until it is answered, ever more slowly",
        f"PBUs at {', '.join(f'{t:g}' for t in times)} s, each with a later Timestamp and another sequence number; "
        f"none after the answer; no more than {PER_SECOND} in a second",
    )
    sent = _updates(run, stay, stay.end)
    tally.see(*sent)
    since = [message.time - sent[0].time for message in sent]
    tally.demand(len(sent) == len(times), f"{len(sent)} PBUs instead of {len(times)}", *sent)
    for message, at, due in zip(sent, since, times, strict=False):
        tally.demand(abs(at - due) <= tolerance, f"sent at {at:.3f} s instead of {due:g} s", message)
    for before, after in pairwise(sent):
        tally.demand((after.timestamp or 0) > (before.timestamp or 0), "not a later Timestamp", before, after)
        tally.demand(after.sequence != before.sequence, "the same sequence number", before, after)
    for first, fourth in zip(sent, sent[PER_SECOND:], strict=False):
        tally.demand(fourth.time - first.time >= 1.0 - 0.01, "more than three in a second", first, fourth)
    return tally.result(f"at {', '.join(f'{at:.3f}' for at in since)} s", f"no PBU of {stay.gateway}")


def _once(run: Run, stay: Attachment) -> Result:
    """What the repetitions left: one entry, one tunnel reference."""
    tally = Tally(
        f"retransmission.once.{stay.mobile}.{stay.number}",
        "RETX-11, SC-LOSS",
        "Repeated updates leave one binding and one tunnel",
        "agents' state afterwards: one entry of the node at each anchor, one tunnel between the two gateways",
    )
    dumps, mn_id = agent_dumps(run, f"stay {stay.number}"), run.mobiles[stay.mobile].mn_id
    accepted = [a for one in pair(run)[0] if one.update.mn_id == mn_id for a in one.accepted if a.time >= stay.start]
    for gateway in (stay.gateway, *stay.previous) if dumps else ():
        tally.see(*accepted)
        state = dumps.get(gateway, {"nodes": {}, "items": []})
        tally.demand(mn_id in state["nodes"], f"{gateway} has no entry")
        tunnels = [item for item in state["items"] if item.startswith("tunnel ")]
        wanted = len(stay.previous) if gateway == stay.gateway else 1
        tally.demand(len(tunnels) == wanted, f"{gateway} has {len(tunnels)} tunnels instead of {wanted}")
        routes = [item for item in state["items"] if item.startswith("anchor-route ")]
        if gateway != stay.gateway:
            tally.demand(len(routes) == 1, f"{gateway} has {len(routes)} routes to the node's gateway")
    if dumps and run.mode != "direct":
        sessions = dumps.get(run.cmd_node or "", {}).get("sessions", {})
        tally.demand(list(sessions) == [mn_id], f"the CMD has sessions {', '.join(sessions)}")
    return tally.result("one entry, one tunnel", f"no state of stay {stay.number}")


@check("partial-answer")
def partial_answer(
    run: Run, stay: int, slow: str, aggregation_ms: float = 500.0, tolerance_ms: float = 200.0
) -> list[Result]:
    """Relay mode: an anchor is slower than T_agg; the others do not wait for it."""
    stays = [mine[stay] for mine in run.attachments.values() if len(mine) > stay]
    return [_in_parts(run, one, slow, aggregation_ms / 1000, tolerance_ms / 1000) for one in stays]


def _in_parts(run: Run, stay: Attachment, slow: str, aggregation: float, tolerance: float) -> Result:
    others = [name for name in stay.previous if name != slow]
    tally = Tally(
        f"partial-answer.{stay.mobile}.{stay.number}",
        "CMD-RELAY-4, CMD-RELAY-5, HO-11, SC-LOSS",
        f"{slow} is slow: the CMD answers {stay.gateway} without it, and once more when it has answered",
        f"PBA naming {', '.join(others)} alone {aggregation:g} s after the PBU; later one naming {slow}, after its own",
    )
    sent = _updates(run, stay, stay.end)
    numbers = {message.sequence for message in sent}
    mn_id, serving = run.mobiles[stay.mobile].mn_id, run.gateways[stay.gateway].address
    answers = [
        message
        for message in run.signalling
        if (message.kind, message.source, message.destination) == ("PBA", run.cmd_address, serving)
        and message.mn_id == mn_id
        and message.sequence in numbers
        and message.time >= stay.start
    ]
    named = [{run.name_of(group.address) for group in answer.anchors} for answer in answers]
    if sent and answers:
        tally.see(sent[0], *answers)
        waited = answers[0].time - sent[0].time
        tally.demand(abs(waited - aggregation) <= tolerance, f"first answer after {milliseconds(waited)}", answers[0])
        tally.demand(
            named[0] == set(others), f"first answer names {', '.join(sorted(named[0])) or 'nobody'}", answers[0]
        )
        later = [answer for answer, names in zip(answers, named, strict=True) if slow in names]
        tally.demand(bool(later), f"no answer names {slow}", *answers)
        slows = run.gateways[slow].address
        said = [m for m in run.signalling if m.kind == "PBA" and m.source == slows and m.time >= stay.start]
        tally.demand(bool(said), f"{slow} never answered")
        if later and said:
            tally.see(said[0])
            tally.demand(said[0].time <= later[0].time, f"{slow} named before it answered", said[0], later[0])
    texts = [
        f"{', '.join(sorted(names))} after {a.time - sent[0].time:.2f} s"
        for a, names in zip(answers, named, strict=True)
    ]
    return tally.result("; ".join(texts), f"no PBA of the CMD to {stay.gateway}")


@check("no-retransmission")
def no_retransmission(run: Run, stay: int, initial_ms: float = 1000.0) -> list[Result]:
    """A node left while its update was not answered: the gateway falls silent about it."""
    return [_stops(run, mine, stay, initial_ms / 1000) for mine in run.attachments.values() if len(mine) > stay]


def _stops(run: Run, stays: list[Attachment], number: int, initial: float) -> Result:
    stay = stays[number]
    until = next((later.start for later in stays[number + 1 :] if later.gateway == stay.gateway), run.end)
    tally = Tally(
        f"no-retransmission.{stay.mobile}.{stay.number}",
        "RETX-3, HO-15, SC-LOSS",
        f"{stay.mobile} leaves {stay.gateway} before the answer: nothing is repeated for a node that is gone",
        "no PBU > 0 about the node after its leaving, for longer than the repetition was away",
    )
    sent = _updates(run, stay, until)
    during = [message for message in sent if message.time < stay.end]
    after = [message for message in sent if message.time >= stay.end]
    due = during[0].time + initial * (2 ** len(during) - 1) if during else until
    if during and due < stay.end:
        tally.wrong("a repetition was due before the node left", *during)
    if during and until > due + initial / 2:
        tally.see(*during)
    for message in after:
        tally.wrong(f"PBU {milliseconds(message.time - stay.end)} after the node had left", message)
    missing = f"no PBU of {stay.gateway}, or the recording ends before the next was due"
    return tally.result(
        f"{len(during)} PBUs while it was there, the next was due {due - stay.end:.2f} s later", missing
    )
