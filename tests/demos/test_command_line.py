"""The verbs on a real lab, as a person at a shell uses them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deaf import DEAF

from testbed import labsocket
from testbed.waiting import wait_until

pytestmark = pytest.mark.demo

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "topologies.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def roamlab(*words: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 90, "env": ENVIRONMENT, **options}
    return subprocess.run([*CLI, *words], cwd=cwd, check=False, **settings)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert result.returncode != 0
    assert result.stderr.startswith("roamlab: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def running() -> set[str]:
    return {name.lab for name in labsocket.running()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory where basic has been deployed."""
    place = tmp_path_factory.mktemp("deployed")
    result = roamlab("deploy", "basic", "--run-dir", "run", cwd=place)
    assert result.returncode == 0, result.stderr
    yield place
    for lab in running():
        roamlab("destroy", lab, cwd=place)


def test_a_second_deploy_is_one_line_and_harms_nothing(place: Path) -> None:
    assert "lab basic is already running: roamlab destroy basic" in one_line(roamlab("deploy", "basic", cwd=place))
    assert not (place / "runs").exists()


def test_move_and_what_it_refuses(place: Path) -> None:
    assert roamlab("move", "mn1", "dgw1", cwd=place).returncode == 0
    assert roamlab("move", "mn1", "cell2", cwd=place).returncode == 0
    assert "unknown cell or gateway 'cell9'" in one_line(roamlab("move", "mn1", "cell9", cwd=place))
    assert "did you mean 'mn1'?" in one_line(roamlab("move", "mn9", "cell1", cwd=place))


def test_inspect_shows_where_a_node_is_and_what_its_gateway_knows(place: Path) -> None:
    roamlab("move", "mn1", "dgw1", cwd=place)
    state = json.loads(roamlab("inspect", "-f", "json", cwd=place).stdout)
    assert state["nodes"]["mn1"]["cell"] == "cell1"
    assert state["cells"]["cell1"]["members"] == ["mn1"]

    def binding() -> bool:
        gateway = json.loads(roamlab("inspect", "-n", "dgw1", cwd=place).stdout)
        return "mn1@" in json.dumps(gateway["agents"]["dgw"])

    wait_until("dgw1 to know mn1", binding, timeout=60)


def test_a_command_in_the_node_uses_the_network_that_moved(place: Path) -> None:
    correspondent = json.loads(roamlab("inspect", "-n", "cn1", cwd=place).stdout)
    address = correspondent["interfaces"]["eth0"]["preferred"][0].partition("/")[0]
    for gateway in ("dgw1", "dgw2"):
        roamlab("move", "mn1", gateway, cwd=place)
        reached = lambda: roamlab("exec", "mn1", "ping", "-c1", "-W1", address, cwd=place).returncode == 0  # noqa: E731
        assert wait_until(f"mn1 to reach cn1 through {gateway}", reached, timeout=60)


def test_the_run_directory_is_readable_meanwhile(place: Path) -> None:
    captures = json.loads(roamlab("capture", "-f", "json", cwd=place).stdout)
    assert all(row["running"] and Path(row["file"]).is_file() for row in captures)
    roamlab("move", "mn1", "dgw1", cwd=place)
    events = roamlab("events", "--format", "json", cwd=place).stdout.splitlines()
    assert "attached" in {json.loads(line)["event"] for line in events}


def test_labs_validate_and_graph_start_nothing(place: Path) -> None:
    listed = json.loads(roamlab("labs", "-f", "json", cwd=place).stdout)
    assert {"basic": True, "ietf83": False}.items() <= {lab["lab"]: lab["running"] for lab in listed}.items()
    assert "is valid" in roamlab("validate", "ietf83", "--mode", "direct", cwd=place).stdout
    assert "did you mean 'mode'?" in one_line(roamlab("validate", "ietf83", "--set", "mod=direct", cwd=place))
    assert "dgw3 (gateway)" in roamlab("graph", "ietf83", cwd=place).stdout
    assert roamlab("graph", "ietf83", "-o", "drawing.svg", cwd=place).returncode == 0
    assert (place / "drawing.svg").read_text().startswith("<svg")
    assert "nothing was started" in roamlab("demo", "ietf83", "--dry-run", cwd=place).stdout
    assert running() == {"basic"}


def test_another_lab_does_not_disturb_it(place: Path) -> None:
    before = roamlab("inspect", "basic", "-f", "json", cwd=place).stdout
    assert roamlab("deploy", "ietf83", "--run-dir", "other", cwd=place).returncode == 0
    several = roamlab("inspect", "-n", "mn1", cwd=place)
    assert roamlab("destroy", "ietf83", cwd=place).returncode == 0
    assert "several labs are running" in one_line(several)
    after = roamlab("inspect", "basic", "-f", "json", cwd=place).stdout
    assert json.loads(before)["nodes"].keys() == json.loads(after)["nodes"].keys()
    assert running() == {"basic"}


def test_destroy_leaves_the_run_directory_and_nothing_else(place: Path) -> None:
    assert roamlab("destroy", cwd=place).stdout == "basic is destroyed\n"
    assert running() == set()
    assert (place / "run" / "events.jsonl").stat().st_size > 0
    assert "is not running" in one_line(roamlab("destroy", "basic", cwd=place))


def test_a_place_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for verb in ("deploy", "demo"):
        assert "file" in one_line(roamlab(verb, "basic", "--run-dir", "file/run", cwd=tmp_path))
        assert "choose a run directory elsewhere" in one_line(
            roamlab(verb, "basic", "--run-dir", "/run/x", cwd=tmp_path)
        )
    assert running() == set()


def test_a_run_directory_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text("{}")
    assert "holds a run already" in one_line(roamlab("demo", "basic", "--run-dir", ".", cwd=tmp_path))
    assert (tmp_path / "lab.json").read_text() == "{}"


def children(pid: int) -> set[int]:
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            for path in Path(f"/proc/{each}/task").glob("*/children"):
                found += [int(child) for child in path.read_text().split()]
    return set(found) - {pid}


@pytest.mark.parametrize(
    ("before", "number"), [([], signal.SIGTERM), ([], signal.SIGKILL), ([], signal.SIGINT), (DEAF, signal.SIGINT)]
)
def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path, before: list[str], number: signal.Signals) -> None:
    argv = [*before, *CLI, "demo", "basic", "--run-dir", "run"]
    with subprocess.Popen(argv, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "attaches" in line:
                break
        family = children(process.pid)
        assert len(family) > 5, "the lab's agents and captures run"
        if before:
            process.send_signal(signal.SIGHUP)  # nothing to it
        process.send_signal(number)
        assert process.wait(20) == (-number if number == signal.SIGKILL else 130)
        said = process.stderr.read()
    wait_until("its processes to end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert "Traceback" not in said
    assert number == signal.SIGKILL or said.endswith("roamlab: interrupted\n")
