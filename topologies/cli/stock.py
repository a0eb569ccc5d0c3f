"""The tests marked `stock`, on Debian's generic kernel in a virtual machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from testbed import sandbox
from testbed.vm import kernel, runner
from testbed.vm.initramfs import Job
from topologies.cli.errors import Failure

LIMIT = 1200.0
"""seconds; under emulation, on four cores, the tests take about a fifth of it"""
_ROOT = Path(__file__).resolve().parents[2]
MARKED = ("-m", "stock")
_LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""What the guest's throw-away disk and slow processor do without."""


def test(pytest: Sequence[str], places: Sequence[Path], kept: Path | None) -> int:
    """Run a pytest command line (with MARKED) in the guest and return its exit code (LabError, Failure).

    places are searched for files with marked tests; kept is where run directories go.
    """
    kernel.check_programs()
    files = _marked(places) if places else []
    stock = kernel.fetch(_say)
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    words = sandbox.command([*pytest, *_LEAN, *colour, *files])
    if kept:
        kept.mkdir()
    job = Job(words, Path.cwd(), _environment(), kept)
    _say(f"starting Linux {stock.release} in a virtual machine")
    sys.stdout.flush()
    return runner.run(stock, job, LIMIT, sys.stdout.buffer, sys.stderr.buffer)


def _marked(places: Sequence[Path]) -> list[str]:
    """Find the files with marked tests here, where it is quick: the guest imports no other."""
    argv = [sys.executable, "-m", "pytest", "--rootdir", str(_ROOT), "-c", str(_ROOT / "pyproject.toml")]
    argv += [*_LEAN, *MARKED, "--collect-only", "-q", *map(str, places)]
    done = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, check=False)
    names = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    if done.returncode != 0 or not names:
        raise Failure(f"no tests marked stock: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    return [str(_ROOT / name) for name in dict.fromkeys(names)]


def _environment() -> dict[str, str]:
    places = [*os.environ.get("PATH", os.defpath).split(":"), *sandbox.SYSTEM_PLACES]
    return {
        "PATH": ":".join(dict.fromkeys(places)),
        "PYTHONPATH": str(_ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }


def _say(text: str) -> None:
    click.echo(f"roamlab: {text}", err=True)
