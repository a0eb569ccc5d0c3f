"""Local networks behind gateways, for labs about local IP access (LIPA): a printer that only its gateway reaches.

core --- dgw1 --- printer1     2001:db8:a1:ffff::/64  inside dgw1's pool aggregate
    \\--- dgw2 --- printer2     2001:db8:b2:ffff::/64  likewise
                               fd00:10ca:1::/64       and one prefix that both networks use
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.nodes import Host
from testbed.waiting import NotYet, wait_until
from topologies import traffic
from topologies.dgw.plan import DgwPlan, DgwTopo, Gateway
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

SHARED = "fd00:10ca:1::"
"""The local prefix in use twice, /64."""
INTERFACE = "loc"
"""A gateway's interface to its local network."""


@dataclass(frozen=True)
class LocalNetwork:
    """Names and addresses of the network behind one gateway."""

    gateway: Gateway

    @property
    def printer(self) -> str:
        """Node name of its host."""
        return f"printer{self.gateway.index}"

    @property
    def prefix(self) -> str:
        """Without its length, /64: inside the gateway's aggregate, so that longest match finds its prefix (LIPA-7)."""
        return self.gateway.pool.removesuffix(":/48") + "ffff::"

    @property
    def prefixes(self) -> tuple[str, str]:
        """The gateway's own one and the shared one."""
        return (f"{self.prefix}/64", f"{SHARED}/64")

    @property
    def address(self) -> str:
        """The printer's address."""
        return f"{self.prefix}99"

    @property
    def shared_address(self) -> str:
        """The address that every printer has."""
        return f"{SHARED}99"


class LocalTopo(DgwTopo):
    """The usual domain and a printer behind every gateway."""

    def build(self, gateways: int = 2, **options: Any) -> None:  # type: ignore[override]
        """Names, addresses and links; nothing else."""
        super().build(gateways=gateways, **options)
        for number in range(1, gateways + 1):
            network = LocalNetwork(Gateway(number))
            router = [f"{network.prefix}1/64", f"{SHARED}1/64"]
            host = [f"{network.address}/64", f"{network.shared_address}/64"]
            self.addHost(network.printer, cls=Host, role="host", routes=[("default", f"{network.prefix}1")])
            self.addLink(
                network.gateway.name,
                network.printer,
                intfName1=INTERFACE,
                intfName2="eth0",
                params1={"addresses": router},
                params2={"addresses": host},
            )


@dataclass(frozen=True)
class LocalPlan(DgwPlan):
    """A domain whose gateways have local networks."""

    topology = LocalTopo

    @property
    def networks(self) -> list[LocalNetwork]:
        """One per gateway."""
        return [LocalNetwork(gateway) for gateway in self.gateway_list]

    def captures(self) -> list[tuple[str, str]]:
        """As usual, and every printer."""
        return super().captures() + [(network.printer, "eth0") for network in self.networks]

    def gateway_config(self, gateway: Gateway) -> dict[str, Any]:
        """As usual, with the local networks."""
        local = {"local_prefixes": list(LocalNetwork(gateway).prefixes), "local_interfaces": [INTERFACE]}
        return super().gateway_config(gateway) | local

    def domain(self) -> dict[str, Any]:
        """As usual, and who is behind which gateway."""
        facts = super().domain()
        for network in self.networks:
            known = {"local_prefixes": list(network.prefixes), "local_hosts": [network.printer]}
            facts["gateways"][network.gateway.name] |= known
        return facts


def knock(run: Run, node: str, target: str, name: str) -> None:
    """`node`, an outsider, tries to reach a local network for the rest of the run: a real attempt, many times."""
    run.log("attempt-started", node=node, target=name, destination=target)
    run.spawn(node, ["ping", "-6", "-n", "-i", "0.2", target])


def source_for(run: Run, node: str, destination: str) -> str:
    """The source address the node's kernel takes for a new session to this destination."""
    out = run.net[node].run(["ip", "-j", "-6", "route", "get", destination], check=True).out
    chosen = json.loads(out)[0]
    run.log("source-chosen", node=node, destination=destination, route=chosen)
    return str(chosen["prefsrc"])


def local_routes(run: Run, node: str) -> list[dict[str, Any]]:
    """The node's routes to local prefixes that it learned from RAs."""
    out = run.net[node].run(["ip", "-j", "-6", "route", "show", "proto", "ra"], check=True).out
    networks = {
        prefix for lab in (run.lab.domain(run.options)["gateways"].values()) for prefix in lab["local_prefixes"]
    }
    return [route for route in json.loads(out or "[]") if route["dst"] in networks]


def dump_routes(run: Run, node: str, when: str) -> None:
    """Write the node's routing table to the event log."""
    out = run.net[node].run(["ip", "-j", "-6", "route", "show"], check=True).out
    run.log("routes", node=node, when=when, routes=json.loads(out or "[]"))


def wait_for_routes(run: Run, node: str, count: int) -> None:
    """Wait until the node has that many routes to local networks."""

    def there() -> bool:
        found = [route["dst"] for route in local_routes(run, node)]
        if len(found) != count:
            raise NotYet(f"{node} has {', '.join(found) or 'none'}")
        return True

    wait_until(f"{node} to have {count} routes to local networks", there, timeout=PATIENCE)


def session(
    run: Run, name: str, node: str, source: str, network: LocalNetwork, *, shared: bool = False
) -> traffic.Flow:
    """A session from one of the node's addresses to a printer."""
    destination = network.shared_address if shared else network.address
    return traffic.echo(run, name, node, source, network.printer, destination=destination)
