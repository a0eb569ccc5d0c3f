"""Two Clients at one Server find the direct path between them, and lose it again.

h1 --- c1 (--- n1) --- core --- s1
h2 --- c2 ----------------'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.lab import AeroLab
from topologies.aero.members import NAT_OUTSIDE, Client
from topologies.aero.plan import AeroOptions, AeroPlan
from topologies.lab import option
from topologies.pings import Series, pinging, pings
from topologies.runner import Run

CUT = "the direct path is cut"
NATS = {"none": (), "cone": ("cone",), "symmetric": ("symmetric",)}
"""Option `nat` -> kinds of the NATs in front of c1."""
THROUGH, DIRECT = 61, 62
"""Hop limit at the target: of c1, s1 and c2 that forward, s1 falls away (spec §2.4)."""
INTERVAL = 0.02
"""Between pings, seconds."""
LATEST_MS = 8000.0
"""Until data goes through the Server again (spec RO-16)."""


@dataclass(frozen=True)
class OptimisationOptions(AeroOptions):
    """Options of the route optimisation lab."""

    nat: str = option("none", "what c1 is behind", tuple(NATS))
    framing: str = option("nd", "how Predirects and Redirects are carried", ("nd", "rfc6706"))


class OptimisationLab(AeroLab):
    """Data goes through the Server at once, directly soon after, and through the Server when that fails."""

    name = "aero-ro"
    title = "AERO route optimisation at one Server"
    options: ClassVar[type] = OptimisationOptions
    variants = ({}, {"nat": "cone"}, {"nat": "symmetric"}, {"framing": "rfc6706"}, {"outer": "ipv6"})

    def plan(self, options: Any) -> AeroPlan:
        """Two router Clients."""
        clients = (Client(1, nats=NATS[options.nat]), Client(2))
        return AeroPlan(options, clients, optimise=True, framing=options.framing)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 and c2 attach", "h1 pings h2", CUT, "h1 pings on"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, ping until the path is direct, cut it, ping until it is the Server's again."""
        run.step("c1 and c2 attach")
        traffic.attached(run, ("c1", "c2"))
        one, two = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        run.step("h1 pings h2")
        traffic.optimised(run, "switch", "h1", one, "h2", two, interval=INTERVAL)
        with pinging(Series(run, "cut", "h1", one, "h2", two, interval=INTERVAL)) as series:
            run.step(CUT)
            run.net["core"].run(["nft", "-f", "-"], input=_cut(options), check=True)
            for name in ("c1", "c2"):
                states.when(run, name, "to leave the direct path", lambda now: not traffic.is_direct(now))
            series.go_on(traffic.FOLLOWED)
        run.step("h1 pings on")
        pings(run, "after", "h1", one, "h2", two)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """The messages, the moment of the switch, the moment of the way back."""
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {"check": "aero-mediation", "framing": options.framing},
            {
                "check": "aero-path-switch",
                "ping": "switch",
                "ttl": [THROUGH, DIRECT],
                "bound_ms": 50 * slowness,
            },
            {
                "check": "aero-path-loss",
                "ping": "cut",
                "step": CUT,
                "ttl": [THROUGH, DIRECT],
                "bound_ms": LATEST_MS + 100 * slowness,
            },
            {
                "check": "aero-pings",
                "requirement": "RO-3",
                "ttl": {"after": THROUGH},
                "max_lost": {"cut": int((LATEST_MS / 1000 + 0.1 * slowness) / INTERVAL) + 2},
            },
        ]


def _cut(options: Any) -> str:
    """What the core drops: everything between the Clients' link-layer addresses."""
    nats = NATS[options.nat]
    one = NAT_OUTSIDE[options.outer] if nats else Client(1).underlay[options.outer]
    two = Client(2).underlay[options.outer]
    ip = "ip" if options.outer == "ipv4" else "ip6"
    rules = (f"{ip} saddr {one} {ip} daddr {two} drop", f"{ip} saddr {two} {ip} daddr {one} drop")
    head = ("table inet roamlab-cut {", "chain between {", "type filter hook forward priority filter;")
    return "\n".join([*head, *rules, "}", "}", ""])


LAB = OptimisationLab()
