"""Verbs about roamlab itself: test, bench."""

from __future__ import annotations

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


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--tier", "tiers", multiple=True, type=click.Choice(_TIERS), help="Only these tests; repeatable.")
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose name matches, as in pytest.")
@click.option("-n", "workers", metavar="N", help="In N processes, as in pytest-xdist; unit tests alone: one a CPU.")
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
    if workers is None and set(tiers) == {"unit"} and not arguments:
        workers = "auto"  # they wait for nothing, unlike labs
    words += ["-n", workers] if workers else []
    kept = rundirs.kept_tests() if keep_run_dirs else None
    named = any((Path(argument.split("::")[0])).exists() for argument in arguments)
    places = [] if named else [_ROOT / "tests" / tier for tier in tiers or _TIERS]
    words += arguments
    if kernel == "stock":
        return stock.test(words, places, kept, conformance=conformance)
    words += ["--conformance", str(_ROOT / "docs" / "conformance" / "results.json")] if conformance else []
    words += ["--basetemp", str(kept)] if kept else []
    return sandbox.reexec([*words, *map(str, places)])


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
