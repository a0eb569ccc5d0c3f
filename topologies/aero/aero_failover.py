"""A Server fails, whole or in part, while a Client of it talks, or is silent.

h1 --- c1 --- core --- s1, s2      BGP: s1, s2 with r1; r1 with i
h2 --- c2 ------'  '-- r1 --- i (BIRD) --- g
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from topologies import states
from topologies import traffic as hosts
from topologies.aero import traffic
from topologies.aero.faults import cut_off, kill
from topologies.aero.members import NATIVE, Client, Server
from topologies.aero.plan import AeroOptions
from topologies.aero.relays import RelayLab, RelayPlan
from topologies.lab import option
from topologies.runner import Run

FAILS, BACK = "s1 fails", "s1 is back"
INTERVAL = 0.05
"""Between pings, seconds."""
NOTICED = {"talking": 8.0, "silent": 33.0}
"""Seconds until a Client knows that its Server is gone: of silence 5 or 30, then three questions (spec CLI-9)."""
AWAY = 2.0
"""Seconds that ExaBGP is away before it is started again."""
SHORT = (2, 4, 40, 60)
"""Lease times where the DHCPv6 server dies: T1, T2, preferred, valid."""
REBOUND = 4 + 11.0
"""Seconds after which the Client turns to another Server then: T2, and ten seconds of a Rebind that nobody answers,
and what a retransmission may vary (RFC 8415 §15)."""
HOLD = 9.0 + 1.0
"""Seconds until a Server that says no goodbye is gone: the BGP hold time (spec §8), whose seconds ExaBGP counts."""
GONE = {"aerod": 0.5, "exabgp": 0.5, "kea": None, "node": HOLD, "link": HOLD}
"""Seconds until the Relay has lost what s1 announced; None: it has no reason to."""


@dataclass(frozen=True)
class FailoverOptions(AeroOptions):
    """Options of the lab of a failing Server."""

    fails: str = option("aerod", "what fails of s1", tuple(GONE))
    client: str = option("talking", "whether c1's host sends and receives meanwhile", tuple(NOTICED))
    path: str = option("relayed", "what h1 and h2 talk over", ("relayed", "direct"))


class FailoverLab(RelayLab):
    """The Client finds the next Server, keeps its prefix, and the Relay follows."""

    name = "aero-failover"
    title = "An AERO Server fails"
    options: ClassVar[type] = FailoverOptions
    variants = (
        {},
        {"fails": "kea"},
        {"fails": "exabgp"},
        {"fails": "link"},
        {"fails": "node", "client": "silent"},
        {"path": "direct"},
        {"fails": "node"},
    )

    def plan(self, options: Any) -> RelayPlan:
        """A router Client at each Server."""
        clients, whole = (Client(1), Client(2)), RelayPlan.lease
        lease = SHORT if options.fails == "kea" else whole
        return RelayPlan(options, clients, relays=1, optimise=options.path == "direct", lease=lease)

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        back = {"exabgp": ["s1's ExaBGP is back"], "link": [BACK]}.get(options.fails, [])
        return ["c1 attaches at s1, c2 at s2", FAILS, *back, "h1, h2 and g ping each other"]

    def script(self, run: Run, options: Any) -> None:
        """Attach, talk or not, fail, wait for the next Server, talk."""
        run.step("c1 attaches at s1, c2 at s2")
        traffic.attached(run, ("c1", "c2"))
        one, two = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        states.when(run, "r1", "to have both routes", lambda now: now["routes"] == 2)
        traffic.settled(run, ("c1", "c2"))
        traffic.pings(run, "before", "h1", one, "h2", two, count=20)
        if options.path == "direct":
            for name in ("c1", "c2"):
                states.when(run, name, "to use the direct path", traffic.is_direct)
        with self._talking(run, options, one, two):
            run.step(FAILS)
            self._fail(run, options.fails, one)
        run.step("h1, h2 and g ping each other")
        traffic.pings(run, "after", "h1", one, "h2", two)
        traffic.pings(run, "g-after", "g", NATIVE["ipv6"], "h1", one)
        run.step("done")

    @contextlib.contextmanager
    def _talking(self, run: Run, options: Any, one: str, two: str) -> Iterator[None]:
        """Pings between the Clients and from the native Internet, or nothing."""
        with contextlib.ExitStack() as flows:
            if options.client == "talking":
                count = int((self._outage(options) + 4.0) / INTERVAL)
                ends = (("flow", "h1", one, "h2", two), ("g-flow", "g", NATIVE["ipv6"], "h1", one))
                for name, *each in ends:
                    flows.enter_context(traffic.pinging(run, name, *each, count=count, interval=INTERVAL))
            yield

    def _fail(self, run: Run, fails: str, one: str) -> None:
        if fails == "exabgp":
            kill(run, "s1", fails)
            states.when(run, "r1", "to have lost c1's route", lambda now: now["routes"] == 1)
            traffic.pings(
                run, "g-away", "g", NATIVE["ipv6"], "h1", one, count=int(AWAY / 0.1), interval=0.1, expect="none"
            )
            run.step("s1's ExaBGP is back")
            run.log("restarting", node="s1", what=fails)
            run.exabgps["s1"].start()
            states.when(run, "r1", "to have c1's route again", lambda now: now["routes"] == 2)
            return
        with contextlib.ExitStack() as until:
            if fails in ("link", "node"):
                until.enter_context(cut_off(run, Server(1).underlay, "s1", fails))
            if fails != "link":
                kill(run, "s1", fails)
            states.when(run, "c1", "to be at s2", _at("fe80::2"))
            if fails in ("link", "node"):
                states.when(run, "r1", "to have lost s1", lambda now: not now["bgp"]["sessions"]["fe80::1"])
        if fails == "link":
            run.step(BACK)
            states.when(run, "r1", "to hear s1 again", lambda now: now["bgp"]["sessions"]["fe80::1"])

    @staticmethod
    def _outage(options: Any) -> float:
        """Seconds that it may take until everything is well again."""
        return {"kea": REBOUND, "exabgp": AWAY + 3.0}.get(options.fails, NOTICED[options.client])

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Who noticed what when, who took over, and what flows missed."""
        talking, spare = options.client == "talking", 1.0 * slowness
        outage = 0.0 if options.fails == "kea" else self._outage(options)
        lost = {"g-flow": int((outage + spare) / INTERVAL) + 1} if talking and outage else {}
        if talking and outage and options.path == "relayed":
            lost["flow"] = lost["g-flow"]
        gone = GONE[options.fails]
        return [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            {
                "check": "aero-failover",
                "client": "c1",
                "server": "s1",
                "fails": options.fails,
                "noticed_ms": 1000 * (self._outage(options) + 0.2 * slowness),
                "attach_ms": 500 * slowness,
                "gone_ms": None if gone is None else 1000 * (gone + 0.5 * slowness),
            },
            {
                "check": "aero-pings",
                "requirement": "MOB-6",
                "ttl": {"after": 62 if options.path == "direct" else 59 if options.fails == "exabgp" else 61},
                "max_lost": lost,
            },
        ]


def _at(server: str) -> Any:
    """Whether a Client is attached at a Server."""

    def holds(now: states.State) -> bool:
        routers = [each["address"] for each in now["neighbors"] if each["type"] == "static"]
        return server in routers and set(now["delegations"].values()) == {"bound"}

    return holds


LAB = FailoverLab()
