"""The network of the AERO labs: core router, NATs, narrow links, and what is downstream of the Clients."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any

from testbed.mininet_api import Topo
from testbed.nat import NatBox
from testbed.nodes import Host, Router
from topologies.aero.members import NAT_OUTSIDE, NATIVE, NATIVE_ROUTER, WIDE, Client, Lan, Server

AUTOCONF = {"net.ipv6.conf.default.accept_ra": 1, "net.ipv6.conf.default.autoconf": 1}
"""An ordinary host: it gets its address and router from Router Advertisements."""
ADDRESS_MASK = {4: 31, 6: 127}
"""Links to the core are point-to-point (RFC 3021, RFC 6164)."""


def opposite(address: str) -> str:
    """The other address of a point-to-point link."""
    return str(ip_address(int(ip_address(address)) ^ 1))


def masked(address: str) -> str:
    """An end of a point-to-point link with its mask."""
    return f"{address}/{ADDRESS_MASK[ip_address(address).version]}"


def _downstream_sysctls(lan: Lan) -> dict[str, int]:
    found = dict(AUTOCONF)
    if lan.router:
        found["net.ipv6.conf.default.accept_ra"] = 2  # a router listens to advertisements only if told so
    if lan.detecting:
        found["net.ipv6.conf.default.accept_dad"] = 1
    return found


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
        for lan in client.downstream:
            kind = {"cls": Router, "role": "router"} if lan.router else {"cls": Host, "role": "host"}
            self.addHost(lan.node, sysctls=_downstream_sysctls(lan), **kind)
            self.addLink(client.name, lan.node, intfName1=lan.interface, intfName2="eth0", mtu=WIDE)

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
