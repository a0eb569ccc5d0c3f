"""A Client behind a NAT of every kind attaches, talks, and is rebound in mid-flow.

h1 --- c1 --- n1 --- core --- s1 --- g
       h2 --- c2 ------'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.lab import AeroLab
from topologies.aero.plan import NATIVE, AeroOptions, AeroPlan, Client
from topologies.lab import option
from topologies.pings import pings
from topologies.runner import Run

KINDS = {
    "port-preserving": ("cone",),
    "symmetric": ("symmetric",),
    "nested": ("symmetric", "cone"),
    "none": (),
}
"""Option `nat` -> kinds of the NATs in front of c1, the outermost first."""
REBOUND = (30000, 30999)
"""Outside ports of the NAT after it has lost its translations."""

TTL = {"h1-g": 62, "h1-g-after": 62, "h1-h2": 61, "h2-h1-after": 61, "g-h1": 62}
"""Hop limits at the target: one less for each of c1, s1 and c2 that forwards (spec §2.4)."""
REBINDING_LOST = 3
"""Pings 50 ms apart that a rebinding may cost."""


@dataclass(frozen=True)
class NatOptions(AeroOptions):
    """Options of the NAT lab."""

    nat: str = option("port-preserving", "what c1 is behind", tuple(KINDS))


class NatLab(AeroLab):
    """Attach through NATs; a rebinding is noticed, and believed only after a DHCPv6 exchange."""

    name = "aero-nat"
    title = "AERO Clients behind NATs"
    options: ClassVar[type] = NatOptions
    variants = tuple({"nat": kind} for kind in KINDS)

    def plan(self, options: Any) -> AeroPlan:
        """Two router Clients, one of them behind the NAT."""
        return AeroPlan(options, (Client(1, nats=KINDS[options.nat]), Client(2)))

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 and c2 attach", "h1 pings g and h2", "the NAT forgets its translations", "h1 pings on", "c2 leaves"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, ping, rebind, ping."""
        run.step("c1 and c2 attach")
        traffic.attached(run, ("c1", "c2"))
        h1, h2 = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        run.step("h1 pings g and h2")
        pings(run, "h1-g", "h1", h1, "g", NATIVE["ipv6"])
        pings(run, "h1-h2", "h1", h1, "h2", h2)
        pings(run, "g-h1", "g", NATIVE["ipv6"], "h1", h1)
        if KINDS[options.nat]:
            before = states.state(run, "c1")["lladdr"]
            run.step("the NAT forgets its translations")
            run.net["n1"].rebind(REBOUND)
            pings(run, "rebinding", "h1", h1, "g", NATIVE["ipv6"], size=200, count=20, interval=0.05)
            states.when(run, "c1", "to know its new link-layer address", lambda now: now["lladdr"] != before)
        run.step("h1 pings on")
        pings(run, "h1-g-after", "h1", h1, "g", NATIVE["ipv6"])
        pings(run, "h2-h1-after", "h2", h2, "h1", h1)
        run.step("c2 leaves")
        run.agents["c2"].stop()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Attachment, both views of the NAT, encapsulation, pings, and the moment the Server believes."""
        kinds = KINDS[options.nat]
        preserved = {name: kind == "cone" for name, kind in zip(Client(1, nats=kinds).nat_names, kinds, strict=True)}
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {"check": "aero-pings", "ttl": TTL, "max_lost": {"rebinding": int(REBINDING_LOST * slowness)}},
        ]
        if kinds:
            found.append({"check": "aero-nat", "preserved": preserved})
            found.append({"check": "aero-rebinding", "client": "c1", "bound_ms": 300 * slowness})
        return found


LAB = NatLab()
