"""Every packet carries an identification, so that duplicates made under way are delivered once.

c1 --- core (sends some packets twice, or lets some overtake others) --- s1 --- g
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from testbed.features import refusal
from testbed.validation import LabError
from topologies import states
from topologies.aero import traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroOptions, AeroPlan, Client, Server
from topologies.lab import option
from topologies.runner import Run

COUNT, INTERVAL = 100, 0.01
DOUBLES, REORDERS = "the network duplicates three packets in ten", "one packet in four overtakes others"
TRACKING = """table inet roamlab-tracking {
chain passing {
type filter hook forward priority filter;
ct state established accept
}
}
"""
"""Connection tracking puts IPv6 fragments together, and takes atomic Fragment Headers away (spec Annex A2b)."""
REORDER = ("reorder", "25%")
TABLE, FAMILIES = "roamlab-doubles", {"ip": "ipv4", "ip6": "ipv6"}


@dataclass(frozen=True)
class DpdOptions(AeroOptions):
    """Options of the duplicates lab."""

    dpd: str = option("always", "whether every packet carries a Fragment Header", ("always", "off"))
    router: str = option("plain", "whether the core tracks connections", ("plain", "tracking"))
    delay: float = option(0.0, "ms that three packets in four wait in the core, overtaken by the rest (needs netem)")


class DpdLab(AeroLab):
    """A network that duplicates: with identifications nobody notices, without them everybody does."""

    name = "aero-dpd"
    title = "AERO over a network that duplicates"
    options: ClassVar[type] = DpdOptions
    variants = (
        {"dpd": "always"},
        {"dpd": "always", "outer": "ipv6"},
        {"dpd": "always", "outer": "ipv6", "encapsulation": "minimal"},
        {"dpd": "off"},
        {"dpd": "always", "outer": "ipv6", "encapsulation": "minimal", "router": "tracking"},
    )
    stock_variants = ({"dpd": "always", "delay": 25.0},)

    def plan(self, options: Any) -> AeroPlan:
        """One host Client."""
        return AeroPlan(options, (Client(1, model="host"),), dpd=options.dpd)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 attaches", REORDERS if options.delay else DOUBLES, "done"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, have the core duplicate, ping, note what was counted."""
        one, target = traffic.first_address(Client(1).prefixes["ipv6"]), NATIVE["ipv6"]
        run.step("c1 attaches")
        traffic.attached(run, ("c1",))
        if options.encapsulation == "minimal":
            self._find_out(run, options)
        run.step(REORDERS if options.delay else DOUBLES)
        self._disturb(run, options)
        traffic.pings(run, "doubled", "c1", one, "g", target, count=COUNT, interval=INTERVAL)
        if not options.delay:
            for word in FAMILIES:
                run.net["core"].run(["nft", "delete", "table", word, TABLE], check=True)
        # When this one is back, all that came before it has been read, and counted.
        traffic.pings(run, "behind", "c1", one, "g", target, count=1)
        for name in ("s1", "c1"):
            run.log("counters", node=name, **states.state(run, name)["dataplane"])
        run.step("done")

    @staticmethod
    def _find_out(run: Run, options: Any) -> None:
        """Attach anew where connections are tracked, and wait until it is known what that does to identifications."""
        tracks = options.router == "tracking"
        if tracks:
            run.net["core"].run(["nft", "-f", "-"], input=TRACKING, check=True)
            run.restart_agent("c1")
            traffic.attached(run, ("c1",))
        traffic.encapsulated(run, ("c1", "s1"), "minimal", identifications=not tracks)

    @staticmethod
    def _disturb(run: Run, options: Any) -> None:
        if not options.delay:
            run.net["core"].run(["nft", "-f", "-"], input=duplicating(), check=True)
            return
        if refusal("netem"):
            raise LabError(f"this kernel cannot reorder packets: {refusal('netem')}")
        netem = ["netem", "delay", f"{options.delay:g}ms", *REORDER]
        run.net["core"].run(["tc", "qdisc", "add", "dev", "s1", "root", *netem], check=True)

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Every packet once, counted right, with a fresh identification."""
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-pings", "requirement": "FRAG-11"},
            {"check": "aero-encapsulation", "data": self._codes(options)},
        ]
        if options.delay:
            found.append({"check": "aero-reordered", "node": "s1"})
        else:
            found.append({"check": "aero-duplicates", "name": "doubled", "detected": options.dpd == "always"})
        if options.encapsulation == "minimal":
            kept = options.router == "plain"
            found.append({"check": "aero-fragment-path", "nodes": ["c1", "s1"], "kept": kept})
        return found

    @staticmethod
    def _codes(options: Any) -> list[str]:
        """By which data goes: identifications by UDP where a middlebox would give its own (spec FRAG-14)."""
        if options.dpd == "off":
            return ["0", "0F"]
        return ["1F"] if options.encapsulation == "minimal" and options.router == "plain" else ["0F"]


def duplicating() -> str:
    """The nft script that sends packets toward the Server twice: here the kernel may have no netem."""
    address = Server(1).underlay
    lines = []
    for word, family in FAMILIES.items():
        lines += [
            f"table {word} {TABLE} {{",
            "chain entering {",
            "type filter hook prerouting priority mangle;",
            f'{word} daddr {address[family]} numgen random mod 10 < 3 dup to {address[family]} device "s1"',
            "}",
            "}",
        ]
    return "\n".join(lines) + "\n"


LAB = DpdLab()
