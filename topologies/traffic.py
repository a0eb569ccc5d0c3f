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
HTTP_PORT = 80
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
    ended: bool = False
    """Its end was announced."""

    def reached(self, goal: int) -> bool:
        """Whether `goal` was reached; NotYet tells how far it is (LabError when the program ended)."""
        if self.process.poll() is not None and self.progress < goal:
            raise LabError(f"flow {self.name} on {self.node} ended at {self.progress}, exit {self.process.returncode}")
        if self.progress < goal:
            raise NotYet(f"{self.name} is at {self.progress} of {goal}")
        return True

    def finish(self, timeout: float = PATIENCE) -> None:
        """Wait until the program ends by itself and say so in the event log (LabError when it failed)."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"flow {self.name} on {self.node} is at {self.progress} after {timeout:g} s") from None
        self._announce_end()
        if code != 0:
            raise LabError(f"flow {self.name} on {self.node} ended at {self.progress}, exit {code}")

    def stop(self) -> None:
        """End the program, if it has not ended, and say so in the event log."""
        moment = time.time()  # before: how a program ends, say by a reset, is not the flow's fate
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self._announce_end(moment)

    def _announce_end(self, moment: float | None = None) -> None:
        if not self.ended:
            self.ended = True
            self.run.log("flow-ended", flow=self.name, node=self.node, t=moment or time.time())


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


def ping_from(run: Run, name: str, node: str, source: str, peer: str, interval: float = 0.05) -> Flow:
    """A mobile node pings a peer from one of its addresses; progress counts replies."""
    identifier = next(_icmp_ids)
    destination = run.address(peer)
    argv = ["ping", "-6", "-n", "-e", str(identifier), "-i", str(interval), "-I", source, destination]
    fields = {
        "kind": "ping",
        "protocol": "icmpv6",
        "peer": peer,
        "source": source,
        "destination": destination,
        "icmp_id": identifier,
    }
    return _start(run, name, node, argv, fields, counted="bytes from")


def echo(
    run: Run, name: str, node: str, source: str, peer: str, interval: float = 0.02, *, destination: str | None = None
) -> Flow:
    """A numbered UDP flow from a mobile node's address to a peer's echo server; progress counts echoes.

    `destination` is the peer's first address unless another one is given.
    """
    port = next(_ports)
    destination = destination or run.address(peer)
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
    return _start(run, name, node, argv, fields, file=target, unit=PICTURE)


@dataclass(frozen=True)
class Content:
    """Where a mobile node finds content: a name, and the address the name stands for."""

    node: str
    source: str
    """The address the node is expected to ask from."""
    name: str
    address: str
    bind: bool = False
    """Tell the program its source address; else that is left to the node."""


def publish(run: Run, node: str, folder: str, names: Iterable[str]) -> None:
    """Put on record what a web server has to offer: size and checksum as the node itself finds them."""
    content = {}
    for name in names:
        path = f"{run.runtime(folder)}/{name}"
        digest = run.net[node].run(["sha256sum", path], check=True).out.split()[0]
        size = run.net[node].run(["stat", "-c", "%s", path], check=True).out
        content[name] = {"octets": int(size), "sha256": digest}
    run.log("published", node=node, content=content)


def download(run: Run, name: str, where: Content, path: str, rate: int | None = None) -> Flow:
    """Fetch a file with curl; what arrives is kept in the run directory.

    `rate`, octets a second, is a wish to the server, as players make it: curl's own limit reads a megabyte ahead.
    """
    port = next(_ports)
    target = run.directory.path / "downloads" / name
    target.parent.mkdir(exist_ok=True)
    url = f"http://{where.name}/{path}" + (f"?rate={rate}" if rate else "")
    argv = ["curl", "-6", "-sS", "-f", "--local-port", str(port), "-o", str(target)]
    argv += ["--interface", where.source] if where.bind else []
    argv += ["--resolve", f"{where.name}:{HTTP_PORT}:[{where.address}]", url]
    fields = {
        "kind": "download",
        "protocol": "tcp",
        "peer": where.name,
        "source": where.source,
        "destination": where.address,
        "source_port": port,
        "destination_port": HTTP_PORT,
        "content": path,
        "file": f"downloads/{name}",
    }
    return _start(run, name, where.node, argv, fields, file=target, unit=1)


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

    # A program each time, while detection of duplicates takes a second or two: not as often as one can.
    found = wait_until(f"{node} to have a usable address in {pool}", usable, timeout=timeout, interval=0.05)
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
    unit: int = 1,
) -> Flow:
    run.log("flow-started", flow=name, node=node, **fields)
    flow = Flow(run, name, node, run.spawn(node, argv, stderr=subprocess.DEVNULL), fields)
    flow.round = unit
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
