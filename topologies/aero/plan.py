"""What an AERO lab needs besides its script: options, configurations of Clients, Servers and their Keas, captures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topologies.aero.kea import KeaSettings, Pool
from topologies.aero.members import AGGREGATES, NATIVE, NATIVE_ROUTER, WIDE, Client, Lan, Server
from topologies.aero.network import AeroTopo, opposite
from topologies.lab import RUNTIME, AgentSpec, KeaSpec, RadvdSpec, option

__all__ = [
    "AGGREGATES",
    "NATIVE",
    "NATIVE_ROUTER",
    "OFF",
    "ON",
    "WIDE",
    "AeroOptions",
    "AeroPlan",
    "AeroTopo",
    "Client",
    "Lan",
    "Server",
    "TokenOptions",
    "opposite",
]
"""What a lab's file needs, from the three modules that the plan is made of."""


ON, OFF = "on", "off"


@dataclass(frozen=True)
class AeroOptions:
    """Options that every AERO lab has."""

    outer: str = option("ipv4", "IP version of the underlay that Clients attach over", ("ipv4", "ipv6"))
    encapsulation: str = option("udp", "encapsulation that nodes want for data", ("udp", "minimal", "gue", "gue1"))


@dataclass(frozen=True)
class TokenOptions(AeroOptions):
    """Options of the labs that show what happens without tokens."""

    tokens: str = option(ON, "Servers give Clients keys to prove to each other who they are", (ON, OFF))


