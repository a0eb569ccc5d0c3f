"""The AERO link that the labs share: addresses, topology, configurations of Clients, Servers and their Keas.

h1 --- c1 --- n1 (NAT) --- core --- s1 --- g     s1 203.0.113.1, 2001:db8:f::1     Server fe80::1, with its Kea
       h2 --- c2 ----------'  '---- s2           s2 203.0.113.2, 2001:db8:f::2     Server fe80::2
                                                 n1 198.51.100.1, inside 10.1.1.0/24
c1 2001:db8:1000:a000::/56, 192.0.2.16/28        c1 10.1.1.2, without NAT 198.51.100.7
c2 2001:db8:1000:b000::/56, 192.0.2.32/28        c2 203.0.113.7
h1, h2 hosts downstream of router Clients        g 2001:db8:9::2, 198.18.9.2: a native host behind s1
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any

from testbed.mininet_api import Topo
from testbed.nat import NatBox
from testbed.nodes import Host, Router
from topologies.aero.kea import KeaSettings, Pool
from topologies.lab import RUNTIME, AgentSpec, KeaSpec, RadvdSpec, option

AGGREGATES = ("2001:db8:1000::/40", "192.0.2.0/24")
NATIVE = {"ipv6": "2001:db8:9::2", "ipv4": "198.18.9.2"}
NATIVE_ROUTER = {"ipv6": "2001:db8:9::1", "ipv4": "198.18.9.1"}
LAN_SYSCTLS = {"net.ipv6.conf.default.accept_ra": 1, "net.ipv6.conf.default.autoconf": 1}
"""An ordinary host: it gets its address and router from Router Advertisements."""
ADDRESS_MASK = {4: 31, 6: 127}
"""Links to the core are point-to-point (RFC 3021, RFC 6164)."""


@dataclass(frozen=True)
class AeroOptions:
    """Options that every AERO lab has."""

    outer: str = option("ipv4", "IP version of the underlay that Clients attach over", ("ipv4", "ipv6"))
    encapsulation: str = option("udp", "encapsulation that nodes want for data", ("udp", "minimal", "gue", "gue1"))


@dataclass(frozen=True)
class Server:
    """Names and addresses of Server number `index`."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"s{self.index}"

    @property
    def aero_address(self) -> str:
        """Address on the AERO link."""
        return f"fe80::{self.index}"

    @property
    def underlay(self) -> dict[str, str]:
        """By IP version."""
        return {"ipv4": f"203.0.113.{self.index}", "ipv6": f"2001:db8:f::{self.index}"}


@dataclass(frozen=True)
class Client:
    """Names, addresses and configuration of a Client."""

    index: int
    model: str = "router"
    nats: tuple[str, ...] = ()
    """Kinds of the NATs it is behind, the outermost first: "cone", "symmetric"."""
    families: tuple[str, ...] = ("ipv6",)
    addresses: int = 1
    """How many the AERO interface holds, in models that put some there."""
    narrow: int | None = None
    """MTU of a link on its way to the core that is narrower than those around it; None: there is none."""

    @property
    def name(self) -> str:
        """Node name."""
        return f"c{self.index}"

    @property
    def host(self) -> str | None:
        """The node downstream of it."""
        return None if self.model == "host" else f"h{self.index}"

    @property
    def duid(self) -> str:
        """DHCPv6 Client-ID, hexadecimal."""
        return f"000300010200000000{0x10 + self.index:02x}"

    @property
    def prefixes(self) -> dict[str, str]:
        """What both Servers have reserved for it."""
        letter = "0ab"[self.index]
        return {"ipv6": f"2001:db8:1000:{letter}000::/56", "ipv4": f"192.0.2.{16 * self.index}/28"}

    @property
    def underlay(self) -> dict[str, str]:
        """Its own addresses, by IP version."""
        if self.nats:
            return {"ipv4": f"10.{self.index}.1.2", "ipv6": f"2001:db8:{self.index}1::2"}
        if self.index == 1:
            return {"ipv4": "198.51.100.7", "ipv6": "2001:db8:e::7"}
        return {"ipv4": "203.0.113.7", "ipv6": "2001:db8:f::7"}

    @property
    def middle(self) -> str | None:
        """The router behind the narrow link."""
        return f"m{self.index}" if self.narrow else None

    @property
    def nat_names(self) -> list[str]:
        """The NATs, outermost first."""
        return [f"n{self.index}" + "b" * number for number in range(len(self.nats))]


WIDE = 9000
"""MTU around a narrow link."""
NAT_OUTSIDE = {"ipv4": "198.51.100.1", "ipv6": "2001:db8:e::1"}
"""Of the outermost NAT of c1."""


def opposite(address: str) -> str:
    """The other address of a point-to-point link."""
    return str(ip_address(int(ip_address(address)) ^ 1))


def masked(address: str) -> str:
    """An end of a point-to-point link with its mask."""
    return f"{address}/{ADDRESS_MASK[ip_address(address).version]}"


