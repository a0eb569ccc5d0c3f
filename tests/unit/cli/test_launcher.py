"""./roamlab: says what is missing and what to do, is quick when nothing is, and hands over what it was given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SYSTEM_PYTHON = Path("/usr/bin/python3")

pytestmark = pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="the launcher needs the system's Python")


@pytest.fixture
def clone() -> Iterator[Path]:
    """The launcher in a tree of its own where everything is installed; its Python says what it was told to do."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's own is not for other users to read
        Path(directory).chmod(0o755)
        clone = Path(directory, "clone")
        (clone / ".venv" / "bin").mkdir(parents=True)
        (clone / ".venv" / "lib" / SYSTEM_PYTHON.resolve().name).mkdir(parents=True)
        shutil.copy(ROOT / "roamlab", clone)
        (clone / "packages.apt").write_text("# a comment\n\ncoreutils  ls\nbase-files  /etc/os-rel*\n")
        (clone / "requirements.lock").write_text("nothing==1\n")
        shutil.copy(clone / "requirements.lock", clone / ".venv")
        python = clone / ".venv" / "bin" / "python"
        python.write_text('#!/bin/sh\nprintf "%s|" "$PYTHONPATH" "$PYTHONSAFEPATH" "$@"\n')
        python.chmod(0o755)
        yield clone


def launch(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As an ordinary user, so that nothing is installed on this machine."""
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(
        [clone / "roamlab", *words], capture_output=True, text=True, check=False, cwd="/", timeout=20, **user
    )


def test_it_hands_over_words_and_paths(clone: Path) -> None:
    result = launch(clone, "exec", "mn1", "two words", "")
    words = result.stdout.split("|")
    assert words[0].split(":")[0] == str(clone)
    assert words[1:] == ["1", "-m", "topologies.cli", "exec", "mn1", "two words", "", ""]
    assert result.stderr == ""


def test_it_is_quick_when_nothing_is_to_do(clone: Path) -> None:
    def once() -> float:
        began = time.monotonic()
        launch(clone, "labs")
        return time.monotonic() - began

    assert min(once() for _ in range(5)) < 0.3


def test_a_missing_program_is_named_and_the_rest_works(clone: Path) -> None:
    with (clone / "packages.apt").open("a") as packages:
        packages.write("radish  no-such-program\n")
    result = launch(clone, "labs")
    assert result.returncode == 0
    assert "topologies.cli|labs" in result.stdout
    apt = shutil.which("apt-get")
    assert ("missing: radish; run: sudo" if apt else "missing programs: no-such-program") in result.stderr
    assert launch(clone, "setup").returncode == 1


def test_an_environment_of_other_versions_is_refused(clone: Path) -> None:
    (clone / "requirements.lock").write_text("nothing==2\n")
    result = launch(clone, "labs")
    assert result.returncode == 1
    assert f"run: sudo {clone}/roamlab setup" in result.stderr
    assert result.stdout == ""


def test_through_a_link_it_finds_its_tree(clone: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to(clone / "roamlab")
    result = subprocess.run([link, "labs"], capture_output=True, text=True, check=False)
    assert result.stdout.split("|")[0].split(":")[0] == str(clone)


def test_the_lock_names_exact_versions_of_everything_pyproject_asks_for() -> None:
    import tomllib

    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        assert wanted.partition(">=")[0].lower() in locked, wanted
    assert sys.version_info >= (3, 11)
