"""Verbs about roamlab itself: test, bench."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from testbed import sandbox
from testbed.validation import unknown
from topologies.cli import benches, foreground, rundirs, stock
from topologies.cli.errors import Mistake
from topologies.cli.options import format_flag, kernel_flags

_ROOT = Path(__file__).resolve().parents[2]
_TIERS = ("unit", "netns", "demos")
_LONGEST_FIRST = tuple(reversed(_TIERS))


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--tier", "tiers", multiple=True, type=click.Choice(_TIERS), help="Only these tests; repeatable.")
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose name matches, as in pytest.")
@click.option("-n", "workers", metavar="N", help="In N processes, as in pytest-xdist; else: CONTRIBUTING.md.")
@click.option(
    "--kernel",
    type=click.Choice(["present", "stock"]),
    default="present",
    show_default=True,
    help="stock: the tests marked so, in a virtual machine on Debian's generic kernel.",
)
@click.option("--keep-run-dirs", is_flag=True, help="Keep the labs' run directories, below runs/tests-<time>.")
@click.option("--conformance", is_flag=True, help="Note what is proved in docs/conformance/, and write its pages.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENT]...")
def test(
    tiers: tuple[str, ...],
    expression: str | None,
    workers: str | None,
    kernel: str,
    keep_run_dirs: bool,
    conformance: bool,
    arguments: tuple[str, ...],
) -> int:
    """Run the tests in a sandbox: unit (milliseconds), netns (real kernel), demos (whole labs)."""
    words = [sys.executable, "-m", "pytest", "--rootdir", str(_ROOT), "-c", str(_ROOT / "pyproject.toml")]
    words += ["-k", expression] if expression else []
    plain = kernel == "present" and not arguments
    words += _spread(set(tiers or _TIERS), workers, few=not plain or expression is not None)
    kept = rundirs.kept_tests() if keep_run_dirs else None
    named = any((Path(argument.split("::")[0])).exists() for argument in arguments)
    places = [] if named else [_ROOT / "tests" / tier for tier in _LONGEST_FIRST if tier in (tiers or _TIERS)]
    words += arguments
    if kernel == "stock":
        return stock.test(words, places, kept, conformance=conformance)
    words += ["--conformance", str(_ROOT / "docs" / "conformance" / "results.json")] if conformance else []
    words += ["--basetemp", str(kept)] if kept else []
    return sandbox.reexec([*words, *map(str, places)])


def _spread(tiers: set[str], workers: str | None, *, few: bool) -> list[str]:
    """Words for pytest about processes; `few`: some tests, or options that may need all of them in one process."""
    if workers is not None or few:
        return ["-n", workers] if workers is not None else []
    if tiers == {"unit"}:
        return ["-n", "auto"]  # they wait for nothing, unlike labs
    processes = min(len(tiers), len(os.sched_getaffinity(0)))
    return ["-n", str(processes), "--tiers-apart"] if processes > 1 else []


@click.command()
@click.argument("name", required=False)
@click.option("--delay", type=float, metavar="MS", help="One way between CMD and gateways, where the bench has that.")
@kernel_flags
@format_flag
@click.pass_context
def bench(ctx: click.Context, name: str | None, delay: float | None, kernel: str, virtual_time: bool, form: str) -> int:
    """Measure speed against a stated goal; without NAME, list what can be measured."""
    stock.check_flags(kernel == "stock", virtual_time)
    known = benches.names()
    if name is None:
        click.echo("\n".join(f"{each:<10} {benches.summary(each)}" for each in known))
        return 0
    if name not in known:
        raise Mistake(unknown("bench", name, known))
    settings = {} if delay is None else {"delay": delay}
    for setting in settings:
        if setting not in benches.settings(name):
            raise Mistake(f"bench {name} has no {setting}")
    debug = ctx.find_root().obj["debug"]
    job = {"job": "bench", "bench": name, "settings": settings, "form": form, "debug": debug}
    return stock.do(job, virtual_time=virtual_time) if kernel == "stock" else foreground.do(job)


COMMANDS = (test, bench)
