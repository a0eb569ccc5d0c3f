"""Check "flows": sessions survive every move (spec HO-9, HO-10)."""

from __future__ import annotations

from statistics import median

from captures.checks.base import Result, Tally, check, milliseconds, plural, required
from captures.flows import LOCAL, FlowReport, analyse
from captures.run import Run
from captures.walk import INFINITY

Bound = float | dict[str, float]
"""One bound for all flows, or one per flow name or kind ("*" for the rest)."""


@check("flows")
def flows(
    run: Run,
    max_gap_ms: Bound = 1000.0,
    max_lost: Bound = 50,
    max_lost_elsewhere: Bound = 0,
    names: list[str] | None = None,
    max_median_gap_ms: float | None = None,
    median_of: int | None = None,
) -> list[Result]:
    """Judge each flow: `max_gap_ms` and `max_lost` per move, `max_lost_elsewhere` away from moves.

    `max_median_gap_ms`: of the interruptions of all flows by all moves, or by each node's move number `median_of`.
    """
    results = []
    reports = analyse(run)
    for report in reports:
        if names is not None and report.flow.name not in names:
            continue
        results += [
            _constant(run, report),
            _path(run, report),
            _loss(run, report, _bound(report, max_lost), _bound(report, max_lost_elsewhere)),
        ]
        if report.gaps:
            results.append(_gaps(run, report, _bound(report, max_gap_ms)))
    if results and max_median_gap_ms is not None:
        results.append(_median(run, reports, max_median_gap_ms, median_of))
    if not results:
        results.append(
            Tally("flows", required(run, "HO-9"), "Flows survive", "at least one flow").result("", "no flow started")
        )
    return results


def _bound(report: FlowReport, bound: Bound) -> float:
    if not isinstance(bound, dict):
        return bound
    for key in (report.flow.name, report.flow.kind, "*"):
        if key in bound:
            return bound[key]
    return float("inf")


def _constant(run: Run, report: FlowReport) -> Result:
    flow = report.flow
    tally = Tally(
        f"flows.{flow.name}.addresses",
        required(run, "HO-9", "HO-10"),
        f"{flow.name}: source and destination never change",
        f"{flow.source} ↔ {flow.destination} from first to last packet",
    )
    tally.see(*report.arrivals)
    for packet in report.strangers:
        tally.wrong(f"same session between {packet.inner.source} and {packet.inner.destination}", packet)
    return tally.result(f"{plural(len(report.arrivals), 'arrival')}, one address pair", "no packet of the flow")


def _path(run: Run, report: FlowReport) -> Result:
    flow = report.flow
    home = run.home_of(flow.peer)
    anchor = home or run.anchor_of(flow.source)
    tally = Tally(
        f"flows.{flow.name}.path",
        "LIPA-1, LIPA-2, LIPA-4" if home else "ATT-10, HO-9, HO-10",
        f"{flow.name}: local at {anchor}, through the tunnel to it elsewhere",
        f"{'not' if home else 'plain'} on the core link of {anchor}; IPv6-in-IPv6 to {anchor} at every other gateway"
        + (f", to {run.lma} at those of another operator" if run.lma else ""),
    )
    if run.central:
        tally.title = f"{flow.name}: through the tunnel to {anchor}"
        tally.expected = f"IPv6-in-IPv6 to {anchor} at every gateway"
    texts = []
    if home:
        tally.see(*report.arrivals[:1])  # a flow that stays at home crosses no core link
    for path in report.paths:
        away = path.stay.gateway != anchor
        wanted = run.far_end(anchor or "", path.stay.gateway) if away else None if home else LOCAL
        if path.main is None or path.example is None:
            texts += [f"{path.stay.gateway}: plain"] if home and path.stay.gateway == anchor else []
            continue
        tally.see(path.example)
        texts.append(f"{path.stay.gateway}: {path.main if path.main == LOCAL else 'tunnel to ' + path.main}")
        others = [f"{count} {name}" for name, count in path.counts if name != wanted]
        tally.demand(not others, f"at {path.stay.gateway} {', '.join(others)}", path.example)
    return tally.result(", ".join(texts), "no packet of the flow on a serving gateway's core link")


