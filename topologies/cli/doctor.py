"""`roamlab doctor`: what this machine can and cannot do."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from topologies.cli.errors import FAILED
from topologies.cli.options import format_flag, print_json, screen


@click.command()
@format_flag
def doctor(form: str) -> int:
    """Say what this machine can and cannot do, and what to do about the rest.

    Exits 1 only if something is missing that every lab needs.
    """
    from testbed.doctor import doctor as examine

    findings = examine()
    if form == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("", "what", "found", "what to do")
        for finding in findings:
            mark = "[green]ok[/]" if finding.ok else "[red]MISSING[/]" if finding.needed else "[yellow]without[/]"
            table.add_row(mark, finding.name, finding.detail, finding.remedy)
        screen().print(table)
    return FAILED if any(finding.needed and not finding.ok for finding in findings) else 0
