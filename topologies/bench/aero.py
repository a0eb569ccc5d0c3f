"""Packets a second through one AERO Server process, against kernel forwarding and VXLAN; Clients attaching to it.

    c1 --- s1 --- c2        IPv4 underlay, MTU 1600; inner packets are IPv6

Real Clients attach by a real Kea and carry one TCP connection; then they are killed and their link-layer addresses
taken over by a program that sends one encapsulated packet as fast as it can, and one that only keeps c2 alive in the
Server's cache.  The Server is bound to one core.  What counts is what arrives at c2's interface; since other programs
run on that core too, the goal is set for the packets per second that the Server really was on it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from agents.aero.config import EncapsulationName
from agents.aero.inner_packets import push_udp
from testbed.agent import Agent
from testbed.events import EventLog
from testbed.kea import Kea
from testbed.network import Network
from testbed.waiting import wait_until
from topologies.aero.kea import KeaSettings, Pool
from topologies.bench.attaching import attaching
from topologies.bench.blasting import FORWARDING_CORE, blaster_in, on_core, rate, tcp
from topologies.bench.figures import at_least, result
from topologies.bench.forwarding import (
    OVERLAY,
    SIZES,
    UNDERLAY,
    Measured,
    anchored,
    bench_network,
    moved_by_kernel,
    vxlan_moved,
)

PREFIXES = {"c1": "2001:db8:1000:a000::/56", "c2": "2001:db8:1000:b000::/56"}
ON_THE_WIRE: dict[EncapsulationName, tuple[str, int, bytes]] = {
    "udp": ("udp", 8060, b""),
    "minimal": ("41", 0, b""),
    "gue": ("udp", 6080, bytes((0, 41, 0, 0))),
    "gue1": ("udp", 6080, b""),
}
"""Socket, port, and octets in front of an inner IPv6 packet."""
FRAGMENTS = "44"
"""Socket of what the Server sends behind a Fragment Header in minimal encapsulation."""


@dataclass(frozen=True)
class Way:
    """How inner packets are carried."""

    encapsulation: EncapsulationName
    outer: int = 4
    """IP version."""
    headers: bool = False
    """Whether the Server puts a Fragment Header in front of each: codes 0F, 1F and 2F."""


WAYS = {
    "udp": Way("udp"),
    "minimal": Way("minimal"),
    "gue": Way("gue"),
    "gue1": Way("gue1"),
    "udp_f": Way("udp", headers=True),
    "minimal_f": Way("minimal", headers=True),
    "gue_f": Way("gue", headers=True),
    "udp_v6": Way("udp", outer=6),
    "minimal_v6": Way("minimal", outer=6),
    "gue_v6": Way("gue", outer=6),
}
GOAL = 60_000


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Measure every encapsulation and size; the kernel's figures are anchors."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder, bench_network() as net:
        progress("kernel forwarding")
        kernel = moved_by_kernel(net, OVERLAY["c2"])
        progress("kernel VXLAN")
        vxlan = vxlan_moved(net)
        measured = {name: encapsulated(net, name, Path(folder) / name, progress) for name in WAYS}
        figures = attaching(Path(folder) / "attach", progress)
    figures |= anchored("vxlan", vxlan, kernel)
    for name, found in measured.items():
        figures |= anchored(name, found, vxlan)
        for size, rate_ in found.rates.items():
            figures[f"{name}_{size}_core"] = at_least(rate_.a_cpu_second, "packets per second on a core", GOAL)
    return result("aero", figures)


# --- the Server


def encapsulated(net: Network, name: str, folder: Path, progress: Callable[[str], None]) -> Measured:
    """One way of WAYS through a Server in s1."""
    way = WAYS[name]
    kind, port, front = ON_THE_WIRE[way.encapsulation]
    servers = {client: server for client, (_own, server) in UNDERLAY[way.outer].items()}
    with ExitStack() as stack:
        progress(f"{name}: attaching")
        server, clients = _attach(net, way, folder, stack)
        addresses = {each: IPv6Network(prefix)[1] for each, prefix in PREFIXES.items()}
        os.sched_setaffinity(server.pid or 0, {FORWARDING_CORE})
        back = front + _inner(addresses["c2"], addresses["c1"], 64)
        progress(f"{name}: TCP")
        speed = tcp(net["c1"], net["c2"], str(addresses["c2"]))
        if kind == "udp":
            _kill(clients)
        keeper = stack.enter_context(blaster_in(net["c2"], kind, port, servers["c2"]))
        blaster = stack.enter_context(blaster_in(net["c1"], kind, port, servers["c1"]))
        if kind != "udp":
            # Where a protocol has no raw socket the kernel answers Protocol Unreachable, and the Server goes back to
            # UDP (spec ENC-9): not for a moment may there be none, neither for what comes behind a Fragment Header.
            for each, server_address in servers.items():
                stack.enter_context(blaster_in(net[each], FRAGMENTS, 0, server_address))
            _kill(clients)
        rates = {}
        for size in SIZES:
            progress(f"{name}: {size} octets")
            packet = _inner(addresses["c1"], addresses["c2"], size)
            keep = partial(keeper.order, f"send {back.hex()}")
            rates[size] = rate(net["c2"], blaster, front + packet, keep, partial(on_core, server.pid or 0))
        return Measured(rates, speed)


def _attach(net: Network, way: Way, folder: Path, stack: ExitStack) -> tuple[Agent, list[Agent]]:
    """The Server with both Clients in its cache, and the Clients."""
    folder.mkdir(parents=True)
    events = EventLog(folder / "events.jsonl")
    reservations = {_duid(client): [prefix] for client, prefix in PREFIXES.items()}
    pools = [Pool("2001:db8:1000::/44", 56)]
    settings = KeaSettings("0200000000aa", pools, reservations).dhcp6()
    kea = Kea(net["s1"], settings, folder / "kea", folder / "kea.log")
    _start(kea, stack)
    server = Agent(net["s1"], "aero", "agents.aero", _server(way, folder), folder, events)
    _start(server, stack)
    clients = {
        each: Agent(net[each], "aero", "agents.aero", _client(each, way, folder), folder, events) for each in PREFIXES
    }
    for client in clients.values():
        _start(client, stack)
    addresses = {each: IPv6Network(prefix)[1] for each, prefix in PREFIXES.items()}
    wait_until("both Clients to be attached", lambda: _ready(server, way.encapsulation), timeout=20)
    for one, other in (("c1", "c2"), ("c2", "c1")):
        # Large enough to make the Server prove that 1400 octets fit whole.
        large = ["ping", "-c1", "-W1", "-s1400", str(addresses[other])]
        wait_until("large packets to pass", lambda one=one, large=large: not net[one].run(large).exit)  # type: ignore[misc]
    wait_until("the sizes to be proven", lambda: _proven(server))
    return server, list(clients.values())


def _kill(clients: list[Agent]) -> None:
    """End them without a Release: the Server's entries stay."""
    for client in clients:
        client.kill()


