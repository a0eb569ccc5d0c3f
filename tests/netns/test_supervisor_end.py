"""How a lab in the background ends: on request, or killed, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny_control import CLI, ENVIRONMENT, cmdline, family, name_of, roamlab, start

from testbed import labsocket

pytestmark = pytest.mark.netns

LAB = f"ending-{os.getpid()}"
NAME = name_of(LAB)


def test_destroy_ends_it(tmp_path: Path) -> None:
    process = start(LAB)
    result = roamlab("destroy", LAB)
    assert (result.returncode, result.stdout) == (0, f"{LAB} is destroyed\n")
    assert process.wait(10) == 0
    assert NAME not in labsocket.running()
    assert "is not running" in roamlab("inspect", LAB).stderr


@pytest.mark.parametrize("whom", ["sandbox", "supervisor"])
def test_sigkill_leaves_nothing(whom: str) -> None:
    process = start(LAB)
    marker = f"77{os.getpid()}"
    runner = subprocess.Popen([*CLI, "exec", "-t", LAB, "h1", "sleep", marker], env=ENVIRONMENT)
    limit = time.monotonic() + 10
    while not (members := [pid for pid in family(process.pid) if cmdline(pid)[:1] == ["sleep"]]):
        assert time.monotonic() < limit
    victims = [pid for pid in family(process.pid) if "tiny_lab.py" in " ".join(cmdline(pid)[1:2])]
    everyone = family(process.pid)
    os.kill(process.pid if whom == "sandbox" else victims[-1], signal.SIGKILL)
    process.wait(10)
    assert runner.wait(10) == 1
    while any(Path(f"/proc/{pid}").exists() and cmdline(pid) for pid in [*members, *everyone]):
        assert time.monotonic() < limit + 10
    assert NAME not in labsocket.running()
    restarted = start(LAB)  # and its name is free at once
    restarted.terminate()
    assert restarted.wait(10) == 0
