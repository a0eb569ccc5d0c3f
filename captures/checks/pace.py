"""Check "pace": how fast PBUs follow each other, and how soon registrations are complete.

Sources: RFC 8885 §3.2, §3.6; RFC 6275 §11.8; spec RETX-5, CMD-6, SC-SIMUL.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv6Address
from itertools import pairwise

from captures.checks.base import Result, Tally, check, milliseconds, plural, required
from captures.exchanges import Arrivals, registrations
from captures.records import MobilityMessage
from captures.run import Run

SLACK = 0.02
"""Seconds a capture may be off the sender's clock: it reads its clock, then is kept from sending."""


@check("pace")
def pace(run: Run, rate: int = 3, spacing_ms: float = 10.0, complete_ms: float | None = None) -> list[Result]:
    """`rate`: PBUs a second to one node, 0 without limit; `spacing_ms`: between two PBUs of the CMD.

    `complete_ms`: from an attachment to the last PBA it needed.
    """
    updates = [message for message in run.signalling if message.kind == "PBU"]
    results = []
    if rate:
        results.append(_rate(run, updates, rate, SLACK * run.slowness))
    ours = [update for update in updates if update.source == run.cmd_address]
    if len(ours) > 1:
        results.append(_spacing(run, ours, spacing_ms / 1000, SLACK * run.slowness))
    if complete_ms is not None:
        results.append(_complete(run, complete_ms / 1000))
    return results


def _rate(run: Run, updates: list[MobilityMessage], rate: int, slack: float) -> Result:
    tally = Tally(
        "pace.rate",
        "RETX-5",
        "Nobody sends PBUs to one node faster than the limit",
        f"≤ {rate} PBUs in any second from one sender to one receiver, repetitions included",
    )
    ways: dict[tuple[IPv6Address, IPv6Address], list[MobilityMessage]] = defaultdict(list)
    for update in updates:
        tally.see(update)
        ways[update.source, update.destination].append(update)
    busiest = 0
    for (source, destination), found in ways.items():
        found.sort(key=lambda update: update.time)
        for first, last in zip(found, found[rate:], strict=False):
            span = last.time - first.time
            way = f"{run.name_of(source)}→{run.name_of(destination)}"
            tally.demand(span >= 1 - slack, f"{rate + 1} PBUs {way} in {milliseconds(span)}", first, last)
        times = [update.time for update in found]
        busiest = max([busiest, *(sum(1 for t in times if start <= t < start + 1 - slack) for start in times)])
    return tally.result(f"{plural(len(updates), 'PBU')}, at most {busiest} in a second to one node", "no PBU captured")


def _spacing(run: Run, updates: list[MobilityMessage], spacing: float, slack: float) -> Result:
    """Each gap may be short by what a capture is off; the sum of many may not."""
    tally = Tally(
        "pace.spacing",
        "CMD-6",
        "The CMD paces what it sends on",
        f"{milliseconds(spacing)} between any two PBUs of the CMD (each up to {milliseconds(slack / 4)} early)",
    )
    closest = float("inf")
    for one, other in pairwise(sorted(updates, key=lambda update: update.time)):
        tally.see(one, other)
        step = other.time - one.time
        closest = min(closest, step)
        tally.demand(step >= spacing - slack / 4, f"two PBUs of the CMD {milliseconds(step)} apart", one, other)
    return tally.result(f"{plural(len(updates), 'PBU')}, closest {milliseconds(closest)} apart")


def _complete(run: Run, bound: float) -> Result:
    tally = Tally(
        "pace.complete",
        required(run, "RETX-5"),
        "Every handover completes within the time the rate limit allows",
        f"the last PBA it needed has reached the serving gateway within {milliseconds(bound)} of the attachment",
    )
    arrivals = Arrivals(run)
    slowest = 0.0
    for registration in registrations(run):
        stay = registration.stay
        if stay.number == 0:
            continue
        last = registration.last_answer(arrivals.time)
        came = arrivals.time(last) if last is not None else None
        if last is None or came is None:
            tally.wrong(f"{stay.mobile} at {stay.gateway}: an anchor's answer never came")
            continue
        tally.see(last)
        slowest = max(slowest, came - stay.start)
        late = f"{stay.mobile} at {stay.gateway} complete after {milliseconds(came - stay.start)}"
        tally.demand(came - stay.start <= bound, late, last)
    return tally.result(f"{plural(len(tally.seen), 'handover')}, slowest {milliseconds(slowest)}", "no handover")
