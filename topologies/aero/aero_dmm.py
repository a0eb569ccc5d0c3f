"""Mobility management without an anchor in the middle, at size: many Clients on the move, flows between random pairs.

c1 ... cn --- core --- s1 ... s8      each Server with each Relay by BGP; the Relays with i
                '----- r1, r2 --- i (BIRD) --- g
"""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from testbed.waiting import wait_until
from topologies import states
from topologies.aero import traffic
from topologies.aero.crowd import MOST_MOVES, CrowdClient, CrowdPlan
from topologies.aero.moving import change_server, readdress
from topologies.aero.plan import AeroOptions
from topologies.aero.relays import RelayLab
from topologies.lab import option
from topologies.runner import Run
from topologies.traffic import PATIENCE

QUIET = 4.0
"""Seconds at the end in which nobody moves any more: flows must be well again, and show it."""
REST = 3.0
"""Seconds that a Client stays where it is at least."""
LOST_MS, BOTH_MS = 100.0, 8000.0
"""What leaves so long after a move may be lost (spec MOB-12), and where both ends moved at once (spec MOB-14)."""
LATE_MS = 500.0
"""How late a packet may come while nobody moves: the machine stands still at times, under load for 180 ms; whatever
waits for a retransmission is a second late (RETRANS_TIMER)."""


@dataclass(frozen=True)
class CrowdOptions(AeroOptions):
    """Options of the lab of mobility at size."""

    servers: int = option(8, "Servers", within=(1, 9))
    relays: int = option(2, "Relays", within=(1, 9))
    clients: int = option(40, "Clients; each pings one other", within=(2, 200))
    seconds: int = option(120, "how long they talk and move", within=(1, 3600))
    interval: float = option(0.1, "seconds between the pings of a flow", within=(0.01, 10))
    pace: float = option(0.5, "seconds between two moves, whoever moves", within=(0.01, 60))
    seed: int = option(1, "of all that is random: who talks with whom, who moves when, and how")


class CrowdLab(RelayLab):
    """Clients change addresses and Servers while they talk; every flow's way and every gap is accounted for."""

    name = "aero-dmm"
    title = "AERO distributed mobility management at size"
    options: ClassVar[type] = CrowdOptions
    variants = (
        {"servers": 3, "relays": 1, "clients": 6, "seconds": 20, "interval": 0.05, "pace": 1.0},
        {"servers": 3, "relays": 2, "clients": 6, "seconds": 20, "interval": 0.05, "pace": 1.0, "outer": "ipv6"},
    )

    def plan(self, options: Any) -> CrowdPlan:
        """Clients that are hosts, spread over the Servers."""
        clients = tuple(CrowdClient(index) for index in range(1, options.clients + 1))
        return CrowdPlan(options, clients, servers=options.servers, relays=options.relays, optimise=True)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        return ["Clients attach", "they talk, and move", "they stay where they are"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, talk in random pairs, move one at a time, rest."""
        chance = random.Random(options.seed)
        plan = self.plan(options)
        run.step("Clients attach")
        traffic.attached(run, (client.name for client in plan.clients))
        for relay in plan.relay_list:
            states.when(run, relay.name, "to have all routes", lambda now: now["routes"] == options.clients)
        run.step("they talk, and move")
        count = int(options.seconds / options.interval)
        flows = [_Flow(run, *pair, count, options.interval) for pair in _pairs(plan, chance)]
        began = time.monotonic()
        movers = _Movers(run, plan, chance)
        for number in range(1, _moves(options) + 1):
            due = began + number * options.pace
            wait_until("the next move to be due", partial(_passed, due), timeout=PATIENCE)
            movers.move(due)
        run.step("they stay where they are")
        for flow in flows:
            flow.finish()
        run.step("done")

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Attachment, formats, BGP, and every flow."""
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {"check": "aero-bgp", "bound_ms": 250 * slowness},
            {
                "check": "aero-flows",
                "flows": options.clients,
                "moves": int(min(_moves(options), options.clients * (options.seconds - QUIET) / REST) / 2),
                "bound_ms": LOST_MS * slowness,
                "both_ms": BOTH_MS + LOST_MS * slowness,
                "silence_ms": LATE_MS * slowness,
            },
        ]


def _moves(options: Any) -> int:
    """How many are due; one is left out when all Clients have moved just now."""
    return max(0, int((options.seconds - QUIET) / options.pace) - 1)


def _passed(moment: float) -> bool:
    """Whether a moment of the monotonic clock is over."""
    return time.monotonic() >= moment


def _pairs(plan: CrowdPlan, chance: random.Random) -> list[tuple[CrowdClient, CrowdClient]]:
    """Each Client and a random other one."""
    clients = [client for client in plan.clients if isinstance(client, CrowdClient)]
    return [(one, chance.choice([other for other in clients if other is not one])) for one in clients]


class _Flow:
    """One Client pings another for as long as the script goes."""

    def __init__(self, run: Run, one: CrowdClient, other: CrowdClient, count: int, interval: float) -> None:
        self._run = run
        self._identifier = traffic.next_identifier()
        self._ends = traffic.first_address(one.prefixes["ipv6"]), traffic.first_address(other.prefixes["ipv6"])
        self._names = one.name, other.name
        self._count = count
        self._begin = time.time()
        argv = ["ping", "-6", "-n", "-q", "-e", str(self._identifier), "-c", str(count), "-i", str(interval)]
        argv += ["-W", "1", "-s", "36", "-I", self._ends[0], self._ends[1]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = run.spawn(one.name, argv, **quiet)

    def finish(self) -> None:
        """Wait for its end, and say what it was."""
        node, peer = self._names
        wait_until(f"{node} to have pinged {peer}", lambda: self._process.poll() is not None, timeout=PATIENCE)
        fields = {"name": f"{node}-{peer}", "peer": peer, "source": self._ends[0], "destination": self._ends[1]}
        more = {"icmp_id": self._identifier, "count": self._count, "size": 84, "expect": "reply"}
        times = {"t": self._begin, "end": time.time()}
        self._run.events.append({**times, "node": node, "agent": "lab", "event": "pings", **fields, **more})


class _Movers:
    """Who is where, and who may move next."""

    def __init__(self, run: Run, plan: CrowdPlan, chance: random.Random) -> None:
        self._run = run
        self._chance = chance
        self._clients = [client for client in plan.clients if isinstance(client, CrowdClient)]
        self._servers = [server.name for server in plan.server_list]
        self._place = dict.fromkeys(self._clients, 0)
        self._server = {one: self._servers[(one.index - 1) % len(self._servers)] for one in self._clients}
        self._rested = dict.fromkeys(self._clients, 0.0)

    def move(self, now: float) -> None:
        """Some Client that has rested gets another address, or goes to another Server."""
        ready = [one for one in self._clients if self._rested[one] <= now and self._place[one] < MOST_MOVES - 1]
        if not ready:
            return
        client = self._chance.choice(ready)
        self._rested[client] = now + REST
        others = [name for name in self._servers if name != self._server[client]]
        if others and self._chance.random() < 0.5:
            self._server[client] = self._chance.choice(others)
            change_server(self._run, client.name, self._server[client])
        else:
            before, self._place[client] = self._place[client], self._place[client] + 1
            readdress(self._run, client.name, client.place(before), client.place(before + 1))


LAB = CrowdLab()