class AeroTopo(Topo):
    """Core router, Servers, Clients with their NATs, hosts downstream, a native host."""

    def build(
        self, servers: tuple[Server, ...] = (), clients: tuple[Client, ...] = (), core_mtu: int = 1500, **_opts: Any
    ) -> None:
        """Names, addresses and links; nothing else."""
        inside = [
            (prefix, NAT_OUTSIDE["ipv6"])
            for client in clients
            if client.nats
            for prefix in (f"2001:db8:{client.index}1::/64", f"2001:db8:{client.index}2::/64")
        ]
        for client in clients:
            if client.narrow:
                way = {"ipv4": f"10.{client.index}.9.1", "ipv6": f"2001:db8:{client.index}9::1"}
                nets = {family: str(ip_interface(masked(one)).network) for family, one in client.underlay.items()}
                inside += [(nets[family], way[family]) for family in way]
        self.addHost("core", cls=Router, role="core", routes=inside)
        for server in servers:
            routes = [("default", opposite(address)) for address in server.underlay.values()]
            self.addHost(server.name, cls=Router, role="server", routes=routes)
            self._to_core(server.name, server.underlay, core_mtu)
        if servers:
            self._native()
        for client in clients:
            self._client(client, core_mtu)

    def _native(self) -> None:
        """What the native Internet is: a host, right behind the first Server."""
        self.addHost("g", cls=Host, role="native", routes=[("default", one) for one in NATIVE_ROUTER.values()])
        self._lan("s1", "native", "g", NATIVE_ROUTER, NATIVE)

    def _to_core(self, name: str, underlay: dict[str, str], mtu: int) -> None:
        self.addLink(
            "core",
            name,
            intfName1=name,
            intfName2="wan",
            params1={"addresses": [masked(opposite(address)) for address in underlay.values()]},
            params2={"addresses": [masked(address) for address in underlay.values()]},
            mtu=mtu,
        )

    def _lan(self, router: str, interface: str, host: str, ours: dict[str, str], theirs: dict[str, str]) -> None:
        lengths = {"ipv6": 64, "ipv4": 24}
        self.addLink(
            router,
            host,
            intfName1=interface,
            intfName2="eth0" if interface == "native" else "wan",
            params1={"addresses": [f"{ours[family]}/{lengths[family]}" for family in ours]},
            params2={"addresses": [f"{theirs[family]}/{lengths[family]}" for family in theirs]},
            mtu=9000 if interface == "native" else 1500,
        )

    def _client(self, client: Client, core_mtu: int) -> None:
        cls = Host if client.model == "host" else Router
        if client.nats:
            routers = {"ipv4": f"10.{client.index}.1.1", "ipv6": f"2001:db8:{client.index}1::1"}
            routes = [("default", address) for address in routers.values()]
            self.addHost(client.name, cls=cls, role="client", routes=routes)
            self._nats(client, routers, core_mtu)
        else:
            routes = [("default", opposite(address)) for address in client.underlay.values()]
            self.addHost(client.name, cls=cls, role="client", routes=routes)
            if client.narrow:
                self._behind_narrow(client, client.narrow)
            else:
                self._to_core(client.name, client.underlay, core_mtu)
        if client.host:
            self.addHost(client.host, cls=Host, role="host", sysctls=LAN_SYSCTLS)
            self.addLink(client.name, client.host, intfName1="lan", intfName2="eth0", mtu=9000)

    def _behind_narrow(self, client: Client, mtu: int) -> None:
        """core --narrow-- m --wide-- Client: neither end's own interface tells what fits."""
        assert client.middle
        way = {"ipv4": f"10.{client.index}.9.1", "ipv6": f"2001:db8:{client.index}9::1"}
        routes = [("default", opposite(address)) for address in way.values()]
        self.addHost(client.middle, cls=Router, role="router", routes=routes)
        self._to_core(client.middle, way, mtu)
        self.addLink(
            client.middle,
            client.name,
            intfName1="inside",
            intfName2="wan",
            params1={"addresses": [masked(opposite(address)) for address in client.underlay.values()]},
            params2={"addresses": [masked(address) for address in client.underlay.values()]},
            mtu=WIDE,
        )

    def _nats(self, client: Client, inside: dict[str, str], core_mtu: int) -> None:
        """The NATs from the core inward; the innermost has the Client on its LAN."""
        names = client.nat_names
        between = {"ipv4": f"10.{client.index}.2.1", "ipv6": f"2001:db8:{client.index}2::1"}
        behind = {family: address.removesuffix("1") + "2" for family, address in between.items()}
        for number, (name, kind) in enumerate(zip(names, client.nats, strict=True)):
            upward = between if number else {family: opposite(address) for family, address in NAT_OUTSIDE.items()}
            routes = [("default", address) for address in upward.values()]
            if number + 1 < len(names):
                routes.append((f"2001:db8:{client.index}1::/64", behind["ipv6"]))
            self.addHost(name, cls=NatBox, kind=kind, outside="wan", idle={"udp": 60}, routes=routes)
        self._to_core(names[0], NAT_OUTSIDE, core_mtu)
        if len(names) > 1:
            self._lan(names[0], "lan", names[1], between, behind)
        self._lan(names[-1], "lan", client.name, inside, client.underlay)


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
            if c.host
        ]

    def captures(self) -> list[tuple[str, str]]:
        """Both sides of everything that encapsulates or translates, the talk with Kea, and the end nodes."""
        servers = [(s.name, interface) for s in self.server_list for interface in ("wan", "lo")]
        nats = [(name, interface) for c in self.clients for name in c.nat_names for interface in ("wan", "lan")]
        clients = [(c.name, "wan") for c in self.clients]
        hosts = [(c.host, "eth0") for c in self.clients if c.host]
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
            "optimisation": {"originate": self.optimise, "framing": self.framing},
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
            "downstream": [{"interface": "lan"}] if client.host else [],
            "radvd_config": f"{RUNTIME}/{client.name}/radvd.conf" if client.host else "",
            "radvd_pid_file": f"{RUNTIME}/{client.name}/radvd.pid" if client.host else "",
            "dataplane": self.dataplane(),
            "optimisation": {"framing": self.framing},
        }


def _mapped(prefix: str) -> str:
    """An IPv4 prefix as Kea delegates it."""
    base, length = prefix.split("/")
    return f"::ffff:{base}/{96 + int(length)}"
