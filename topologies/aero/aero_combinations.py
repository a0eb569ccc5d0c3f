"""Inner IPv4 and IPv6 over outer IPv4 and IPv6 in every encapsulation: every size, whole and cut.

c1 --9000-- m1 --mtu-- core --9000-- s1 --- g        both prefixes of c1 are on aero0
c2 --9000-- m2 --mtu----'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.aero import sizes, traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, WIDE, AeroOptions, AeroPlan, Client
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

FAMILIES = ("ipv6", "ipv4")
SIZES = (84, 1280, 1400, 1500)
"""Inner sizes between the Clients: the last does not fit an outer MTU of 1500 in any encapsulation."""
MTUS = (1280, 1400, 1500)
OUTER = {"ipv4": 4, "ipv6": 6}
SMALLEST = {"ipv4": 28, "ipv6": 48}
"""The smallest packet that is an echo request."""


@dataclass(frozen=True)
class CombinationsOptions(AeroOptions):
    """Options of the combinations lab."""

    mtu: int = option(1500, "MTU of the narrow links", MTUS)


class CombinationsLab(AeroLab):
    """Every inner and outer IP version with every encapsulation."""

    name = "aero-combinations"
    title = "AERO encapsulations: inner, outer, code, MTU"
    options: ClassVar[type] = CombinationsOptions
    variants = tuple(
        {"mtu": mtu, "outer": outer, "encapsulation": encapsulation}
        for mtu in MTUS
        for outer in ("ipv4", "ipv6")
        for encapsulation in ("minimal", "udp", "gue", "gue1")
    )

    def plan(self, options: Any) -> AeroPlan:
        """Two dual-stack host Clients."""
        clients = (Client(index, model="host", families=FAMILIES, narrow=options.mtu) for index in (1, 2))
        return AeroPlan(options, tuple(clients), core_mtu=WIDE)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 and c2 attach", *(f"{inner} inside {options.outer}" for inner in FAMILIES)]

    def script(self, run: Run, options: Any) -> None:
        """Attach, wait until the encapsulation is agreed on and sizes are known, send every size."""
        run.step("c1 and c2 attach")
        nodes = ("c1", "c2", "s1")
        traffic.attached(run, ("c1", "c2"))
        traffic.encapsulated(run, nodes, options.encapsulation)
        for family in FAMILIES:
            run.step(f"{family} inside {options.outer}")
            one, two = (traffic.first_address(Client(n).prefixes[family]) for n in (1, 2))
            pings(run, f"first-{family}", "c1", one, "c2", two, size=1500)
            traffic.settled(run, nodes)
            # The replies of c1's own kernel tell that every size came out of the tunnel there, too.
            traffic.sweep(run, f"sweep-{family}", "g", NATIVE[family], "c1", one)
            for size in SIZES:
                pings(run, f"c1-c2-{family}-{size}", "c1", one, "c2", two, size=size)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Formats, overheads, and the exact sizes of both directions."""
        kind = options.encapsulation
        used = [sizes.PLAIN[kind], sizes.FRAGMENTED[kind]]
        outside = {}
        for family in FAMILIES:
            for size in SIZES:
                expected = sizes.expected(kind, options.outer, size, options.mtu)
                outside[f"c1-c2-{family}-{size}"] = {"c1": expected, "c2": expected, "s1": expected}
        outer = [OUTER[options.outer]]
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation", "data": used, "outer": outer, "inner": [4, 6]},
            {"check": "aero-fragments"},
            {"check": "aero-sizes", "sizes": outside},
            *(self._sweep(options, family) for family in FAMILIES),
            {"check": "aero-pings", "requirement": "ENC-1, ENC-5"},
        ]

    @staticmethod
    def _sweep(options: Any, family: str) -> dict[str, Any]:
        """Every size of one inner IP version, with what spec §2.2 and §3.4 say of it."""
        limit = sizes.largest_whole(options.encapsulation, options.outer, options.mtu)
        return {
            "check": "aero-sweep",
            "name": f"sweep-{family}",
            "smallest": SMALLEST[family],
            "largest": 1500,
            "whole": {"s1": limit, "c1": limit},
            "around": sizes.around(options.encapsulation, options.outer),
        }


LAB = CombinationsLab()
