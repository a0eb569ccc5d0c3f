"""`roamlab doctor`: what this machine can and cannot do."""

from __future__ import annotations

import click

from topologies.cli.options import format_flag


@click.command()
@format_flag
def doctor(form: str) -> int:
    """Say what this machine can and cannot do, and what to do about the rest."""
    raise click.ClickException("not yet")
