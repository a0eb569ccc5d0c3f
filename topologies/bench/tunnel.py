"""Throughput of a gateway-to-gateway tunnel against plain forwarding over the same hops, in one run.

    left --- gw1 --- core --- gw2 --- right        core links 1600, access 1460: the same packets on both paths

The tunnelled prefixes are anchored routes that the D-GW's own executor installs; the plain ones are static routes.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from agents.dgw.executor import Executor, Settings
from agents.dgw.forwarding import AnchorRoute, Tunnel, TunnelGate
from testbed.features import tunnel_backend
from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host, Router
from testbed.validation import LabError
from testbed.waiting import wait_until
from topologies.bench.figures import Figure, at_least, result

GATEWAYS = {"gw1": "2001:db8:c:1::2", "gw2": "2001:db8:c:2::2"}
PLAIN = {"left": "2001:db8:1::2", "right": "2001:db8:2::2"}
TUNNELLED = {"left": "2001:db8:11::2", "right": "2001:db8:12::2"}
ROUNDS = 5
"""Measurements of each path, taken in turn; the median counts."""
SECONDS = 2
SMALL = 64
"""Octets of a small datagram's payload."""
ACCESS_MTU = 1460


class TunnelTopo(Topo):
    """Two hosts behind two gateways; each host has a plain and a tunnelled address."""

    def build(self, **_opts: Any) -> None:
        """Names, addresses and links."""
        routes = [("2001:db8:1::/64", GATEWAYS["gw1"]), ("2001:db8:2::/64", GATEWAYS["gw2"])]
        core = self.addHost("core", cls=Router, routes=routes)
        for number, (gateway, host) in enumerate((("gw1", "left"), ("gw2", "right")), start=1):
            access = [PLAIN[host], TUNNELLED[host]]
            near = [f"{address.removesuffix('2')}1/64" for address in access]
            self.addHost(gateway, cls=Router, routes=[("default", f"2001:db8:c:{number}::1")])
            self.addHost(host, cls=Host, routes=[("default", near[0].removesuffix("/64"))])
            self.addLink(
                core,
                gateway,
                intfName1=gateway,
                intfName2="wan",
                params1={"addresses": [f"2001:db8:c:{number}::1/64"]},
                params2={"addresses": [f"{GATEWAYS[gateway]}/64"]},
                mtu=1600,
            )
            self.addLink(
                gateway,
                host,
                intfName1="lan",
                intfName2="eth0",
                params1={"addresses": near},
                params2={"addresses": [f"{address}/64" for address in access]},
                mtu=ACCESS_MTU,
            )


def run(progress: Callable[[str], None] = lambda _text: None) -> dict[str, Any]:
    """Measure TCP throughput (Gbit/s) and 64-octet datagrams (per second) on both paths (needs iperf3)."""
    with Network(TunnelTopo()) as net, ExitStack() as stack:
        for gateway, other, host in (("gw1", "gw2", "right"), ("gw2", "gw1", "left")):
            _tunnel(net, stack, gateway, GATEWAYS[other], TUNNELLED[host])
        net["right"].popen(["iperf3", "--server"])
        wait_until("iperf3 to listen", lambda: net["right"].run(["ss", "-Htln", "sport = :5201"]).out)
        tcp: dict[str, list[float]] = {"plain": [], "tunnel": []}
        pps: dict[str, list[float]] = {"plain": [], "tunnel": []}
        for number in range(1, ROUNDS + 1):
            for path, addresses in (("plain", PLAIN), ("tunnel", TUNNELLED)):
                progress(f"round {number} of {ROUNDS}: {path}")
                tcp[path].append(_iperf(net, addresses, [])["bits_per_second"] / 1e9)
                small = ["--udp", "--bitrate", "0", "--length", str(SMALL)]
                report = _iperf(net, addresses, small)
                pps[path].append((report["packets"] - report["lost_packets"]) / report["seconds"])
    return result("tunnel", {**_figures("tcp", tcp, "Gbit/s", 0.85), **_figures("pps", pps, "packets/s", None)})


def _tunnel(net: Network, stack: ExitStack, gateway: str, peer: str, remote: str) -> None:
    """Route the far host's tunnelled prefix through a tunnel, exactly as an anchoring D-GW does."""
    far = IPv6Network((remote, 64), strict=False)
    near = IPv6Network((TUNNELLED["left" if gateway == "gw1" else "right"], 64), strict=False)
    address = IPv6Address(peer)
    with net[gateway].entered():
        executor = Executor(Settings(IPv6Address(GATEWAYS[gateway]), phy=None))
        stack.callback(executor.close)
        executor.prepare()
        tunnel = Tunnel(address)
        gates = [TunnelGate(address, far, "source"), TunnelGate(address, near, "destination")]
        executor.adopt([tunnel, *gates, AnchorRoute(far, address)])


def _iperf(net: Network, addresses: dict[str, str], options: list[str]) -> dict[str, Any]:
    argv = ["iperf3", "--client", addresses["right"], "--bind", addresses["left"], "--json"]
    done = net["left"].run([*argv, "--time", str(SECONDS), *options], timeout=SECONDS + 20)
    report: dict[str, Any] = json.loads(done.out or "{}")
    if "error" in report or "end" not in report:
        raise LabError(f"iperf3 to {addresses['right']}: {report.get('error', done.err.strip())}")
    end = report["end"]
    summary: dict[str, Any] = end["sum"] if "--udp" in options else end["sum_received"]
    return summary


def _figures(name: str, measured: dict[str, list[float]], unit: str, goal: float | None) -> dict[str, Figure]:
    tunnel, plain = (statistics.median(measured[path]) for path in ("tunnel", "plain"))
    share = f"of plain forwarding ({tunnel_backend()})"
    ratio = at_least(tunnel / plain, share, goal) if goal else Figure(tunnel / plain, share)
    return {f"{name}_ratio": ratio, f"{name}_tunnel": Figure(tunnel, unit, anchor=plain, ratio=tunnel / plain)}
