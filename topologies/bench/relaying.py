"""Packets through a HAARO home agent's process, from tunnel to tunnel, against kernel, VXLAN and an AERO Server.

Real routers register from c1 and c2 with a home agent in s1 and carry one TCP connection; then they are killed and
their tunnels' outer addresses taken over by a program that sends one encapsulated packet as fast as it can.  A second
pair of routers has found its direct path: its TCP connection passes both routers' processes, and the kernel of s1.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from agents.haaro.config import Encapsulation
from agents.haaro.inner import push_udp
from agents.wire.mip4 import TUNNEL_IP
from testbed.agent import Agent
from testbed.events import EventLog
from testbed.network import Network
from testbed.waiting import wait_until
from topologies.bench import aero
from topologies.bench.blasting import FORWARDING_CORE, blaster_in, on_core, rate, tcp
from topologies.bench.figures import Figure
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

HOME_AGENT = "203.0.113.1"
HOMES = {"c1": "203.0.113.11", "c2": "203.0.113.12"}
NETWORKS = {"c1": "10.10.1.0/24", "c2": "10.10.2.0/24"}
KEY = "aa" * 16
PORT, IP_IN_IP = 434, 4
WAYS: dict[Encapsulation, tuple[str, int, bytes]] = {
    "udp": ("udp", PORT, TUNNEL_IP),
    "ipip": (str(IP_IN_IP), 0, b""),
}
"""Socket, port, and octets in front of an inner packet."""
HEADERS = 28
"""Octets of inner IPv4 and UDP."""


def relaying(progress: Callable[[str], None]) -> dict[str, Figure]:
    """Every encapsulation and size, against VXLAN; of packets per second on a core, against AERO's in UDP."""
    with tempfile.TemporaryDirectory(prefix="roamlab-bench-") as name:
        folder = Path(name)
        with bench_network() as net:
            progress("kernel forwarding")
            kernel = moved_by_kernel(net, OVERLAY["c2"])
            progress("kernel VXLAN")
            vxlan = vxlan_moved(net)
            peer = aero.encapsulated(net, "udp", folder / "aero", lambda text: progress(f"AERO {text}"))
        with bench_network() as net:
            _prepare(net)
            relayed = {way: _relayed(net, way, folder / way, progress) for way in WAYS}
            direct = {way: _direct(net, way, folder / f"direct-{way}", progress) for way in WAYS}
    figures = anchored("vxlan", vxlan, kernel) | anchored("aero", peer, vxlan)
    for way, found in relayed.items():
        figures |= anchored(f"ha_{way}", found, vxlan)
        for size, each in found.rates.items():
            other = peer.rates[size].a_cpu_second
            ratio = each.a_cpu_second / other
            figures[f"ha_{way}_{size}_core"] = Figure(each.a_cpu_second, "packets per second on a core", other, ratio)
        figures[f"direct_{way}_tcp"] = Figure(direct[way], "Gbit/s", vxlan.tcp, direct[way] / vxlan.tcp)
    return figures


def _prepare(net: Network) -> None:
    """The home agent's address, and a host's in each mobile network."""
    net["s1"].run(["ip", "address", "add", f"{HOME_AGENT}/32", "dev", "lo"], check=True)
    for end in NETWORKS:
        net[end].run(["ip", "address", "add", f"{_host(end)}/32", "dev", "lo"], check=True)
        # A route of its own, so that what sends beside a router does so from the line's address.
        net[end].run(["ip", "route", "add", HOME_AGENT, "via", UNDERLAY[4][end][1]], check=True)


def _host(end: str) -> IPv4Address:
    return IPv4Network(NETWORKS[end])[1]


