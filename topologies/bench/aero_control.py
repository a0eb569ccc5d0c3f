"""BGP of an AERO link: announcements until a BIRD peer has them, and until a Relay forwards by them.

    bird --- s1 --- r1        s1: ExaBGP with the Server's program; what a Server would say is said by this bench
                              r1: a Relay with its own ExaBGP; bird: a peer that nobody here wrote

The clock starts when the program is told, and stops when BIRD counts the last route, or when the Relay says that its
table has it.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any

from agents.aero.bgp.exabgp import Route
from agents.aero.bgp.rib import Policy
from agents.plain import plain
from testbed.agent import Agent
from testbed.bird import Bird
from testbed.daemon import Daemon
from testbed.events import EventLog
from testbed.exabgp import BgpPeer, BgpSpeaker, ExaBgp
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host
from testbed.waiting import wait_until
from topologies.bench.figures import Figure, at_most, result

SERVER, RELAY, BIRD = "203.0.113.1", "203.0.113.9", "203.0.114.9"
TOWARD_BIRD = "203.0.114.1"
HOP, HOP_TOWARD_BIRD = IPv6Address("2001:db8:f::1"), IPv6Address("2001:db8:e::1")
SERVER_ASN, RELAY_ASN = 4200000001, 65000
MANY, PRESENT, SAMPLES = 4_000, 10_000, 20
GOAL_MANY, GOAL_ONE = 5.0, 1.0
BATCH = 256
PATIENCE = 120.0


class BenchTopo(Topo):
    """A Server between a Relay and BIRD."""

    def build(self, **_opts: Any) -> None:
        """Names, addresses and links."""
        for name in ("s1", "r1", "bird"):
            self.addHost(name, cls=Host)
        for far, own, theirs, six in (("r1", SERVER, RELAY, "f"), ("bird", TOWARD_BIRD, BIRD, "e")):
            self.addLink(
                "s1",
                far,
                intfName1=far,
                intfName2="eth0",
                params1={"addresses": [f"{own}/24", f"2001:db8:{six}::1/64"]},
                params2={"addresses": [f"{theirs}/24", f"2001:db8:{six}::9/64"]},
            )


class Announcer:
    """The Server's end of the line to its ExaBGP's program, which says what it is told to."""

    def __init__(self, path: Path, hop: IPv6Address) -> None:
        self._hop = hop
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listening.settimeout(PATIENCE)
        self._listening.bind(str(path))
        self._listening.listen(1)
        self._socket: socket.socket | None = None
        self._rest = b""
        self.med = 4_000_000_000

    def accept(self) -> None:
        """Wait for the program, and tell it that nothing is wanted of anybody."""
        self._socket, _address = self._listening.accept()
        self._socket.settimeout(PATIENCE)
        self._say({"policy": plain(Policy("defaults"))})

    def announce(self, prefixes: Sequence[IPv6Network]) -> float:
        """Announce prefixes, each with a MED of its own; when the first one was said, Unix time."""
        routes = []
        for prefix in prefixes:
            self.med -= 1
            routes.append(Route(prefix, self._hop, self.med))
        return self._each("announce", routes)

    def withdraw(self, prefixes: Sequence[IPv6Network]) -> float:
        """Withdraw prefixes."""
        return self._each("withdraw", [Route(prefix, self._hop) for prefix in prefixes])

    def confirmed(self, count: int) -> None:
        """Wait until so many announcements were confirmed."""
        assert self._socket
        while count > 0:
            *lines, self._rest = (self._rest + self._socket.recv(1 << 16)).split(b"\n")
            count -= sum(len(json.loads(line).get("confirmed", ())) for line in lines)

    def close(self) -> None:
        """Hang up."""
        for each in filter(None, (self._socket, self._listening)):
            each.close()

    def _each(self, what: str, routes: list[Route]) -> float:
        begin = time.time()
        for start in range(0, len(routes), BATCH):
            self._say({what: plain(routes[start : start + BATCH])})
        return begin

    def _say(self, message: dict[str, Any]) -> None:
        assert self._socket
        self._socket.sendall(json.dumps(message).encode() + b"\n")


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Announce to BIRD alone, then to the Relay with many routes present."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder, Network(BenchTopo()) as net:
        figures = _toward_bird(net, Path(folder) / "bird", progress)
        figures |= _toward_relay(net, Path(folder) / "relay", progress)
    return result("aero-control", figures)


# --- BIRD


def _toward_bird(net: Network, folder: Path, progress: Callable[[str], None]) -> dict[str, Figure]:
    with ExitStack() as stack:
        folder.mkdir()
        session = f"local {BIRD}; neighbor {TOWARD_BIRD} as {SERVER_ASN}; passive on;"
        channels = "ipv4 { import all; export none; }; ipv6 { import all; export none; };"
        body = f"protocol bgp s1 from peer {{ {session} {channels} }}"
        bird = Bird(net["bird"], BIRD, RELAY_ASN, body, folder / "bird", folder / "bird.log")
        _start(bird, stack)
        announcer, speaker = _speaker(net, folder, BgpPeer(BIRD, RELAY_ASN, TOWARD_BIRD), HOP_TOWARD_BIRD, stack)
        wait_until("the session to be up", lambda: bird.up("s1"), timeout=PATIENCE)
        progress(f"{MANY} announcements to BIRD")
        begin = announcer.announce(_prefixes(MANY))
        wait_until("BIRD to have all", lambda: bird.count("s1") >= MANY, timeout=PATIENCE, interval=0.01)
        announced = time.time() - begin
        begin = announcer.withdraw(_prefixes(MANY))
        wait_until("BIRD to have none", lambda: not bird.count("s1"), timeout=PATIENCE, interval=0.01)
        withdrawn = time.time() - begin
        announcer.announce(_prefixes(MANY))
        wait_until("BIRD to have all", lambda: bird.count("s1") >= MANY, timeout=PATIENCE, interval=0.01)
        begin = time.time()
        speaker.kill()
        wait_until("BIRD to have none", lambda: not bird.count("s1"), timeout=PATIENCE, interval=0.005)
        return {
            "announce_4000": at_most(announced, "s", GOAL_MANY),
            "withdraw_4000": Figure(withdrawn, "s"),
            "killed_4000": Figure(time.time() - begin, "s"),
        }


# --- the Relay


def _toward_relay(net: Network, folder: Path, progress: Callable[[str], None]) -> dict[str, Figure]:
    with ExitStack() as stack:
        folder.mkdir()
        events = EventLog(folder / "events.jsonl")
        relay = Agent(net["r1"], "aero", "agents.aero", _relay(folder), folder, events)
        _start(relay, stack)
        program = (sys.executable, "-m", "agents.aero.bgp", str(folder / "r1.bgp"))
        waits = BgpSpeaker(RELAY, RELAY_ASN, (BgpPeer(SERVER, SERVER_ASN, RELAY, listens=True),), program)
        _start(ExaBgp(net["r1"], waits, folder / "r1-exabgp", folder / "r1.log"), stack)
        announcer, _exabgp = _speaker(net, folder, BgpPeer(RELAY, RELAY_ASN, SERVER), HOP, stack)
        prefixes = _prefixes(PRESENT + SAMPLES)
        progress(f"{PRESENT} announcements to the Relay")
        begin = announcer.announce(prefixes[:PRESENT])
        wait_until("the Relay to have all", lambda: _routes(relay) == PRESENT, timeout=PATIENCE, interval=0.05)
        filled = max(_chosen(events).values()) - begin
        announcer.confirmed(PRESENT)
        progress("one more, and one less")
        more, less = [], []
        for prefix in prefixes[PRESENT:]:
            begin = announcer.announce([prefix])
            wait_until("the Relay to have it", lambda prefix=prefix: str(prefix) in _chosen(events))  # type: ignore[misc]
            more.append(_chosen(events)[str(prefix)] - begin)
            begin = announcer.withdraw([prefix])
            wait_until("the Relay to lose it", lambda prefix=prefix: str(prefix) in _lost(events))  # type: ignore[misc]
            less.append(_lost(events)[str(prefix)] - begin)
        return {
            "fib_10000": Figure(filled, "s"),
            "fib_one_more": at_most(max(more), "s", GOAL_ONE),
            "fib_one_more_median": Figure(sorted(more)[len(more) // 2], "s"),
            "fib_one_less": at_most(max(less), "s", GOAL_ONE),
        }


def _relay(folder: Path) -> dict[str, Any]:
    underlay = [RELAY, "2001:db8:f::9"]
    server = {"name": "s1", "address": "fe80::1", "addresses": [SERVER, str(HOP)], "asn": SERVER_ASN, "peer": SERVER}
    return {
        "role": "relay",
        "name": "r1",
        "address": "fe80::ff01",
        "links": [{"interface": "eth0", "addresses": underlay}],
        "control": str(folder / "r1.sock"),
        "bgp": str(folder / "r1.bgp"),
        "servers": [server],
        "aggregates": ["2001:db8:1000::/40"],
    }


def _routes(relay: Agent) -> int:
    return int(relay.request({"request": "inspect"})["state"]["routes"])


def _chosen(events: EventLog) -> dict[str, float]:
    """Prefix -> when the Relay had it in its table."""
    return {e["prefix"]: e["t"] for e in events.events() if e["event"] == "route-chosen" and e["server"]}


def _lost(events: EventLog) -> dict[str, float]:
    return {e["prefix"]: e["t"] for e in events.events() if e["event"] == "route-chosen" and not e["server"]}


# --- both


def _speaker(net: Network, folder: Path, peer: BgpPeer, hop: IPv6Address, stack: ExitStack) -> tuple[Announcer, ExaBgp]:
    announcer = Announcer(folder / "s1.bgp", hop)
    stack.callback(announcer.close)
    program = (sys.executable, "-m", "agents.aero.bgp", str(folder / "s1.bgp"))
    speaker = BgpSpeaker(SERVER, SERVER_ASN, (peer,), program)
    exabgp = ExaBgp(net["s1"], speaker, folder / "s1-exabgp", folder / "s1.log")
    _start(exabgp, stack)
    announcer.accept()
    return announcer, exabgp


def _prefixes(count: int) -> list[IPv6Network]:
    base = int(ip_address("2001:db8:1000::"))
    return [IPv6Network((base + (number << 72), 56)) for number in range(count)]


def _start(daemon: Daemon, stack: ExitStack) -> None:
    daemon.start()
    stack.callback(daemon.stop)
