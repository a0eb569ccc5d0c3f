"""Every packet carries an identification, so that duplicates made under way are delivered once.

c1 --- core (sends some packets twice) --- s1 --- g
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies.aero import traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroOptions, AeroPlan, Client, Server
from topologies.lab import option
from topologies.runner import Run

COUNT, INTERVAL = 100, 0.01
CODES = {"off": ["0", "0F"], "always": ["0F"]}


@dataclass(frozen=True)
class DpdOptions(AeroOptions):
    """Options of the duplicates lab."""

    dpd: str = option("always", "whether every packet carries a Fragment Header", ("always", "off"))


class DpdLab(AeroLab):
    """A network that duplicates: with identifications nobody notices, without them everybody does."""

    name = "aero-dpd"
    title = "AERO over a network that duplicates"
    options: ClassVar[type] = DpdOptions
    variants = ({"dpd": "always"}, {"dpd": "always", "outer": "ipv6"}, {"dpd": "off"})

    def plan(self, options: Any) -> AeroPlan:
        """One host Client."""
        return AeroPlan(options, (Client(1, model="host"),), dpd=options.dpd)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 attaches", "the network duplicates three packets in ten", "done"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, have the core duplicate, ping, note what was counted."""
        one, target = traffic.first_address(Client(1).prefixes["ipv6"]), NATIVE["ipv6"]
        run.step("c1 attaches")
        traffic.attached(run, ("c1",))
        run.step("the network duplicates three packets in ten")
        run.net["core"].run(["nft", "-f", "-"], input=duplicating(), check=True)
        traffic.pings(run, "doubled", "c1", one, "g", target, count=COUNT, interval=INTERVAL)
        for name in ("s1", "c1"):
            run.log("counters", node=name, **traffic.state(run, name)["dataplane"])
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Every packet once, counted right, with a fresh identification."""
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-pings", "requirement": "FRAG-11"},
            {"check": "aero-duplicates", "name": "doubled", "detected": options.dpd == "always"},
            {"check": "aero-encapsulation", "data": CODES[options.dpd]},
        ]
        return found


def duplicating() -> str:
    """The nft script that sends packets toward the Server twice: here the kernel may have no netem."""
    address = Server(1).underlay
    lines = []
    for family, word in (("ipv4", "ip"), ("ipv6", "ip6")):
        lines += [
            f"table {word} roamlab-doubles {{",
            "chain entering {",
            "type filter hook prerouting priority mangle;",
            f'{word} daddr {address[family]} numgen random mod 10 < 3 dup to {address[family]} device "s1"',
            "}",
            "}",
        ]
    return "\n".join(lines) + "\n"


LAB = DpdLab()
