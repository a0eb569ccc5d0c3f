r"""The virtual operator that the HAARO labs share: addresses, topology, configurations of home agent and routers.

a --- mra --- isp1 --.                       ha   203.0.113.1, home addresses 203.0.113.0/24
b --- mrb --- isp1 ---+-- core --- ha        mra  203.0.113.11, 10.10.1.0/24 (foo.example.com)
c --- mrc --- isp1 --'     |  \              mrb  203.0.113.12, 10.10.2.0/24 (bar.foo.example.com)
       \----- isp2 --------'   cn           mrc  203.0.113.13, 10.10.3.0/24 (foo.example.com)

Lines of isp1: 198.51.100.10, .66, .130 for sites A, B, C, of isp2 the same in 192.0.2.0/24, each with its ISP's end
above it. A line may pass a NAT (na1: site A, isp1), which then has that address; the router behind it is 10.81.1.2. cn
198.18.9.2 is a host on the Internet. The core routes 203.0.113.0/24 and 10.10.0.0/16 to the home agent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from testbed.mininet_api import Topo
from testbed.nat import Firewall, NatBox
from testbed.nodes import Host, Router
from topologies.lab import RUNTIME, AgentSpec

HOME_AGENT = "203.0.113.1"
HOME_PREFIX = "203.0.113.0/24"
MOBILE_NETWORKS = "10.10.0.0/16"
CORRESPONDENT, CORRESPONDENT_ROUTER = "198.18.9.2", "198.18.9.1"
ISPS = {1: "198.51.100", 2: "192.0.2"}
"""Number of an ISP -> its network's first three octets."""
SHARED = 194
"""Last octet of a NAT that several sites share."""
SITES = {"a": (1, 10), "b": (2, 66), "c": (3, 130), "d": (4, 34)}
"""Letter -> number, last octet on each ISP's network."""
REALMS = {"a": "foo.example.com", "b": "bar.foo.example.com", "c": "foo.example.com", "d": "foo.example.com"}
HOME_LINK = "home"
"""A router's interface on the link to the home agent."""
SPI = 256
KEY_OCTETS = 16
NO_FILTER = {"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0}
"""Ways out and back differ (spec 7.8)."""


def opposite(address: str) -> str:
    """The other address of a point-to-point link."""
    return str(ip_address(int(ip_address(address)) ^ 1))


@dataclass(frozen=True)
class Line:
    """A site's access line to an ISP."""

    site: str
    isp: int
    nat: str = ""
    """Kind of the NAT it passes ("cone", "symmetric", "restricted") or "firewall"; empty: none."""
    shared: bool = False
    """The NAT is that of all shared lines of this ISP."""
    preference: int = 128

    @property
    def interface(self) -> str:
        """Of the router."""
        return f"isp{self.isp}"

    @property
    def public(self) -> str:
        """The address the ISP gave: of the router itself, or of its NAT."""
        return f"{ISPS[self.isp]}.{SHARED if self.shared else SITES[self.site][1]}"

    @property
    def translated(self) -> bool:
        """Whether the world sees another address than the router's own."""
        return self.nat not in ("", "firewall")

    @property
    def address(self) -> str:
        """The router's care-of address."""
        return f"10.{80 + SITES[self.site][0]}.{self.isp}.2" if self.translated else self.public

    @property
    def gateway(self) -> str:
        """The router's next hop."""
        return f"10.{80 + SITES[self.site][0]}.{self.isp}.1" if self.translated else opposite(self.public)

    @property
    def nat_name(self) -> str:
        """Node name of its NAT or firewall."""
        return f"n{self.isp}" if self.shared else f"n{self.site}{self.isp}"

    @property
    def middle(self) -> str:
        """A firewall's own address toward the ISP."""
        return f"198.18.{20 + self.isp}.{SITES[self.site][1] + 1}"


@dataclass(frozen=True)
class Site:
    """A site: router, networks, lines, and how its agent is configured."""

    letter: str
    lines: tuple[Line, ...]
    realm: str = ""
    agent: dict[str, Any] = field(default_factory=dict)
    """Further keys of agents.haaro.config.MrConfig."""
    served: dict[str, Any] = field(default_factory=dict)
    """Further keys of agents.haaro.config.Router, the home agent's entry."""
    same_as: str = ""
    """Letter of a site whose mobile network has the same addresses, in another realm."""
    home_link: bool = False
    """The router has a link to the home agent, by which the site is reached without a tunnel while it is at home."""

    @property
    def router(self) -> str:
        """Node name of the mobile router."""
        return f"mr{self.letter}"

    @property
    def number(self) -> int:
        """1, 2, 3."""
        return SITES[self.letter][0]

    @property
    def home_address(self) -> str:
        """Of the router."""
        return f"203.0.113.{10 + self.number}"

    @property
    def network(self) -> str:
        """The mobile network."""
        return f"10.10.{self._network_number}.0/24"

    @property
    def host(self) -> str:
        """Address of the host in it, whose node is named by the letter."""
        return f"10.10.{self._network_number}.2"

    @property
    def _network_number(self) -> int:
        return SITES[self.same_as or self.letter][0]

    @property
    def at_home(self) -> str:
        """The router's address on its home link."""
        return f"198.18.40.{2 * self.number}"


def site(letter: str, *, isps: tuple[int, ...] = (1,), nat: str = "", shared: bool = False, **agent: Any) -> Site:
    """A site with a line to each of these ISPs, the first preferred; all lines through such a NAT or firewall."""
    lines = tuple(Line(letter, isp, nat, shared, 128 - place) for place, isp in enumerate(isps))
    return Site(letter, lines, REALMS[letter], agent)


class HaaroTopo(Topo):
    """Core, ISPs, home agent, sites, a host on the Internet."""

    def build(self, sites: tuple[Site, ...] = (), delay: float = 0.0, **_opts: Any) -> None:
        """Names, addresses and links; nothing else.  `delay`: between home agent and core, ms one way."""
        isps = sorted({line.isp for one in sites for line in one.lines})
        routes = [(HOME_PREFIX, HOME_AGENT), (MOBILE_NETWORKS, HOME_AGENT)]
        routes += [(f"{ISPS[isp]}.0/24", f"198.18.{isp}.1") for isp in isps]
        self.addHost("core", cls=Router, role="core", routes=routes, sysctls=NO_FILTER)
        self.addHost("ha", cls=Router, role="home agent", routes=[("default", opposite(HOME_AGENT))], sysctls=NO_FILTER)
        self._point_to_point("core", "ha", "wan", HOME_AGENT, **({"delay": delay} if delay else {}))
        self.addHost("cn", cls=Host, role="correspondent", routes=[("default", CORRESPONDENT_ROUTER)])
        self._lan("core", "cn", "cn", CORRESPONDENT_ROUTER, CORRESPONDENT)
        for isp in isps:
            guarded = [line for one in sites for line in one.lines if line.isp == isp and line.nat == "firewall"]
            routes = [("default", f"198.18.{isp}.0"), *((f"{line.public}/32", line.middle) for line in guarded)]
            self.addHost(f"isp{isp}", cls=Router, role="ISP", routes=routes)
            self._point_to_point("core", f"isp{isp}", "core", f"198.18.{isp}.1")
        for one in sites:
            self._site(one)

    def _site(self, one: Site) -> None:
        routes = [("default", one.lines[0].gateway)] if one.lines else []
        self.addHost(one.router, cls=Router, role="mobile router", routes=routes, sysctls=NO_FILTER)
        gateway = one.host.removesuffix("2") + "1"
        self.addHost(one.letter, cls=Host, role="site", routes=[("default", gateway)])
        self._lan(one.router, "lan", one.letter, gateway, one.host)
        if one.home_link:
            self._point_to_point("ha", one.router, HOME_LINK, one.at_home)
        for line in one.lines:
            if line.translated:
                self._nat(line, one.router)
            elif line.nat:
                way = [("default", opposite(line.middle))]
                self.addHost(line.nat_name, cls=Firewall, outside="wan", routes=way)
                self._point_to_point(line.interface, line.nat_name, "wan", line.middle)
                self._point_to_point(line.nat_name, one.router, line.interface, line.public)
            else:
                self._point_to_point(line.interface, one.router, line.interface, line.public)

    def _nat(self, line: Line, router: str) -> None:
        """A NAT with a LAN for each router behind it."""
        if line.nat_name not in self.nodes():
            way = [("default", opposite(line.public))]
            self.addHost(line.nat_name, cls=NatBox, kind=line.nat, outside="wan", idle={"udp": 60}, routes=way)
            self._point_to_point(line.interface, line.nat_name, "wan", line.public)
        self._lan(line.nat_name, f"lan{line.site}", router, line.gateway, line.address, line.interface)

    def _point_to_point(self, above: str, node: str, interface: str, address: str, **more: Any) -> None:
        """Above's interface is named after the node."""
        self.addLink(
            above,
            node,
            intfName1=node,
            intfName2=interface,
            params1={"addresses": [f"{opposite(address)}/31"]},
            params2={"addresses": [f"{address}/31"]},
            **more,
        )

    def _lan(self, router: str, interface: str, host: str, ours: str, theirs: str, name: str = "eth0") -> None:
        self.addLink(
            router,
            host,
            intfName1=interface,
            intfName2=name,
            params1={"addresses": [f"{ours}/24"]},
            params2={"addresses": [f"{theirs}/24"]},
        )


@dataclass(frozen=True)
class HaaroPlan:
    """Everything a HAARO lab needs besides its script."""

    sites: tuple[Site, ...]
    home: dict[str, Any] = field(default_factory=dict)
    """Further keys of agents.haaro.config.HaConfig."""
    delay: float = 0.0
    """Between home agent and core, ms one way, where the kernel can delay."""

    def topo(self) -> HaaroTopo:
        """The topology."""
        return HaaroTopo(sites=self.sites, delay=self.delay)

    def agents(self) -> list[AgentSpec]:
        """The home agent first, then the routers in their order (spec §11: who registers later knows the others)."""
        keys = {one.letter: secrets.token_hex(KEY_OCTETS) for one in self.sites}
        routers = [self._router(one, keys[one.letter], number) for number, one in enumerate(self.sites)]
        return [self._home_agent(keys), *routers]

    def _home_agent(self, keys: dict[str, str]) -> AgentSpec:
        config = {
            "role": "ha",
            "name": "ha",
            "address": HOME_AGENT,
            "home_prefix": HOME_PREFIX,
            "control": f"{RUNTIME}/ha/control",
            **self.home,
        }
        routers = [{**self.served(one), "key": keys[one.letter]} for one in self.sites]
        return AgentSpec("ha", "haarod", "agents.haaro", config, secrets={"routers": routers})

    @staticmethod
    def served(one: Site) -> dict[str, Any]:
        """A router in the home agent's table, but for its key (agents.haaro.config.Router)."""
        prefixes = [{"prefix": one.network, "realm": one.realm}]
        return {"name": one.router, "home_address": one.home_address, "spi": SPI, "prefixes": prefixes} | one.served

    @staticmethod
    def _router(one: Site, key: str, turn: int) -> AgentSpec:
        config = {
            "role": "mr",
            "name": one.router,
            "home_address": one.home_address,
            "home_agent": HOME_AGENT,
            "lines": [
                {
                    "interface": line.interface,
                    "address": line.address,
                    "gateway": line.gateway,
                    "preference": line.preference,
                }
                for line in one.lines
            ],
            "control": f"{RUNTIME}/{one.router}/control",
            "spi": SPI,
            "prefixes": [one.network],
            **one.agent,
        }
        return AgentSpec(one.router, "haarod", "agents.haaro", config, secrets={"key": key}, turn=turn)

    def captures(self) -> list[tuple[str, str]]:
        """Both sides of everything that encapsulates or translates, and the end nodes."""
        found = [("ha", "wan"), ("cn", "eth0"), *(each for one in self.sites for each in self._site_captures(one))]
        return list(dict.fromkeys(found))  # sites may share a NAT

    @staticmethod
    def _site_captures(one: Site) -> Iterator[tuple[str, str]]:
        yield one.letter, "eth0"
        if one.home_link:
            yield one.router, HOME_LINK
        for line in one.lines:
            yield one.router, line.interface
            if line.nat:
                yield line.nat_name, "wan"

    def domain(self) -> dict[str, Any]:
        """Facts for the checks."""
        return {
            "family": "haaro",
            "home_agent": {"node": "ha", "interface": "wan", "address": HOME_AGENT, **self.home},
            "routers": {
                one.router: {
                    "home_address": one.home_address,
                    "networks": [{"prefix": one.network, "realm": one.realm}],
                    "host": {"node": one.letter, "address": one.host},
                    "lines": [
                        {
                            "interface": line.interface,
                            "address": line.address,
                            "public": line.public,
                            "nat": line.nat_name if line.nat else None,
                            "kind": line.nat,
                        }
                        for line in one.lines
                    ],
                    "agent": one.agent,
                    "served": one.served,
                }
                for one in self.sites
            },
            "correspondent": {"node": "cn", "address": CORRESPONDENT},
        }
