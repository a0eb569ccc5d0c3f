"""Routes and policy rules of this namespace, as values that can be installed, deleted, listed and compared."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv6Network

from agents.kernel.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    Request,
    attribute,
    attributes,
    u32,
)

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTA_DST, RTA_OIF, RTA_PRIORITY, RTA_TABLE = 1, 4, 6, 15
RTA_ENCAP_TYPE, RTA_ENCAP = 21, 22
RTN_UNICAST, RTN_UNREACHABLE = 1, 7
RTM_F_CLONED = 0x200
FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_TABLE, FRA_PROTOCOL, FRA_IP_PROTO = 1, 2, 6, 15, 21, 22
FR_ACT_TO_TBL = 1
MAIN, LOCAL = 254, 255

OWN = 183
"""rtm_protocol and rule protocol of everything we install, so that ownership shows in `ip -6 route`."""
DEFAULT = IPv6Network("::/0")
ROUTE_METRIC = 1024
Place = tuple[IPv6Network, int, int]
"""Prefix, table and metric: there is one route of ours in each."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a route leads: an interface, with or without an encapsulation on the way out."""

    interface: int
    encapsulation: int = 0
    """Lightweight tunnel type, 0 for none."""
    parameters: bytes = b""
    """The encapsulation's attributes, as the kernel takes and shows them."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of our routes; unreachable when it has no hop."""

    prefix: IPv6Network
    hop: Hop | None
    table: int = MAIN
    metric: int = ROUTE_METRIC

    @property
    def place(self) -> Place:
        """What a replacing route shares with the one it replaces."""
        return (self.prefix, self.table, self.metric)


@dataclass(frozen=True, slots=True)
class Rule:
    """One of our policy rules."""

    preference: int
    table: int
    source: IPv6Network | None = None
    destination: IPv6Network | None = None
    protocol: int = 0
    """Next Header the rule is limited to, 0 for all."""


def _route_body(route: Route) -> bytes:
    kind = RTN_UNICAST if route.hop else RTN_UNREACHABLE
    table = route.table if route.table < 256 else 0
    body = struct.pack("=BBBBBBBBI", socket.AF_INET6, route.prefix.prefixlen, 0, 0, table, OWN, 0, kind, 0)
    body += attribute(RTA_DST, route.prefix.network_address.packed)
    body += attribute(RTA_PRIORITY, route.metric) + attribute(RTA_TABLE, route.table)
    if route.hop:
        body += attribute(RTA_OIF, route.hop.interface)
        if route.hop.encapsulation:
            body += attribute(RTA_ENCAP_TYPE, struct.pack("=H", route.hop.encapsulation))
            body += attribute(RTA_ENCAP, route.hop.parameters)
    return body


def _named(place: Place) -> str:
    return "route {} table {} metric {}".format(*place)


def put_route(route: Route) -> Request:
    """Install a route; one in its place is replaced in a single step."""
    return Request(f"set {_named(route.place)}", RTM_NEWROUTE, _route_body(route), NLM_F_CREATE | NLM_F_REPLACE)


def drop_route(place: Place) -> Request:
    """Delete our route in a place, wherever it leads; one that is gone is fine."""
    prefix, table, metric = place
    # Without a hop the kernel compares prefix, table, metric and our protocol number alone.
    body = _route_body(Route(prefix, None, table, metric))
    gone = (errno.ESRCH, errno.ENODEV)
    return Request(f"delete {_named(place)}", RTM_DELROUTE, body, ignore=gone)


def _rule_request(rule: Rule, kind: int, what: str, flags: int, fine: int) -> Request:
    source, destination = rule.source or DEFAULT, rule.destination or DEFAULT
    table = rule.table if rule.table < 256 else 0
    lengths = (destination.prefixlen, source.prefixlen)
    body = struct.pack("=BBBBBxxBI", socket.AF_INET6, *lengths, 0, table, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PRIORITY, rule.preference) + attribute(FRA_TABLE, rule.table)
    body += attribute(FRA_PROTOCOL, bytes([OWN]))
    if rule.source:
        body += attribute(FRA_SRC, source.network_address.packed)
    if rule.destination:
        body += attribute(FRA_DST, destination.network_address.packed)
    if rule.protocol:
        body += attribute(FRA_IP_PROTO, bytes([rule.protocol]))
    return Request(f"{what} rule {rule.preference} to table {rule.table}", kind, body, flags, (fine,))


def put_rule(rule: Rule) -> Request:
    """Install a rule; the same rule may be there already."""
    return _rule_request(rule, RTM_NEWRULE, "add", NLM_F_CREATE | NLM_F_EXCL, errno.EEXIST)


def drop_rule(rule: Rule) -> Request:
    """Delete a rule; it may be gone already."""
    return _rule_request(rule, RTM_DELRULE, "delete", 0, errno.ENOENT)


def local_rule(preference: int, *, put: bool) -> Request:
    """Add or delete the kernel's own kind of rule to the local table at a preference (spec §7 T2)."""
    body = struct.pack("=BBBBBxxBI", socket.AF_INET6, 0, 0, 0, LOCAL, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PRIORITY, preference) + attribute(FRA_TABLE, LOCAL)
    if put:
        body += attribute(FRA_PROTOCOL, b"\x02")
        flags, fine = NLM_F_CREATE | NLM_F_EXCL, errno.EEXIST
        return Request(f"add rule {preference} to table local", RTM_NEWRULE, body, flags, (fine,))
    return Request(f"delete rule {preference} to table local", RTM_DELRULE, body, 0, (errno.ENOENT,))


def _own_route(message: Message) -> Route | None:
    length, table, protocol, kind, flags = struct.unpack_from("=xBxxBBxBI", message.body)
    if protocol != OWN or flags & RTM_F_CLONED:
        return None
    found = attributes(message.body, 12)
    prefix = IPv6Network((found.get(RTA_DST, bytes(16)), length))
    hop = None
    if kind == RTN_UNICAST:
        parameters = found.get(RTA_ENCAP, b"")
        encapsulation = int.from_bytes(found.get(RTA_ENCAP_TYPE, b"")[:2], sys.byteorder)
        hop = Hop(u32(found.get(RTA_OIF)), encapsulation, parameters)
    return Route(prefix, hop, u32(found.get(RTA_TABLE), table), u32(found.get(RTA_PRIORITY)))


def own_routes(netlink: Netlink) -> set[Route]:
    """Every route of ours, in all tables."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
    found = map(_own_route, netlink.dump(RTM_GETROUTE, body, "list routes"))
    return {route for route in found if route is not None}


def _own_rule(message: Message) -> Rule | None:
    destination, source, table = struct.unpack_from("=xBBxB", message.body)
    found = attributes(message.body, 12)
    if found.get(FRA_PROTOCOL, b"\0")[0] != OWN:
        return None
    return Rule(
        preference=u32(found.get(FRA_PRIORITY)),
        table=u32(found.get(FRA_TABLE), table),
        source=IPv6Network((found[FRA_SRC], source)) if FRA_SRC in found else None,
        destination=IPv6Network((found[FRA_DST], destination)) if FRA_DST in found else None,
        protocol=found.get(FRA_IP_PROTO, b"\0")[0],
    )


def own_rules(netlink: Netlink) -> set[Rule]:
    """Every rule of ours."""
    body = struct.pack("=BBBBBxxBI", socket.AF_INET6, 0, 0, 0, 0, 0, 0)
    found = map(_own_rule, netlink.dump(RTM_GETRULE, body, "list rules"))
    return {rule for rule in found if rule is not None}
