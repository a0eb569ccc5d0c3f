"""A Server fails, whole or in part, while a Client of it talks, fetches a file, or is silent; so does a Relay.

h1 --- c1 --- core --- s1, s2      BGP: s1, s2 with r1 (and r2); these with i
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
from topologies.aero.relays import Relay, RelayLab, RelayPlan
from topologies.aero.transfers import Transfer
from topologies.lab import option
from topologies.pings import Series, pinging, pings
from topologies.runner import Run

FAILS, BACK = "s1 fails", "s1 is back"
INTERVAL = 0.05
"""Between pings, seconds."""
NOTICED = {"talking": 8.0, "fetching": 8.0, "silent": 33.0}
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
GONE = {"aerod": 0.5, "exabgp": 0.5, "kea": None, "node": HOLD, "link": HOLD, "path": None, "relay": None}
"""Seconds until the Relay has lost what s1 announced; None: it has no reason to."""
ASKED = 3.0
"""Seconds that a Server asks a Client which a Relay says is elsewhere."""
ATTACHED = 0.5
"""Seconds until a Client has its prefix from the next Server; so long it is no router to its hosts (spec MODEL-R2)."""
FILE, RATE, LASTS = "file", 2_000_000, 10.0
"""What h1 fetches from h2, octets a second at most, and seconds of it, outages apart."""
FETCHED = 0.2
"""Part of the file that has arrived when it happens."""
AGAIN_MS = 500.0
"""What may have to be sent again, as time of sending: all that was under way, and what TCP asked with meanwhile."""
BACKOFF = 2.0
"""TCP asks again at intervals that double (RFC 6298 §5.5): after an outage it may stay away once more as long."""


@dataclass(frozen=True)
class FailoverOptions(AeroOptions):
    """Options of the lab of a failing Server."""

    fails: str = option("aerod", "what fails of s1; path: its path to c1; relay: r1 instead", tuple(GONE))
    client: str = option("talking", "what c1's host does meanwhile", tuple(NOTICED))
    path: str = option("relayed", "what h1 and h2 talk over", ("relayed", "direct"))


@dataclass(frozen=True)
class FailoverPlan(RelayPlan):
    """The plan; where only the path between c1 and s1 fails, c2 is at s1 too, and goes on sending there."""

    together: bool = False

    def client_config(self, client: Client) -> dict[str, Any]:
        """The configuration of a Client."""
        config = super().client_config(client)
        return {**config, "servers": super().client_config(Client(1))["servers"]} if self.together else config


class FailoverLab(RelayLab):
    """The Client finds the next Server, keeps its prefix, and the Relay follows."""

    name = "aero-failover"
    title = "An AERO Server fails"
    options: ClassVar[type] = FailoverOptions
    variants = (
        {},
        *({"fails": fails} for fails in ("kea", "exabgp", "node", "link", "path", "relay")),
        *({"fails": fails, "client": "silent"} for fails in ("aerod", "kea", "exabgp", "node", "link")),
        {"path": "direct"},
        {"fails": "path", "path": "direct"},
        {"client": "fetching", "path": "direct"},
        *({"fails": fails, "client": "fetching"} for fails in ("kea", "node", "link", "relay")),
        {"client": "fetching"},
    )

    def plan(self, options: Any) -> FailoverPlan:
        """A router Client at each Server."""
        return FailoverPlan(
            options,
            (Client(1), Client(2)),
            relays=2 if options.fails == "relay" else 1,
            optimise=options.path == "direct",
            lease=SHORT if options.fails == "kea" else RelayPlan.lease,
            together=options.fails == "path",
        )

    def steps(self, options: Any) -> list[str]:
        """The script in words."""
        back = {"exabgp": ["s1's ExaBGP is back"], "link": [BACK]}.get(options.fails, [])
        return [self._begins(options), _failing(options), *back, "h1, h2 and g ping each other"]

    @staticmethod
    def _begins(options: Any) -> str:
        return "c1 and c2 attach at s1" if options.fails == "path" else "c1 attaches at s1, c2 at s2"

    def script(self, run: Run, options: Any) -> None:
        """Attach, talk or not, fail, wait for the next Server, talk."""
        run.step(self._begins(options))
        traffic.attached(run, ("c1", "c2"))
        one, two = (hosts.address_in(run, f"h{n}", Client(n).prefixes["ipv6"]) for n in (1, 2))
        for relay in self.plan(options).relay_list:
            states.when(run, relay.name, "to have both routes", lambda now: now["routes"] == 2)
        traffic.settled(run, ("c1", "c2"))
        if not _strangers(options):
            if options.path == "direct":
                traffic.optimised(run, "before", "h1", one, "h2", two, interval=INTERVAL)
            else:
                pings(run, "before", "h1", one, "h2", two, count=20)
        with self._talking(run, options, one, two):
            run.step(_failing(options))
            self._fail(run, options.fails, one)
        run.step("h1, h2 and g ping each other")
        pings(run, "after", "h1", one, "h2", two)
        pings(run, "g-after", "g", NATIVE["ipv6"], "h1", one)
        if _strangers(options):
            states.when(run, "s1", "to see that c1 is elsewhere", lambda now: len(_clients(now)) == 1)
            pings(run, "then", "h2", two, "h1", one)
        run.step("done")

    @contextlib.contextmanager
    def _talking(self, run: Run, options: Any, one: str, two: str) -> Iterator[None]:
        """Pings between the Clients and from the native Internet, a file instead of the former, or nothing."""
        fetching = options.client == "fetching"
        count = int((self._outage(options) + 4.0) / INTERVAL)
        ends = [("flow", "h1", one, "h2", two)] if not fetching and not _strangers(options) else []
        file = None
        with contextlib.ExitStack() as flows:
            if options.client != "silent":
                for name, *each in (*ends, ("g-flow", "g", NATIVE["ipv6"], "h1", one)):
                    series = Series(run, name, *each, count=count, interval=INTERVAL)
                    flows.enter_context(pinging(series))
            if fetching:
                rate = int(RATE / run.slowness)
                lasts = LASTS + REBOUND if options.fails == "kea" else LASTS  # over the change of Servers
                file = Transfer(run, FILE, "h1", one, "h2", two, octets=int(lasts * RATE), rate=rate)
                file.reached(FETCHED)
            yield
        if file:
            file.finish()

    def _fail(self, run: Run, fails: str, one: str) -> None:
        if fails == "exabgp":
            self._without_exabgp(run, one)
            return
        with contextlib.ExitStack() as until:
            node, underlay = ("r1", Relay(1).underlay) if fails == "relay" else ("s1", Server(1).underlay)
            if fails in ("link", "node", "relay"):
                until.enter_context(cut_off(run, underlay, node, fails))
            if fails == "path":
                until.enter_context(cut_off(run, underlay, node, fails, toward=Client(1).underlay))
            if fails == "relay":
                kill(run, "r1", "node")
                for name in ("s1", "s2"):
                    states.when(run, name, "to use r2", lambda now: now["relay"] == Relay(2).aero_address)
                return
            if fails not in ("link", "path"):
                kill(run, "s1", fails)
            states.when(run, "c1", "to be at s2", _at("fe80::2"))
            states.when(run, "r1", "to send c1's packets to s2", _follows("fe80::2"))
            if fails in ("link", "node"):
                states.when(run, "r1", "to have lost s1", lambda now: not now["bgp"]["sessions"]["fe80::1"])
        if fails == "link":
            run.step(BACK)
            states.when(run, "r1", "to hear s1 again", lambda now: now["bgp"]["sessions"]["fe80::1"])

    @staticmethod
    def _without_exabgp(run: Run, one: str) -> None:
        """It dies, is missed, and comes back."""
        kill(run, "s1", "exabgp")
        states.when(run, "r1", "to have lost c1's route", lambda now: now["routes"] == 1)
        count = int(AWAY / 0.1)
        pings(run, "g-away", "g", NATIVE["ipv6"], "h1", one, count=count, interval=0.1, expect="none")
        run.step("s1's ExaBGP is back")
        run.log("restarting", node="s1", what="exabgp")
        run.exabgps["s1"].start()
        states.when(run, "r1", "to have c1's route again", lambda now: now["routes"] == 2)

    @staticmethod
    def _outage(options: Any) -> float:
        """Seconds that it may take until everything is well again."""
        return {"kea": REBOUND, "exabgp": AWAY + 3.0}.get(options.fails, NOTICED[options.client])

    def checks(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Who noticed what when, who took over, and what flows and the file missed."""
        spare = 1.0 * slowness
        outage = 0.0 if options.fails == "kea" else self._outage(options)
        lost = int((outage + spare) / INTERVAL) + 1 if outage else 0
        flows = {"g-flow": lost} if options.path == "direct" else {"g-flow": lost, "flow": lost}
        no_router = int(ATTACHED * slowness / INTERVAL) + 1
        found: list[dict[str, Any]] = [
            {"check": "aero-attach", "bound_ms": 1000 * slowness},
            {"check": "aero-encapsulation"},
            *self._of_failure(options, slowness),
            {
                "check": "aero-pings",
                "requirement": "MOB-6",
                "ttl": {} if _strangers(options) else {"after": self._hop_limit(options)},
                "max_lost": flows if options.client != "silent" else {},
                "unsent": {"flow": no_router} if options.path == "direct" else {},
            },
        ]
        if options.fails == "exabgp" or (options.fails == "aerod" and options.client != "silent"):
            found.append({"check": "aero-unreachable"})
        if options.client == "fetching":
            silent = BACKOFF * outage + spare if options.path == "relayed" and outage else 0.5 * slowness
            found.append(
                {
                    "check": "aero-transfer",
                    "moves": {"r1" if options.fails == "relay" else "s1": ["failing"]},
                    "way": "direct" if options.path == "direct" else "servers",
                    "lost_ms": AGAIN_MS * slowness,
                    "bound_ms": 1000 * silent,
                }
            )
        return found

    def _of_failure(self, options: Any, slowness: float) -> list[dict[str, Any]]:
        """Detection and repair, against the sheet's bounds."""
        noticed_ms = 1000 * (self._outage(options) + 0.2 * slowness)
        if options.fails == "relay":
            return [{"check": "aero-relay-lost", "relay": "r1", "noticed_ms": noticed_ms}]
        gone = GONE[options.fails]
        found: list[dict[str, Any]] = [
            {
                "check": "aero-failover",
                "client": "c1",
                "server": "s1",
                "fails": options.fails,
                "noticed_ms": noticed_ms,
                "attach_ms": 1000 * ATTACHED * slowness,
                "gone_ms": None if gone is None else 1000 * (gone + 0.5 * slowness),
            }
        ]
        if _strangers(options):
            bound_ms = 1000 * (ASKED + 0.3 * slowness)
            found.append({"check": "aero-taken-over", "client": "c1", "server": "s1", "bound_ms": bound_ms})
        return found

    @staticmethod
    def _hop_limit(options: Any) -> int:
        """Of h1's pings at h2 in the end: c1 and c2 forward, and one Server, or Server, Relay and Server between."""
        if options.path == "direct":
            return 62
        return 59 if options.fails in ("exabgp", "relay", "path") else 61


def _failing(options: Any) -> str:
    """Title of the step in which it happens."""
    return {"relay": "r1 fails", "path": "the path between c1 and s1 fails"}.get(options.fails, FAILS)


def _strangers(options: Any) -> bool:
    """Whether h1 and h2 first talk after the failure: their Predirect then tells s1 where c1 is."""
    return bool(options.fails == "path" and options.path == "direct")


def _clients(now: states.State) -> list[states.State]:
    """The Clients of a Server."""
    return [each for each in now["neighbors"] if each["type"] == "static"]


def _at(server: str) -> Any:
    """Whether a Client is attached at a Server."""

    def holds(now: states.State) -> bool:
        routers = [each["address"] for each in now["neighbors"] if each["type"] == "static"]
        return server in routers and set(now["delegations"].values()) == {"bound"}

    return holds


def _follows(server: str) -> Any:
    """Whether a Relay has the first Client's prefix from a Server."""

    def holds(now: states.State) -> bool:
        prefixes = {each["address"]: each["prefixes"] for each in now["neighbors"]}
        return Client(1).prefixes["ipv6"] in prefixes[server]

    return holds


LAB = FailoverLab()
