"""The life of what runs in nodes: agents' events and control socket, ends expected or not, radvd."""

import os
import signal
import sys
from pathlib import Path

import pytest

from testbed.events import EventLog
from testbed.mininet_api import Topo
from testbed.nodes import CommandError, Router
from testbed.processes import Agent, ControlError, Daemon, Radvd
from testbed.validation import LabError

pytestmark = pytest.mark.netns

AGENT = """
import json, os, socket, sys
config = json.loads(sys.stdin.readline())
assert sys.stdin.read() == ""
if config.get("fail"):
    print("cannot: " + config["fail"], file=sys.stderr)
    sys.exit(2)
door = socket.socket(socket.AF_UNIX)
if os.path.exists(config["control"]):
    os.unlink(config["control"])
door.bind(config["control"])
door.listen()
print(json.dumps({"event": "ready", "interfaces": sorted(n for _, n in socket.if_nameindex())}), flush=True)
notes = []
while True:
    connection = door.accept()[0].makefile("rw")
    for line in connection:
        message = json.loads(line)
        if message["request"] == "die":
            print("last words", file=sys.stderr, flush=True)
            os._exit(3)
        if message["request"] == "note":
            notes.append(message["number"])
        answer = {"error": "no"} if message["request"] == "refuse" else {"ok": True, "notes": notes, "pid": os.getpid()}
        if message["request"] == "print":
            print(message["line"], flush=True)
        connection.write(json.dumps(answer) + "\\n")
        connection.flush()
"""


class One(Topo):
    def build(self):
        self.addHost("dgw1", cls=Router)
        self.addHost("other")
        self.addLink("dgw1", "other", intfName1="wan")


@pytest.fixture
def node(network):
    return network(One())["dgw1"]


@pytest.fixture
def make(node, tmp_path, monkeypatch):
    (tmp_path / "echo_agent.py").write_text(AGENT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = EventLog(tmp_path / "events.jsonl")
    made = []

    def agent(**config):
        control = str(tmp_path / "control.sock")
        made.append(Agent(node, "echo", "echo_agent", {"control": control, **config}, tmp_path, log))
        return made[-1]

    yield agent
    for one in made:
        one.stop()
    log.close()


def test_agent_runs_in_its_node_and_its_events_are_logged(make):
    agent = make()
    agent.start()
    ready = agent.events.wait_for(lambda e: e["event"] == "ready")
    assert (ready["node"], ready["agent"]) == ("dgw1", "echo")
    assert ready["interfaces"] == ["lo", "wan"]
    assert isinstance(ready["t"], float)
    assert agent.config_path.name == "dgw1-echo.json"
    assert agent.config_path.read_text().startswith('{\n "control"')
    agent.request({"request": "print", "line": '{"event": "own-time", "t": 5.5}'})
    assert agent.events.wait_for(lambda e: e["event"] == "own-time")["t"] == 5.5
    agent.request({"request": "print", "line": "not JSON"})
    assert agent.events.wait_for(lambda e: e["event"] == "output")["text"] == "not JSON"


def test_requests_and_notifications(make):
    agent = make()
    agent.start()
    for number in range(300):
        agent.notify({"request": "note", "number": number})
    assert agent.request({"request": "inspect"})["notes"] == list(range(300))
    with pytest.raises(ControlError, match=r"^dgw1 echo: no$"):
        agent.request({"request": "refuse"})
    assert agent.request({"request": "inspect"})["ok"]


def test_unexpected_end_is_an_event_with_code_and_last_words(make):
    agent = make()
    agent.start()
    with pytest.raises(ControlError, match=r"closed its control socket"):
        agent.request({"request": "die"})
    event = agent.events.wait_for(lambda e: e["event"] == "exited")
    assert (event["code"], event["last_log"]) == (3, "last words")


def test_expected_ends_are_no_events_and_restart_reconnects(make):
    agent = make()
    agent.start()
    first = agent.request({"request": "inspect"})["pid"]
    assert first == agent.pid
    assert agent.stop() == -signal.SIGTERM
    assert not agent.running
    agent.start()
    agent.restart()
    assert agent.request({"request": "inspect"})["pid"] not in (first, None)
    assert agent.kill() == -signal.SIGKILL
    assert [e["event"] for e in agent.events.events()] == ["ready"] * 3
    with pytest.raises(ControlError, match=r"control socket .*: Connection refused"):
        agent.request({"request": "inspect"})


def test_killed_from_outside_is_unexpected(make):
    agent = make()
    agent.start()
    os.kill(agent.pid, signal.SIGKILL)
    assert agent.events.wait_for(lambda e: e["event"] == "exited")["code"] == -9


def test_failed_start_says_why(make):
    with pytest.raises(LabError, match=r"^dgw1 echo: ended at the start with exit 2: cannot: wrong key$"):
        make(fail="wrong key").start()


def test_daemon_that_never_starts_is_ended(node, tmp_path):
    class Mute(Daemon):
        def argv(self):
            return ["sleep", "1000"]

        def has_started(self):
            return False

    daemon = Mute(node, "mute", tmp_path / "mute.log")
    with pytest.raises(LabError, match=r"dgw1 mute started: not after 0.05 s"):
        daemon.start(timeout=0.05)
    assert not daemon.running


def test_missing_program_is_one_line(node):
    with pytest.raises(
        CommandError, match=r"^dgw1: nonesuch-program --flag: not installed: `roamlab doctor` says what is missing$"
    ):
        node.run(["nonesuch-program", "--flag"])


def test_radvd_starts_idle_takes_a_new_file_and_stops(node, tmp_path):
    config, pid_file = Path("/run/roamlab/dgw1-radvd.conf"), Path("/run/roamlab/dgw1-radvd.pid")
    radvd = Radvd(node, config, pid_file, tmp_path / "radvd.log")
    radvd.start()
    assert int(pid_file.read_text()) == radvd.pid
    listener = (
        "import socket, struct; s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58); "
        "i = socket.if_nametoindex('other-eth0'); "
        "s.setsockopt(41, 20, socket.inet_pton(10, 'ff02::1') + struct.pack('I', i)); print(flush=True)\n"
        "while s.recv(1500)[0] != 134: pass\n"
        "print('advertised', flush=True)"
    )
    other = node.intf("wan").link.intf2.node.popen([sys.executable, "-c", listener], text=True)
    other.stdout.readline()
    config.write_text(
        "interface wan { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; "
        "prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; }; };\n"
    )
    os.kill(radvd.pid, signal.SIGHUP)
    assert other.communicate(timeout=10)[0] == "advertised\n"
    assert radvd.stop() == 0


def test_radvd_refuses_a_bad_file_before_it_starts(node, tmp_path):
    class Broken(Radvd):
        DUMMY = "interface { nonsense }\n"

    radvd = Broken(node, tmp_path / "radvd.conf", tmp_path / "radvd.pid", tmp_path / "radvd.log")
    with pytest.raises(CommandError, match=r"radvd"):
        radvd.start()
    assert radvd.process is None
