"""A lab in the background: requests, commands with the caller's own streams and terminal, and its end."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from tiny_control import CLI, ENVIRONMENT, name_of, roamlab, start

from testbed import client, labsocket
from testbed.labsocket import Channel, LabName
from testbed.validation import LabError

pytestmark = pytest.mark.netns

LAB = f"tiny-{os.getpid()}"
NAME = name_of(LAB)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabName]:
    process = start(LAB)
    yield NAME
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert NAME not in labsocket.running()


def test_it_is_found_and_answers(lab: LabName) -> None:
    assert lab in labsocket.running()
    state = client.request(lab, "inspect", node=None)["state"]
    assert set(state["nodes"]) == {"h1", "h2"}
    assert client.find(LAB) == lab


def test_refusals_are_one_line(lab: LabName) -> None:
    with pytest.raises(LabError, match="unknown node 'h9'"):
        client.request(lab, "inspect", node="h9")
    with pytest.raises(LabError, match="unknown request 'fly'"):
        client.request(lab, "fly")
    with pytest.raises(LabError, match="lacks 'cell'"):
        client.request(lab, "move", node="h1")
    with pytest.raises(LabError, match="records nothing"):
        client.request(lab, "stop-captures")
    with pytest.raises(LabError, match="three descriptors"):
        client.request(lab, "exec", node="h1", argv=["true"])


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1, 2]\n", b"\xff\xfe\n"])
def test_a_line_that_is_no_request_is_answered(lab: LabName, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(lab.address)
        connection.sendall(line)
        answer = Channel(connection).receive()
    assert answer is not None
    assert answer["error"].startswith("bad request")
    assert client.request(lab, "captures")["captures"] == []


def test_a_second_deploy_is_refused_in_one_line(lab: LabName) -> None:
    with pytest.raises(LabError, match=f"lab {LAB} is already running: roamlab destroy {LAB}"):
        labsocket.listen(LAB)


def test_another_user_is_turned_away(lab: LabName) -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({lab.address!r}); print(s.recv(999))"
    python = Path(sys.executable).resolve()  # the system's: a clone below /root is not for others to read
    result = subprocess.run(
        [python, "-I", "-c", script], cwd="/", user=65534, capture_output=True, text=True, timeout=10, check=False
    )
    assert "belongs to another user" in result.stdout


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["no-such"], 127)],
)
def test_exit_codes_come_back(lab: LabName, argv: list[str], code: int) -> None:
    assert roamlab("exec", "-t", LAB, "h1", *argv).returncode == code


def test_the_command_runs_in_the_node(lab: LabName) -> None:
    result = roamlab("exec", "-t", LAB, "h1", "ping", "-c1", "-W5", "2001:db8::2")
    assert (result.returncode, "1 received" in result.stdout) == (0, True)


def test_streams_are_the_callers_own(lab: LabName, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    result = roamlab("exec", "-t", LAB, "h1", "cat", input=data, text=False)
    assert result.stdout == data
    result = roamlab("exec", "-t", LAB, "h1", "sh", "-c", "pwd; echo $GREETING; echo oops >&2", cwd=tmp_path,
                     env={**ENVIRONMENT, "GREETING": "hello"})  # fmt: skip
    assert result.stdout.split() == [str(tmp_path), "hello"]
    assert result.stderr == "oops\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_command(lab: LabName, number: signal.Signals) -> None:
    script = f"trap 'echo caught; exit 5' {number.name[3:]}; echo started; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*CLI, "exec", "-t", LAB, "h1", "sh", "-c", script], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        assert process.stdout.read() == "caught\n"
        assert process.wait(10) == 5


def test_a_command_hears_when_its_caller_is_gone(lab: LabName, tmp_path: Path) -> None:
    script = "trap 'echo hung up; exit' HUP; echo started; while :; do sleep 0.05; done"
    reading, writing = os.pipe()
    with os.fdopen(reading) as output:
        process = subprocess.Popen([*CLI, "exec", "-t", LAB, "h1", "sh", "-c", script], stdout=writing, env=ENVIRONMENT)
        os.close(writing)
        assert output.readline() == "started\n"
        process.kill()
        process.wait(10)
        assert output.read() == "hung up\n"


def test_events_follow(lab: LabName) -> None:
    heard = []

    def listen() -> None:
        for event in client.events(lab):
            heard.append(event)
            if event["cell"] == "last":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    limit = time.monotonic() + 10
    while not heard and time.monotonic() < limit:  # until the subscription stands
        client.request(lab, "move", node="h1", cell="first")
    client.request(lab, "move", node="h2", cell="last")
    listener.join(10)
    assert (heard[0]["node"], heard[0]["cell"]) == ("h1", "first")
    assert (heard[-1]["node"], heard[-1]["cell"]) == ("h2", "last")


class Terminal:
    """A person at a terminal of their own, in front of one roamlab command."""

    def __init__(self, *words: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [*CLI, *words], {**ENVIRONMENT, "TERM": "dumb"})
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, timeout: float = 15) -> None:
        limit = time.monotonic() + timeout
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, limit - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.master, 65536).decode()
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def code(self) -> int:
        try:
            while os.read(self.master, 65536):
                pass
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def test_a_shell_with_job_control_window_size_and_interrupt(lab: LabName) -> None:
    terminal = Terminal("shell", "-t", LAB, "h2")
    terminal.expect("h2:")
    terminal.resize(33, 111)
    terminal.type("until test \"$(stty size)\" = '33 111'; do :; done; echo size $?\n")
    terminal.expect("size 0")
    terminal.type("echo $((6*7)) on $(cat /sys/class/net/eth0/operstate 2>/dev/null; ip -br link | grep -c eth0)\n")
    terminal.expect("42 on")
    terminal.type("sh -c 'echo run\"\"ning; exec sleep 60'\n")
    terminal.expect("running")
    terminal.type("\x03")
    terminal.expect("h2:")
    terminal.type("sed -u 's/^/seen /'\n")
    terminal.type("one\n")
    terminal.expect("seen one")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("h2:")
    terminal.type("fg\n")
    terminal.expect("sed -u")
    terminal.type("two\n")
    terminal.expect("seen two")  # the shell names the job before it hands the terminal over
    terminal.type("\x03")
    terminal.expect("h2:")
    terminal.type("exit 9\n")
    assert terminal.code() == 9


def test_a_shell_from_a_pipe(lab: LabName) -> None:
    result = roamlab("shell", "-t", LAB, "h1", input="echo one\nexit 3\n")
    assert (result.returncode, result.stdout) == (3, "one\n")


def test_the_console_from_a_pipe(lab: LabName) -> None:
    script = """nodes
        net
        # a comment
        h1 ping -c1 -W5 h2
        h9 ls
        sh echo outside
        exit
        """
    result = roamlab("console", LAB, input=script.replace("\n        ", "\n"))
    lines = result.stdout.splitlines()
    assert lines[0] == "h1 h2"
    assert "h1 eth0:h2-eth0" in lines
    assert any("1 received" in line for line in lines)
    assert lines[-1] == "outside"
    assert "unknown node or command 'h9'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_console_at_a_terminal(lab: LabName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "HOME", str(tmp_path))
    terminal = Terminal("console", LAB)
    terminal.expect("roamlab> ")
    terminal.type("h1 ping h2\n")
    terminal.expect("64 bytes from 2001:db8::2")
    terminal.type("\x03")
    terminal.expect("roamlab> ")
    terminal.type("h2 sh -c 'exit 4'\n")
    terminal.expect("roamlab> ")
    terminal.type("exit\n")
    assert terminal.code() == 0
    assert "h1 ping h2" in (tmp_path / ".roamlab_history").read_text()
