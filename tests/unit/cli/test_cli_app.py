"""Exit codes and one-line errors of the command as a whole."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete

from testbed.validation import LabError
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


def test_a_bug_is_not_hidden() -> None:
    def work():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        guarded(work)


def test_a_reader_that_left_is_no_error() -> None:
    def work():
        raise BrokenPipeError

    import os

    saved = os.dup(1)
    try:
        assert guarded(work) == 0
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def test_completion_offers_verbs(capsys) -> None:
    complete = ShellComplete(roamlab, {}, "roamlab", "_ROAMLAB_COMPLETE")
    assert {"demo", "deploy", "destroy"} <= {item.value for item in complete.get_completions([], "de")}
    assert main(["completion", "bash"]) == 0
    assert "_ROAMLAB_COMPLETE" in capsys.readouterr().out
