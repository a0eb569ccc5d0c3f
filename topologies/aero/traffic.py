"""Waiting and traffic of the AERO labs: real programs, announced in the event log, judged from the captures."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from testbed.validation import LabError
from testbed.waiting import NotYet, wait_until
from topologies.aero.replies import replies
from topologies.states import State, when
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

HEADERS = {4: 28, 6: 48}
"""Octets of IP and ICMP headers in front of a ping's data."""
FOLLOWED = 50
"""Pings at least that show where packets go from now on, and come back."""
LINGERING = 0.5
"""Seconds that replies may be late in the end, of requests that go on while other things happen."""
_identifiers = itertools.count(5000)


def next_identifier() -> int:
    """An ICMP identifier that no other program of the run has."""
    return next(_identifiers)


def attached(run: Run, clients: Iterable[str]) -> None:
    """Wait until Clients hold all prefixes they ask for."""
    for name in clients:
        when(run, name, "to be attached", lambda now: set(now["delegations"].values()) == {"bound"})


def used_paths(now: State) -> list[State]:
    """The path that data takes to each of a node's neighbors: as agents.aero.neighbors.Neighbor.path."""
    usable = [[path for path in one["paths"] if _usable(path)] for one in now["neighbors"]]
    return [max(reversed(paths), key=lambda path: int(path["preference"])) for paths in usable if paths]


def _usable(path: State) -> bool:
    return bool(path["preference"]) and path["reachability"] != "failed"


def settled(run: Run, nodes: Iterable[str]) -> None:
    """Wait until the sizes of all paths in use are found out one way or the other."""

    def done(now: State) -> bool:
        paths = used_paths(now)
        return bool(paths) and all(path["state"] in ("whole", "frag") for path in paths)

    for name in nodes:
        when(run, name, "to know what fits", done)


def pings(
    run: Run,
    name: str,
    node: str,
    source: str,
    peer: str,
    target: str,
    *,
    size: int = 84,
    count: int = 5,
    interval: float = 0.02,
    expect: str = "reply",
    fragment: bool = False,
    tos: int = 0,
    patience: float = 2.0,
    **more: Any,
) -> None:
    """`node` pings a target: `count` packets of `size` octets with their IP header, at once after each other.

    `expect` "reply" or "none" is what the captures must show; `fragment` leaves IPv4's DF off; `tos`: its class.
    """
    version = ip_address(target).version
    identifier = next(_identifiers)
    argv = ["ping", f"-{version}", "-n", "-q", "-e", str(identifier), "-c", str(count), "-i", str(interval)]
    argv += ["-W", str(patience), "-I", source, "-s", str(size - HEADERS[version])]
    argv += [*(("-Q", str(tos)) if tos else ()), "-M", "dont" if fragment else "do", target]
    with replies(run, node, version, identifier) as heard:
        begin = time.time()
        run.net[node].run(argv, timeout=PATIENCE)
        if expect == "reply":
            heard.until(count, patience)
    ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    _announce(run, node, begin, name=name, **ends, count=count, size=size, expect=expect, **more)


class Series:
    """Echo requests that go on while other things happen."""

    def __init__(self, node: str, process: subprocess.Popen[bytes]) -> None:
        self.sent = 0
        """As the program says when it ends."""
        self._node = node
        self._process = process
        self._replies = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def more(self, count: int) -> None:
        """Wait for so many more replies (LabError when the program ends before)."""
        goal = self._replies + count
        wait_until(f"{self._node} to hear {count} more replies", partial(self._heard, goal), timeout=PATIENCE)

    def end(self, *, now: bool) -> None:
        """Wait until the program ends, which is told to if that shall be `now`."""
        if now:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=PATIENCE)
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._replies += b"bytes from" in line
            if b"packets transmitted" in line:
                self.sent = int(line.split()[0])

    def _heard(self, goal: int) -> bool:
        if self._replies < goal and self._process.poll() is not None:
            self._reader.join()
        if self._replies >= goal:
            return True
        text = f"{self._replies} of {goal} replies"
        if self._process.poll() is not None:
            raise LabError(f"ping on {self._node} ended at {text}")
        raise NotYet(text)


