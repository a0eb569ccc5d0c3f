"""The distributed-anchoring domain that the D-GW labs share: addresses, topology, agent configurations.

    cn1 ---\\                       2001:db8:f::/64    correspondent node
    camera -+- core --- cmd        2001:db8:e::/64    camera;   2001:db8:c:9::/64  CMD, control plane only
               | | \\
            dgw1 dgw2 dgw3         2001:db8:c:N::/64  core links, MTU 1600: an encapsulated packet fits
              |   |    |           gateways' pools 2001:db8:a1::/48, b2::/48, c3::/48 (a /64 a node)
           cell1 cell2 cell3       radio cells; mn1, mn2 ... roam through the air between them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from testbed.mininet_api import Topo
from testbed.nodes import Air, Cell, Host, MobileHost, Router, WifiAir
from topologies.lab import RUNTIME, AgentSpec, RadvdSpec, option

CMD_ADDRESS = "2001:db8:c:9::2"
CORRESPONDENTS = {"cn1": "2001:db8:f::2", "camera": "2001:db8:e::2"}
CORE_MTU = 1600
REPOSITORY_PORT = 5213
PROTECTIONS = ("off", "auto", "xfrm", "esp")
PROTECTION_HELP = "of signalling: ESP by the kernel (xfrm) or by the agents (esp); off: the allow-list alone"
DOMAIN_NAME = "dmm.example"


MODES = "direct: gateway to gateway; with a CMD: relay, locator, proxy (RFC 8885 §3.2-3.4)"


@dataclass(frozen=True)
class DgwOptions:
    """Options that every D-GW lab has."""

    mode: str = option(
        "relay",
        MODES,
        ("relay", "locator", "proxy", "direct"),
    )
    tunnel: str = option("auto", "tunnel back end", ("auto", "seg6", "ip6tnl"))
    dflag_profile: str = option(
        "rfc8885",
        "where the D flag is (AMB-5): as published, as the seed draft drew it, or the latter at the last gateway only",
        ("rfc8885", "draft03", "mixed"),
    )
    ra_profile: str = option("deprecate", "how anchored prefixes are advertised", ("deprecate", "lowpref"))
    lifetime: int = option(300, "binding lifetime in seconds, a multiple of 4", within=(4, 4 * 0xFFFF))
    protection: str = option(
        "off",
        PROTECTION_HELP,
        PROTECTIONS,
    )
    timestamp_window: float = option(0.3, "how far clocks may differ, seconds", within=(0, 3600))
    radio: str = option("bridge", "cells: bridges, or real 802.11 where the kernel has it", ("bridge", "wifi"))
    security: str = option("open", "802.11: open, WPA2, WPA2 with fast transitions", ("open", "wpa2", "wpa2-ft"))
    delay: float = option(0.0, "between the CMD and the core, ms one way, where the kernel can delay")


@dataclass(frozen=True)
class Gateway:
    """Names and addresses of gateway number `index` (1..15)."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"dgw{self.index}"

    @property
    def cell(self) -> str:
        """Its radio cell."""
        return f"cell{self.index}"

    @property
    def address(self) -> str:
        """P-CoA."""
        return f"2001:db8:c:{self.index}::2"

    @property
    def core(self) -> str:
        """The core router's address on its link."""
        return f"2001:db8:c:{self.index}::1"

    @property
    def pool(self) -> str:
        """Prefix pool: a1, b2, c3, d4 ... as in the protocol's worked examples."""
        return f"2001:db8:{9 + self.index:x}{self.index:x}::/48"

    @property
    def files(self) -> str:
        """Where its run-time files are."""
        return f"{RUNTIME}/{self.name}"


