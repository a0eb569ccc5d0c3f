"""Check "replay": PBUs sent in a former serving gateway's name change nothing (spec HO-13, RETX-7, DEREG-3).

The lab's script sends them (events `impostor`, with what must become of each) and dumps the receiver's state
before and after (events `agent-dump`, the same label).
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

from captures.checks.base import Result, Tally, check
from captures.injected import is_injected, rejects
from captures.records import Logged, MobilityMessage
from captures.run import Run

VOLATILE = ("counters",)
"""What rejecting a message may change in a state dump: it is counted."""


@check("replay")
def replay(run: Run) -> list[Result]:
    """One result per injected message, one for the state of its receiver."""
    orders = run.logged("impostor")
    results = []
    for order in orders:
        results += [_outcome(run, order), _unchanged(run, order)]
    if not orders:
        nothing = Tally("replay", "HO-13", "Replayed updates are refused", "at least one was injected")
        results.append(nothing.result("", "the script injected nothing"))
    return results


def _outcome(run: Run, order: Logged) -> Result:
    status = order.fields["status"]
    label = order.fields["label"]
    tally = Tally(
        f"replay.{label}.answer",
        order.fields["requirement"],
        f"{order.fields['title']}: " + ("ignored" if status is None else f"rejected with {status}"),
        "no answer at all" if status is None else f"one PBA with status {status}, carrying the receiver's time",
    )
    sent = next((one for one in run.mobility if is_injected(one, order)), None)
    if sent is None:
        return tally.result("", "the injected message is in no capture")
    tally.see(sent)
    answers = [one for one in run.mobility if _answers(one, sent)]
    tally.see(*answers)
    if status is None:
        for one in answers:
            tally.wrong(f"answered with status {one.status}", sent, one)
        return tally.result("no answer")
    tally.demand(bool(answers), "never answered", sent)
    for one in answers:
        tally.demand(one.status == status, f"status {one.status}", sent, one)
        fresh = one.timestamp is not None and abs(one.timestamp - one.time) < 1
        tally.demand(fresh, "PBA without the receiver's current time", one)
    return tally.result(f"status {answers[0].status}" if answers else "")


def _answers(one: MobilityMessage, sent: MobilityMessage) -> bool:
    """An answer to the injected message: a rejection, or (wrongly) an acceptance of what it asked."""
    if rejects(one, sent):
        return True
    ends = one.source == sent.destination and one.destination == sent.source
    return ends and one.kind == "PBA" and one.sequence == sent.sequence and 0 <= one.time - sent.time < 1


def _unchanged(run: Run, order: Logged) -> Result:
    label = order.fields["label"]
    tally = Tally(
        f"replay.{label}.state",
        order.fields["requirement"],
        f"{order.fields['title']}: nothing changes",
        "every agent's state dump is the same before and after, but for its counters",
    )
    dumps: dict[str, list[Logged]] = {}
    for dump in run.logged("agent-dump"):
        if dump.fields["label"] == label:
            dumps.setdefault(dump.node, []).append(dump)
    target = run.name_of(IPv6Address(order.fields["destination"]))
    tally.demand(not dumps or target in dumps, f"the state of {target}, which it was sent to, was not dumped", order)
    for node, found in dumps.items():
        before = [dump for dump in found if dump.time < order.time]
        after = [dump for dump in found if dump.time > order.time]
        if not before or not after:
            tally.wrong(f"{node} was not dumped before and after", *found)
            continue
        tally.see(before[-1], after[0])
        old, new = _lasting(before[-1].fields["state"]), _lasting(after[0].fields["state"])
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        tally.demand(not changed, f"{node}: {', '.join(changed)} changed", before[-1], after[0])
    return tally.result(f"{', '.join(dumps)} as before", "no agent's state was dumped")


def _lasting(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in VOLATILE}
