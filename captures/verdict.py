"""The verdict of a run: every check lab.json asks for, and the figures measured; written to verdict.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from captures import content, tunnels
from captures.aero import figures as aero
from captures.checks import Result, call
from captures.checks.ra import l2_to_ra
from captures.exchanges import Arrivals, Clock, registrations, sent
from captures.flows import FlowReport, analyse
from captures.haaro import figures as haaro
from captures.pcapng import CaptureError
from captures.run import Run
from captures.usable import pbu_to_usable
from captures.walk import INFINITY


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of judging one run."""

    lab: str
    passed: bool
    checks: list[Result]
    metrics: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The object of verdict.json."""
        return {
            "lab": self.lab,
            "passed": self.passed,
            "checks": [result.as_json() for result in self.checks],
            "metrics": self.metrics,
        }


def judge(run_dir: Path | str | Run) -> Verdict:
    """Run the lab's checks on a run directory and write its verdict.json. CaptureError if unreadable."""
    run = run_dir if isinstance(run_dir, Run) else Run(run_dir)
    results = [result for entry in run.lab.get("checks", []) for result in call(run, entry)]
    if not results:
        nothing = "lab.json lists no check"
        results = [Result("verdict", "", "The lab was checked", None, "at least one check", nothing)]
    verdict = Verdict(run.lab["lab"], all(result.fine for result in results), results, metrics(run))
    path = run.directory / "verdict.json"
    try:
        path.write_text(json.dumps(verdict.as_json(), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CaptureError(f"cannot write {path}: {error.strerror}") from error
    return verdict


def metrics(run: Run) -> dict[str, Any]:
    """Figures of the run's family: times in milliseconds, volumes in octets."""
    memory = next((one.fields["memory_mb"] for one in run.logged("resources")), None)
    return {**_of_family(run), "memory_mb": memory}


def _of_family(run: Run) -> dict[str, Any]:
    if run.haaro:
        return haaro.metrics(run.haaro)
    return aero.metrics(run.aero) if run.aero else _handover_metrics(run)


def _handover_metrics(run: Run) -> dict[str, Any]:
    reports = analyse(run)
    ra_times = {key: round(value * 1000, 3) for key, value in l2_to_ra(run).items()}
    signalling, tunnels_ready, used = pbu_to_pba(run), pbu_to_tunnel(run), pbu_to_usable(run)
    return {
        "moves": [
            {"move": f"{stay.mobile}.{stay.number}", "gateway": stay.gateway, "t": stay.start} for stay in run.moves()
        ],
        "gap_ms": {report.flow.name: _gaps(report) for report in reports if report.gaps},
        "gap_ms_median": _medians(reports, "seconds"),
        "outage_ms_median": _medians(reports, "outage"),
        "l2_to_ra_ms": ra_times,
        "l2_to_ra_ms_median": _median(list(ra_times.values())),
        "pbu_to_pba_ms": signalling,
        "pbu_to_pba_ms_median": _median(list(signalling.values())),
        "pbu_to_tunnel_ms": tunnels_ready,
        "pbu_to_tunnel_ms_median": _median(list(tunnels_ready.values())),
        "pbu_to_usable_ms": used,
        "pbu_to_usable_ms_median": _median([time for times in used.values() for time in times.values()]),
        "moves_without_ra": len(run.moves()) - len(ra_times),
        "flows": {report.flow.name: _flow(report) for report in reports},
        "tunnelled_bytes": tunnelled_bytes(run),
        **({"content": figures} if (figures := content.figures(run)) else {}),
    }


def _flow(report: FlowReport) -> dict[str, Any]:
    """What became of one flow, and at each move: gap, loss, path before and after."""
    flow = report.flow
    paths = {path.stay.number: path.main for path in report.paths}
    return {
        "kind": flow.kind,
        "mobile": report.mobile,
        "source": str(flow.source),
        "destination": str(flow.destination),
        "sent": report.sent,
        "arrived": len(report.arrivals),
        "lost": len(report.lost),
        "lost_elsewhere": report.lost_elsewhere,
        "duplicated": report.duplicated,
        "reordered": report.reordered,
        "retransmitted_octets": report.retransmitted,
        "interval_ms": _milliseconds(report.interval),
        "moves": {
            f"{gap.stay.mobile}.{gap.stay.number}": {
                "gap_ms": _milliseconds(gap.seconds),
                "outage_ms": _milliseconds(gap.outage),
                "lost": gap.lost,
                "path_before": paths.get(gap.stay.number - 1),
                "path_after": paths.get(gap.stay.number),
            }
            for gap in report.gaps
        },
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _medians(reports: list[FlowReport], which: str) -> dict[str, float | None]:
    """Kind of flow -> median of its gaps at moves, milliseconds; None when most flows never came back."""
    found: dict[str, list[float]] = {}
    for report in reports:
        values = [getattr(gap, which) for gap in report.gaps]
        found.setdefault(report.flow.kind, []).extend(INFINITY if one is None else one * 1000 for one in values)
    middles = {kind: _median(values) for kind, values in found.items() if values}
    return {kind: None if middle == INFINITY else middle for kind, middle in middles.items()}


def _gaps(report: FlowReport) -> dict[str, float | None]:
    """Move -> gap in milliseconds, None when the flow never came back."""
    return {f"{gap.stay.mobile}.{gap.stay.number}": _milliseconds(gap.seconds) for gap in report.gaps}


def _median(values: list[float]) -> float | None:
    return round(median(values), 3) if values else None


def pbu_to_pba(run: Run) -> dict[str, float]:
    """Move -> milliseconds from the serving gateway's first PBU to the sending of the last PBA it needed."""
    return _from_update(run, sent)


def pbu_to_tunnel(run: Run) -> dict[str, float]:
    """Move -> milliseconds from the serving gateway's first PBU until the last PBA it needed had reached it.

    From then on it can have every tunnel. Links on the way count, unlike in `pbu_to_pba`.
    """
    return _from_update(run, Arrivals(run).time)


def _from_update(run: Run, when: Clock) -> dict[str, float]:
    found = {}
    for registration in registrations(run):
        first, last = registration.first_update(), registration.last_answer(when)
        end = when(last) if last is not None else None
        if registration.stay.number > 0 and first is not None and end is not None:
            key = f"{registration.stay.mobile}.{registration.stay.number}"
            found[key] = round((end - first.time) * 1000, 3)
    return found


def tunnelled_bytes(run: Run) -> dict[str, int]:
    """ "serving–anchor" -> octets of frames, counted at the serving gateway, or at an LMA that stands for it."""
    found: dict[str, int] = {}
    captured = {name: run.wan(name) for name in run.gateways}
    if run.lma:
        captured[run.lma] = run.of_node(run.lma)
    for name, capture in captured.items():
        for packet in capture.packets if capture else []:
            one = tunnels.read(run, packet) if packet.tunnelled else ""
            if not isinstance(one, str) and one.serving == name:
                key = f"{one.serving}–{one.anchor}"
                found[key] = found.get(key, 0) + packet.length
    return found
