"""Routes and policy rules of this namespace, as values that can be installed, deleted, listed and compared."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, nlmsg, rtnl
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import LWTUNNEL_ENCAP_SEG6, LWTUNNEL_ENCAP_SEG6_LOCAL, rtmsg

from agents.kernel.attributes import attribute, octet, short, text, word
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
_UNICAST, _UNREACHABLE = rtnl.rt_type["unicast"], rtnl.rt_type["unreachable"]
_INVERTED, _UNSUPPRESSED = 2, 0xFFFFFFFF
REDUCED, DECAPSULATE = "encap.red", "End.DT6"
# pyroute2 0.9.7 knows the modes inline and encap only; actions it reads as numbers.
_REDUCED, _DECAPSULATE = 3, 7
rtmsg.seg6_encap_info.ipv6_sr_hdr.r_encapmodes[_REDUCED] = REDUCED
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 6, 7, 15
_RTA_ENCAP_TYPE, _RTA_ENCAP, _SEG6_IPTUNNEL_SRH, _SEG6_LOCAL_ACTION, _SEG6_LOCAL_TABLE = 21, 22, 1, 1, 3
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK, _FRA_SUPPRESS_PREFIXLEN = 1, 2, 3, 6, 10, 14
_FRA_TABLE, _FRA_PROTOCOL, _FRA_IP_PROTO = 15, 21, 22
_RTMSG = struct.Struct("=8BI")
"""struct rtmsg, and struct fib_rule_hdr."""
_SEGMENT = struct.Struct("=iBBBBBBH16s")
"""Mode, and a routing header (RFC 8754 §2) with one segment."""


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


def _hop_attributes(hop: Hop) -> bytes:
    found = word(_RTA_OIF, hop.interface)
    if hop.gateway:
        found += attribute(_RTA_GATEWAY, hop.gateway.packed)
    if hop.segment:
        outer = _SEGMENT.pack(_REDUCED, 0, 2, 4, 0, 0, 0, 0, hop.segment.packed)
        found += short(_RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_SEG6)
        found += attribute(_RTA_ENCAP, attribute(_SEG6_IPTUNNEL_SRH, outer))
    elif hop.decapsulate:
        action = word(_SEG6_LOCAL_ACTION, _DECAPSULATE) + word(_SEG6_LOCAL_TABLE, 0)
        found += short(_RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_SEG6_LOCAL) + attribute(_RTA_ENCAP, action)
    return found


def _route_request(what: str, kind: int, route: Route, flags: int = 0, ignore: tuple[int, ...] = ()) -> Request:
    prefix, hop, table, metric = route.prefix, route.hop, route.table, route.metric
    kind_of_route = _UNICAST if hop else _UNREACHABLE
    scope = 0
    if prefix.version == 4:  # IPv4 compares type and scope when it deletes, unless told not to
        deleted = kind == rtnl.RTM_DELROUTE
        kind_of_route = 0 if deleted else kind_of_route
        scope = _NOWHERE if deleted else _LINK if hop and not hop.gateway else 0
    small = table if table < 256 else 0
    content = b"".join(
        (
            _RTMSG.pack(_FAMILIES[prefix.version], prefix.prefixlen, 0, 0, small, OWN, scope, kind_of_route, 0),
            attribute(_RTA_DST, prefix.network_address.packed),
            word(_RTA_PRIORITY, metric),
            word(_RTA_TABLE, table),
            _hop_attributes(hop) if hop else b"",
            attribute(_RTA_PREFSRC, route.source.packed) if route.source else b"",
        )
    )
    return Request(f"{what} route {prefix} table {table} metric {metric}", kind, rtmsg, content, flags, ignore)


def put_route(route: Route) -> Request:
    """Install a route; one in its place is replaced in a single step."""
    return _route_request("set", rtnl.RTM_NEWROUTE, route, NLM_F_CREATE | NLM_F_REPLACE)


def look_up(what: str, destination: IPv6Address, interface: int) -> Request:
    """Ask which route a packet to this destination takes, if it goes by this interface."""
    fixed = _RTMSG.pack(socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0)
    content = fixed + attribute(_RTA_DST, destination.packed) + word(_RTA_OIF, interface)
    return Request(what, rtnl.RTM_GETROUTE, rtmsg, content)


def drop_route(place: Place) -> Request:
    """Delete our route in a place, wherever it leads; one that is gone is fine."""
    prefix, table, metric = place
    # Without a hop the kernel compares prefix, table, metric and our protocol number alone.
    route = Route(prefix, None, table, metric)
    return _route_request("delete", rtnl.RTM_DELROUTE, route, ignore=(errno.ESRCH, errno.ENODEV))


def _rule_request(rule: Rule, owner: int, *, put: bool) -> Request:
    source, destination, table = rule.source, rule.destination, rule.table
    mark = rule.mark or rule.unless_mark
    content = b"".join(
        (
            _RTMSG.pack(
                _FAMILIES[rule.version],
                destination.prefixlen if destination else 0,
                source.prefixlen if source else 0,
                0,
                table if table < 256 else 0,
                0,
                0,
                FR_ACT_TO_TBL,
                _INVERTED if rule.unless_mark else 0,
            ),
            word(_FRA_PRIORITY, rule.preference),
            word(_FRA_TABLE, table),
            attribute(_FRA_SRC, source.network_address.packed) if source else b"",
            attribute(_FRA_DST, destination.network_address.packed) if destination else b"",
            word(_FRA_SUPPRESS_PREFIXLEN, rule.suppress) if rule.suppress is not None else b"",
            octet(_FRA_PROTOCOL, owner) if owner else b"",
            octet(_FRA_IP_PROTO, rule.protocol) if rule.protocol else b"",
            word(_FRA_FWMARK, mark) if mark else b"",
            text(_FRA_IIFNAME, rule.interface) if rule.interface else b"",
        )
    )
    named = f"rule {rule.preference} to table {table}"
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
        if action == (_DECAPSULATE, 0):
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
