"""A lab that runs: network, captures, agents and services, in the order that leaves nothing unrecorded."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from ipaddress import ip_interface
from itertools import groupby
from pathlib import Path
from typing import Any

from captures.pcapng import CaptureError
from captures.record import Recorder, start_all, stop_all
from testbed.bird import Bird
from testbed.exabgp import ExaBgp
from testbed.network import Network
from testbed.nginx import ACCESS_LOG, Nginx
from testbed.nodes import MobileHost
from testbed.processes import Agent, Daemon, Kea, Radvd
from testbed.radio.cells import Association
from testbed.resources import usage
from testbed.rundir import RunDirectory
from testbed.segmentation import cut_before_the_wire
from testbed.validation import LabError, unknown
from topologies.lab import RUNTIME, AgentSpec, Lab
from topologies.pace import slowness
from topologies.traffic import Flow

Progress = Callable[[str], None]


class Run:
    """One deployed lab; made by `deploy`, ended by `stop`."""

    def __init__(self, lab: Lab, options: Any, directory: RunDirectory) -> None:
        self.lab = lab
        self.options = options
        self.directory = directory
        self.events = directory.log
        self.net = Network(lab.topo(options), source=lab.file, logs=directory.agents)
        self.agents: dict[str, Agent] = {}
        """By node name: a node has at most one agent."""
        self.keas: dict[str, Kea] = {}
        """By node name."""
        self.exabgps: dict[str, ExaBgp] = {}
        """By node name."""
        self.birds: dict[str, Bird] = {}
        """By node name."""
        self.flows: list[Flow] = []
        self._specs: dict[str, AgentSpec] = {}
        self._recorders: dict[tuple[str, str], Recorder] = {}
        self._recording = False
        self._cleanup = ExitStack()
        self._started = time.time()
        self._slowness = slowness()
        self._runtime = ""

    @classmethod
    def deploy(cls, lab: Lab, options: Any, directory: Path, progress: Progress = lambda _text: None) -> Run:
        """Bring a lab up inside the present sandbox; on any error nothing of it stays."""
        run = cls(lab, options, RunDirectory.create(directory))
        with ExitStack() as undo:
            undo.callback(run.stop)
            run._deploy(progress)
            undo.pop_all()
        return run

    def _deploy(self, progress: Progress) -> None:
        progress("building the network")
        self._cleanup.callback(self.directory.close)
        self._cleanup.callback(self.net.stop)
        self.net.start()
        cut_before_the_wire(self.net[spec.node] for spec in self.lab.agents(self.options))
        progress("starting captures")
        self._start_captures()
        progress("starting services and agents")
        runtime = self._runtime = tempfile.mkdtemp(prefix="roamlab-", dir="/run")
        self._cleanup.callback(shutil.rmtree, runtime, ignore_errors=True)
        self._start(list(self._services(runtime)))
        self.net.listen_associations(self._on_association)
        for _role, specs in groupby(self.lab.agents(self.options), key=lambda spec: (spec.name, spec.role, spec.turn)):
            self._start_agents([spec.located(runtime) for spec in specs])
        self._write_description()
        progress("ready")

    def _start_captures(self) -> None:
        for node, interface in self.lab.captures(self.options):
            path = self.directory.capture(node, interface)
            self._recorders[node, interface] = Recorder(self.net[node].popen, interface, path)
        with _captures_work():
            start_all(self._recorders.values())
        self._recording = True

    def _start(self, daemons: list[Daemon]) -> None:
        """Start daemons that do not wait for each other, side by side; they are ended in the same way."""
        if not daemons:
            return

        def each(what: Callable[[Daemon], object]) -> None:
            with ThreadPoolExecutor(len(daemons)) as pool:
                for done in [pool.submit(what, daemon) for daemon in daemons]:
                    done.result()

        self._cleanup.callback(each, lambda daemon: daemon.stop())
        each(lambda daemon: daemon.start())

    def _services(self, runtime: str) -> Iterator[Daemon]:
        """What runs beside the agents, and is there before them."""
        lab, options, logs = self.lab, self.options, self.directory.agents
        for radvd in (spec.located(runtime) for spec in lab.radvds(options)):
            log = logs / f"{radvd.node}-radvd.log"
            yield Radvd(self.net[radvd.node], Path(radvd.config), Path(radvd.pid_file), log)
        for kea in (spec.located(runtime) for spec in lab.keas(options)):
            log = logs / f"{kea.node}-kea.log"
            self.keas[kea.node] = Kea(self.net[kea.node], kea.settings, Path(kea.folder), log)
            yield self.keas[kea.node]
        for bird in (spec.located(runtime) for spec in lab.birds(options)):
            log = logs / f"{bird.node}-bird.log"
            daemon = Bird(self.net[bird.node], bird.router_id, bird.asn, bird.body, Path(bird.folder), log)
            self.birds[bird.node] = daemon
            yield daemon
        for spec in (spec.located(runtime) for spec in lab.exabgps(options)):
            log = logs / f"{spec.node}-exabgp.log"
            self.exabgps[spec.node] = ExaBgp(self.net[spec.node], spec.speaker, Path(spec.folder), log)
            yield self.exabgps[spec.node]
        for server in (spec.located(runtime) for spec in lab.web_servers(options)):
            log = logs / f"{server.node}-nginx.log"
            access_log = self.directory.path / ACCESS_LOG.format(node=server.node)
            yield Nginx(self.net[server.node], Path(server.folder), server.body, server.files, access_log, log)

    def _start_agents(self, specs: list[AgentSpec]) -> None:
        """Start agents of one role and turn; the next ones expect them to be there."""
        for spec in specs:
            self._specs[spec.node] = spec
            self.agents[spec.node] = Agent(
                self.net[spec.node],
                spec.name,
                spec.module,
                spec.config,
                self.directory.path,
                self.events,
                spec.secrets,
            )
        self._start([self.agents[spec.node] for spec in specs])
        for spec in specs:
            self._report_stations(spec.node)
        self.lab.started(self, [spec.node for spec in specs])

    def _report_stations(self, node: str) -> None:
        """Tell an agent that has just started who is in its cells now."""
        cells = self._specs[node].cells
        if cells:
            macs = [mobile.intfList()[0].mac for mobile in self._mobiles() if self.net.cell_of(mobile.name) in cells]
            self.agents[node].request({"request": "stations", "macs": macs})

    def _on_association(self, association: Association) -> None:
        """Tell the cell's agent what its access point noticed, and the log what was."""
        agent = self.agents.get(association.gateway or "")
        if agent and agent.running and association.noticed != "never":
            agent.notify({"request": association.event, "mac": association.mac})
        told = {"associated": "attached", "disassociated": "detached"}[association.event]
        self.events.append(
            {
                "t": association.t,
                "node": association.node,
                "agent": "lab",
                "event": "forgotten" if association.noticed == "late" else told,
                "cell": association.cell,
                "gateway": association.gateway,
                "mac": association.mac,
                "noticed": association.noticed,
            }
        )

    # --- what scripts, the supervisor and tests do with a run

    def play(self, progress: Progress = lambda _text: None) -> None:
        """Play the lab's script."""
        self._progress = progress
        self.lab.script(self, self.options)
        self.log("resources", **asdict(usage()))
        for flow in self.flows:
            flow.stop()
        self.lab.finished(self, self.options)

    def step(self, title: str) -> None:
        """Announce a step of the script."""
        self.log("step", title=title)
        getattr(self, "_progress", lambda _text: None)(title)

    def log(self, event: str, *, node: str = "lab", **fields: Any) -> None:
        """Write an event of the lab itself."""
        self.events.record(event, node=node, **fields)

    def spawn(self, node: str, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in a node; it is ended with the run."""
        process: subprocess.Popen[Any] = self.net[node].popen(argv, **options)
        return process

    @property
    def slowness(self) -> float:
        """1.0 on a real machine, else how many times slower an emulated one is."""
        return self._slowness

    def runtime(self, path: str) -> str:
        """Where a path of the lab's specifications, which begins with RUNTIME, is in this run."""
        return path.replace(RUNTIME, self._runtime)

    def mobiles(self) -> list[str]:
        """Names of the mobile nodes."""
        return [mobile.name for mobile in self._mobiles()]

    def address(self, node: str) -> str:
        """The first configured IPv6 address of a node."""
        for interface in self.net[node].intfList():
            for text in interface.addresses:
                address = ip_interface(text)
                if address.version == 6:
                    return str(address.ip)
        raise LabError(f"{node} has no configured IPv6 address")

    def move(self, node: str, target: str) -> dict[str, Any]:
        """Hand a mobile node over to a cell, named itself or by its gateway (LabError for an unknown one)."""
        if node not in self.mobiles():
            raise LabError(unknown("mobile node", node, self.mobiles()))
        cells = self.net.radio.describe()
        known = {name: name for name in cells} | {str(c["gateway"]): name for name, c in cells.items()}
        if target not in known:
            raise LabError(unknown("cell or gateway", target, known))
        before = self.net.cell_of(node)
        self.net.move(node, known[target])
        return {"node": node, "from": before, "to": known[target]}

    def restart_agent(self, node: str) -> None:
        """Start a node's agent again, after it stopped or was killed."""
        self.agents[node].restart()
        self._report_stations(node)

    def inspect(self, node: str | None = None) -> dict[str, Any]:
        """The lab as it is now, or one node with its agent's whole state (LabError for an unknown node)."""
        if node is not None:
            return self._inspect_node(node)
        cells = self.net.radio.describe()
        members = {name: [m.name for m in self._mobiles() if self.net.cell_of(m.name) == name] for name in cells}
        return {
            "lab": self.lab.name,
            "title": self.lab.title,
            "options": asdict(self.options),
            "directory": str(self.directory.path),
            "nodes": {node.name: self._inspect_node(node.name) for node in self.net.values()},
            "cells": {name: {**cell, "members": members[name]} for name, cell in cells.items()},
            "links": self.net.describe()["links"],
        }

    def _inspect_node(self, name: str) -> dict[str, Any]:
        node = self.net[name]
        agent = self.agents.get(name)
        agents = {}
        if agent:
            running = agent.running
            state = agent.request({"request": "inspect"})["state"] if running else {"stopped": True}
            agents = {agent.name: state}
        return {
            "role": node.role,
            "cell": self.net.cell_of(name) if isinstance(node, MobileHost) else None,
            "interfaces": live_interfaces(node),
            "agents": agents,
        }

    def captures(self) -> list[dict[str, Any]]:
        """The captures and whether they run."""
        return [
            {
                "node": node,
                "interface": interface,
                "file": str(recorder.path.relative_to(self.directory.path)),
                "running": self._recording,
            }
            for (node, interface), recorder in self._recorders.items()
        ]

    def stop_captures(self) -> None:
        """End recording; nothing that was on the wire by now is missing."""
        if self._recording:
            self._recording = False
            with _captures_work():
                stop_all(self._recorders.values())

    def stop(self) -> None:
        """End everything: captures first, so that the end itself is not recorded, then agents, then the network."""
        try:
            self.stop_captures()
        finally:
            self._cleanup.close()
            self.directory.hand_over()

    # --- lab.json

    def _write_description(self) -> None:
        secrets = {spec.node: spec.secrets for spec in self._specs.values() if spec.secrets}
        if secrets:
            self.directory.write_secrets(secrets)
        network = self.net.describe()
        self.directory.write_lab(
            {
                "lab": self.lab.name,
                "title": self.lab.title,
                "scenario": self.lab.scenario,
                "options": asdict(self.options),
                "started": self._started,
                "kernel": {"release": platform.release(), "tunnel": self._tunnel_kind(), "slowness": self._slowness},
                "nodes": network["nodes"],
                "links": network["links"],
                "cells": network["cells"],
                "agents": [
                    {"node": s.node, "agent": s.name, "module": s.module, "config": self.agents[s.node].shown}
                    for s in self._specs.values()
                ],
                "captures": [
                    {key: value for key, value in capture.items() if key != "running"} for capture in self.captures()
                ],
                "checks": [
                    *self.lab.checks(self.options, self._slowness),
                    *self.lab.standing_checks(self.options),
                ],
                "domain": self.lab.domain(self.options),
            }
        )

    def _tunnel_kind(self) -> str | None:
        kinds = [event["kind"] for event in self.events.events() if event["event"] == "tunnels"]
        return kinds[0] if kinds else None

    def _mobiles(self) -> Iterator[MobileHost]:
        return (node for node in self.net.hosts if isinstance(node, MobileHost))


@contextmanager
def _captures_work() -> Iterator[None]:
    """What goes wrong with a capture is the lab's error."""
    try:
        yield
    except CaptureError as error:
        raise LabError(str(error)) from error


def live_interfaces(node: Any) -> dict[str, Any]:
    """A node's interfaces as they are now: MAC, MTU, addresses, and which of these are preferred."""
    out = node.run(["ip", "-j", "address", "show"], check=True).out
    found = {}
    for link in json.loads(out or "[]"):
        entries = [(f"{a['local']}/{a['prefixlen']}", a) for a in link.get("addr_info", []) if "local" in a]
        if link["ifname"] == "lo" and all(a["scope"] == "host" for _, a in entries):
            continue
        found[link["ifname"]] = {
            "mac": link.get("address"),
            "mtu": link["mtu"],
            "addresses": [text for text, _ in entries],
            "preferred": [text for text, a in entries if a["scope"] == "global" and not a.get("deprecated")],
        }
    return found
