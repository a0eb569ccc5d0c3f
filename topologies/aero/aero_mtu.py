"""Fragmentation that tunes itself out: a narrow link on the way, with and without Packet Too Big.

h1 --- c1 --9000-- m1 --mtu-- core --9000-- s1 --9000-- g
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import traffic as hosts
from topologies.aero import sizes, traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, WIDE, AeroOptions, AeroPlan, Client
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

MTUS = (1280, 1400, 1500, 1600, 9000)
SIZES = (1280, 1281, 1400, 1452, 1453, 1500)
"""Inner sizes around the limits of spec §3.4."""
LOWERING = 1440
"""Inner size that goes whole before the MTU is lowered, and not after."""
LARGE = 8000
LOWERED = 1400
"""MTU of the narrow link from the middle of the run on, where it was wider."""
LOWERS = "the MTU is lowered"
LOWERED_PINGS = (10, 0.1)
HOLE = (400, 0.2)
"""Pings and seconds between them while nobody says that the MTU was lowered."""
HOLE_MS = 63000.0
"""Until packets are cut again: a confirmation each minute, three probes a second apart (spec §13 scenario 9)."""
FILTER = """table inet roamlab-icmp {
  chain leaving {
    type filter hook output priority filter;
    icmp type destination-unreachable icmp code frag-needed drop
    icmpv6 type packet-too-big drop
  }
}
"""


@dataclass(frozen=True)
class MtuOptions(AeroOptions):
    """Options of the MTU lab."""

    mtu: int = option(1500, "MTU of the narrow link", MTUS)
    icmp: str = option(
        "open",
        "whether routers' Packet Too Big gets through, or no longer when the MTU is lowered in mid-flow",
        ("open", "filtered", "filtered-later"),
    )


class MtuLab(AeroLab):
    """Every size gets through any path, in parts only where it must."""

    name = "aero-mtu"
    title = "AERO over paths of any MTU"
    options: ClassVar[type] = MtuOptions
    variants = (
        *({"mtu": mtu} for mtu in MTUS),
        *({"mtu": mtu, "outer": "ipv6"} for mtu in MTUS),
        {"mtu": 1400, "icmp": "filtered"},
        {"mtu": 1500, "icmp": "filtered", "outer": "ipv6"},
        {"mtu": 1500, "icmp": "filtered-later"},
        {"mtu": 1600, "icmp": "filtered-later", "outer": "ipv6"},
        {"mtu": 1280, "icmp": "filtered"},
    )

    def plan(self, options: Any) -> AeroPlan:
        """One router Client behind the narrow link."""
        return AeroPlan(options, (Client(1, narrow=options.mtu),), core_mtu=WIDE)

    def lowers(self, options: Any) -> bool:
        """Whether the narrow link gets narrower in mid-flow."""
        return bool(options.mtu > LOWERED and options.icmp != "filtered")

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 attaches", "h1 pings g in all sizes", *([LOWERS] if self.lowers(options) else [])]

    def script(self, run: Run, options: Any) -> None:
        """Attach, find out what fits, ping in all sizes, lower the MTU, ping on."""
        if options.icmp == "filtered":
            self._filter(run)
        run.step("c1 attaches")
        traffic.attached(run, ("c1",))
        h1 = hosts.address_in(run, "h1", Client(1).prefixes["ipv6"])
        target = NATIVE["ipv6"]
        pings(run, "first", "h1", h1, "g", target, size=1500)
        traffic.settled(run, ("c1", "s1"))
        run.step("h1 pings g in all sizes")
        for size in SIZES:
            pings(run, f"h1-g-{size}", "h1", h1, "g", target, size=size, count=3)
        if options.mtu == WIDE:
            pings(run, "large", "h1", h1, "g", target, size=LARGE)
        elif options.icmp != "filtered":
            pings(run, "large", "h1", h1, "g", target, size=LARGE, expect="none", patience=0.2)
        traffic.settled(run, ("c1", "s1"))
        traffic.sweep(run, "sweep", "h1", h1, "g", target)
        if self.lowers(options):
            run.step(LOWERS)
            if options.icmp == "filtered-later":
                self._filter(run)
            run.net["core"].run(["ip", "link", "set", "m1", "mtu", str(LOWERED)], check=True)
            run.net["m1"].run(["ip", "link", "set", "wan", "mtu", str(LOWERED)], check=True)
            count, interval = HOLE if options.icmp == "filtered-later" else LOWERED_PINGS
            pings(run, "lowering", "h1", h1, "g", target, size=LOWERING, count=count, interval=interval)
            traffic.settled(run, ("c1", "s1"))
            for size in SIZES:
                pings(run, f"h1-g-{size}-lowered", "h1", h1, "g", target, size=size, count=3)
        run.step("done")

    @staticmethod
    def _filter(run: Run) -> None:
        """Routers' Packet Too Big gets lost from now on."""
        for router in ("core", "m1"):
            run.net[router].run(["nft", "-f", "-"], input=FILTER, check=True)

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Exact sizes at rest, the moments of change, every size through, large ones told."""
        outer = options.outer
        outside = {}
        for size in SIZES:
            cut = sizes.expected("udp", outer, size, options.mtu)
            outside[f"h1-g-{size}"] = {"c1": cut, "s1": cut}
            if self.lowers(options):
                cut = sizes.expected("udp", outer, size, LOWERED)
                outside[f"h1-g-{size}-lowered"] = {"c1": cut, "s1": cut}
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-sizes", "sizes": outside},
            {"check": "aero-fragments"},
            {"check": "aero-tuning"},
            {"check": "aero-sweep", "name": "sweep", "smallest": 48, "largest": 1500},
            {"check": "aero-pings", "requirement": "FRAG-1, FRAG-3", "max_lost": {"lowering": 3}},
        ]
        if options.icmp == "filtered-later":
            found[-1]["max_lost"] = {"lowering": int(HOLE_MS * slowness / 1000 / HOLE[1]) + 1}
            hole = {"step": LOWERS, "nodes": ["c1", "s1"], "bound_ms": HOLE_MS * slowness}
            found.append({"check": "aero-black-hole", **hole})
        if options.icmp != "filtered" and options.mtu != WIDE:
            told = max(1500, options.mtu - sizes.OVERHEAD["udp", outer])
            found.append({"check": "aero-too-big", "name": "large", "mtu": told})
        return found


LAB = MtuLab()
