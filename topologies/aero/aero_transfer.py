"""A file transfer between two Clients on the move: h1 fetches it from h2 by TCP, and never notices.

h1 --- c1 --- core --- s1 --- BGP --- r1      c1 begins at s1, 198.51.100.7, goes to 198.51.100.9, then to s2
h2 --- c2 ------'----- s2 ------------'       c2 is at s2, 203.0.113.7, and goes to 203.0.113.21
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.members import Client
from topologies.aero.moves import NEXT
from topologies.aero.moving import change_server, readdress
from topologies.aero.plan import AeroOptions
from topologies.aero.relays import RelayLab, RelayPlan
from topologies.aero.transfers import Transfer
from topologies.lab import option
from topologies.runner import Run

NAME = "file"
MEGA = 1_000_000
SOURCE_MOVES, TARGET_MOVES, OTHER_SERVER = 0.25, 0.45, 0.65
"""Parts of the file that have arrived when it happens."""
CHANGED = "c1 goes to another Server"


@dataclass(frozen=True)
class TransferOptions(AeroOptions):
    """Options of the lab of the file transfer."""

    megabytes: int = option(200, "size of the file", within=(1, 10000))
    seconds: int = option(40, "how long it takes at least", within=(1, 3600))


@dataclass(frozen=True)
class TransferPlan(RelayPlan):
    """The plan: both Clients' packets come from two addresses each."""

    relays: int = 1

    def domain(self) -> dict[str, Any]:
        """Facts for the checks."""
        found = super().domain()
        for name, addresses in NEXT.items():
            found["clients"][name]["underlay"] += list(addresses.values())
        return found


class TransferLab(RelayLab):
    """A TCP connection lives through a new path, new addresses of both ends, and a new Server."""

    name = "aero-transfer"
    title = "A file transfer between AERO Clients on the move"
    options: ClassVar[type] = TransferOptions
    variants = ({"megabytes": 20, "seconds": 10}, {"megabytes": 20, "seconds": 10, "outer": "ipv6"})

    def plan(self, options: Any) -> TransferPlan:
        """Two router Clients, a Server each, a Relay between the Servers."""
        return TransferPlan(options, (Client(1), Client(2)), optimise=True)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return [
            "c1 and c2 attach",
            f"h1 fetches {options.megabytes} MB from h2",
            "c2 gets another underlay address",
            "c1 gets another underlay address",
            CHANGED,
        ]

    def script(self, run: Run, options: Any) -> None:
        """Attach, begin to fetch, move one after the other while the file arrives, wait for its end."""
        _attach, fetch, source, target, change = self.steps(options)
        run.step("c1 and c2 attach")
        traffic.attached(run, ("c1", "c2"))
        states.when(run, "r1", "to have both routes", lambda now: now["routes"] == 2)
        one, two = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        run.step(fetch)
        octets = options.megabytes * MEGA
        rate = int(octets / options.seconds / run.slowness)
        file = Transfer(run, NAME, "h1", one, "h2", two, octets=octets, rate=rate)
        where = {name: Client(number).underlay[options.outer] for number, name in ((2, "c1"), (1, "c2"))}
        for part, step, client in ((SOURCE_MOVES, source, Client(2)), (TARGET_MOVES, target, Client(1))):
            file.reached(part)
            traffic.direct(run, **where)
            run.step(step)
            readdress(run, client.name, client.underlay, NEXT[client.name])
            where[f"c{3 - client.index}"] = NEXT[client.name][options.outer]
        file.reached(OTHER_SERVER)
        traffic.direct(run, **where)
        run.step(change)
        change_server(run, "c1", "s2")
        file.finish()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Attachment, formats, and what became of the file and its connection."""
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {
                "check": "aero-transfer",
                "moves": {"c2": ["moving"], "c1": ["moving", "changing"]},
                "lost_ms": 100 * slowness,
                "bound_ms": 500 * slowness,
            },
        ]


LAB = TransferLab()
