"""Verbs that watch a lab: events, capture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Column, Table

import captures
from testbed import client, labsocket
from topologies.cli import rundirs
from topologies.cli.errors import Failure
from topologies.cli.options import format_flag, lab_flag, node_flag, print_json, screen

DISSECTOR = Path(captures.__file__).with_name("wireshark") / "roamlab.lua"
"""What tshark lacks; see docs/wireshark.md."""


@click.command()
@click.argument("run", required=False)
@lab_flag
@node_flag
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Output format.")
def events(run: str | None, topology: str | None, node: str | None, follow: bool, form: str) -> None:
    """Show what happened in a lab [RUN: a running lab or a run directory; default the running lab or latest run]."""
    chosen = run or topology
    live = client.find(chosen) if follow else None
    stream = client.events(live) if live else _recorded(_directory(chosen) / "events.jsonl")
    began: float | None = None
    for event in stream:
        if node is not None and event.get("node") != node:
            continue
        began = event.get("t", 0.0) if began is None else began
        click.echo(json.dumps(event) if form == "json" else _one_line(event, began or 0.0))


@click.command()
@click.argument("node", required=False)
@click.argument("interface", required=False)
@lab_flag
@format_flag
@click.option(
    "--filter", "wanted", metavar="FILTER", help="tshark display filter, as mipv6, roamlab.mip6.d == 1 or icmpv6."
)
@click.option("--stop", is_flag=True, help="End recording in the running lab.")
def capture(
    node: str | None, interface: str | None, topology: str | None, form: str, wanted: str | None, stop: bool
) -> int:
    """List a lab's captures, or follow one live: roamlab capture dgw1 wan."""
    if stop:
        client.request(client.find(topology), "stop-captures")
        return 0
    if node is None:
        _list_captures(topology, form)
        return 0
    name = client.find(topology)
    if interface is None:
        interface = _only_interface(name, node)
    argv = ["tshark", "-l", "-n", "-i", interface]
    if DISSECTOR.is_file():
        argv += ["-X", f"lua_script:{DISSECTOR}"]
    return client.execute(name, node, argv + (["-Y", wanted] if wanted else []))


def _directory(chosen: str | None) -> Path:
    """Run directory of the running lab `chosen`, or of a finished run."""
    if chosen is None or not Path(chosen).is_dir():
        running = [name for name in labsocket.running() if chosen in (None, name.lab)]
        if len(running) == 1:
            return Path(client.request(running[0], "inspect")["state"]["directory"])
    return rundirs.resolve(chosen)


def _recorded(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return  # it may still be on its way
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise Failure(f"{path} line {number} is not JSON: {error}") from error


def _one_line(event: dict[str, Any], began: float) -> str:
    rest = " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in event.items()
        if key not in ("t", "node", "agent", "event")
    )
    where = f"{event.get('node', '')}/{event.get('agent', '')}"
    return f"{event.get('t', began) - began:9.3f} {where:<12} {event.get('event', '')} {rest}".rstrip()


def _list_captures(chosen: str | None, form: str) -> None:
    running = [name for name in labsocket.running() if chosen in (None, name.lab)]
    run = _directory(chosen)
    rows = client.request(running[0], "captures")["captures"] if len(running) == 1 else rundirs.load(run)["captures"]
    rows = [{"running": False, **row, "file": str(run / row["file"])} for row in rows]
    if form == "json":
        print_json(rows)
        return
    table = Table("node", "interface", "state", Column("file", overflow="fold"))
    for row in rows:
        table.add_row(row["node"], row["interface"], "recording" if row["running"] else "done", row["file"])
    screen().print(table)


def _only_interface(name: labsocket.LabName, node: str) -> str:
    known = [row["interface"] for row in client.request(name, "captures")["captures"] if row["node"] == node]
    if len(known) != 1:
        raise Failure(f"which interface of {node}? captured: {', '.join(known) or 'none'}")
    return str(known[0])


COMMANDS = (events, capture)
