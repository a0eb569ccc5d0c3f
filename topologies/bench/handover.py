"""Handovers of the basic lab in all modes: the gap of a 1 kHz flow on the old prefix, and what makes it up.

mn1 goes to and fro between dgw1 and dgw2 with one 1 kHz UDP flow on each gateway's prefix; at every move the flow
that counts is the one whose prefix stays behind.  All figures are read from the captures.
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

MOVES = 20
INTERVAL = 0.001
"""Seconds between two datagrams of a flow."""
ROUNDS = 400
"""Echoes of each flow between two moves: the rate limit of 3 PBUs a second to one node is never reached."""
MODES = ("relay", "locator", "proxy", "direct")


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Measure all modes; every headline figure is the worst one's (milliseconds)."""
    measured = {mode: _measure(mode, progress) for mode in MODES}
    figures: dict[str, Figure] = {}
    for name, goal in (
        ("gap_ms_median", 25.0),
        ("gap_ms_p95", 60.0),
        ("l2_to_ra_ms_median", 15.0),
        ("pbu_to_pba_ms_median", 5.0),
    ):
        figures[name] = at_most(max(measured[mode][name] for mode in MODES), "ms", goal)
        figures |= {f"{name}_{mode}": Figure(measured[mode][name], "ms") for mode in MODES}
    missing = sum(measured[mode]["moves_without_ra"] for mode in MODES)
    figures["moves_without_ra"] = at_most(missing, f"of {MOVES * len(MODES)} moves", 0)
    return result("handover", figures)


def _measure(mode: str, progress: Callable[[str], None]) -> dict[str, float]:
    lab = catalog.load("basic")
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder:
        run = Run.deploy(lab, lab.configure(mode=mode), Path(folder) / "run")
        try:
            _play(run, lambda number: progress(f"{mode}: move {number} of {MOVES}"))
        finally:
            run.stop()
        progress(f"{mode}: reading the captures")
        metrics = judge(run.directory.path).metrics
    # Move n goes to dgw2 when n is odd: the prefix left behind is then dgw1's.
    old = {number: f"prefix-{1 if number % 2 else 2}" for number in range(1, MOVES + 1)}
    gaps = [metrics["gap_ms"][flow].get(f"mn1.{number + 1}") for number, flow in old.items()]
    return {
        "gap_ms_median": statistics.median(_known(gaps)),
        "gap_ms_p95": statistics.quantiles(_known(gaps), n=20)[-1],
        "l2_to_ra_ms_median": statistics.median(metrics["l2_to_ra_ms"].values()),
        "pbu_to_pba_ms_median": statistics.median(metrics["pbu_to_pba_ms"].values()),
        "moves_without_ra": metrics["moves_without_ra"],
    }


def _known(gaps: list[float | None]) -> list[float]:
    """A flow that never came back counts as a gap without end."""
    return [float("inf") if gap is None else gap for gap in gaps]


def _play(run: Run, moved: Callable[[int], None]) -> None:
    """Visit both gateways once to get both prefixes, then measure MOVES moves."""
    traffic.echo_server(run, "cn1")
    flows = []
    for number in (1, 2):
        run.net.move("mn1", Gateway(number).cell)
        address = traffic.address_in(run, "mn1", Gateway(number).pool)
        flows.append(traffic.echo(run, f"prefix-{number}", "mn1", address, "cn1", INTERVAL))
    run.net.move("mn1", Gateway(1).cell)
    traffic.wait_for_progress(flows, ROUNDS)
    targets = itertools.cycle((Gateway(2), Gateway(1)))
    for number, gateway in zip(range(1, MOVES + 1), targets, strict=False):
        moved(number)
        run.net.move("mn1", gateway.cell)
        traffic.wait_for_progress(flows, ROUNDS)
    for flow in flows:
        flow.stop()