def _relayed(net: Network, way: Encapsulation, folder: Path, progress: Callable[[str], None]) -> Measured:
    kind, port, front = WAYS[way]
    with ExitStack() as stack:
        progress(f"home agent, {way}: TCP")
        agent, routers = _start(net, way, folder, stack, capability=False)
        os.sched_setaffinity(agent.pid or 0, {FORWARDING_CORE})
        speed = _tcp(net)
        if kind == "udp":
            _kill(routers)
        keeper = stack.enter_context(blaster_in(net["c2"], kind, port, HOME_AGENT))
        blaster = stack.enter_context(blaster_in(net["c1"], kind, port, HOME_AGENT))
        if kind != "udp":  # with no raw socket at all the kernel would answer Protocol Unreachable for a moment
            _kill(routers)
        back = front + push_udp(_host("c2"), _host("c1"), (7000, 7000), b"")
        rates = {}
        for size in SIZES:
            progress(f"home agent, {way}: {size} octets")
            packet = front + push_udp(_host("c1"), _host("c2"), (7000, 7000), bytes(size - HEADERS))
            keep = partial(keeper.order, f"send {back.hex()}")
            rates[size] = rate(net["c2"], blaster, packet, keep, partial(on_core, agent.pid or 0))
        return Measured(rates, speed)


def _direct(net: Network, way: Encapsulation, folder: Path, progress: Callable[[str], None]) -> float:
    """Gbit/s of a TCP connection between two routers."""
    with ExitStack() as stack:
        progress(f"direct, {way}: TCP")
        _agent, routers = _start(net, way, folder, stack, capability=True)

        def settled() -> bool:
            ping = ["ping", "-c1", "-W1", "-I", str(_host("c1")), str(_host("c2"))]
            net["c1"].run(ping)
            return all(_routed(routers[one], HOMES[other]) for one, other in (("c1", "c2"), ("c2", "c1")))

        wait_until("the direct path", settled, timeout=15)
        return _tcp(net)


def _routed(router: Agent, home: str) -> bool:
    items: list[str] = _state(router)["items"]
    return any(item.startswith(f"route {home}/32") for item in items)


def _tcp(net: Network) -> float:
    return tcp(net["c1"], net["c2"], str(_host("c2")), source=str(_host("c1")))


def _start(
    net: Network, way: Encapsulation, folder: Path, stack: ExitStack, *, capability: bool
) -> tuple[Agent, dict[str, Agent]]:
    """Home agent and routers, registered."""
    folder.mkdir(parents=True)
    events = EventLog(folder / "events.jsonl")
    served = [
        {"name": end, "home_address": HOMES[end], "key": KEY, "prefixes": [{"prefix": NETWORKS[end]}]} for end in HOMES
    ]
    agent = Agent(net["s1"], "haaro", "agents.haaro", _home_agent(served, folder), folder, events)
    routers = {
        end: Agent(net[end], "haaro", "agents.haaro", _router(end, way, folder, capability), folder, events)
        for end in HOMES
    }
    for each in (agent, *routers.values()):
        each.start()
        stack.callback(each.stop)
    for end, router in routers.items():
        wait_until(f"{end} to be registered", lambda router=router: _state(router)["registered"])  # type: ignore[misc]
    return agent, routers


def _state(agent: Agent) -> dict[str, Any]:
    found: dict[str, Any] = agent.request({"request": "inspect"})["state"]
    return found


def _kill(routers: dict[str, Agent]) -> None:
    """End them without a word: the home agent's bindings stay."""
    for router in routers.values():
        router.kill()


def _home_agent(served: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    ends = {"address": HOME_AGENT, "control": str(folder / "ha.sock")}
    return {"role": "ha", "name": "ha", "routers": served, "tunnel": "tun", **ends}


def _router(end: str, way: Encapsulation, folder: Path, capability: bool) -> dict[str, Any]:
    own, gateway = UNDERLAY[4][end]
    return {
        "role": "mr",
        "name": end,
        "home_address": HOMES[end],
        "home_agent": HOME_AGENT,
        "key": KEY,
        "prefixes": [NETWORKS[end]],
        "lines": [{"interface": "eth0", "address": own, "gateway": gateway}],
        "control": str(folder / f"{end}.sock"),
        "force_udp": way == "udp",
        "encapsulation": way,
        "capability": capability,
        "tunnel": "tun",
    }
