"""Exit codes and one-line errors of the command as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from testbed.validation import LabError
from topologies.cli import inside
from topologies.cli.app import main, roamlab
from topologies.cli.errors import Failure, Mistake, guarded


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("testbed.labsocket.running", lambda *_: [])
    monkeypatch.setattr("testbed.client.running", lambda *_: [])
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["dmeo", "basic"], 2, "did you mean 'demo'?"),
        (["demo"], 2, "name a lab"),
        (["demo", "--nosuch"], 2, "No such option"),
        (["deploy", "no-such-lab-at-all"], 2, "no-such-lab-at-all"),
        (["exec"], 2, "roamlab exec NODE COMMAND"),
        (["shell"], 2, "roamlab shell NODE"),
        (["bench", "handovr"], 2, "unknown bench"),
        (["inspect", "-f", "yaml"], 2, "yaml"),
        (["move", "mn1"], 2, "CELL"),
        (["destroy"], 1, "no lab is running"),
        (["destroy", "basic"], 1, "lab basic is not running"),
        (["exec", "mn1", "ip", "addr"], 1, "no lab is running"),
        (["move", "mn1", "cell2"], 1, "no lab is running"),
        (["check"], 1, "roamlab demo LAB makes one"),
        (["check", "nothing-here"], 1, "neither a run directory"),
        (["check", "/nothing/here"], 1, "/nothing/here is not a run directory"),
        (["report", "nothing/here"], 1, "nothing/here is not a run directory"),
        (["events", "/"], 1, "/ is not a run directory"),
        (["check", "ba*["], 1, "neither a run directory"),
        (["demo", "basic", "--set", "lifetime=0"], 2, "option lifetime: 0 is not in 4..262140"),
        (["demo", "basic", "--set", "timestamp_window=nan"], 2, "nan is not in 0..3600"),
        (["demo", "aero-dmm", "--set", "clients=201"], 2, "option clients: 201 is not in 2..200"),
        (["compare", "ietf87"], 2, "SECOND"),
        (["compare", "ietf87", "central-anchor"], 1, "neither a run directory"),
    ],
)
def test_mistakes_are_one_line(nowhere, capfd, words, code, text) -> None:
    assert main(words) == code
    out, err = capfd.readouterr()
    assert text in err
    assert err.startswith("roamlab: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""


def test_debug_shows_where_it_came_from(nowhere) -> None:
    with pytest.raises(Mistake):
        main(["-d", "demo"])
    with pytest.raises(Mistake):
        main(["demo", "--debug"])


def test_debug_after_exec_belongs_to_the_command(nowhere, capfd) -> None:
    assert main(["exec", "mn1", "ls", "-d"]) == 1


@pytest.mark.parametrize("verb", sorted(roamlab.commands))
def test_every_verb_explains_itself(verb, capsys) -> None:
    assert main([verb, "--help"]) == 0
    assert "Usage: roamlab" in capsys.readouterr().out


def test_the_issue_s_verbs_are_all_there_and_on_the_help_page(capsys) -> None:
    wanted = [
        *("doctor", "labs", "demo", "deploy", "destroy", "inspect", "graph", "exec", "shell", "console"),
        *("capture", "events", "move", "check", "report", "compare", "validate", "test", "bench", "setup"),
    ]
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert [verb for verb in wanted if f"\n  {verb} " not in page] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (click.UsageError("wrong"), 2),
        (Failure("failed"), 1),
        (LabError("no"), 1),
        (PermissionError(13, "Permission denied", "/x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error, code, capfd) -> None:
    def work():
        raise error

    assert guarded(work) == code
    assert capfd.readouterr().err.count("\n") == 1


def test_nothing_said_is_answered_with_the_help_page(capfd) -> None:
    assert main([]) == 2
    out, err = capfd.readouterr()
    assert (out, err[:6]) == ("", "Usage:")
    assert all(f"\n  {verb} " in err for verb in roamlab.commands)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1", b'{"t": 1}\n{"t"\n'])
def test_damaged_events_are_one_line(nowhere, capfd, content) -> None:
    (nowhere / "run").mkdir()
    (nowhere / "run" / "lab.json").write_text("{}")
    (nowhere / "run" / "events.jsonl").write_bytes(content + b"\n")
    assert main(["events", "run"]) == 1
    err = capfd.readouterr().err
    assert "events.jsonl line " in err
    assert err.count("\n") == 1


def test_a_bug_is_not_hidden() -> None:
    def work():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        guarded(work)


def roamlab_into_a_closed_pipe(code: str) -> subprocess.CompletedProcess[str]:
    """A Python of our own, so that the standard output of this one stays."""
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-c", f"import sys\nfrom topologies.cli.errors import *\n{code}"]
    with os.fdopen(writing, "wb") as output:
        return subprocess.run(argv, stdout=output, stderr=subprocess.PIPE, text=True, timeout=30, check=False)


@pytest.mark.parametrize("printed", ["print('x' * 100_000)", "print('x')", "screen().print('x' * 100_000)"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_reader_that_left_changes_no_verdict(printed, code) -> None:
    words = f"""
from topologies.cli.options import screen
def work():
    with reader_may_leave():
        {printed}
    return {code}
sys.exit(guarded(work))"""
    done = roamlab_into_a_closed_pipe(words)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_reader_that_left_is_no_error() -> None:
    done = roamlab_into_a_closed_pipe("sys.exit(guarded(lambda: print('x' * 100_000)))")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_lab_is_played_that_nobody_could_judge(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = tmp_path / "run"
    with pytest.raises(Failure, match="tshark is not installed"):
        inside.demo({"name": "basic", "lab": "basic", "options": {}, "directory": str(run), "form": "table"})
    assert not run.exists()


def test_a_terminal_that_lacks_a_character() -> None:
    argv = [sys.executable, "-c", "from topologies.cli.app import main; main(['labs', '-f', 'json']); print('→')"]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout[-2:]) == (0, "?\n")


def test_interrupted_while_it_loads(tmp_path) -> None:
    """Ctrl-C in the half second of imports ends it without a traceback."""
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "PYTHONSAFEPATH": "1"}
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "topologies.cli", "labs"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (-2, "")


def test_completion_offers_verbs(capsys) -> None:
    complete = ShellComplete(roamlab, {}, "roamlab", "_ROAMLAB_COMPLETE")
    assert {"demo", "deploy", "destroy"} <= {item.value for item in complete.get_completions([], "de")}
    assert main(["completion", "bash"]) == 0
    assert "_ROAMLAB_COMPLETE" in capsys.readouterr().out
