"""The run directory is made and found usable before anything starts, or refused in one line."""

import json
import re

import pytest

from testbed.rundir import FORMAT, RunDirectory, default_path
from testbed.validation import LabError


def test_creates_its_parts(tmp_path):
    run = RunDirectory.create(tmp_path / "a" / "b")
    run.write_lab({"lab": "basic", "nodes": {}})
    run.log.record("step", title="one")
    run.close()
    assert json.loads((run.path / "lab.json").read_text()) == {"format": FORMAT, "lab": "basic", "nodes": {}}
    assert json.loads((run.path / "events.jsonl").read_text())["title"] == "one"
    assert run.agents.is_dir()
    assert run.capture("dgw1", "wan") == run.path / "pcap" / "dgw1-wan.pcapng"
    assert [path.name for path in (run.path / "pcap").iterdir()] == []


def test_refuses_a_directory_with_a_run(tmp_path):
    RunDirectory.create(tmp_path / "run").write_lab({})
    with pytest.raises(LabError, match="holds a run already"):
        RunDirectory.create(tmp_path / "run")


def test_refuses_a_directory_that_a_run_is_writing_to(tmp_path):
    first = RunDirectory.create(tmp_path / "run")
    with pytest.raises(LabError, match="another lab is writing to"):
        RunDirectory.create(tmp_path / "run")
    first.close()
    RunDirectory.create(tmp_path / "run").close()


def test_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="is a file: choose another"):
        RunDirectory.create(tmp_path / "file")


def test_refuses_when_the_disk_is_full(tmp_path):
    with pytest.raises(LabError, match=r"MB free, a run needs \d+ MB"):
        RunDirectory.create(tmp_path / "run", minimum_free=1 << 60)


def test_refuses_a_path_through_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="Not a directory"):
        RunDirectory.create(tmp_path / "file" / "run")


def test_refuses_where_nobody_may_write():
    with pytest.raises(LabError) as caught:
        RunDirectory.create("/proc/run")
    assert "\n" not in str(caught.value)
    assert "--run-dir" in str(caught.value)


def test_default_path_is_free(tmp_path):
    first = default_path("basic", tmp_path)
    first.mkdir(parents=True)
    second = default_path("basic", tmp_path)
    assert re.fullmatch(r"basic-\d{8}-\d{6}", first.name)
    assert second != first
    assert not second.exists()
