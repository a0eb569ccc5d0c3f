"""Waiting and traffic of the AERO labs: real programs, announced in the event log, judged from the captures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from topologies.pings import HEADERS, Series, announce, next_identifier, pinging
from topologies.states import State, when
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

FOLLOWED = 50
"""Pings at least that show where packets go from now on, and come back."""


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


def sweep(run: Run, name: str, node: str, source: str, peer: str, target: str, largest: int = 1500) -> None:
    """`node` sends a target one echo request of every size up to `largest` octets."""
    identifier = next_identifier()
    smallest = HEADERS[ip_address(target).version]
    argv = [sys.executable, "-m", "topologies.tools.size_sweep", source, target, str(identifier), "1", str(largest)]
    count = largest - smallest + 1
    begin = time.time()
    run.net[node].run(argv, timeout=PATIENCE)
    ends = {"peer": peer, "source": source, "destination": target, "icmp_id": identifier}
    announce(run, node, begin, name=name, **ends, count=count, size=0, expect="every size")


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
    with pinging(Series(run, name, node, source, peer, target, interval=interval), ahead=1) as series:
        for client in ("c1", "c2"):
            when(run, client, "to use the direct path", is_direct)
        series.go_on(FOLLOWED)


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
