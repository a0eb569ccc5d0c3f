"""Programs that were started deaf: by nohup, or as a script's background job."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from deaf import DEAF

from testbed import signals

IGNORED = "grep SigIgn /proc/self/status"


def begun(how: str, then: str) -> subprocess.CompletedProcess[str]:
    """What a deaf program says and how it ends, that calls `how` before it does `then`."""
    script = f"import os, signal, subprocess; from testbed import signals; signals.{how}()\n{then}"
    argv = [*DEAF, sys.executable, "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def ignored(said: str) -> set[signal.Signals]:
    mask = int(said.split()[1], 16)
    watched = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    return {number for number in watched if mask >> (number - 1) & 1}


def test_the_fixture_is_deaf():
    said = subprocess.run([*DEAF, "sh", "-c", IGNORED], capture_output=True, text=True, timeout=30, check=True).stdout
    assert ignored(said) == {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}


@pytest.mark.parametrize(("how", "left"), [("afresh", set()), ("interruptible", {signal.SIGHUP})])
def test_what_we_start_ignores_no_more_than_it_should(how, left):
    assert ignored(begun(how, f"subprocess.run({IGNORED.split()!r})").stdout) == left


@pytest.mark.parametrize("how", ["afresh", "interruptible"])
def test_we_outlive_a_hang_up_and_end_by_an_interrupt(how):
    ended = begun(how, "os.kill(os.getpid(), signal.SIGHUP); print('here', flush=True); signal.raise_signal(2)")
    assert ended.stdout == "here\n"
    assert ended.stderr.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_temporary_stays(tmp_path, number):
    then = f"""
import tempfile
with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}) as place:
    print(len(os.listdir({str(tmp_path)!r})), flush=True)
    signal.raise_signal({number:d})
"""
    assert begun("interruptible", then).stdout == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_who_was_not_deaf_keeps_its_handlers():
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    if signal.SIG_IGN in before.values():
        pytest.skip("these tests were started with signals ignored")
    signals.afresh()
    assert {number: signal.getsignal(number) for number in numbers} == before


@pytest.mark.parametrize("deaf", ["signal.SIG_IGN", "signal.SIG_DFL"])
def test_a_hang_up_is_handled_unless_it_is_to_be_outlived(deaf):
    script = f"""
import signal
from testbed import signals
signal.signal(signal.SIGHUP, {deaf})
before = signal.getsignal(signal.SIGTERM)
heard = []
with signals.handled([signal.SIGHUP, signal.SIGTERM], lambda number, frame: heard.append(number)):
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
print(*heard, signal.getsignal(signal.SIGTERM) is before, signal.getsignal(signal.SIGHUP) is {deaf})
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.split() == (["15"] if deaf.endswith("IGN") else ["1", "15"]) + ["True", "True"]
