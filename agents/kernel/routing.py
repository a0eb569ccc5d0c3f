"""Routes and policy rules of this namespace, as values that can be installed, deleted, listed and compared."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, nlmsg, rtnl
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import LWTUNNEL_ENCAP_SEG6, LWTUNNEL_ENCAP_SEG6_LOCAL, rtmsg

from agents.kernel.netlink import Netlink, Request

MAIN, LOCAL = 254, 255
OWN = 183
"""rtm_protocol and rule protocol of everything we install, so that ownership shows in `ip -6 route`."""
Prefix = IPv4Network | IPv6Network
DEFAULT, DEFAULT_IPV4 = IPv6Network("::/0"), IPv4Network("0.0.0.0/0")
ROUTE_METRIC = 1024
Place = tuple[Prefix, int, int]
"""Prefix, table and metric: there is one route of ours in each."""

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_LINK, _NOWHERE = 253, 255
_INVERTED, _UNSUPPRESSED = 2, 0xFFFFFFFF
REDUCED, DECAPSULATE = "encap.red", "End.DT6"
# pyroute2 0.9.7 knows the modes inline and encap only, and silently sends encap for any other.
_SRH = rtmsg.seg6_encap_info.ipv6_sr_hdr
_SRH.encapmodes[REDUCED], _SRH.r_encapmodes[3] = 3, REDUCED
# It packs an action by its name and reads it as a number.
_ACTIONS = rtmsg.seg6local_encap_info.action.actions


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a route leads: an interface, with or without an encapsulation on the way out."""

    interface: int
    segment: IPv6Address | None = None
    """Destination of the outer header the packet gets (seg6, mode encap.red)."""
    gateway: IPv4Address | None = None
    """Router on that interface; None: the destination itself is there."""
    decapsulate: bool = False
    """Takes the outer header off; the inner packet goes through the policy rules (seg6local, End.DT6 table 0)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of our routes; unreachable when it has no hop."""

    prefix: Prefix
    hop: Hop | None
    table: int = MAIN
    metric: int = ROUTE_METRIC
    source: IPv4Address | IPv6Address | None = None
    """Of this node's own packets, where they name none; it must be an address of the node by then."""

    @property
    def place(self) -> Place:
        """What a replacing route shares with the one it replaces."""
        return (self.prefix, self.table, self.metric)


@dataclass(frozen=True, slots=True)
class Rule:
    """One of our policy rules."""

    preference: int
    table: int
    source: Prefix | None = None
    destination: Prefix | None = None
    protocol: int = 0
    """Next Header the rule is limited to, 0 for all."""
    interface: str = ""
    """Name of the interface that packets enter by, empty for all; it need not exist yet."""
    version: int = 6
    """Of IP."""
    mark: int = 0
    """For packets with this mark only; 0 for all."""
    unless_mark: int = 0
    """For packets without this mark only, whatever else is asked for; 0 for all."""
    suppress: int | None = None
    """Routes with a prefix this short do not count."""


def _hop_attributes(hop: Hop) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [("RTA_OIF", hop.interface)]
    if hop.gateway:
        found.append(("RTA_GATEWAY", str(hop.gateway)))
    if hop.segment:
        outer = {"mode": REDUCED, "segs": [str(hop.segment)]}
        found += ("RTA_ENCAP_TYPE", LWTUNNEL_ENCAP_SEG6), ("RTA_ENCAP", {"attrs": [("SEG6_IPTUNNEL_SRH", outer)]})
    elif hop.decapsulate:
        action = [("SEG6_LOCAL_ACTION", DECAPSULATE), ("SEG6_LOCAL_TABLE", 0)]
        found += ("RTA_ENCAP_TYPE", LWTUNNEL_ENCAP_SEG6_LOCAL), ("RTA_ENCAP", {"attrs": action})
    return found


def _route_request(what: str, kind: int, route: Route, flags: int = 0, ignore: tuple[int, ...] = ()) -> Request:
    kind_of_route = rtnl.rt_type["unicast" if route.hop else "unreachable"]
    scope = 0
    if route.prefix.version == 4:  # IPv4 compares type and scope when it deletes, unless told not to
        deleted = kind == rtnl.RTM_DELROUTE
        kind_of_route = 0 if deleted else kind_of_route
        scope = _NOWHERE if deleted else _LINK if route.hop and not route.hop.gateway else 0
    content = {
        "family": _FAMILIES[route.prefix.version],
        "dst_len": route.prefix.prefixlen,
        "table": route.table if route.table < 256 else 0,
        "proto": OWN,
        "scope": scope,
        "type": kind_of_route,
        "attrs": [
            ("RTA_DST", str(route.prefix.network_address)),
            ("RTA_PRIORITY", route.metric),
            ("RTA_TABLE", route.table),
            *(_hop_attributes(route.hop) if route.hop else ()),
            *([("RTA_PREFSRC", str(route.source))] if route.source else ()),
        ],
    }
    named = "route {} table {} metric {}".format(*route.place)
    return Request(f"{what} {named}", kind, rtmsg, content, flags, ignore)


def put_route(route: Route) -> Request:
    """Install a route; one in its place is replaced in a single step."""
    return _route_request("set", rtnl.RTM_NEWROUTE, route, NLM_F_CREATE | NLM_F_REPLACE)


def drop_route(place: Place) -> Request:
    """Delete our route in a place, wherever it leads; one that is gone is fine."""
    prefix, table, metric = place
    # Without a hop the kernel compares prefix, table, metric and our protocol number alone.
    route = Route(prefix, None, table, metric)
    return _route_request("delete", rtnl.RTM_DELROUTE, route, ignore=(errno.ESRCH, errno.ENODEV))


