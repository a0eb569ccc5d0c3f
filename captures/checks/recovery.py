"""Check "recovery": what a fault of the domain does to sessions, and that they all go on after it (spec HO-11, HO-5).

The lab announces each fault (events `fault`, `fault-ended`) and which flows must not notice it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.flows import FlowReport, analyse
from captures.records import Packet
from captures.run import Run

ENOUGH = 5
"""Arrivals after a fault that show that a session goes on."""


@check("recovery")
def recovery(run: Run, bound_ms: float = 3000.0, unaffected_ms: float = 500.0) -> list[Result]:
    """From a fault's end to the next packet of every session, at most `bound_ms`; `unaffected_ms`: longest silence of
    the sessions that do not need what failed."""
    reports = analyse(run)
    results = []
    for begin in run.events:
        if begin["event"] != "fault":
            continue
        name = begin["fault"]
        ends = [
            e["t"] for e in run.events if e["event"] == "fault-ended" and e["fault"] == name and e["t"] > begin["t"]
        ]
        end = ends[0] if ends else run.end
        for report in reports:
            if report.flow.name in begin["unaffected"]:
                results.append(_unaffected(report, name, begin["t"], end, unaffected_ms / 1000))
            if report.flow.end > end:
                results.append(_again(report, name, end, bound_ms / 1000))
    return results or [Tally("recovery", "HO-11", "Faults end", "a fault").result("", "no fault was announced")]


def _unaffected(report: FlowReport, fault: str, start: float, end: float, bound: float) -> Result:
    flow = report.flow
    tally = Tally(
        f"recovery.{fault}.unaffected.{flow.name}",
        "HO-11, ATT-10",
        f"{fault}: {flow.name} does not notice",
        f"no silence over {milliseconds(bound)} while the fault lasts",
    )
    # One arrival before and one after it: the silence around the fault's ends counts as well.
    begin = max(start, flow.start)
    inside = [packet for packet in report.arrivals if begin <= packet.time <= min(end, flow.end)]
    tally.see(*inside)
    times: list[Any] = [begin, *(packet.time for packet in inside), min(end, flow.end)]
    longest = max(after - before for before, after in pairwise(times))
    tally.demand(longest <= bound, f"silent for {milliseconds(longest)}", *inside[:2])
    text = f"{plural(len(inside), 'arrival')} in {end - start:.1f} s, longest silence {milliseconds(longest)}"
    return tally.result(text, f"no packet of {flow.name} while the fault lasted")


def _again(report: FlowReport, fault: str, end: float, bound: float) -> Result:
    flow = report.flow
    tally = Tally(
        f"recovery.{fault}.after.{flow.name}",
        "HO-5, HO-9, RETX-2",
        f"{fault}: {flow.name} goes on when it is over",
        f"arrivals again within {milliseconds(bound)} of its end",
    )
    since = max(end, flow.start)
    later: list[Packet] = [packet for packet in report.arrivals if packet.time > since]
    tally.see(*later[:ENOUGH])
    tally.demand(len(later) >= ENOUGH, f"{plural(len(later), 'arrival')} after it", *later)
    if later:
        waited = later[0].time - since
        tally.demand(waited <= bound, f"first arrival {milliseconds(waited)} after its end", later[0])
    return tally.result(f"first arrival after {milliseconds(later[0].time - since)}" if later else "", "no arrival")