@dataclass(frozen=True)
class AeroPlan:
    """Everything an AERO lab needs besides its script."""

    options: AeroOptions
    clients: tuple[Client, ...]
    servers: int = 1
    core_mtu: int = 1500
    dpd: str = "off"
    optimise: bool = False
    """Servers start route optimisation; labs about something else keep all data on them."""
    framing: str = "nd"
    """Of Predirects and Redirects."""
    tokens: bool = True
    """Servers give Clients keys to prove to each other who they are."""
    lease: tuple[int, int, int, int] = (60, 100, 200, 300)
    """T1, T2, preferred, valid, seconds."""

    @property
    def server_list(self) -> tuple[Server, ...]:
        """The Servers."""
        return tuple(Server(index) for index in range(1, self.servers + 1))

    def topo(self) -> AeroTopo:
        """The topology."""
        return AeroTopo(servers=self.server_list, clients=self.clients, core_mtu=self.core_mtu)

    def keas(self) -> list[KeaSpec]:
        """One per Server: pools of their own, the same reservations (spec SRV-11)."""
        reserved = {client.duid: self._reserved(client) for client in self.clients}
        return [
            KeaSpec(server.name, self._kea(server, reserved).dhcp6(), f"{RUNTIME}/{server.name}/kea")
            for server in self.server_list
        ]

    @staticmethod
    def _reserved(client: Client) -> list[str]:
        prefixes = [client.prefixes[family] for family in client.families]
        return [prefix if ":" in prefix else _mapped(prefix) for prefix in prefixes]

    def _kea(self, server: Server, reserved: dict[str, list[str]]) -> KeaSettings:
        pools = (
            Pool(f"2001:db8:10{server.index}0::/44", 56),
            Pool(f"::ffff:192.0.2.{64 + 64 * server.index}/122", 124),
        )
        t1, t2, preferred, valid = self.lease
        return KeaSettings(f"0200000000a{server.index}", pools, reserved, t1, t2, preferred, valid)

    def agents(self) -> list[AgentSpec]:
        """Servers first."""
        servers = [AgentSpec(s.name, "aerod", "agents.aero", self.server_config(s)) for s in self.server_list]
        clients = [AgentSpec(c.name, "aerod", "agents.aero", self.client_config(c)) for c in self.clients]
        return [*servers, *clients]

    def radvds(self) -> list[RadvdSpec]:
        """One for each Client with something downstream; its agent writes the configuration."""
        return [
            RadvdSpec(c.name, f"{RUNTIME}/{c.name}/radvd.conf", f"{RUNTIME}/{c.name}/radvd.pid")
            for c in self.clients
            if c.downstream
        ]

    def captures(self) -> list[tuple[str, str]]:
        """Both sides of everything that encapsulates or translates, the talk with Kea, and the end nodes."""
        servers = [(s.name, interface) for s in self.server_list for interface in ("wan", "lo")]
        nats = [(name, interface) for c in self.clients for name in c.nat_names for interface in ("wan", "lan")]
        clients = [(c.name, "wan") for c in self.clients]
        hosts = [(lan.node, "eth0") for c in self.clients for lan in c.downstream]
        return [*servers, ("g", "eth0"), *nats, *clients, *hosts]

    def domain(self) -> dict[str, Any]:
        """Facts for the checks."""
        return {
            "family": "aero",
            "aggregates": list(AGGREGATES),
            "servers": {
                s.name: {"address": s.aero_address, "underlay": list(s.underlay.values()), "interface": "wan"}
                for s in self.server_list
            },
            "clients": {
                c.name: {
                    "underlay": list(c.underlay.values()),
                    "interface": "wan",
                    "prefixes": [c.prefixes[family] for family in c.families],
                    "duid": c.duid,
                    "nats": c.nat_names,
                    "host": c.host,
                    "model": c.model,
                    "own": [address for family in c.families for address in c.own_addresses(family)],
                    "downstream": [
                        {"node": lan.node, "mode": lan.mode, "prefix": c.subnet(lan.subnet)} for lan in c.downstream
                    ],
                }
                for c in self.clients
            },
            "nats": {name: {"wan": "wan", "lan": "lan"} for c in self.clients for name in c.nat_names},
            "native": {"g": list(NATIVE.values())},
            "outer": self.options.outer,
            "encapsulation": self.options.encapsulation,
        }

    def dataplane(self) -> dict[str, Any]:
        """What all nodes want for data (agents.aero.config.DataPlaneConfig)."""
        return {"encapsulation": self.options.encapsulation, "dpd": self.dpd}

    def server_config(self, server: Server) -> dict[str, Any]:
        """The configuration of a Server (agents.aero.config.ServerConfig)."""
        return {
            "role": "server",
            "name": server.name,
            "address": server.aero_address,
            "links": [{"interface": "wan", "addresses": list(server.underlay.values())}],
            "control": f"{RUNTIME}/{server.name}/control",
            "state": f"{RUNTIME}/{server.name}/state.json",
            "aggregates": list(AGGREGATES),
            "dataplane": self.dataplane(),
            "optimisation": {"originate": self.optimise, "framing": self.framing, "tokens": self.tokens},
        }

    def client_config(self, client: Client) -> dict[str, Any]:
        """The configuration of a Client (agents.aero.config.ClientConfig)."""
        return {
            "role": "client",
            "name": client.name,
            "duid": client.duid,
            "links": [{"interface": "wan", "addresses": list(client.underlay.values())}],
            "servers": [
                {"name": server.name, "addresses": [server.underlay[self.options.outer]]} for server in self.server_list
            ],
            "control": f"{RUNTIME}/{client.name}/control",
            "state": f"{RUNTIME}/{client.name}/state.json",
            "model": client.model,
            "families": list(client.families),
            "addresses": client.addresses,
            "downstream": [
                {"interface": lan.interface, "subnet": lan.subnet, "mode": lan.mode} for lan in client.downstream
            ],
            "radvd_config": f"{RUNTIME}/{client.name}/radvd.conf" if client.downstream else "",
            "radvd_pid_file": f"{RUNTIME}/{client.name}/radvd.pid" if client.downstream else "",
            "dataplane": self.dataplane(),
            "optimisation": {"framing": self.framing},
        }


def _mapped(prefix: str) -> str:
    """An IPv4 prefix as Kea delegates it."""
    base, length = prefix.split("/")
    return f"::ffff:{base}/{96 + int(length)}"
