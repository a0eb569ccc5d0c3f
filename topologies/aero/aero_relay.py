"""Two Servers, two Relays between them and the native Internet: routes by BGP, and a Relay that dies.

h1 --- c1 --- core --- s1, s2      BGP: s1, s2 with r1, r2; r1, r2 with i
h2 --- c2 ------'  '-- r1, r2 --- i (BIRD) --- g
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from testbed.waiting import NotYet, wait_until
from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.members import AGGREGATES, NATIVE, Client
from topologies.aero.plan import AeroOptions
from topologies.aero.relays import NATIVE_NODE, RelayLab, RelayPlan
from topologies.lab import option
from topologies.runner import Run

NOWHERE = {"ipv6": "2001:db8:1000:c000::1", "ipv4": "192.0.2.200"}
"""Inside the aggregates, nobody's."""
NATIVE_MTU = 1400
CODES = {"udp": ["0", "0F"], "minimal": ["1", "1F"], "gue": ["2", "2F"], "gue1": ["3", "2F"]}
"""Option `encapsulation` -> codes that data must go by, whole and in parts."""
PASSED = {"1-2": 3, "1-g": 3, "g-2": 3, "1-2-after": 3, "g-2-after": 3, "2-1-back": 3}
"""Nodes that forward between the Clients: s1, r, s2; s1, r, i (spec §2.4)."""


@dataclass(frozen=True)
class RelayOptions(AeroOptions):
    """Options of the Relay lab."""

    inner: str = option("ipv6", "IP version of what the hosts send", ("ipv6", "ipv4"))


class RelaysLab(RelayLab):
    """Servers announce their Clients, the Relays carry between them, and either Relay is enough."""

    name = "aero-relay"
    title = "AERO Servers and Relays with BGP"
    options: ClassVar[type] = RelayOptions
    variants = ({}, {"outer": "ipv6", "encapsulation": "minimal"}, {"inner": "ipv4"})

    def plan(self, options: Any) -> RelayPlan:
        """A Client at each Server: routers with a host; for IPv4, hosts with both families."""
        if options.inner == "ipv6":
            return RelayPlan(options, (Client(1), Client(2)), native_mtu=NATIVE_MTU)
        return RelayPlan(
            options, tuple(Client(n, "host", families=("ipv6", "ipv4")) for n in (1, 2)), native_mtu=NATIVE_MTU
        )

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "c1 attaches at s1, c2 at s2",
            "the Clients' hosts and g ping each other",
            "an address that nobody has, and more than the native link takes",
            "r1's ExaBGP dies",
            "they ping on, over r2",
            "r1's ExaBGP is back",
            "c2 leaves",
        ]

    def script(self, run: Run, options: Any) -> None:
        """Attach, ping, kill, ping, release."""
        run.step("c1 attaches at s1, c2 at s2")
        traffic.attached(run, ("c1", "c2"))
        traffic.encapsulated(run, ("c1", "c2", "s1", "s2", "r1", "r2"), options.encapsulation)
        ends = {n: _end(run, n, options.inner) for n in (1, 2)}
        (one, at1), (two, at2), g = ends[1], ends[2], NATIVE[options.inner]
        each = len(self.plan(options).clients[0].families)
        _routed(run, 2 * each)
        _heard(run, r1=2, r2=2)
        run.step("the Clients' hosts and g ping each other")
        traffic.pings(run, "1-2", one, at1, two, at2)
        traffic.pings(run, "1-g", one, at1, "g", g)
        traffic.pings(run, "g-2", "g", g, two, at2)
        run.step("an address that nobody has, and more than the native link takes")
        traffic.pings(run, "nowhere", one, at1, "g", NOWHERE[options.inner], expect="none", patience=0.2)
        traffic.pings(run, "too-big", one, at1, "g", g, size=NATIVE_MTU + 50, expect="none", patience=0.2)
        run.step("r1's ExaBGP dies")
        run.events.record("killed", node="r1", what="exabgp")
        run.exabgps["r1"].kill()
        for name in ("s1", "s2"):
            states.when(run, name, "to use r2", lambda now: now["relay"] == "fe80::ff02")
        _heard(run, r1=0, r2=2)
        run.step("they ping on, over r2")
        traffic.pings(run, "1-2-after", one, at1, two, at2)
        traffic.pings(run, "g-2-after", "g", g, two, at2)
        run.step("r1's ExaBGP is back")
        run.exabgps["r1"].start()
        for name in ("s1", "s2"):
            states.when(run, name, "to use r1", lambda now: now["relay"] == "fe80::ff01")
        _routed(run, 2 * each)
        traffic.pings(run, "2-1-back", two, at2, one, at1)
        run.step("c2 leaves")
        run.agents["c2"].stop()
        _routed(run, each)
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Attachment, routes, who carries, and the moments of BGP."""
        ends = {"ipv6": "12", "ipv4": ""}[options.inner]  # a router Client forwards, too
        ttl = {name: 64 - passed - sum(name.count(end) for end in ends) for name, passed in PASSED.items()}
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation", "data": CODES[options.encapsulation]},
            {"check": "aero-bgp", "bound_ms": 250 * slowness},
            {"check": "aero-relays", "bound_ms": 300 * slowness, "native_mtu": NATIVE_MTU},
            {"check": "aero-pings", "requirement": "RLY-2", "ttl": ttl},
        ]


def _end(run: Run, number: int, family: str) -> tuple[str, str]:
    """The node that speaks for a Client, and its address: a host behind a router, or the Client itself."""
    client = Client(number)
    if family == "ipv4":
        return client.name, traffic.first_address(client.prefixes[family])
    return f"h{number}", hosts.address_in(run, f"h{number}", client.prefixes[family])


def _routed(run: Run, routes: int) -> None:
    for name in ("r1", "r2"):
        states.when(run, name, f"to have {routes} routes", lambda now: now["routes"] == routes)


def _heard(run: Run, **wanted: int) -> None:
    """Wait until the native Internet has so many of the aggregates from each Relay."""

    def holds() -> bool:
        routes = run.birds[NATIVE_NODE].routes()
        now = {name: sum(r.prefix in AGGREGATES and r.protocol == name for r in routes) for name in wanted}
        if now != wanted:
            raise NotYet(str(now))
        return True

    what = f"{NATIVE_NODE} to have {', '.join(f'{count} aggregates from {name}' for name, count in wanted.items())}"
    wait_until(what, holds, timeout=hosts.PATIENCE)


LAB = RelaysLab()
