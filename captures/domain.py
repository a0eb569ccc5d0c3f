"""The domain as lab.json describes it: gateways, mobile nodes, who anchors what, between whom tunnels go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from captures import layers
from captures.decode import inside

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A distributed gateway (D-GW) as lab.json describes it."""

    name: str
    address: IPv6Address
    pool: IPv6Network
    wan: str
    phy: str
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Networks that only this gateway reaches (spec §5.5)."""
    local_hosts: tuple[str, ...] = ()
    """Nodes in them."""
    dflag_profile: str = "rfc8885"
    """Where it has its D flag: "rfc8885" or "draft03" (spec AMB-5)."""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class LocalMobilityAnchor:
    """The one anchor of classic Proxy Mobile IPv6 (RFC 5213)."""

    name: str
    address: IPv6Address
    pool: IPv6Network
    interface: str


@dataclass(frozen=True, slots=True)
class Mobile:
    """A mobile node."""

    name: str
    mn_id: str
    mac: str
    interface: str


class Domain:
    """What lab.json says of a lab: nodes, addresses, pools, options."""

    def __init__(self, lab: Object) -> None:
        self.lab = lab
        self._anchors: dict[IPv6Address, str | None] = {}
        domain: Object = lab.get("domain") or {}
        self.scenario: str = lab.get("scenario", "")
        """Scenario of the fact sheet that the lab is (SC-FIG1), empty for none."""
        self.mode: str = domain.get("mode", "direct")
        self.ra_profile: str = domain.get("ra_profile", "deprecate")
        self.slowness: float = lab.get("kernel", {}).get("slowness", 1.0)
        """Factor on all time bounds: 1.0 on a real machine."""
        self.repository_port: int | None = domain.get("repository_port")
        self.gateways: dict[str, Gateway] = {
            name: _gateway(name, facts) for name, facts in domain.get("gateways", {}).items()
        }
        self.mobiles: dict[str, Mobile] = {
            name: Mobile(name, facts["mn_id"], facts["mac"].lower(), facts["interface"])
            for name, facts in domain.get("mobiles", {}).items()
        }
        self.correspondents: dict[str, IPv6Address] = {
            name: IPv6Address(text) for name, text in domain.get("correspondents", {}).items()
        }
        self.central = _lma(domain.get("lma"))
        """Set in classic mode only, where there is no CMD."""
        cmd: Object = domain.get("cmd") or domain.get("lma") or {}
        # The node that every gateway registers with: the CMD, or the anchor of the classic mode.
        self.cmd_node: str | None = cmd.get("node")
        self.cmd_interface: str | None = cmd.get("interface")
        self.cmd_address = IPv6Address(cmd["address"]) if cmd else None
        self.lma: str | None = self.cmd_node if cmd.get("lma") else None
        """The CMD's node where that is the home LMA between operators as well."""

    @cached_property
    def draft03(self) -> frozenset[IPv6Address]:
        """Gateways that have the D flag where the seed draft drew it."""
        return frozenset(one.address for one in self.gateways.values() if one.dflag_profile == "draft03")

    def d_flags(self, *ends: IPv6Address) -> tuple[int, int]:
        """Masks of the D flag in a PBU and in a PBA between two nodes."""
        return layers.d_flags(bool(self.draft03 & set(ends)))

    def mac(self, node: str, interface: str) -> str | None:
        """MAC of an interface as lab.json tells it, lower case."""
        text: str | None = self.lab["nodes"].get(node, {}).get("interfaces", {}).get(interface, {}).get("mac")
        return text.lower() if text else None

    @cached_property
    def addresses(self) -> dict[IPv6Address, str]:
        """Signalling address -> node: gateways and the CMD (or the anchor of the classic mode)."""
        found = {gateway.address: name for name, gateway in self.gateways.items()}
        if self.cmd_node and self.cmd_address:
            found[self.cmd_address] = self.cmd_node
        return found

    def name_of(self, address: IPv6Address) -> str:
        """Node name of a signalling or correspondent's address, else the address itself."""
        for name, where in self.correspondents.items():
            if where == address:
                return name
        return str(self.addresses.get(address, address))

    def home(self, gateway: str) -> str:
        """Who anchors the prefix that a node gets at a gateway: that gateway, or the one anchor of classic mode."""
        return self.central.name if self.central else gateway

    def pool(self, anchor: str) -> IPv6Network:
        """The pool an anchor gives prefixes from."""
        return self.central.pool if self.central else self.gateways[anchor].pool

    def anchor_of(self, address: IPv6Address) -> str | None:
        """Gateway, or anchor of the classic mode, whose pool holds the address."""
        if self.central:
            return self.central.name if inside(address, self.central.pool) else None
        if address not in self._anchors:
            holders = (name for name, gateway in self.gateways.items() if inside(address, gateway.pool))
            self._anchors[address] = next(holders, None)
        return self._anchors[address]

    def crosses(self, anchor: str, serving: str) -> bool:
        """Whether two gateways belong to different operators (spec INTER-1)."""
        ends = [self.gateways[name].operator for name in (anchor, serving) if name in self.gateways]
        return len(set(ends)) > 1

    def far_end(self, anchor: str, serving: str) -> str:
        """Where a serving gateway's tunnel for an anchor's prefix ends: there, or at the LMA (spec INTER-7)."""
        return self.lma if self.lma and self.crosses(anchor, serving) else anchor

    def told_anchor(self, address: IPv6Address, prefix: IPv6Network) -> str:
        """The anchor that an (address, prefix) in a message stands for: the LMA's address names another operator's."""
        name = self.name_of(address)
        return (self.anchor_of(prefix.network_address) or name) if name == self.lma else name

    def home_of(self, node: str) -> str | None:
        """Gateway whose local network this node is in."""
        return next((name for name, gateway in self.gateways.items() if node in gateway.local_hosts), None)

    def mobile_by_id(self, mn_id: str | None) -> str | None:
        """Mobile node of an MN-Identifier."""
        return next((name for name, mobile in self.mobiles.items() if mobile.mn_id == mn_id), None)


def _gateway(name: str, facts: Object) -> Gateway:
    local = tuple(IPv6Network(text) for text in facts.get("local_prefixes", []))
    hosts = tuple(facts.get("local_hosts", ()))
    address, pool = IPv6Address(facts["address"]), IPv6Network(facts["pool"])
    profile = facts.get("dflag_profile", "rfc8885")
    operator = facts.get("operator", "")
    return Gateway(name, address, pool, facts["wan"], facts["phy"], local, hosts, profile, operator)


def _lma(facts: Object | None) -> LocalMobilityAnchor | None:
    if facts is None:
        return None
    address, pool = IPv6Address(facts["address"]), IPv6Network(facts["pool"])
    return LocalMobilityAnchor(facts["node"], address, pool, facts["interface"])
