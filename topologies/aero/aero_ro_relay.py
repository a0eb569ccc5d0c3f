"""Two Clients at two Servers, a Relay between these, find the direct path between them.

h1 --- c1 --- core --- s1, s2      BGP: s1, s2 with r1; r1 with i
h2 --- c2 ------'  '-- r1 --- i (BIRD) --- g
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.aero_relay import CODES
from topologies.aero.members import Client
from topologies.aero.plan import AeroOptions
from topologies.aero.relays import RelayLab, RelayPlan
from topologies.lab import option
from topologies.runner import Run

HOPS = [[8, 7, 6], [8, 7, 6, 5]]
"""Hop limits of a Predirect by s1, r1, s2, and of its Redirect by c2, s2, r1, s1 (spec RO-9, RO-10)."""
BETWEEN = 3
"""s1, r1 and s2 forward, until the path is direct (spec §2.4)."""
INTERVAL = 0.02
"""Between pings, seconds."""


@dataclass(frozen=True)
class RelayedOptions(AeroOptions):
    """Options of the lab of route optimisation through a Relay."""

    inner: str = option("ipv6", "IP version of what the hosts send", ("ipv6", "ipv4"))
    framing: str = option("nd", "how Predirects and Redirects are carried", ("nd", "rfc6706"))


class RelayedOptimisationLab(RelayLab):
    """Servers and the Relay between them mediate; then no data goes through any of the three."""

    name = "aero-ro-relay"
    title = "AERO route optimisation through a Relay"
    options: ClassVar[type] = RelayedOptions
    variants = ({}, {"inner": "ipv4"}, {"framing": "rfc6706"}, {"outer": "ipv6", "encapsulation": "minimal"})

    def plan(self, options: Any) -> RelayPlan:
        """A Client at each Server: routers with a host; for IPv4, hosts with both families."""
        clients = (Client(1), Client(2))
        if options.inner == "ipv4":
            clients = (Client(1, "host", families=("ipv6", "ipv4")), Client(2, "host", families=("ipv6", "ipv4")))
        return RelayPlan(options, clients, relays=1, optimise=True, framing=options.framing)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["c1 attaches at s1, c2 at s2", "one side pings the other", "the other pings the one", "c2 leaves"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, ping until the path is direct in both directions, ping directly, release."""
        one, other = (_end(run, client, options.inner) for client in self.plan(options).clients)
        run.step("c1 attaches at s1, c2 at s2")
        traffic.attached(run, ("c1", "c2"))
        traffic.encapsulated(run, ("c1", "c2", "s1", "s2", "r1"), options.encapsulation)
        routes = sum(len(client.families) for client in self.plan(options).clients)
        states.when(run, "r1", f"to have {routes} routes", lambda now: now["routes"] == routes)
        run.step("one side pings the other")
        traffic.optimised(run, "switch", *one(), *other(), interval=INTERVAL)
        run.step("the other pings the one")
        traffic.pings(run, "direct", *other(), *one())
        run.step("c2 leaves")
        run.agents["c2"].stop()
        states.when(run, "r1", "to have c1's routes only", lambda now: now["routes"] == routes // 2)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Attachment, BGP, the messages hop by hop, the moment of the switch, and who carries."""
        router = options.inner == "ipv6"  # a router Client forwards, too
        through, direct = (64 - BETWEEN - 2, 64 - 2) if router else (64 - BETWEEN, 64)
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation", "data": CODES[options.encapsulation], "also": ["0", "0F"]},
            {"check": "aero-bgp", "bound_ms": 250 * slowness},
            {"check": "aero-mediation", "framing": options.framing, "hops": HOPS},
            {"check": "aero-path-switch", "ping": "switch", "ttl": [through, direct], "bound_ms": 50 * slowness},
            {"check": "aero-pings", "requirement": "RO-13" if router else "RO-19", "ttl": {"direct": direct}},
        ]


def _end(run: Run, client: Client, family: str) -> Callable[[], tuple[str, str]]:
    """The node that speaks for a Client, and its address once it has one: a host behind a router, or the Client."""
    if family == "ipv4":
        return lambda: (client.name, traffic.first_address(client.prefixes[family]))
    return lambda: (f"h{client.index}", hosts.address_in(run, f"h{client.index}", client.prefixes[family]))


LAB = RelayedOptimisationLab()