def _gaps(run: Run, report: FlowReport, limit: float) -> Result:
    flow = report.flow
    usual = f", usual interval {milliseconds(report.interval)}" if report.interval is not None else ""
    tally = Tally(
        f"flows.{flow.name}.gap",
        required(run, "HO-9"),
        f"{flow.name}: keeps flowing after every move",
        f"longest silence around a move ≤ {limit:g} ms",
    )
    texts = []
    for gap in report.gaps:
        seen = [packet for packet in (gap.before, gap.after) if packet is not None]
        if gap.seconds is None:
            tally.wrong(f"nothing arrived after the move to {gap.stay.gateway}", *seen)
            continue
        tally.see(*seen)
        text = f"→{gap.stay.gateway} {milliseconds(gap.seconds)}"
        texts.append(text)
        tally.demand(gap.seconds * 1000 <= limit, text, *seen)
    if not report.arrivals:
        tally.problems.clear()
    return tally.result(", ".join(texts) + usual, "no packet of the flow")


def _median(run: Run, reports: list[FlowReport], limit: float, move: int | None) -> Result:
    tally = Tally(
        "flows.median",
        required(run, "HO-9"),
        "A move usually interrupts a session for a short time only",
        f"silence in which the node changed gateways: median over all flows and moves ≤ {limit:g} ms",
    )
    gaps = [gap for report in reports for gap in report.gaps if move in (None, gap.stay.number)]
    for gap in gaps:
        tally.see(*[packet for packet in (gap.before, gap.after) if packet is not None])
    if not gaps:
        return tally.result("", "no flow crossed a move")
    middle = median(INFINITY if gap.outage is None else gap.outage for gap in gaps) * 1000
    tally.demand(middle <= limit, f"median {middle:.1f} ms")
    return tally.result(f"median {middle:.1f} ms of {plural(len(gaps), 'interruption')}")


def _loss(run: Run, report: FlowReport, limit: float, elsewhere: float) -> Result:
    flow = report.flow
    tally = Tally(
        f"flows.{flow.name}.loss",
        required(run, "HO-9", "HO-10"),
        f"{flow.name}: loss only while moving",
        "no octet missing, no reset"
        if flow.protocol == "tcp"
        else f"≤ {limit:g} lost per move, ≤ {elsewhere:g} otherwise, none duplicated",
    )
    tally.see(*report.arrivals)
    if not report.arrivals:
        if report.sent:
            tally.wrong(f"{report.sent} sent, none arrived", *report.lost_examples)
        return tally.result("", "no packet of the flow")
    if flow.protocol == "tcp":
        tally.demand(report.holes == 0, f"{report.holes} octets never arrived")
        tally.demand(not report.resets, "connection reset", *report.resets)
        return tally.result(
            f"{plural(report.sent, 'segment')}, none missing, {report.retransmitted} octets retransmitted"
        )
    for gap in report.gaps:
        text = f"{gap.lost} lost at the move to {gap.stay.gateway}"
        tally.demand(gap.lost <= limit, text, *report.lost_examples)
    tally.demand(
        report.lost_elsewhere <= elsewhere,
        f"{report.lost_elsewhere} lost away from moves",
        *report.lost_examples,
    )
    tally.demand(report.duplicated == 0, f"{report.duplicated} duplicated", *report.arrivals[:1])
    per_move = ", ".join(f"→{gap.stay.gateway} {gap.lost}" for gap in report.gaps)
    moves = f" ({per_move})" if per_move else ""
    return tally.result(f"{len(report.lost)} of {report.sent} lost{moves}, {report.reordered} reordered")
