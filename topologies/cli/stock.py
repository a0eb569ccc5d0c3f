"""Debian's generic kernel in a virtual machine: the tests marked `stock`, or one job of another verb."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from testbed import sandbox
from testbed.vm import kernel, runner
from testbed.vm.initramfs import Job
from testbed.vm.kernel import Kernel
from topologies.cli.errors import Failure, Mistake
from topologies.cli.inside import command

LIMIT = 3600.0
"""seconds a guest may take"""
_ROOT = Path(__file__).resolve().parents[2]
_LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""What the guest's throw-away disk and slow processor do without."""
_PROVED = "conformance.json"
_NONE = 5
"""pytest's exit code when no test was selected"""


@dataclass(frozen=True)
class Guest:
    """One start of the virtual machine for tests."""

    name: str
    marked: str
    """the marker expression of its tests"""
    virtual_time: bool


GUESTS = (
    Guest("real-time", "stock and not virtual_time", False),
    Guest("virtual-time", "stock and virtual_time", True),
)


def check_flags(stock: bool, virtual_time: bool) -> None:
    """Refuse --virtual-time without the machine whose time it would be (Mistake)."""
    if virtual_time and not stock:
        raise Mistake("--virtual-time is for --kernel stock: only a virtual machine's time can be")


def test(pytest: Sequence[str], places: Sequence[Path], kept: Path | None, *, conformance: bool) -> int:
    """Run a pytest command line in as many guests as its tests need; return the worst exit code (LabError, Failure).

    places are searched for files with marked tests; kept is where run directories go; conformance: what was proved is
    brought back, as lane "stock".
    """
    kernel.check_programs()
    needed = [(guest, files) for guest in GUESTS if (files := _marked(guest, [*pytest[3:], *map(str, places)]))]
    if not needed:
        raise Failure("no tests marked stock among these")
    stock = kernel.fetch(_say)
    worst = 0
    with tempfile.TemporaryDirectory(prefix="roamlab-") as temporary:
        for guest, files in needed:
            results = (kept or Path(temporary)) / guest.name
            results.mkdir(parents=True)
            words = sandbox.command([*pytest, *_words(guest, results, kept is not None), *(files if places else [])])
            brought = results if kept or conformance else None
            worst = max(worst, _run(stock, Job(words, Path.cwd(), _environment(), brought, guest.virtual_time)))
        if conformance:
            _take_over([kept or Path(temporary)])
    return worst


def _words(guest: Guest, results: Path, keep: bool) -> list[str]:
    """What pytest is told in this guest besides."""
    words = ["-m", guest.marked, *_LEAN]
    words += ["--conformance", str(results / _PROVED), "--conformance-lane", "stock"]
    words += ["--basetemp", str(results / "tests")] if keep else []
    return words + (["--color=yes"] if sys.stdout.isatty() else [])


def _take_over(places: Sequence[Path]) -> None:
    """Put what guests proved beside what was proved here, and write the pages."""
    found = sorted(str(path) for place in places for path in place.glob(f"*/{_PROVED}"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-m", "conformance", *found], env=environment, check=False)
    if done.returncode != 0:
        raise Failure("what was proved could not be noted in docs/conformance")


def do(job: Mapping[str, Any], *, results: Path | None = None, virtual_time: bool = False) -> int:
    """Run a job of topologies.cli.inside in a guest and return its exit code (LabError); results come back."""
    kernel.check_programs()
    words = sandbox.command(command(job))
    return _run(kernel.fetch(_say), Job(words, Path.cwd(), _environment(), results, virtual_time))


def _run(stock: Kernel, job: Job) -> int:
    time = " in virtual time" if job.virtual_time else ""
    _say(f"starting Linux {stock.release} in a virtual machine{time}")
    sys.stdout.flush()
    return runner.run(stock, job, LIMIT, sys.stdout.buffer, sys.stderr.buffer)


def _marked(guest: Guest, arguments: Sequence[str]) -> list[str]:
    """Find the files with tests for a guest here, where it is quick: the guest imports no other."""
    argv = [sys.executable, "-m", "pytest", *arguments, *_LEAN, "-m", guest.marked, "--collect-only", "-qq"]
    argv += ["-n0"] if "-n" in arguments else []
    done = subprocess.run(argv, cwd=Path.cwd(), capture_output=True, text=True, check=False)
    if done.returncode not in (0, _NONE):
        raise Failure(f"cannot find the tests: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    names = [line.rpartition(":")[0] for line in done.stdout.splitlines() if line.rpartition(": ")[2].isdigit()]
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
