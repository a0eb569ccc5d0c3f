"""Measuring how many packets a second a forwarder moves: one program sends all it can, the far interface counts."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from testbed.nodes import Host
from testbed.validation import LabError
from testbed.waiting import wait_until

ROUNDS = 3
SECONDS = 1.0
TCP_SECONDS = 2
WARM_UP = 0.2
"""Seconds before counting, and between rounds: packets fill the forwarder's queue, or it empties it."""
FORWARDING_CORE = 0
"""Kept free of what sends."""


class Blaster:
    """A program in a node that sends one packet again and again."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def order(self, line: str) -> None:
        """Tell it something (topologies.tools.blast)."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Its next line."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextmanager
def blaster_in(node: Host, kind: str, port: int, destination: str) -> Iterator[Blaster]:
    """Run one in a node; it ends with the context."""
    argv = [sys.executable, "-m", "topologies.tools.blast", kind, str(port), destination]
    process = node.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, set(range(os.cpu_count() or 1)) - {FORWARDING_CORE} or {FORWARDING_CORE})
    blaster = Blaster(process)
    try:
        assert blaster.answer() == "ready"
        yield blaster
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(10)


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets that arrived, medians of some rounds."""

    a_second: float
    a_cpu_second: float
    """Per second that the forwarding process was on its core."""


def rate(
    receiver: Host,
    blaster: Blaster,
    payload: bytes,
    before: Callable[[], None] = lambda: None,
    busy: Callable[[], float] = monotonic,
) -> Rate:
    """Blast, and count what arrives at the receiver's eth0; `busy` is the time a process has worked, seconds."""
    rates, core_rates = [], []
    for _round in range(ROUNDS):
        sleep(WARM_UP)  # the forwarder works off what is left of the round before, or would lose what comes now
        before()
        sleep(WARM_UP)
        before()  # once more: the first may have met a queue that was still full
        blaster.order(f"blast {payload.hex()} {SECONDS + 2 * WARM_UP}")
        sleep(WARM_UP)
        start, worked, count = monotonic(), busy(), _arrived(receiver)
        sleep(SECONDS)
        arrived = _arrived(receiver) - count
        rates.append(arrived / (monotonic() - start))
        core_rates.append(arrived / max(busy() - worked, 1e-3))
        blaster.answer()
    return Rate(statistics.median(rates), statistics.median(core_rates))


def on_core(pid: int) -> float:
    """Seconds a process was on a core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _arrived(receiver: Host) -> int:
    with receiver.entered():
        text = Path("/proc/thread-self/net/dev").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("eth0:"))
    return int(line.split(":")[1].split()[1])


def tcp(sender: Host, receiver: Host, destination: str, *, source: str = "") -> float:
    """Gbit/s of one TCP connection, from an address of the sender (needs iperf3)."""
    server = receiver.popen(["iperf3", "--server", "--one-off"], stdout=subprocess.DEVNULL)
    try:
        wait_until("iperf3 to listen", lambda: receiver.run(["ss", "-Htln", "sport = :5201"]).out)
        argv = ["iperf3", "--client", destination, "--json", "--time", str(TCP_SECONDS)]
        argv += ["--bind", source] if source else []
        done = sender.run(argv, timeout=TCP_SECONDS + 20)
    finally:
        server.terminate()
        server.wait(10)
    report = json.loads(done.out or "{}")
    if "error" in report or "end" not in report:
        raise LabError(f"iperf3 to {destination}: {report.get('error', done.err.strip())}")
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9
