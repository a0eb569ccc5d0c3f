"""report.html: one self-contained page with the verdict, the drawing, the messages and the flows of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from captures.flows import FlowReport, analyse
from captures.pcapng import CaptureError
from captures.report import aero, haaro
from captures.report.sequence import HOW, Chart
from captures.report.timeline import Timeline
from captures.report.topology import Topology
from captures.report.ways import Ways
from captures.run import Run
from captures.verdict import judge

PALETTE = 6
"""Gateway colours the style sheet knows; further gateways start over."""
BRIEF = 0.25
"""Seconds: flows that were over sooner would be dots in the timeline, and are not drawn."""
GROUPS = {
    "signalling": "Signalling",
    "tunnel": "Tunnels and routing",
    "cmd-interface": "Central mobility database",
    "ra": "Router Advertisements",
    "identity": "Logical interfaces (DLIF)",
    "prefixes": "Prefixes",
    "flows": "Flows",
    "content": "Content caches",
    "reachability": "Reachability",
    "aero-attach": "Attachment: Client, relay and Kea",
    "aero-nat": "Translation, seen from both sides",
    "aero-rebinding": "Rebinding",
    "aero-encapsulation": "Encapsulation",
    "aero-duplicates": "Duplicates",
    "aero-fragment-path": "Fragment Headers under way",
    "aero-reordered": "Reordering",
    "aero-fallback": "Fallback to UDP",
    "aero-sizes": "Sizes outside",
    "aero-sweep": "Every size",
    "aero-black-hole": "Black hole",
    "aero-too-big": "Too big",
    "aero-fragments": "Fragments",
    "aero-tuning": "Fragmentation that tunes itself out",
    "aero-pings": "Reachability",
    "aero-mediation": "Predirects and Redirects",
    "aero-path-switch": "The switch to the direct path",
    "aero-move": "A Client moves",
    "aero-retreat": "Back to the Servers",
    "aero-transfer": "A file transfer",
    "aero-flows": "Ways and gaps of all flows",
    "aero-path-loss": "The loss of the direct path",
    "aero-addresses": "Addresses of the AERO interface",
    "aero-unused": "Unused addresses",
    "aero-strong-host": "Strong end system",
    "aero-sources": "Source addresses",
    "aero-autoconfiguration": "Advertisements downstream",
    "aero-withdrawal": "The end of an attachment, downstream",
    "aero-claims": "Duplicate addresses",
    "aero-pseudo-delegation": "Prefixes delegated further",
    "aero-sub-delegation": "Prefixes delegated further",
    "aero-switch": "The switch of models",
    "haaro-registration": "Registration with the home agent",
    "haaro-advertising": "Prefix advertisements",
    "haaro-routability": "Return routability",
    "haaro-peers": "Registration between routers",
    "haaro-tunnels": "Direct tunnels",
    "haaro-change": "Change of lines",
    "haaro-leaving": "Leaving",
    "haaro-paths": "Ways of traffic",
    "protection": "Protection of signalling",
    "intruder": "Attacks on signalling",
    "order": "Order of events",
    "modes": "Messages of the signalling mode",
    "pace": "Pace of the signalling",
    "leftovers": "State of the gateways' kernels",
    "mobile-view": "The mobile nodes' own view",
    "replay": "Replayed messages",
    "resources": "What the lab costs",
}
SIGNALLING = {
    "dgw": "Every Proxy Binding Update and Acknowledgement as its sender's capture shows it, and the first Router "
    "Advertisement of each logical interface at each gateway. Rows are in order of time, not to scale; the second time "
    "is since the last attachment.",
    "aero": "DHCPv6 between each Client, the relay in its Server and Kea, and Neighbor Discovery on the AERO link, as "
    "their senders' captures show them. Rows are in order of time, not to scale; the second time is since the last "
    "step of the script.",
    "haaro": haaro.SIGNALLING,
}
"""By family: what the message sequence chart holds."""
TOPOLOGY = {
    "dgw": "The lab as it ran. Numbers along the bottom are the way of the mobile node; arcs are tunnels that carried "
    "packets in the captures.",
    "aero": "The lab as it ran: Servers above the underlay, Clients with their NATs and hosts below it.",
    "haaro": haaro.TOPOLOGY,
}


def write(run_dir: Path | str | Run) -> Path:
    """Write report.html of a run directory (judged first if it has no verdict yet); return its path."""
    run = run_dir if isinstance(run_dir, Run) else Run(run_dir)
    stored = run.directory / "verdict.json"
    if not stored.exists():
        judge(run)
    try:
        verdict = json.loads(stored.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CaptureError(f"cannot read {stored}: {error}") from error
    target = run.directory / "report.html"
    try:
        target.write_text(render(run, verdict))
    except OSError as error:
        raise CaptureError(f"cannot write {target}: {error.strerror}") from error
    return target


def render(run: Run, verdict: dict[str, Any]) -> str:
    """The page as text."""
    folder = Path(str(resources.files(__package__)))
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {name: f"c{index % PALETTE + 1}" for index, name in enumerate(run.gateways)}
    family = "haaro" if run.haaro else "aero" if run.aero else "dgw"
    reports = analyse(run)
    drawn = [report for report in reports if report.flow.end - report.flow.start >= BRIEF]
    chart = Chart(run)
    metrics = verdict["metrics"]
    return environment.get_template("report.html.j2").render(
        lab=run.lab,
        run=run,
        verdict=verdict,
        groups=_groups(verdict["checks"]),
        counts=_counts(verdict["checks"]),
        cards=_cards(run, metrics, reports),
        facts=_facts(run),
        about_topology=TOPOLOGY[family],
        about_signalling=SIGNALLING[family],
        moves=_moves(run, metrics),
        started=datetime.fromtimestamp(run.lab.get("started", 0), UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        topology=Markup(Topology(run, colours, metrics["tunnelled_bytes"] if family == "dgw" else {}).draw()),
        timeline=Markup(Timeline(run, drawn, colours).draw()) if drawn else "",
        ways=_ways(run),
        sequence=Markup(chart.draw()) if chart.rows else "",
        cut=chart.cut,
        how=HOW.get(run.mode, "") if run.mobiles and run.gateways else "",
        colours=colours,
        style=Markup((folder / "style.css").read_text()),
    )


def _ways(run: Run) -> dict[str, Any] | None:
    """The drawing of AERO's flows with its legend; None where no two Clients talk."""
    ways = Ways(run.aero, BRIEF) if run.aero else None
    return {"figure": Markup(ways.draw()), "legend": ways.legend} if ways and ways.travels else None