def _start(daemon: Agent | Kea, stack: ExitStack) -> None:
    daemon.start()
    stack.callback(daemon.stop)


def _neighbors(server: Agent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.request({"request": "inspect"})["state"]["neighbors"]
    return found


def _used(neighbor: dict[str, Any]) -> dict[str, Any]:
    """The path that data takes."""
    best: dict[str, Any] = max(neighbor["paths"], key=lambda path: path["preference"])
    return best


def _ready(server: Agent, name: EncapsulationName) -> bool:
    neighbors = _neighbors(server)
    return len(neighbors) == len(PREFIXES) and all(_used(each)["lladdr"].startswith(f"{name} ") for each in neighbors)


def _proven(server: Agent) -> bool:
    return all(_used(each)["proven"] > max(SIZES) + 60 for each in _neighbors(server))


def _duid(client: str) -> str:
    return f"00030001020000000{client[1:]:0>3}"


def _server(way: Way, folder: Path) -> dict[str, Any]:
    return {
        "role": "server",
        "name": "s1",
        "address": "fe80::1",
        "links": [
            {"interface": client, "addresses": [server]} for client, (_own, server) in UNDERLAY[way.outer].items()
        ],
        "control": str(folder / "s1.sock"),
        "state": str(folder / "s1.state"),
        "aggregates": ["2001:db8:1000::/40"],
        "dataplane": {
            "encapsulation": way.encapsulation,
            "dpd": "always" if way.headers else "off",
        },
    }


def _client(client: str, way: Way, folder: Path) -> dict[str, Any]:
    own, server = UNDERLAY[way.outer][client]
    return {
        "role": "client",
        "name": client,
        "duid": _duid(client),
        "links": [{"interface": "eth0", "addresses": [own]}],
        "servers": [{"addresses": [server]}],
        "control": str(folder / f"{client}.sock"),
        "state": str(folder / f"{client}.state"),
        "dataplane": {"encapsulation": way.encapsulation},
    }


def _inner(source: IPv6Address, destination: IPv6Address, size: int) -> bytes:
    return push_udp(source, destination, 7000, 7000, bytes(size - 48))
