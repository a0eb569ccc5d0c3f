"""The shell around a core, as a real process: configuration errors, events, control socket, clean stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.core import Outbox
from agents.runtime import Clock, Shell

ROOT = Path(__file__).resolve().parents[3]
AGENT = """
import sys
from agents.core import Outbox
from agents.runtime import Shell, read_configuration

class Echo(Outbox):
    def __init__(self):
        super().__init__()
        self.heard, self.due = [], None
    def receive(self, message, source, now):
        self.heard.append(message)
        self.say("heard", text=message)
        self.due = now + 0.01
    def handle_timer(self, now):
        self.due = None
        self.say("rang")
    def next_timer(self):
        return self.due
    def inspect(self):
        return {"heard": self.heard}

config = read_configuration("echo")
core = Echo()
shell = Shell(core, print)
def tell(request):
    shell.feed(request["text"])
    return {"count": len(core.heard)}
shell.on_request("tell", tell)
shell.run(config["control"])
"""


@pytest.fixture
def agent(tmp_path):
    control = tmp_path / "control"
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.stdin.write(json.dumps({"control": str(control)}))
    process.stdin.close()
    assert json.loads(process.stdout.readline())["event"] == "ready"
    process.control = control
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def ask(agent, *lines):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(agent.control))
        with client.makefile("rw") as stream:
            answers = []
            for line in lines:
                stream.write(line + "\n")
                stream.flush()
                answers.append(json.loads(stream.readline()))
            return answers


def test_requests_events_and_timers(agent):
    answers = ask(agent, '{"request": "tell", "text": "hi"}', '{"request": "inspect"}')
    assert answers == [{"ok": True, "count": 1}, {"ok": True, "state": {"heard": ["hi"]}}]
    events = [json.loads(agent.stdout.readline()) for _ in range(2)]
    assert [event["event"] for event in events] == ["heard", "rang"]
    assert events[1]["t"] - events[0]["t"] >= 0.009


def test_bad_requests_are_answered(agent):
    answers = ask(agent, "what?", '{"request": "dance"}', "[]", '{"request": "tell"}')
    assert answers[0] == {"error": "a request is a JSON object on one line"}
    assert answers[1] == {"error": "a request is one of inspect, tell"}
    assert answers[2] == {"error": "a request is a JSON object on one line"}
    assert answers[3]["error"].startswith("tell: ")


def test_sigterm_ends_cleanly(agent):
    ask(agent, '{"request": "inspect"}')
    agent.send_signal(signal.SIGTERM)
    assert json.loads(agent.stdout.readline())["event"] == "stopped"
    assert agent.wait(5) == 0
    assert not agent.control.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "dgw: configuration on standard input is not JSON"),
        ("[]", "dgw: configuration on standard input must be a JSON object, found list"),
        ('{"role": "queen"}', "dgw: configuration.role: 'queen' is not one of gateway, cmd, lma"),
        ('{"role": "cmd", "nam": "x"}', "dgw: configuration: unknown key 'nam', did you mean 'name'?"),
    ],
)
def test_configuration_errors_are_one_line(given, said):
    done = subprocess.run(
        [sys.executable, "-m", "agents.dgw"],
        input=given,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


class Talker(Outbox):
    """A core that has things to do, in order."""

    def next_timer(self):
        return None


def test_state_is_saved_before_anybody_is_told():
    """An agent killed after any of these still knows what its peers know of it"""
    done = []
    core = Talker()
    shell = Shell(core, done.append)
    shell.remember(lambda: done.append("saved"), lambda action: action.startswith("tell"))
    core.do("install", "tell one", "remove", "tell two")
    shell.turn()
    assert done == ["install", "saved", "tell one", "remove", "tell two"]
    done.clear()
    core.do("install")
    shell.turn()
    assert done == ["install", "saved"], "once in every turn, also when nobody is told"


def test_the_clock_of_a_process_never_steps_and_knows_how_far_the_wall_clock_has(monkeypatch):
    clock = Clock()
    before, wall = clock.now(), time.time
    assert abs(clock.ahead()) < 0.1
    monkeypatch.setattr(time, "time", lambda: wall() + 3600)
    assert clock.now() - before < 60
    assert abs(clock.ahead() - 3600) < 0.1