def _facts(run: Run) -> dict[str, str]:
    """What the head of the page says about the run besides its name."""
    if run.aero:
        domain = run.aero.domain
        return {"underlay": str(domain.get("outer", "?")), "encapsulation": str(domain.get("encapsulation", "?"))}
    if run.haaro:
        return {"home agent": str(run.haaro.home_agent)}
    return {"mode": run.mode, "RA profile": run.ra_profile}


def _counts(checks: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "passed": sum(1 for one in checks if one["passed"] is True),
        "failed": sum(1 for one in checks if one["passed"] is False),
        "silent": sum(1 for one in checks if one["passed"] is None),
    }


def _groups(checks: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Checks under a heading per subject, in the order they ran."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in checks:
        found.setdefault(one["id"].split(".")[0], []).append(one)
    return [(GROUPS.get(name, name), members) for name, members in found.items()]


def _cards(run: Run, metrics: dict[str, Any], reports: list[FlowReport]) -> list[tuple[str, str, str]]:
    """Headline figures: (value, unit, what)."""
    if run.haaro:
        return haaro.cards(run.haaro, metrics)
    if run.aero:
        return aero.cards(run.aero, metrics)
    cards = [(str(len(run.moves())), "", "handovers")]
    gaps = [gap for found in metrics["gap_ms"].values() for gap in found.values() if gap is not None]
    if gaps:
        cards.append((f"{max(gaps):.1f}", "ms", "longest gap of any flow"))
    for key, words in (
        ("l2_to_ra_ms_median", "attachment → RA, median"),
        ("pbu_to_pba_ms_median", "PBU → last PBA, median"),
        ("pbu_to_usable_ms_median", "PBU → tunnel in use, median"),
    ):
        if metrics.get(key) is not None:
            cards.append((f"{metrics[key]:.2f}", "ms", words))
    lost = sum(len(report.lost) for report in reports)
    cards.append((str(lost), "", f"packets lost in {len(reports)} flows"))
    octets = sum(metrics["tunnelled_bytes"].values())
    cards.append(
        (
            f"{octets / 1e6:.2f}" if octets >= 1e5 else f"{octets / 1e3:.1f}",
            "MB" if octets >= 1e5 else "kB",
            "through tunnels",
        )
    )
    return cards


def _moves(run: Run, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per handover."""
    rows = []
    for stay in run.moves():
        key = f"{stay.mobile}.{stay.number}"
        rows.append(
            {
                "name": f"{stay.mobile}: {run.attachments[stay.mobile][stay.number - 1].gateway} → {stay.gateway}",
                "radio": (stay.start - stay.left) * 1000,
                "ra": metrics["l2_to_ra_ms"].get(key),
                "pba": metrics["pbu_to_pba_ms"].get(key),
                "tunnel": max(metrics.get("pbu_to_usable_ms", {}).get(key, {}).values(), default=None),
                "gaps": {flow: found[key] for flow, found in metrics["gap_ms"].items() if key in found},
            }
        )
    return rows