@contextlib.contextmanager
def pinging(
    run: Run,
    name: str,
    node: str,
    source: str,
    peer: str,
    target: str,
    *,
    interval: float,
    count: int | None = None,
    ahead: int = 10,
) -> Iterator[Series]:
    """`node` pings a target while other things happen; it begins `ahead` replies before.

    It ends with its count, or with what happens when it has none.
    """
    identifier, version = next(_identifiers), ip_address(target).version
    argv = ["ping", f"-{version}", "-n", "-e", str(identifier), "-i", str(interval), "-W", str(LINGERING)]
    argv += [*(("-c", str(count)) if count else ()), "-I", source, "-s", "36", target]
    with replies(run, node, version, identifier) as heard:
        begin = time.time()
        series = Series(node, run.net[node].popen(argv, stderr=subprocess.DEVNULL))
        series.more(ahead)
        yield series
        series.end(now=count is None)
        heard.until(count or series.sent, LINGERING)
    ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    size = 36 + HEADERS[version]
    _announce(run, node, begin, name=name, **ends, count=count or series.sent, size=size, expect="reply")


def sweep(run: Run, name: str, node: str, source: str, peer: str, target: str, largest: int = 1500) -> None:
    """`node` sends a target one echo request of every size up to `largest` octets."""
    identifier = next(_identifiers)
    smallest = HEADERS[ip_address(target).version]
    argv = [sys.executable, "-m", "topologies.tools.size_sweep", source, target, str(identifier), "1", str(largest)]
    count = largest - smallest + 1
    begin = time.time()
    run.net[node].run(argv, timeout=PATIENCE)
    ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    _announce(run, node, begin, name=name, **ends, count=count, size=0, expect="every size")


def _announce(run: Run, node: str, begin: float, **fields: Any) -> None:
    """Say in the event log what a program sent that has ended."""
    run.events.append({"t": begin, "end": time.time(), "node": node, "agent": "lab", "event": "pings", **fields})


def encapsulated(
    run: Run, nodes: Iterable[str], encapsulation: str, *, fragments: bool = True, identifications: bool | None = None
) -> None:
    """Wait until nodes use an encapsulation toward all their neighbors, and know whether its fragments pass.

    `identifications`: whether these come as they were sent; None: no matter.
    """

    def used(now: State) -> bool:
        paths = used_paths(now)
        kinds = {str(path["lladdr"]).split()[0] for path in paths}
        known = [path["identifications"] for path in paths] if identifications is not None else []
        passing = all(path["fragments"] == fragments for path in paths)
        return kinds == {encapsulation} and passing and all(one == identifications for one in known)

    for name in nodes:
        when(run, name, f"to use {encapsulation}", used)


def first_address(prefix: str) -> str:
    """The first address of a prefix that a Client puts on its AERO interface."""
    return str(ip_network(prefix)[1])


def is_direct(now: State) -> bool:
    """Whether a Client sends to every correspondent directly."""
    stages = [pair["stage"] for one in now["neighbors"] for pair in one.get("forward", {}).values()]
    return bool(stages) and set(stages) == {"forwarding"}


def optimised(run: Run, name: str, node: str, source: str, peer: str, target: str, *, interval: float) -> None:
    """`node` pings a target until both Clients send to each other directly, and for a while longer."""
    with pinging(run, name, node, source, peer, target, interval=interval, ahead=1) as series:
        for client in ("c1", "c2"):
            when(run, client, "to use the direct path", is_direct)
        series.more(FOLLOWED)


def direct(run: Run, **where: str) -> None:
    """Wait until Clients send directly, each to the underlay address `where` the other one is now."""
    for name, address in where.items():
        when(run, name, f"to send directly, to {address}", partial(_directly, address=address))


def _directly(now: State, address: str) -> bool:
    return is_direct(now) and sends_to(now, address)


def sends_to(now: State, address: str) -> bool:
    """Whether a node uses an underlay address for one of its neighbors."""
    used = (str(path["lladdr"]).partition(" ")[2].rpartition(":")[0] for path in used_paths(now))
    return address in {host.strip("[]") for host in used}
