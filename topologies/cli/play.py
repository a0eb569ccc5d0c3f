"""Verbs that play and judge: demo, check, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from topologies.cli import foreground, rundirs, stock
from topologies.cli.errors import FAILED, INTERRUPTED, Failure, Mistake, reader_may_leave
from topologies.cli.options import (
    configure,
    dry_run_flag,
    format_flag,
    gather,
    kernel_flags,
    lab_options,
    load_lab,
    run_dir_flag,
    screen,
    words_of,
)


@click.command()
@click.argument("labs", nargs=-1, metavar="LAB...")
@click.option("-t", "--topology", "more", multiple=True, metavar="LAB", help="Lab name, or a lab file.")
@lab_options
@kernel_flags
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
    kernel: str,
    virtual_time: bool,
    run_dir: Path | None,
    form: str,
    dry_run: bool,
) -> int:
    """Deploy a lab, play its script, check what was on the wire, report.

    Exits 0 only if every check passed. Several labs are played one after the other.
    """
    names = [*labs, *more]
    if not names:
        raise Mistake("name a lab; `roamlab labs` lists them")
    if run_dir is not None and len(names) > 1:
        raise Mistake("--run-dir takes one lab")
    stock.check_flags(kernel == "stock", virtual_time)
    settings = gather(pairs, mode=mode, tunnel=tunnel, ra_profile=ra_profile)
    prepared = [(name, load_lab(name)) for name in names]
    plans = [(name, lab, *configure(lab, settings)) for name, lab in prepared]
    if dry_run:
        for _, lab, _, options in plans:
            click.echo(f"{lab.name}: {lab.title}; {words_of(options)}; nothing was started")
            click.echo("".join(f"  {number}. {step}\n" for number, step in enumerate(lab.steps(options), 1)), nl=False)
        return 0
    jobs = [
        {
            "job": "demo",
            "lab": _absolute(name),
            "name": lab.name,
            "options": values,
            "directory": str(rundirs.choose(lab.name, run_dir)),
            "form": form,
            "debug": ctx.find_root().obj["debug"],
        }
        for name, lab, values, _ in plans
    ]
    worst = 0
    for job in jobs:
        if kernel == "stock":
            code = stock.do(job, results=Path(str(job["directory"])), virtual_time=virtual_time)
        else:
            code = foreground.do(job)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


@click.command()
@click.argument("run", required=False)
@format_flag
@click.option("-t", "--topology", "lab", metavar="LAB", help="The latest run of this lab.")
def check(run: str | None, form: str, lab: str | None) -> int:
    """Judge a run again from its captures [RUN: a run directory or a lab; default the latest run]."""
    return judged(rundirs.resolve(run or lab), form)


@click.command()
@click.argument("run", required=False)
@click.option("-t", "--topology", "lab", metavar="LAB", help="The latest run of this lab.")
@click.option("--redact", is_flag=True, help="For others to see: pseudonyms for identities and addresses.")
def report(run: str | None, lab: str | None, redact: bool) -> None:
    """Write report.html of a run and print its path [RUN: a run directory or a lab; default the latest run].

    With --redact, copies of report and verdict that tell neither who was where nor any address: DIR/redacted/.
    """

    directory = rundirs.resolve(run or lab)
    from captures import redact as redaction
    from captures import report as reports

    with captures_readable():
        for path in redaction.export(directory) if redact else [reports.write(directory)]:
            click.echo(path)


def judged(directory: Path, form: str, *, with_report: bool = False) -> int:
    """Judge a run and print the verdict as a table or as its JSON; the exit code it stands for."""
    from captures import report as reports
    from captures import terminal
    from captures.run import Run
    from captures.verdict import judge

    with captures_readable():
        run = Run(directory)
        verdict = judge(run)
        if with_report:
            reports.write(run)
    with reader_may_leave():
        if form == "json":
            click.echo((directory / "verdict.json").read_text(encoding="utf-8").strip())
        else:
            terminal.show(verdict, screen())
    return 0 if verdict.passed else FAILED


@contextmanager
def captures_readable() -> Iterator[None]:
    """Turn what the captures room says about an unreadable run into a Failure."""
    from captures.pcapng import CaptureError

    try:
        yield
    except CaptureError as error:
        raise Failure(str(error)) from error


def _absolute(name: str) -> str:
    return str(Path(name).absolute()) if Path(name).is_file() else name


COMMANDS = (demo, check, report)
