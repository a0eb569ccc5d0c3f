"""The verdict on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from captures.checks import Result
from captures.verdict import Verdict

MARKS = {True: ("PASS", "bold green"), False: ("FAIL", "bold red"), None: ("NONE", "bold yellow")}


def show(verdict: Verdict, console: Console) -> None:
    """Print the table of checks, the figures and one closing line."""
    table = Table(title=f"{verdict.lab}: what the captures prove", title_justify="left", expand=False)
    table.add_column("")
    table.add_column("Check", overflow="fold")
    table.add_column("Spec", overflow="fold", style="dim")
    table.add_column("Measured", overflow="fold")
    table.add_column("Frames", overflow="fold", style="dim")
    for result in verdict.checks:
        word, style = MARKS[result.passed]
        mark = Text("SKIP", "yellow") if result.passed is None and result.optional else Text(word, style)
        measured = Text(result.measured)
        if result.passed is not True:
            measured.append(f"\nexpected: {result.expected}", "dim")
        table.add_row(mark, Text(result.title), Text(result.requirement), measured, Text(_frames(result)))
    console.print(table)
    for line in figures(verdict.metrics):
        console.print(Text(line))
    failed = [result for result in verdict.checks if result.passed is False]
    silent = [result for result in verdict.checks if result.passed is None and not result.optional]
    if verdict.passed:
        console.print(Text(f"PASSED: {len(verdict.checks)} checks", "bold green"))
    else:
        text = f"FAILED: {len(failed)} of {len(verdict.checks)} checks failed, {len(silent)} saw nothing"
        console.print(Text(text, "bold red"))


def _frames(result: Result) -> str:
    """ "dgw1-wan 12,13": the first frames of each capture."""
    parts = []
    for entry in result.evidence[:3]:
        name = entry.get("pcap", "log").removeprefix("pcap/").removesuffix(".pcapng")
        found = entry.get("frames") or entry.get("lines") or []
        numbers = ",".join(map(str, found[:4]))
        more = "…" if len(found) > 4 or entry.get("more") else ""
        parts.append(f"{name} {numbers}{more}")
    return "\n".join(parts) + ("\n…" if len(result.evidence) > 3 else "")


def figures(metrics: dict[str, Any]) -> list[str]:
    """The metrics a reader wants first, one line each."""
    lines = []
    for flow, gaps in metrics.get("gap_ms", {}).items():
        values = ", ".join(f"{move} {'never' if gap is None else f'{gap:.1f} ms'}" for move, gap in gaps.items())
        lines.append(f"gap of {flow}: {values}")
    if metrics.get("attach_ms"):
        values = ", ".join(f"{client} {value:.2f} ms" for client, value in metrics["attach_ms"].items())
        lines.append(f"Solicit to prefix: {values}")
    times = (
        ("l2_to_ra_ms", "attachment to RA"),
        ("pbu_to_pba_ms", "PBU to last PBA"),
        ("pbu_to_tunnel_ms", "PBU to the last PBA's arrival"),
    )
    for name, text in times:
        if metrics.get(name):
            values = ", ".join(f"{move} {value:.2f} ms" for move, value in metrics[name].items())
            lines.append(f"{text}: {values}")
    for move, anchors in metrics.get("pbu_to_usable_ms", {}).items():
        values = ", ".join(f"to {anchor} {value:.2f} ms" for anchor, value in anchors.items())
        lines.append(f"PBU to tunnel in use: {move} {values}")
    for pair, octets in metrics.get("tunnelled_bytes", {}).items():
        lines.append(f"tunnel {pair}: {octets} octets")
    return lines