@dataclass(frozen=True)
class Mobile:
    """Names and addresses of mobile node number `index`."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"mn{self.index}"

    @property
    def mac(self) -> str:
        """Link-layer address."""
        return f"02:00:00:00:{self.index >> 8:02x}:{(0x10 + self.index) & 0xFF:02x}"

    @property
    def mn_id(self) -> str:
        """NAI."""
        return f"{self.name}@{DOMAIN_NAME}"


class DgwTopo(Topo):
    """Core router, gateways with a radio cell each, CMD, correspondents, mobile nodes."""

    def build(
        self,
        gateways: int = 2,
        mobiles: int = 1,
        correspondents: tuple[str, ...] = ("cn1",),
        central: str = "cmd",
        central_role: str = "cmd",
        routes: tuple[tuple[str, str], ...] = (),
        security: str | None = None,
        delay: float = 0.0,
        **_opts: Any,
    ) -> None:
        """Names, addresses and links; nothing else.

        central: the node all gateways know; security: the cells are real 802.11, protected so; delay: between core
        and central node, ms one way.
        """
        numbers = [Gateway(i) for i in range(1, gateways + 1)]
        pools = [(gateway.pool, gateway.address) for gateway in numbers]
        core = self.addHost("core", cls=Router, role="core", routes=[*pools, *routes])
        air = self.addSwitch("air", cls=WifiAir, security=security) if security else self.addSwitch("air", cls=Air)
        for gateway in numbers:
            self._add_gateway(core, gateway)
        self._add_leaf(core, central, central_role, CMD_ADDRESS, **({"delay": delay} if delay else {}))
        for name in correspondents:
            self._add_leaf(core, name, "correspondent", CORRESPONDENTS[name])
        for mobile in map(Mobile, range(1, mobiles + 1)):
            self.addHost(mobile.name, cls=MobileHost, role="mobile")
            self.addLink(mobile.name, air, intfName1="eth0", params1={"mac": mobile.mac})

    def _add_gateway(self, core: str, gateway: Gateway) -> None:
        self.addHost(gateway.name, cls=Router, role="gateway", routes=[("default", gateway.core)])
        self.addSwitch(gateway.cell, cls=Cell, air="air")
        self.addLink(
            core,
            gateway.name,
            intfName1=gateway.name,
            intfName2="wan",
            params1={"addresses": [f"{gateway.core}/64"]},
            params2={"addresses": [f"{gateway.address}/64"]},
            mtu=CORE_MTU,
        )
        self.addLink(gateway.name, gateway.cell, intfName1="phy")

    def _add_leaf(self, core: str, name: str, role: str, address: str, **link: Any) -> None:
        router = address.removesuffix("2") + "1"
        self.addHost(name, cls=Host, role=role, routes=[("default", router)])
        self.addLink(
            core,
            name,
            intfName1=name,
            intfName2="eth0",
            params1={"addresses": [f"{router}/64"]},
            params2={"addresses": [f"{address}/64"]},
            mtu=CORE_MTU if role in ("cmd", "lma") else 1500,
            **link,
        )


@dataclass(frozen=True)
class DgwPlan:
    """Everything a D-GW lab needs besides its script; a lab with more to it overrides what differs."""

    options: DgwOptions
    gateways: int
    mobiles: int
    correspondents: tuple[str, ...]
    rate: int = 3
    """PBUs a second to one node; 0: no limit."""
    central: str = "cmd"
    """Name of the central node."""

    @property
    def gateway_list(self) -> list[Gateway]:
        """The gateways."""
        return [Gateway(i) for i in range(1, self.gateways + 1)]

    @property
    def mobile_list(self) -> list[Mobile]:
        """The mobile nodes."""
        return [Mobile(i) for i in range(1, self.mobiles + 1)]

    def pool_at(self, gateway: Gateway) -> str:
        """Where the address comes from that a node gets at a gateway."""
        return gateway.pool

    topology: ClassVar[type[DgwTopo]] = DgwTopo
    """What the lab is built as."""

    def topo(self) -> Topo:
        """The topology."""
        return self.topology(**self.topo_options())

    def topo_options(self) -> dict[str, Any]:
        """Size and links, as the topology's `build` takes them."""
        return {
            "gateways": self.gateways,
            "mobiles": self.mobiles,
            "correspondents": self.correspondents,
            "central": self.central,
            "security": self.options.security if self.options.radio == "wifi" else None,
            "delay": self.options.delay,
        }

    def agents(self) -> list[AgentSpec]:
        """The central node first, then the gateways."""
        gateways = [
            AgentSpec(gateway.name, "dgw", "agents.dgw", self.gateway_config(gateway), (gateway.cell,))
            for gateway in self.gateway_list
        ]
        return [self.central_agent(), *gateways]

    def central_agent(self) -> AgentSpec:
        """What runs at the central node."""
        return AgentSpec(self.central, "cmd", "agents.dgw", self.cmd_config())

    def radvds(self) -> list[RadvdSpec]:
        """One per gateway; the gateway's agent writes its configuration."""
        return [RadvdSpec(g.name, f"{g.files}/radvd.conf", f"{g.files}/radvd.pid") for g in self.gateway_list]

    def captures(self) -> list[tuple[str, str]]:
        """Both sides of every gateway, and every end node."""
        gateways = [(gateway.name, interface) for gateway in self.gateway_list for interface in ("wan", "phy")]
        ends = [self.central, *self.correspondents, *(mobile.name for mobile in self.mobile_list)]
        return gateways + [(name, "eth0") for name in ends]

    def domain(self) -> dict[str, Any]:
        """Facts for the checks."""
        return {
            "gateways": {
                g.name: {
                    "address": g.address,
                    "pool": g.pool,
                    "wan": "wan",
                    "phy": "phy",
                    "dflag_profile": self.dflag_profile(g),
                }
                for g in self.gateway_list
            },
            "cmd": {"node": self.central, "address": CMD_ADDRESS, "interface": "eth0"},
            "mobiles": {m.name: {"mn_id": m.mn_id, "mac": m.mac, "interface": "eth0"} for m in self.mobile_list},
            "correspondents": {name: CORRESPONDENTS[name] for name in self.correspondents},
            "mode": self.options.mode,
            "ra_profile": self.options.ra_profile,
            "repository_port": REPOSITORY_PORT,
        }

    def gateway_config(self, gateway: Gateway) -> dict[str, Any]:
        """The configuration of one gateway's agent (agents.dgw.config.GatewayConfig)."""
        return {
            "role": "gateway",
            "name": gateway.name,
            "index": gateway.index,
            "mode": self.options.mode,
            "address": gateway.address,
            "pool": gateway.pool,
            "wan": "wan",
            "phy": "phy",
            "cmd": CMD_ADDRESS,
            "peers": [
                {**peer_config(peer), "dflag_profile": self.dflag_profile(gateway, peer)}
                for peer in self.gateway_list
                if peer != gateway
            ],
            "dflag_profile": self.dflag_profile(gateway),
            "profiles": self.profiles(),
            "radvd": {"config": f"{gateway.files}/radvd.conf", "pid_file": f"{gateway.files}/radvd.pid"},
            "control": f"{gateway.files}/control",
            "state": f"{gateway.files}/state.json",
            "tunnel": self.options.tunnel,
            "repository_port": REPOSITORY_PORT,
            "timing": self.timing(),
            "advertisements": {"profile": self.options.ra_profile},
        }

    def cmd_config(self) -> dict[str, Any]:
        """The configuration of the CMD (agents.dgw.config.CmdConfig)."""
        return {
            "role": "cmd",
            "name": self.central,
            "mode": self.options.mode,
            "address": CMD_ADDRESS,
            "gateways": [
                {**peer_config(gateway), "dflag_profile": self.dflag_profile(gateway)} for gateway in self.gateway_list
            ],
            "profiles": self.profiles(),
            "control": f"{RUNTIME}/{self.central}/control",
            "state": f"{RUNTIME}/{self.central}/state.json",
            "repository_port": REPOSITORY_PORT,
            "timing": self.timing(),
        }

    def dflag_profile(self, *ends: Gateway) -> str:
        """Where the D flag is in messages of a gateway, or between two of them (spec AMB-5)."""
        chosen = self.options.dflag_profile
        if chosen == "mixed":
            return "draft03" if self.gateway_list[-1] in ends else "rfc8885"
        return chosen

    def profiles(self) -> list[dict[str, Any]]:
        """The mobile nodes' policy profiles."""
        return [{"name": m.name, "mn_id": m.mn_id, "mac": m.mac} for m in self.mobile_list]

    def timing(self) -> dict[str, Any]:
        """Timers and limits of all agents."""
        return {
            "lifetime": self.options.lifetime,
            "rate": self.rate,
            # what is stamped on one side of the CMD's link may be judged on the other after crossing it twice
            "timestamp_window": self.options.timestamp_window + 2 * self.options.delay / 1000,
        }


def peer_config(gateway: Gateway) -> dict[str, Any]:
    """How other agents know a gateway."""
    return {
        "name": gateway.name,
        "index": gateway.index,
        "address": gateway.address,
        "pool": gateway.pool,
    }
