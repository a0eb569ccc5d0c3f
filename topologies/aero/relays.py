"""The AERO link with Relays: each Server speaks BGP with each Relay, and each Relay with the native Internet.

                         core --- s1 203.0.113.1     AS 4200000001
                          | '---- s2 203.0.113.2     AS 4200000002
h1 --- c1 ----------------|
h2 --- c2 ----------------'------ r1 203.0.113.9     Relay fe80::ff01, AS 65000 --.
                          '------ r2 203.0.113.10    Relay fe80::ff02, AS 65000 --- i --- g
i is a router of the native Internet, AS 64900, with BIRD: 198.18.9n.2, 2001:db8:9n::2 toward relay n
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from testbed.exabgp import BgpPeer, BgpSpeaker
from testbed.nodes import Host, Router
from topologies.aero.lab import AeroLab
from topologies.aero.members import AGGREGATES, NATIVE, NATIVE_ROUTER, Client, Server
from topologies.aero.network import AeroTopo, opposite
from topologies.aero.plan import AeroPlan
from topologies.lab import RUNTIME, AgentSpec, BirdSpec, ExaBgpSpec

RELAY_ASN, NATIVE_ASN, SERVER_ASNS = 65000, 64900, 4200000000
NATIVE_NODE = "i"
NATIVE_NETS = ("2001:db8:9::/64", "198.18.9.0/24")


@dataclass(frozen=True)
class Relay:
    """Names and addresses of Relay number `index`."""

    index: int

    @property
    def name(self) -> str:
        """Node name."""
        return f"r{self.index}"

    @property
    def aero_address(self) -> str:
        """Address on the AERO link."""
        return f"fe80::ff{self.index:02x}"

    @property
    def underlay(self) -> dict[str, str]:
        """By IP version."""
        return {"ipv4": f"203.0.113.{8 + self.index}", "ipv6": f"2001:db8:f::{8 + self.index:x}"}

    @property
    def native(self) -> dict[str, str]:
        """Its address toward the native Internet."""
        return {"ipv6": f"2001:db8:9{self.index}::1", "ipv4": f"198.18.9{self.index}.1"}

    @property
    def neighbor(self) -> dict[str, str]:
        """The native router's address toward it."""
        return {family: address[:-1] + "2" for family, address in self.native.items()}


def server_asn(server: Server) -> int:
    """Each Server is an AS of its own (spec §8)."""
    return SERVER_ASNS + server.index


class RelayTopo(AeroTopo):
    """Relays between core and native Internet."""

    def build(  # type: ignore[override]
        self, *, relays: tuple[Relay, ...] = (), native_mtu: int = 1500, **opts: Any
    ) -> None:
        """Names, addresses and links; nothing else."""
        self._relays = relays
        self._native_mtu = native_mtu
        super().build(**opts)

    def _native(self) -> None:
        self.addHost("g", cls=Host, role="native", routes=[("default", one) for one in NATIVE_ROUTER.values()])
        self.addHost(NATIVE_NODE, cls=Router, role="native router")
        self._segment(NATIVE_NODE, "lan", NATIVE_ROUTER, "g", "eth0", NATIVE)
        for relay in self._relays:
            routes = [("default", opposite(address)) for address in relay.underlay.values()]
            routes += list(zip(NATIVE_NETS, relay.neighbor.values(), strict=True))
            self.addHost(relay.name, cls=Router, role="relay", routes=routes)
            self._to_core(relay.name, relay.underlay, 1500)
            ends = (NATIVE_NODE, relay.name, relay.neighbor, relay.name, "native", relay.native)
            self._segment(*ends, mtu=self._native_mtu)

    def _segment(
        self,
        one: str,
        interface: str,
        ours: dict[str, str],
        other: str,
        far: str,
        theirs: dict[str, str],
        mtu: int = 1500,
    ) -> None:
        lengths = {"ipv6": 64, "ipv4": 24}
        self.addLink(
            one,
            other,
            intfName1=interface,
            intfName2=far,
            params1={"addresses": [f"{address}/{lengths[family]}" for family, address in ours.items()]},
            params2={"addresses": [f"{address}/{lengths[family]}" for family, address in theirs.items()]},
            mtu=mtu,
        )


