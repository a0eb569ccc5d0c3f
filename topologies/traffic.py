"""Traffic of the labs: real, unmodified programs in the nodes, watched so that a script can wait for progress."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until

if TYPE_CHECKING:
    from topologies.runner import Run

PATIENCE = 90.0
"""Seconds to wait for anything before giving up: an emulated machine is thirty times slower than a real one."""
CAMERA_PORT = 8080
PICTURE = 2000
"""Octets of a camera picture, roughly."""
ECHO_PORT = 7
_icmp_ids = itertools.count(4000)
_ports = itertools.count(40000)


@dataclass
class Flow:
    """One flow between a mobile node's address and a correspondent."""

    run: Run
    name: str
    node: str
    """Where the program runs."""
    process: subprocess.Popen[Any]
    fields: dict[str, Any]
    """What identifies the flow on the wire, as announced in the event log."""
    progress: int = 0
    """Replies, echoes or octets so far."""
    round: int = 1
    """Progress that counts as one exchange."""

    def reached(self, goal: int) -> bool:
        """Whether `goal` was reached; NotYet tells how far it is (LabError when the program ended)."""
        if self.process.poll() is not None and self.progress < goal:
            raise LabError(f"flow {self.name} on {self.node} ended at {self.progress}, exit {self.process.returncode}")
        if self.progress < goal:
            raise NotYet(f"{self.name} is at {self.progress} of {goal}")
        return True

    def stop(self) -> None:
        """End the program and say so in the event log."""
        moment = time.time()  # before: how a program ends, say by a reset, is not the flow's fate
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.run.log("flow-ended", flow=self.name, node=self.node, t=moment)


def wait_for_progress(flows: Iterable[Flow], rounds: int, timeout: float = PATIENCE) -> None:
    """Wait until every flow has made `rounds` rounds (replies, echoes, camera pictures) from now on."""
    goals = [(flow, flow.progress + rounds * flow.round) for flow in flows]
    for flow, goal in goals:
        wait_until(f"flow {flow.name}", partial(flow.reached, goal), timeout=timeout)


def ping(run: Run, name: str, node: str, peer: str, target: str, interval: float = 0.05) -> Flow:
    """`node` (a correspondent) pings a mobile node's address; progress counts replies."""
    identifier = next(_icmp_ids)
    argv = ["ping", "-6", "-n", "-e", str(identifier), "-i", str(interval), target]
    fields = {
        "kind": "ping",
        "protocol": "icmpv6",
        "peer": peer,
        "source": target,
        "destination": run.address(node),
        "icmp_id": identifier,
    }
    return _start(run, name, node, argv, fields, counted="bytes from")


def echo(run: Run, name: str, node: str, source: str, peer: str, interval: float = 0.02) -> Flow:
    """A numbered UDP flow from a mobile node's address to a correspondent's echo server; progress counts echoes."""
    port = next(_ports)
    destination = run.address(peer)
    argv = [sys.executable, "-m", "topologies.tools.udp_flow"]
    argv += [source, str(port), destination, str(ECHO_PORT), str(interval)]
    fields = {
        "kind": "udp",
        "protocol": "udp",
        "peer": peer,
        "source": source,
        "destination": destination,
        "source_port": port,
        "destination_port": ECHO_PORT,
        "interval": interval,
    }
    return _start(run, name, node, argv, fields)


def echo_server(run: Run, node: str) -> None:
    """Start an echo server and wait until it listens."""
    process = run.spawn(node, [sys.executable, "-m", "topologies.tools.udp_echo", str(ECHO_PORT)])
    assert process.stdout
    if process.stdout.readline().strip() != b"listening":
        raise LabError(f"{node}: the echo server on port {ECHO_PORT} did not start")


def camera_server(run: Run, node: str) -> None:
    """An ordinary IP camera: ffmpeg serves Motion JPEG over HTTP to the first client that asks."""
    argv = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi"]
    argv += ["-i", "testsrc=size=160x120:rate=25", "-c:v", "mjpeg", "-q:v", "8"]
    argv += ["-f", "mpjpeg", "-listen", "1", f"http://[::]:{CAMERA_PORT}/stream.mjpg"]
    run.spawn(node, argv)
    listening = ["ss", "-6Htln", f"sport = :{CAMERA_PORT}"]
    wait_until(f"the camera on {node} to listen", lambda: run.net[node].run(listening).out or None, timeout=PATIENCE)


def camera(run: Run, name: str, node: str, source: str, peer: str) -> Flow:
    """Watch the camera with curl from one of the node's addresses; progress counts octets received."""
    port = next(_ports)
    target = run.directory.path / f"{name}.mjpg"
    destination = run.address(peer)
    argv = ["curl", "-6", "-sS", "-N", "--interface", source, "--local-port", str(port)]
    argv += ["-o", str(target), f"http://[{destination}]:{CAMERA_PORT}/stream.mjpg"]
    fields = {
        "kind": "camera",
        "protocol": "tcp",
        "peer": peer,
        "source": source,
        "destination": destination,
        "source_port": port,
        "destination_port": CAMERA_PORT,
    }
    return _start(run, name, node, argv, fields, file=target)


def address_in(run: Run, node: str, pool: str, timeout: float = PATIENCE) -> str:
    """Wait until the node has a usable (not tentative) address inside `pool`, and return it."""
    from ipaddress import IPv6Address, IPv6Network

    network = IPv6Network(pool)

    def usable() -> str | None:
        out = run.net[node].run(["ip", "-j", "-6", "address", "show", "scope", "global"], check=True).out
        for interface in json.loads(out or "[]"):
            for entry in interface.get("addr_info", []):
                local = entry.get("local")
                if local and not entry.get("tentative") and IPv6Address(local) in network:
                    return str(local)
        return None

    found = wait_until(f"{node} to have a usable address in {pool}", usable, timeout=timeout)
    return found or ""


def _start(
    run: Run,
    name: str,
    node: str,
    argv: list[str],
    fields: dict[str, Any],
    *,
    counted: str = "",
    file: Path | None = None,
) -> Flow:
    run.log("flow-started", flow=name, node=node, **fields)
    flow = Flow(run, name, node, run.spawn(node, argv, stderr=subprocess.DEVNULL), fields)
    flow.round = PICTURE if file else 1
    if file is None:
        threading.Thread(target=_count_lines, args=(flow, counted), daemon=True).start()
    else:
        threading.Thread(target=_watch_size, args=(flow, file), daemon=True).start()
    run.flows.append(flow)
    return flow


def _count_lines(flow: Flow, counted: str) -> None:
    assert flow.process.stdout
    for line in flow.process.stdout:
        if counted in line.decode(errors="replace"):
            flow.progress += 1


def _watch_size(flow: Flow, file: Path) -> None:
    while True:
        ended = flow.process.poll() is not None
        if file.exists():
            flow.progress = file.stat().st_size
        if ended:
            return
        try:
            flow.process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
