"""Verb that puts two runs side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table

from topologies.cli import rundirs
from topologies.cli.options import format_flag, screen
from topologies.cli.play import captures_readable

if TYPE_CHECKING:
    from captures.comparison import Comparison


@click.command()
@click.argument("first")
@click.argument("second")
@format_flag
def compare(first: str, second: str, form: str) -> None:
    """Put the figures of two judged runs side by side [FIRST, SECOND: a run directory, or a lab for its latest run].

    Made for the same script with different anchoring: roamlab compare ietf87 central-anchor
    """
    from captures import comparison

    with captures_readable():
        found = comparison.compare(rundirs.resolve(first), rundirs.resolve(second))
    if form == "json":
        click.echo(json.dumps(found.as_json(), indent=1, ensure_ascii=False))
    else:
        screen().print(_table(found))


def _table(found: Comparison) -> Table:
    table = Table(title="Two runs side by side", title_justify="left")
    table.add_column("")
    table.add_column("Figure", overflow="fold")
    for side in found.runs:
        verdict = "" if side.passed else ", checks failed"
        table.add_column(f"{side.lab}\n{side.mode or ''}{verdict}", justify="right")
    table.add_column("")
    subject = ""
    for row in found.rows:
        first = row.subject != subject
        if first and subject:
            table.add_section()
        subject = row.subject
        table.add_row(subject if first else "", row.figure, *map(_text, row.values), row.unit)
    return table


def _text(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


COMMANDS = (compare,)
