"""How fast AERO Clients attach to one Server with a real Kea, and what thousands of them cost it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from testbed.agent import Agent
from testbed.events import EventLog
from testbed.kea import Kea
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.aero.kea import KeaSettings, Pool
from topologies.bench.blasting import on_core
from topologies.bench.figures import Figure, at_least, at_most

SERVER, CLIENT, CROWD, FIRST = "10.0.0.1", "10.0.0.2", "10.64.0.0/16", "10.64.0.1"
CLIENTS, WINDOW, STAY = 5000, 32, 10.0
"""Simulated Clients, how many of them attach at a time, and how long all are there, seconds."""
ROUNDS = 9
RATE_GOAL, MEMORY_GOAL, TIME_GOAL = 300, 300, 50
"""Attaches a second, MB, milliseconds."""
_MB = 1e6


class AttachTopo(Topo):
    """A Server, and a node with a Client or with thousands of them."""

    def build(self, **_opts: Any) -> None:
        """Names, addresses and links."""
        self.addHost("s1", cls=Host, routes=[(CROWD, CLIENT)])
        self.addHost("c1", cls=Host)
        ends = {"params1": {"addresses": [f"{SERVER}/24"]}, "params2": {"addresses": [f"{CLIENT}/24"]}}
        self.addLink("s1", "c1", intfName1="eth0", intfName2="eth0", **ends)


def attaching(folder: Path, progress: Callable[[str], None]) -> dict[str, Figure]:
    """Measure one Client's time, the rate of many, and the Server's memory and load with all of them."""
    folder.mkdir(parents=True)
    with Network(AttachTopo()) as net, ExitStack() as stack:
        events = EventLog(folder / "events.jsonl")
        settings = KeaSettings("0200000000aa", [Pool("2001:db8:1000::/40", 56)], t1=600, t2=1000, valid=3000)
        kea = Kea(net["s1"], settings.dhcp6(), folder / "kea", folder / "kea.log")
        server = Agent(net["s1"], "aero", "agents.aero", _server(folder), folder, events)
        for daemon in (kea, server):
            daemon.start()
            stack.callback(daemon.stop)
        progress("attach: one Client")
        times = [_one(net, folder, events) for _round in range(ROUNDS)]
        progress(f"attach: {CLIENTS} Clients")
        return {
            "attach_ms": at_most(statistics.median(times) * 1000, "ms", TIME_GOAL),
            **_many(net, server, CLIENTS, STAY),
        }


def _one(net: Network, folder: Path, events: EventLog) -> float:
    """Seconds from a real Client's first Solicit to its kernel having the prefix."""
    client = Agent(net["c1"], "aero", "agents.aero", _client(folder), folder, events)
    before = len(events.events())
    client.start()
    try:
        wait_until("the prefix", lambda: _at(events, before, "prefixes"))
    finally:
        client.stop()
    return _at(events, before, "prefixes") - _at(events, before, "attaching")


def _at(events: EventLog, before: int, name: str) -> float:
    """When an event was said, 0 when it was not; a Client says what it did after it did it."""
    return next((float(event["t"]) for event in events.events()[before:] if event["event"] == name), 0.0)


def _many(net: Network, server: Agent, clients: int, stay: float) -> dict[str, Figure]:
    pid = server.pid or 0
    net["c1"].run(["ip", "route", "add", "local", CROWD, "dev", "lo"], check=True)
    idle, worked = _resident(pid), on_core(pid)
    argv = [sys.executable, "-m", "topologies.tools.aero_crowd", SERVER, FIRST, str(clients), str(WINDOW), str(stay)]
    process = net["c1"].popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        attached = _answer(process)
        work = on_core(pid) - worked
        worked = on_core(pid)
        left = _answer(process)["attached"]
        if attached["attached"] != clients or left != clients:
            raise LabError(f"{attached['attached']} of {clients} Clients attached, {left} stayed")
        return {
            "attach_rate": at_least(clients / attached["seconds"], "attaches/s", RATE_GOAL),
            "attach_rate_core": Figure(clients / work, "attaches per second on a core"),
            "attach_loaded_ms": Figure(attached["median_ms"], "ms"),
            f"memory_{clients}": at_most(_resident(pid) / _MB, "MB", MEMORY_GOAL, anchor=idle / _MB),
            f"idle_load_{clients}": Figure((on_core(pid) - worked) / stay, "of a core"),
        }
    finally:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        said = (process.communicate(timeout=10)[1] or "nothing").strip().splitlines()[-1]
        raise LabError(f"the simulated Clients ended with exit {process.returncode}: {said}")
    found: dict[str, Any] = json.loads(line)
    return found


def _resident(pid: int) -> int:
    """Octets of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _server(folder: Path) -> dict[str, Any]:
    return {
        "role": "server",
        "name": "s1",
        "address": "fe80::1",
        "links": [{"interface": "eth0", "addresses": [SERVER]}],
        "control": str(folder / "s1.sock"),
        "state": str(folder / "s1.state"),
        "aggregates": ["2001:db8:1000::/40"],
    }


def _client(folder: Path) -> dict[str, Any]:
    return {
        "role": "client",
        "name": "c1",
        "duid": "00030001020000000001",
        "links": [{"interface": "eth0", "addresses": [CLIENT]}],
        "servers": [{"addresses": [SERVER]}],
        "control": str(folder / "c1.sock"),
        "state": str(folder / "c1.state"),
    }
