"""A lab in the background, and commands in its nodes, that were started by nohup or as a script's background job."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from deaf import DEAF
from test_supervisor import Terminal
from tiny_control import CLI, ENVIRONMENT, family, roamlab, start

pytestmark = pytest.mark.netns

LAB = f"deaf-{os.getpid()}"
TRAPS = "trap 'echo hung up' HUP; trap 'echo caught; exit 5' INT; echo started; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def lab() -> Iterator[int]:
    """Its outermost process."""
    process = start(LAB, before=DEAF)
    yield process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_it_outlives_a_hang_up_and_its_commands_ignore_nothing(lab: int) -> None:
    for process in family(lab):
        os.kill(process, signal.SIGHUP)
    result = roamlab("exec", "-t", LAB, "h1", "grep", "SigIgn", "/proc/self/status")
    assert int(result.stdout.split()[1], 16) & 0b111 == 0


def test_a_deaf_callers_command_is_interrupted_but_not_hung_up(lab: int) -> None:
    argv = [*DEAF, *CLI, "exec", "-t", LAB, "h1", "sh", "-c", TRAPS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "caught\n"
        assert process.wait(10) == 5


def test_a_terminal_in_a_node_interrupts(lab: int) -> None:
    terminal = Terminal("shell", "-t", LAB, "h2")
    terminal.expect("h2:")
    terminal.type("sh -c 'echo run\"\"ning; exec sleep 60'\n")
    terminal.expect("running")
    terminal.type("\x03")
    terminal.expect("h2:")
    terminal.type("exit 9\n")
    assert terminal.code() == 9
