"""A Client gets another underlay address in the middle of a direct flow: what the labs of both directions share.

h1 --- c1 --- core --- s1      c1 198.51.100.7, then 198.51.100.9      2001:db8:e::7, then 2001:db8:e::9
h2 --- c2 ------'               c2 203.0.113.7, then 203.0.113.21       2001:db8:f::7, then 2001:db8:f::21
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.lab import AeroLab
from topologies.aero.members import Client
from topologies.aero.moving import readdress
from topologies.aero.plan import OFF, ON, AeroPlan, TokenOptions
from topologies.lab import option
from topologies.pings import Series, pinging, pings
from topologies.runner import Run

NEXT = {
    "c1": {"ipv4": "198.51.100.9", "ipv6": "2001:db8:e::9"},
    "c2": {"ipv4": "203.0.113.21", "ipv6": "2001:db8:f::21"},
}
"""Addresses after the move, by Client."""
INTERVAL = 0.02
"""Between pings, seconds."""
LATEST_MS = 8000.0
"""Until a Server helps, where nobody heard of the move (spec MOB-14)."""
DIRECT, THROUGH = 62, 61
LOST_MS, DIRECT_TRIPS, SERVER_TRIPS = 100.0, 0.5, 1.5
"""What a move may cost: so long, and so many round trips (spec MOB-12)."""


@dataclass(frozen=True)
class MoveOptions(TokenOptions):
    """Options of the labs of moving Clients."""

    announcement: str = option("heard", "whether correspondents get to know of the move", ("heard", "lost"))
    path: str = option("direct", "what h1 and h2 talk over", ("direct", "server"))


@dataclass(frozen=True)
class MovePlan(AeroPlan):
    """The plan of a lab with a moving Client."""

    mover: str = "c1"

    def domain(self) -> dict[str, Any]:
        """The mover's packets come from both its addresses."""
        found = super().domain()
        found["clients"][self.mover]["underlay"] += list(NEXT[self.mover].values())
        return found


class MoveLab(AeroLab):
    """h1 pings h2 directly, one of their Clients moves, and hardly a packet is lost."""

    options: ClassVar[type] = MoveOptions
    variants = ({}, {"announcement": "lost"}, {"path": "server"}, {"outer": "ipv6"}, {"tokens": OFF})
    mover: ClassVar[int]

    @property
    def moves(self) -> str:
        """Title of the step in which it happens."""
        return f"c{self.mover} gets another underlay address"

    def plan(self, options: Any) -> MovePlan:
        """Two router Clients."""
        clients, optimise, tokens = (Client(1), Client(2)), options.path == "direct", options.tokens == ON
        return MovePlan(options, clients, optimise=optimise, tokens=tokens, mover=f"c{self.mover}")

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        how = "directly" if options.path == "direct" else "by their Server"
        return ["c1 and c2 attach", f"h1 pings h2 {how}", self.moves, "h1 pings on"]

    def script(self, run: Run, options: Any) -> None:
        """Ping until the path is direct, move while pinging, ping on."""
        run.step("c1 and c2 attach")
        traffic.attached(run, ("c1", "c2"))
        one, two = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        run.step(self.steps(options)[1])
        mover, peer, lost = Client(self.mover), Client(3 - self.mover), options.announcement == "lost"
        new, there = NEXT[mover.name][options.outer], peer.underlay[options.outer]
        if options.path == "direct":
            traffic.optimised(run, "before", "h1", one, "h2", two, interval=INTERVAL)
        else:
            pings(run, "before", "h1", one, "h2", two, count=traffic.FOLLOWED, interval=INTERVAL)
        run.step(self.moves)
        if lost:
            self._between(run, new, there)
        with pinging(Series(run, "move", "h1", one, "h2", two, interval=INTERVAL)) as series:
            readdress(run, mover.name, mover.underlay, NEXT[mover.name])
            states.when(run, "s1", f"to use {new}", partial(traffic.sends_to, address=new))
            if lost:
                states.when(run, peer.name, "to leave the direct path", lambda now: not traffic.is_direct(now))
                run.net["core"].run(["nft", "delete", "table", "inet", "roamlab-lost"], check=True)
            if options.path == "direct":
                traffic.direct(run, **{peer.name: new, mover.name: there})
            series.go_on(traffic.FOLLOWED)
        run.step("h1 pings on")
        pings(run, "after", "h1", one, "h2", two)
        run.step("done")

    @staticmethod
    def _between(run: Run, one: str, other: str) -> None:
        """The core drops everything between two underlay addresses."""
        ip = "ip6" if ":" in one else "ip"
        rules = (f"{ip} saddr {one} {ip} daddr {other} drop", f"{ip} saddr {other} {ip} daddr {one} drop")
        head = ("table inet roamlab-lost {", "chain between {", "type filter hook forward priority filter;")
        run.net["core"].run(["nft", "-f", "-"], input="\n".join([*head, *rules, "}", "}", ""]), check=True)

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Renew, announcement, the correspondent's new path, and what was lost."""
        tokens, direct = options.tokens == ON, options.path == "direct"
        heard = options.announcement == "heard"
        soon = heard or not tokens  # Servers send correspondents back
        move: dict[str, Any] = {
            "client": f"c{self.mover}",
            "new": NEXT[f"c{self.mover}"][options.outer],
            "bound_ms": 50 * slowness,
        }
        other = {"peer": f"c{3 - self.mover}"} if direct else {}
        told = {"heard": heard if tokens else None, "least": traffic.FOLLOWED} if direct else {}
        retreat = [{"check": "aero-retreat", **move, **other}] if direct and not tokens else []
        cost: list[dict[str, Any]] = []
        if soon:
            trips = DIRECT_TRIPS if direct and tokens else SERVER_TRIPS
            series = {"client": f"c{self.mover}", "ping": "move"}
            cost = [{"check": "aero-move-loss", **series, "trips": trips, "lost_ms": LOST_MS * slowness}]
        outage = LOST_MS / 1000 * slowness if soon else LATEST_MS / 1000 + 0.2 * slowness
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {"check": "aero-move", **move, **other, **told},
            *retreat,
            *cost,
            {
                "check": "aero-pings",
                "requirement": "MOB-6" if soon else "MOB-6, MOB-14",
                "ttl": {"after": DIRECT if direct else THROUGH},
                "max_lost": {"move": int(outage / INTERVAL) + 1},
            },
        ]