@dataclass(frozen=True)
class RelayPlan(AeroPlan):
    """An AERO link with Relays; Client n prefers Server n."""

    servers: int = 2
    relays: int = 2
    native_mtu: int = 1500
    """Of the links between Relays and the native Internet."""

    @property
    def relay_list(self) -> tuple[Relay, ...]:
        """The Relays."""
        return tuple(Relay(index) for index in range(1, self.relays + 1))

    def topo(self) -> RelayTopo:
        """The topology."""
        return RelayTopo(
            relays=self.relay_list,
            native_mtu=self.native_mtu,
            servers=self.server_list,
            clients=self.clients,
            core_mtu=self.core_mtu,
        )

    # --- BGP

    def exabgps(self) -> list[ExaBgpSpec]:
        """One per Relay and Server; Relays wait, Servers come."""
        return [*map(self._relay_speaker, self.relay_list), *map(self._server_speaker, self.server_list)]

    def _relay_speaker(self, relay: Relay) -> ExaBgpSpec:
        own = relay.underlay["ipv4"]
        servers = [BgpPeer(s.underlay["ipv4"], server_asn(s), own, listens=True) for s in self.server_list]
        native = BgpPeer(relay.neighbor["ipv4"], NATIVE_ASN, relay.native["ipv4"])
        return _speaker(relay.name, own, RELAY_ASN, (*servers, native))

    def _server_speaker(self, server: Server) -> ExaBgpSpec:
        own = server.underlay["ipv4"]
        relays = tuple(BgpPeer(relay.underlay["ipv4"], RELAY_ASN, own) for relay in self.relay_list)
        return _speaker(server.name, own, server_asn(server), relays)

    def birds(self) -> list[BirdSpec]:
        """The native Internet takes what the Relays say, and says nothing."""
        kernel = "protocol kernel { %s { export where source = RTS_BGP; }; }\n"
        body = "".join(kernel % family for family in ("ipv4", "ipv6"))
        for relay in self.relay_list:
            channels = "ipv4 { import all; export none; }; ipv6 { import all; export none; };"
            ends = f"local {relay.neighbor['ipv4']}; neighbor {relay.native['ipv4']} as {RELAY_ASN}; passive on;"
            body += f"protocol bgp {relay.name} from peer {{ {ends} {channels} }}\n"
        return [BirdSpec(NATIVE_NODE, NATIVE_ROUTER["ipv4"], NATIVE_ASN, body, f"{RUNTIME}/{NATIVE_NODE}/bird")]

    # --- agents

    def agents(self) -> list[AgentSpec]:
        """Relays first."""
        relays = [AgentSpec(r.name, "aerod", "agents.aero", self.relay_config(r)) for r in self.relay_list]
        return [*relays, *super().agents()]

    def relay_config(self, relay: Relay) -> dict[str, Any]:
        """The configuration of a Relay (agents.aero.config.RelayConfig)."""
        return {
            "role": "relay",
            "name": relay.name,
            "address": relay.aero_address,
            "links": [{"interface": "wan", "addresses": list(relay.underlay.values())}],
            "control": f"{RUNTIME}/{relay.name}/control",
            "bgp": f"{RUNTIME}/{relay.name}/bgp",
            "servers": [_permanent(server, server_asn(server)) for server in self.server_list],
            "natives": [{"peer": relay.neighbor["ipv4"], "next_hops": list(relay.native.values())}],
            "aggregates": list(AGGREGATES),
            "dataplane": self.dataplane(),
        }

    def server_config(self, server: Server) -> dict[str, Any]:
        """The configuration of a Server, with its Relays."""
        return {
            **super().server_config(server),
            "relays": [_permanent(relay, RELAY_ASN) for relay in self.relay_list],
            "bgp": f"{RUNTIME}/{server.name}/bgp",
        }

    def client_config(self, client: Client) -> dict[str, Any]:
        """The configuration of a Client: its own Server first."""
        config = super().client_config(client)
        order = config["servers"]
        first = (client.index - 1) % len(order)
        return {**config, "servers": order[first:] + order[:first]}

    # --- facts

    def captures(self) -> list[tuple[str, str]]:
        """Relays on both sides besides."""
        return [*super().captures(), *((r.name, interface) for r in self.relay_list for interface in ("wan", "native"))]

    def domain(self) -> dict[str, Any]:
        """Relays and autonomous systems besides."""
        return {
            **super().domain(),
            "relays": {
                r.name: {"address": r.aero_address, "underlay": list(r.underlay.values()), "interface": "wan"}
                for r in self.relay_list
            },
            "bgp": {
                "relay": RELAY_ASN,
                "servers": {server.name: server_asn(server) for server in self.server_list},
                "natives": {r.name: {"interface": "native", "peer": r.neighbor["ipv4"]} for r in self.relay_list},
            },
        }


class RelayLab(AeroLab):
    """A lab whose plan has Relays."""

    def exabgps(self, options: Any) -> list[ExaBgpSpec]:
        """One per Relay and Server."""
        return self._plan(options).exabgps()

    def birds(self, options: Any) -> list[BirdSpec]:
        """One for the native Internet."""
        return self._plan(options).birds()

    def _plan(self, options: Any) -> RelayPlan:
        plan = self.plan(options)
        assert isinstance(plan, RelayPlan)
        return plan


def _speaker(node: str, own: str, asn: int, peers: tuple[BgpPeer, ...]) -> ExaBgpSpec:
    program = (sys.executable, "-m", "agents.aero.bgp", f"{RUNTIME}/{node}/bgp")
    return ExaBgpSpec(node, BgpSpeaker(own, asn, peers, program), f"{RUNTIME}/{node}/exabgp")


def _permanent(node: Relay | Server, asn: int) -> dict[str, Any]:
    """How its neighbors know a Relay or a Server (agents.aero.config.PermanentNeighbor)."""
    return {
        "name": node.name,
        "address": node.aero_address,
        "addresses": list(node.underlay.values()),
        "asn": asn,
        "peer": node.underlay["ipv4"],
    }
