"""Verbs that play and judge: demo, check, report."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click

from testbed import sandbox
from topologies.cli import rundirs
from topologies.cli.errors import FAILED, Failure
from topologies.cli.inside import command
from topologies.cli.options import (
    configure,
    dry_run_flag,
    format_flag,
    gather,
    lab_options,
    load_lab,
    run_dir_flag,
    screen,
)


@click.command()
@click.argument("labs", nargs=-1, metavar="LAB...")
@click.option("-t", "--topology", "more", multiple=True, metavar="LAB", help="Lab name, or a lab file.")
@lab_options
@run_dir_flag
@format_flag
@dry_run_flag
@click.pass_context
def demo(
    ctx: click.Context,
    labs: tuple[str, ...],
    more: tuple[str, ...],
    mode: str | None,
    tunnel: str | None,
    ra_profile: str | None,
    pairs: tuple[str, ...],
    run_dir: Path | None,
    form: str,
    dry_run: bool,
) -> int:
    """Deploy a lab, play its script, check what was on the wire, report.

    Exits 0 only if every check passed. Several labs are played one after the other.
    """
    names = [*labs, *more]
    if not names:
        raise click.UsageError("name a lab; `roamlab labs` lists them", ctx)
    if run_dir is not None and len(names) > 1:
        raise click.UsageError("--run-dir takes one lab", ctx)
    settings = gather(pairs, mode=mode, tunnel=tunnel, ra_profile=ra_profile)
    prepared = [(name, load_lab(name)) for name in names]
    plans = [(name, lab, *configure(lab, settings)) for name, lab in prepared]
    if dry_run:
        for _, lab, _, options in plans:
            click.echo(f"{lab.name}: {lab.title}; options {options}; would be played, nothing was started")
        return 0
    jobs = [
        {
            "job": "demo",
            "lab": _absolute(name),
            "options": values,
            "directory": str(rundirs.choose(lab.name, run_dir)),
            "form": form,
            "debug": ctx.find_root().obj["debug"],
        }
        for name, lab, values, _ in plans
    ]
    if len(jobs) == 1:
        sandbox.reexec(command(jobs[0]))
    return max(_play(job) for job in jobs)


@click.command()
@click.argument("run", required=False)
@format_flag
@click.option("-t", "--topology", "lab", metavar="LAB", help="The latest run of this lab.")
def check(run: str | None, form: str, lab: str | None) -> int:
    """Judge a run again from its captures [RUN: a run directory or a lab; default the latest run]."""
    directory = rundirs.resolve(run or lab)
    from captures.verdict import judge

    verdict = judge(directory)
    return show_verdict(verdict, directory, form)


@click.command()
@click.argument("run", required=False)
@click.option("-t", "--topology", "lab", metavar="LAB", help="The latest run of this lab.")
def report(run: str | None, lab: str | None) -> None:
    """Write report.html of a run and print its path [RUN: a run directory or a lab; default the latest run]."""
    from captures.verdict import judge

    directory = rundirs.resolve(run or lab)
    from captures import report as reports

    if not (directory / "verdict.json").exists():
        judge(directory)
    click.echo(reports.write(directory))


def show_verdict(verdict: Any, directory: Path, form: str) -> int:
    """Print a verdict as a table or as its JSON; the exit code it stands for."""
    from captures import terminal

    if form == "json":
        click.echo((directory / "verdict.json").read_text(encoding="utf-8").strip())
    else:
        terminal.show(verdict, screen())
    return 0 if verdict.passed else FAILED


def _play(job: dict[str, Any]) -> int:
    # setpriv: a lab that we started must not outlive us
    tied = ["setpriv", "--pdeathsig", "KILL", *sandbox.command(command(job))]
    try:
        with subprocess.Popen(tied) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:  # the terminal has told the lab as well; it cleans up
                    continue
    except FileNotFoundError as error:
        raise Failure(f"setpriv is missing (package util-linux): {error.strerror}") from error


def _absolute(name: str) -> str:
    return str(Path(name).absolute()) if Path(name).is_file() else name


COMMANDS = (demo, check, report)
