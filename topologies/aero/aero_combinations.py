"""Inner IPv4 and IPv6 over outer IPv4 and IPv6 in every encapsulation, whole and cut.

c1 --- core --- s1 --- g        both prefixes of c1 are on aero0
c2 ------'
"""

from __future__ import annotations

from typing import Any

from topologies.aero import sizes, traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroPlan, Client
from topologies.runner import Run

FAMILIES = ("ipv6", "ipv4")
SIZES = (84, 1280, 1400, 1500)
"""Inner sizes: the last does not fit an outer MTU of 1500 in any encapsulation, the others do."""
OUTER = {"ipv4": 4, "ipv6": 6}


class CombinationsLab(AeroLab):
    """Every inner and outer IP version with every encapsulation."""

    name = "aero-combinations"
    title = "AERO encapsulations: inner, outer, code"
    variants = tuple(
        {"outer": outer, "encapsulation": encapsulation}
        for outer in ("ipv4", "ipv6")
        for encapsulation in ("udp", "minimal", "gue", "gue1")
    )

    def plan(self, options: Any) -> AeroPlan:
        """Two dual-stack host Clients."""
        return AeroPlan(options, tuple(Client(index, model="host", families=FAMILIES) for index in (1, 2)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 and c2 attach", *(f"{inner} inside {options.outer}" for inner in FAMILIES)]

    def script(self, run: Run, options: Any) -> None:
        """Attach, wait until the encapsulation is agreed on and sizes are known, ping in all sizes."""
        run.step("c1 and c2 attach")
        nodes = ("c1", "c2", "s1")
        traffic.attached(run, ("c1", "c2"))
        traffic.encapsulated(run, nodes, options.encapsulation)
        for family in FAMILIES:
            run.step(f"{family} inside {options.outer}")
            one, two = (traffic.first_address(Client(n).prefixes[family]) for n in (1, 2))
            traffic.pings(run, f"first-{family}", "c1", one, "c2", two, size=1500)
            traffic.settled(run, nodes)
            for size in SIZES:
                traffic.pings(run, f"c1-g-{family}-{size}", "c1", one, "g", NATIVE[family], size=size)
                traffic.pings(run, f"c1-c2-{family}-{size}", "c1", one, "c2", two, size=size)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Formats, overheads, and the exact sizes of both directions."""
        kind = options.encapsulation
        used = [sizes.PLAIN[kind], sizes.FRAGMENTED[kind]]
        outside = {}
        for family in FAMILIES:
            for size in SIZES:
                expected = list((sizes.split if size == 1500 else sizes.whole)(kind, options.outer, size))
                outside[f"c1-g-{family}-{size}"] = {"c1": expected, "s1": expected}
                outside[f"c1-c2-{family}-{size}"] = {"c1": expected, "c2": expected, "s1": expected}
        outer = [OUTER[options.outer]]
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation", "data": used, "outer": outer, "inner": [4, 6]},
            {"check": "aero-fragments"},
            {"check": "aero-sizes", "sizes": outside},
            {"check": "aero-pings", "requirement": "ENC-1, ENC-5"},
        ]


LAB = CombinationsLab()
