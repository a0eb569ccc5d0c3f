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
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host
from testbed.segmentation import cut_before_the_wire
from testbed.waiting import wait_until
from topologies.aero.kea import KeaSettings, Pool
from topologies.bench.attaching import attaching
from topologies.bench.blasting import FORWARDING_CORE, Rate, blaster_in, on_core, rate, tcp
from topologies.bench.figures import Figure, at_least, result

UNDERLAY = {
    4: {"c1": ("10.0.1.2", "10.0.1.1"), "c2": ("10.0.2.2", "10.0.2.1")},
    6: {"c1": ("2001:db8:9:1::2", "2001:db8:9:1::1"), "c2": ("2001:db8:9:2::2", "2001:db8:9:2::1")},
}
"""By IP version: a Client's address and its Server's."""
OVERLAY = {"c1": "2001:db8:3:1::2", "c2": "2001:db8:3:2::2"}
"""Addresses for kernel forwarding and VXLAN."""
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
SIZES = (64, 512, 1400)
"""Octets of the inner packet."""
GOAL = 60_000
MTU = 1600


class BenchTopo(Topo):
    """Two Clients on links of their own to one Server."""

    def build(self, **_opts: Any) -> None:
        """Names, addresses and links."""
        self.addHost("s1", cls=Host)
        for name, (own, server) in UNDERLAY[4].items():
            own6, server6 = UNDERLAY[6][name]
            overlay = OVERLAY[name]
            routes = [("default", server), ("default", overlay[:-1] + "1")]
            self.addHost(name, cls=Host, routes=routes)
            self.addLink(
                "s1",
                name,
                intfName1=name,
                intfName2="eth0",
                params1={"addresses": [f"{server}/24", f"{overlay[:-1]}1/64", f"{server6}/64"]},
                params2={"addresses": [f"{own}/24", f"{overlay}/64", f"{own6}/64"]},
                mtu=MTU,
            )


@dataclass(frozen=True)
class _Measured:
    """One way of getting packets from c1 to c2."""

    rates: dict[int, Rate]
    """By octets of the inner packet."""
    tcp: float
    """Gbit/s."""


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Measure every encapsulation and size; the kernel's figures are anchors."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as folder, Network(BenchTopo()) as net:
        for name in ("net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"):
            net["s1"].sysctl(name, 1)
        cut_before_the_wire([net["s1"]])  # what is counted behind it must be what is on it
        progress("kernel forwarding")
        kernel = _moved_by_kernel(net, OVERLAY["c2"])
        progress("kernel VXLAN")
        vxlan = _vxlan(net)
        measured = {name: _encapsulated(net, name, Path(folder) / name, progress) for name in WAYS}
        figures = attaching(Path(folder) / "attach", progress)
    figures |= _anchored("vxlan", vxlan, kernel)
    for name, found in measured.items():
        figures |= _anchored(name, found, vxlan)
        for size, rate_ in found.rates.items():
            figures[f"{name}_{size}_core"] = at_least(rate_.a_cpu_second, "packets per second on a core", GOAL)
    return result("aero", figures)


def _anchored(name: str, found: _Measured, anchor: _Measured) -> dict[str, Figure]:
    figures = {}
    for size, each in found.rates.items():
        against = anchor.rates[size].a_second
        figures[f"{name}_{size}"] = Figure(each.a_second, "packets/s", against, each.a_second / against)
    figures[f"{name}_tcp"] = Figure(found.tcp, "Gbit/s", anchor.tcp, found.tcp / anchor.tcp)
    return figures


# --- anchors: the same packets, moved by the kernel


def _moved_by_kernel(net: Network, destination: str) -> _Measured:
    speed = tcp(net["c1"], net["c2"], destination)
    with blaster_in(net["c1"], "udp", 7000, destination) as blaster:
        return _Measured({size: rate(net["c2"], blaster, bytes(size - 48)) for size in SIZES}, speed)


def _vxlan(net: Network) -> _Measured:
    with ExitStack() as stack:
        for number, (name, (own, server)) in enumerate(UNDERLAY[4].items(), start=1):
            far = f"fd00:{number}::"
            for node, local, remote, end in ((net[name], own, server, "2"), (net["s1"], server, own, "1")):
                device = f"vx{number}"
                lower = "eth0" if end == "2" else name
                kind = f"vxlan id {number} local {local} remote {remote} dstport 4789 dev {lower}".split()
                node.run(["ip", "link", "add", device, "mtu", "1500", "type", *kind], check=True)
                stack.callback(node.run, ["ip", "link", "delete", device])
                node.run(["ip", "address", "add", f"{far}{end}/64", "dev", device, "nodad"], check=True)
                node.run(["ip", "link", "set", device, "up"], check=True)
            other = f"fd00:{3 - number}::/64"
            net[name].run(["ip", "-6", "route", "add", other, "via", f"{far}1"], check=True)
        wait_until("VXLAN to carry packets", lambda: not net["c1"].run(["ping", "-c1", "-W1", "fd00:2::2"]).exit)
        return _moved_by_kernel(net, "fd00:2::2")


# --- the Server


def _encapsulated(net: Network, name: str, folder: Path, progress: Callable[[str], None]) -> _Measured:
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
        return _Measured(rates, speed)


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