def _rule_request(rule: Rule, owner: int, *, put: bool) -> Request:
    content: dict[str, Any] = {
        "family": _FAMILIES[rule.version],
        "flags": _INVERTED if rule.unless_mark else 0,
        "table": rule.table if rule.table < 256 else 0,
        "action": FR_ACT_TO_TBL,
        "attrs": [("FRA_PRIORITY", rule.preference), ("FRA_TABLE", rule.table)],
    }
    for end, prefix in (("src", rule.source), ("dst", rule.destination)):
        if prefix:
            content[f"{end}_len"] = prefix.prefixlen
            content["attrs"].append((f"FRA_{end.upper()}", str(prefix.network_address)))
    if rule.suppress is not None:
        content["attrs"].append(("FRA_SUPPRESS_PREFIXLEN", rule.suppress))
    for name, value in (
        ("FRA_PROTOCOL", owner),
        ("FRA_IP_PROTO", rule.protocol),
        ("FRA_FWMARK", rule.mark or rule.unless_mark),
        ("FRA_IIFNAME", rule.interface),
    ):
        if value:
            content["attrs"].append((name, value))
    named = f"rule {rule.preference} to table {rule.table}"
    if put:
        return Request(f"add {named}", rtnl.RTM_NEWRULE, fibmsg, content, NLM_F_CREATE | NLM_F_EXCL, (errno.EEXIST,))
    return Request(f"delete {named}", rtnl.RTM_DELRULE, fibmsg, content, ignore=(errno.ENOENT,))


def put_rule(rule: Rule) -> Request:
    """Install a rule; the same rule may be there already."""
    return _rule_request(rule, OWN, put=True)


def drop_rule(rule: Rule) -> Request:
    """Delete a rule; it may be gone already."""
    return _rule_request(rule, OWN, put=False)


def local_rule(preference: int, *, put: bool) -> Request:
    """Add or delete the kernel's own kind of rule to the local table at a preference (spec §7 T2)."""
    return _rule_request(Rule(preference, LOCAL), rtnl.rt_proto["kernel"] if put else 0, put=put)


def _hop(message: nlmsg) -> Hop:
    interface, encapsulation = message.get_attr("RTA_OIF", 0), message.get_attr("RTA_ENCAP")
    kind = message.get_attr("RTA_ENCAP_TYPE")
    if kind is None:
        gateway = message.get_attr("RTA_GATEWAY") if message["family"] == socket.AF_INET else None
        return Hop(interface, gateway=IPv4Address(gateway) if gateway else None)
    if kind == LWTUNNEL_ENCAP_SEG6:
        outer = encapsulation.get_attr("SEG6_IPTUNNEL_SRH")
        if outer["mode"] == REDUCED and len(outer["segs"]) == 1:
            return Hop(interface, segment=IPv6Address(outer["segs"][0]))
    elif kind == LWTUNNEL_ENCAP_SEG6_LOCAL:
        action = encapsulation.get_attr("SEG6_LOCAL_ACTION"), encapsulation.get_attr("SEG6_LOCAL_TABLE")
        if action == (_ACTIONS[DECAPSULATE], 0):
            return Hop(interface, decapsulate=True)
    return Hop(0)  # an encapsulation we do not make: equal to no hop that is wanted


def _own_route(message: nlmsg) -> Route:
    everywhere = "::" if message["family"] == socket.AF_INET6 else "0.0.0.0"
    prefix = ip_network((message.get_attr("RTA_DST", everywhere), message["dst_len"]))
    hop = _hop(message) if message["type"] == rtnl.rt_type["unicast"] else None
    source = message.get_attr("RTA_PREFSRC")
    place = message.get_attr("RTA_TABLE"), message.get_attr("RTA_PRIORITY", 0)
    return Route(prefix, hop, *place, source=ip_address(source) if source else None)


def own_routes(netlink: Netlink, version: int = 6) -> set[Route]:
    """Every route of ours of an IP version, in all tables."""
    content = {"family": _FAMILIES[version], "proto": OWN}
    return {_own_route(message) for message in netlink.dump(Request("list routes", rtnl.RTM_GETROUTE, rtmsg, content))}


def _own_rule(message: nlmsg) -> Rule:
    source, destination = message.get_attr("FRA_SRC"), message.get_attr("FRA_DST")
    mark, inverted = message.get_attr("FRA_FWMARK", 0), message["flags"] & _INVERTED
    suppress = message.get_attr("FRA_SUPPRESS_PREFIXLEN", _UNSUPPRESSED)
    return Rule(
        preference=message.get_attr("FRA_PRIORITY", 0),
        table=message.get_attr("FRA_TABLE"),
        source=ip_network((source, message["src_len"])) if source else None,
        destination=ip_network((destination, message["dst_len"])) if destination else None,
        protocol=message.get_attr("FRA_IP_PROTO", 0),
        interface=message.get_attr("FRA_IIFNAME", ""),
        version=6 if message["family"] == socket.AF_INET6 else 4,
        mark=0 if inverted else mark,
        unless_mark=mark if inverted else 0,
        suppress=None if suppress == _UNSUPPRESSED else suppress,
    )


def own_rules(netlink: Netlink, version: int = 6) -> set[Rule]:
    """Every rule of ours of an IP version."""
    found = netlink.dump(Request("list rules", rtnl.RTM_GETRULE, fibmsg, {"family": _FAMILIES[version]}))
    return {_own_rule(message) for message in found if message.get_attr("FRA_PROTOCOL") == OWN}
