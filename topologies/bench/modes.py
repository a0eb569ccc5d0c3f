"""From a gateway's PBU to a usable tunnel in proxy, locator and relay mode, with a delay between CMD and gateways.

mn1 goes to and fro between dgw1 and dgw2 of the basic lab with a flow on each gateway's prefix.  A tunnel is usable
from the first uplink packet that the serving gateway tunnels and the anchor lets through (captures.usable): all is read
from the captures.  The kernel has to delay; where it has no netem, `--kernel stock --virtual-time` measures in a
virtual machine whose clock counts instructions: the order of the modes does not depend on how busy this one is.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from captures.verdict import judge
from topologies import catalog, traffic
from topologies.bench.figures import Figure, at_most, result
from topologies.dgw.plan import Gateway
from topologies.runner import Run

MODES = ("proxy", "locator", "relay")
"""In the order expected."""
DELAY = 20.0
"""ms, one way"""
MOVES = 9
FIRST = 3
"""The first move that counts: with the ones before mn1 gets its two prefixes and everything is used once."""
INTERVAL = 0.005
"""Seconds between two datagrams of a flow: nothing is known more exactly than that."""
RESOLUTION = {"pbu_to_tunnel_ms": 0.0, "pbu_to_usable_ms": INTERVAL * 1000}
"""ms; the arrival of PBAs is captured, the use of a tunnel is seen when the next datagram comes."""
ROUNDS = 20
"""Echoes of each flow between two moves."""


def run(progress: Callable[[str], None] = lambda _text: None, *, delay: float = DELAY) -> dict[str, Any]:
    """Measure the three modes (milliseconds); a mode's goal is not to be slower than the one after it.

    Told twice: to the arrival of the last PBA (the gateway can have its tunnel), and to the tunnel's use.
    """
    measured = {mode: measure(mode, delay, progress) for mode in MODES}
    figures: dict[str, Figure] = {}
    for name in ("pbu_to_tunnel_ms", "pbu_to_usable_ms"):
        for mode, slower in itertools.pairwise(MODES):
            mine, other = measured[mode][name], measured[slower][name]
            goal = other + RESOLUTION[name]
            figures[f"{name}_median_{mode}"] = at_most(mine, "ms", goal, anchor=other, ratio=mine / other)
        figures[f"{name}_median_{MODES[-1]}"] = Figure(measured[MODES[-1]][name], "ms")
    return result("modes", figures)


def measure(
    mode: str, delay: float, progress: Callable[[str], None] = lambda _text: None, folder: Path | None = None
) -> dict[str, float]:
    """Play MOVES moves in one mode and return the medians (ms); folder keeps the run directory."""
    lab = catalog.load("basic")
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as temporary:
        directory = (folder or Path(temporary)) / mode
        run = Run.deploy(lab, lab.configure(mode=mode, delay=delay), directory)
        try:
            _play(
                run,
                lambda number: progress(f"{mode}: move {number} of {MOVES}" if number > 0 else f"{mode}: warming up"),
            )
        finally:
            run.stop()
        progress(f"{mode}: reading the captures")
        metrics = judge(directory).metrics
    counted = [f"mn1.{number}" for number in range(FIRST, FIRST + MOVES)]
    used = [time for move in counted for time in metrics["pbu_to_usable_ms"][move].values()]
    told = [metrics["pbu_to_tunnel_ms"][move] for move in counted]
    return {"pbu_to_usable_ms": statistics.median(used), "pbu_to_tunnel_ms": statistics.median(told)}


def _play(run: Run, moved: Callable[[int], None]) -> None:
    """Visit both gateways once to get both prefixes, then to and fro."""
    traffic.echo_server(run, "cn1")
    flows = []
    for number in (1, 2):
        run.net.move("mn1", Gateway(number).cell)
        address = traffic.address_in(run, "mn1", Gateway(number).pool)
        flows.append(traffic.echo(run, f"prefix-{number}", "mn1", address, "cn1", INTERVAL))
        traffic.wait_for_progress(flows, ROUNDS)
    targets = itertools.cycle((Gateway(1), Gateway(2)))
    for number, gateway in zip(range(2, FIRST + MOVES), targets, strict=False):
        moved(number - FIRST + 1)
        run.net.move("mn1", gateway.cell)
        traffic.wait_for_progress(flows, ROUNDS)
    for flow in flows:
        flow.stop()
