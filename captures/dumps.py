"""State dumps in the event log: what a gateway's kernel and a mobile node's kernel held at a moment of the script.

`kernel-dump` and `mobile-dump` hold what `ip -j` and `nft -j` say, so the checks read the kernel, not an agent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Any

from captures.records import Logged
from captures.run import Run

OWN = "183"
"""Routing protocol number and device group of everything a gateway's agent installs."""
RETIRED = "184"
"""Device group of an interface out of service, waiting for its deletion."""
FALLBACK = "ip6tnl0"
"""Device to anywhere that the driver itself puts into every namespace once it is loaded."""
UPLINK_PREFERENCE = 1000
ANCHOR_METRIC = 64
FIRST_TABLE = 1000
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KernelDump:
    """One gateway's kernel."""

    entry: Logged
    gateway: str
    label: str
    links: list[Object]
    """ifname, address, kind, group; remote: the far end of a tunnel device. All but the driver's own."""
    rules: list[Object]
    routes: list[Object]
    sets: dict[str, set[tuple[Any, ...]]] | None
    """Name -> elements of the gate's sets; None without the gate's table."""
    items: list[list[str]] | None
    """What the agent says it installed, in words; None when it had been told to take everything back."""

    def of_kind(self, kind: str) -> list[Object]:
        """Interfaces of a driver that are in service."""
        return [link for link in self.links if link["kind"] == kind and link["group"] != RETIRED]

    def named(self, kind: str) -> list[tuple[str, ...]]:
        """The rest of the agent's items of a kind."""
        return [tuple(words[1:]) for words in self.items or [] if words[0] == kind]

    def own_rules(self) -> list[Object]:
        """Policy rules of the agent."""
        return [rule for rule in self.rules if rule.get("protocol") == OWN]

    def own_routes(self) -> list[Object]:
        """Routes of the agent, in all tables."""
        return [route for route in self.routes if route.get("protocol") == OWN]

    def uplinks(self) -> dict[IPv6Network, str]:
        """Source prefix -> table, of the rules that send a node's uplink to its anchor (spec HO-10)."""
        found = {}
        for rule in self.own_rules():
            if rule["priority"] == UPLINK_PREFERENCE and rule.get("src") not in (None, "all"):
                found[network(rule["src"], rule.get("srclen"))] = str(rule["table"])
        return found

    def arrivals(self) -> list[Object]:
        """Rules that send what came from the core to its destination, before any uplink could send it back."""
        return [
            rule
            for rule in self.own_rules()
            if rule["priority"] < UPLINK_PREFERENCE
            and rule.get("fwmark")
            and rule["table"] == "main"
            and {rule.get("src", "all"), rule.get("dst", "all")} == {"all"}
        ]

    def tables(self) -> dict[str, list[Object]]:
        """Table number -> the agent's routes in it, of the tables made for uplinks."""
        found: dict[str, list[Object]] = defaultdict(list)
        for route in self.own_routes():
            table = str(route.get("table", "main"))
            if table.isdigit() and int(table) >= FIRST_TABLE:
                found[table].append(route)
        return dict(found)

    def peer(self, route: Object) -> IPv6Address | None:
        """The far end of the tunnel a route leads into."""
        if route.get("encap") == "seg6" and route.get("segs"):
            return IPv6Address(route["segs"][-1])
        remote = next((link["remote"] for link in self.links if link["ifname"] == route.get("dev")), None)
        return IPv6Address(remote) if remote else None


@dataclass(frozen=True, slots=True)
class MobileDump:
    """One mobile node's view of the world."""

    entry: Logged
    mobile: str
    label: str
    addresses: list[Object]
    routes: list[Object]
    neighbours: list[Object]

    def default_routers(self) -> dict[IPv6Address, str]:
        """Link-local address of each default router -> its preference."""
        found: dict[IPv6Address, str] = {}
        for route in self.routes:
            if route.get("dst") != "default":
                continue
            hops = route.get("nexthops") or [route]
            found |= {IPv6Address(hop["gateway"]): route.get("pref", "medium") for hop in hops if hop.get("gateway")}
        return found

    def macs(self) -> dict[IPv6Address, str]:
        """Neighbour -> link-layer address, where known."""
        return {IPv6Address(one["dst"]): one["lladdr"].lower() for one in self.neighbours if one.get("lladdr")}

    def prefixes(self) -> dict[IPv6Network, bool]:
        """Prefix of each global address -> whether it is preferred."""
        return {
            network(one["local"], one["prefixlen"]): not one.get("deprecated")
            for one in self.addresses
            if one.get("scope") == "global"
        }


def kernel_dumps(run: Run) -> list[KernelDump]:
    """All dumps of gateways, by time."""
    return [_kernel(entry) for entry in run.logged("kernel-dump")]


def mobile_dumps(run: Run) -> list[MobileDump]:
    """All dumps of mobile nodes, by time."""
    return [
        MobileDump(
            entry,
            entry.node,
            str(entry.fields["label"]),
            entry.fields["addresses"],
            entry.fields["routes"],
            entry.fields["neighbours"],
        )
        for entry in run.logged("mobile-dump")
    ]


def _kernel(entry: Logged) -> KernelDump:
    fields = entry.fields
    sets, items = fields["sets"], fields["items"]
    return KernelDump(
        entry,
        entry.node,
        str(fields["label"]),
        [link for link in fields["links"] if link["ifname"] != FALLBACK or link["remote"] not in (None, "any", "::")],
        fields["rules"],
        fields["routes"],
        None if sets is None else {name: set(map(_element, elements)) for name, elements in sets.items()},
        None if items is None else [str(item).split() for item in items],
    )


def _element(element: Any) -> tuple[Any, ...]:
    """One set element as nft tells it in JSON: a value or {"concat": [values]}, inside {"elem": ...} with a counter.

    Ranges and prefixes are objects: they stay JSON text.
    """
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    values = element["concat"] if isinstance(element, dict) and "concat" in element else [element]
    return tuple(json.dumps(one, sort_keys=True) if isinstance(one, dict) else one for one in values)


def network(address: str, length: int | None = None) -> IPv6Network:
    """A prefix as `ip -j` tells it: with its length inside or beside."""
    text = address if length is None or "/" in address else f"{address}/{length}"
    return IPv6Network(ip_network(text, strict=False))


def upper(prefix: str) -> int:
    """The upper 64 bits of a /64, as the gate's sets hold it."""
    return int(IPv6Network(prefix).network_address) >> 64
