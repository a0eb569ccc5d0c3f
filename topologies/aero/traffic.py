"""Waiting and traffic of the AERO labs: real programs, announced in the event log, judged from the captures."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from topologies.replies import Replies
from topologies.states import State, when
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

HEADERS = {4: 28, 6: 48}
"""Octets of IP and ICMP headers in front of a ping's data."""
_identifiers = itertools.count(5000)


def next_identifier() -> int:
    """An ICMP identifier that no other program of the run has."""
    return next(_identifiers)


def attached(run: Run, clients: Iterable[str]) -> None:
    """Wait until Clients hold all prefixes they ask for."""
    for name in clients:
        when(run, name, "to be attached", lambda now: set(now["delegations"].values()) == {"bound"})


def used_paths(now: State) -> list[State]:
    """The preferred path of each of a node's neighbors."""
    return [max(one["paths"], key=lambda path: int(path["preference"])) for one in now["neighbors"] if one["paths"]]


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
    `patience`: seconds to wait for answers that are late.
    """
    version = ip_address(target).version
    identifier = next(_identifiers)
    argv = ["ping", f"-{version}", "-n", "-q", "-e", str(identifier), "-c", str(count), "-i", str(interval)]
    argv += ["-W", str(patience), "-I", source, "-s", str(size - HEADERS[version])]
    argv += [*(("-Q", str(tos)) if tos else ()), "-M", "dont" if fragment else "do", target]
    ends = (name, peer, source, target)
    late = patience if expect == "reply" else 0.0
    _announced(run, node, argv, identifier, *ends, late=late, count=count, size=size, expect=expect, **more)


@contextlib.contextmanager
def pinging(
    run: Run, name: str, node: str, source: str, peer: str, target: str, *, count: int, interval: float, ahead: int = 10
) -> Iterator[None]:
    """`node` pings a target while other things happen; it begins `ahead` replies before, and ends with its count."""
    identifier = next(_identifiers)
    argv = ["ping", f"-{ip_address(target).version}", "-n", "-e", str(identifier), "-c", str(count)]
    argv += ["-i", str(interval), "-W", "0.5", "-I", source, "-s", "36", target]
    begin = time.time()
    process = run.net[node].popen(argv, stderr=subprocess.DEVNULL)
    assert process.stdout
    replies = (line for line in process.stdout if b"icmp_seq" in line)
    for _line in itertools.islice(replies, ahead):
        pass
    yield
    process.communicate(timeout=PATIENCE)
    size = 36 + HEADERS[ip_address(target).version]
    fields = {"name": name, "peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    more = {"count": count, "size": size, "expect": "reply"}
    event = {"t": begin, "end": time.time(), "node": node, "agent": "lab", "event": "pings", **fields, **more}
    run.events.append(event)


def sweep(run: Run, name: str, node: str, source: str, peer: str, target: str, largest: int = 1500) -> None:
    """`node` sends a target one echo request of every size up to `largest` octets."""
    identifier = next(_identifiers)
    smallest = HEADERS[ip_address(target).version]
    argv = [sys.executable, "-m", "topologies.tools.size_sweep", source, target, str(identifier), "1", str(largest)]
    count = largest - smallest + 1
    _announced(run, node, argv, identifier, name, peer, source, target, count=count, size=0, expect="every size")


def _announced(
    run: Run,
    node: str,
    argv: list[str],
    identifier: int,
    name: str,
    peer: str,
    source: str,
    target: str,
    *,
    late: float = 0.0,
    **more: Any,
) -> None:
    """Run a program that sends echo requests, and say in the event log what it sent; `late`: how late answers come."""
    replies = Replies(run.net[node], ip_address(target).version) if late else None
    begin = time.time()
    run.net[node].run(argv, timeout=PATIENCE)
    if replies:
        replies.wait(more["count"], late)
    fields = {"name": name, "peer": peer, "source": source, "destination": target, "icmp_id": identifier, **more}
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
