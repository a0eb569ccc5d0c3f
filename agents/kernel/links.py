"""Interfaces of this namespace: macvlans, addresses, neighbours, and waiting until one runs."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface

from agents.kernel.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    KernelError,
    Message,
    Netlink,
    Request,
    attribute,
    attributes,
    nest,
    u32,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWNEIGH = 28
RTM_GETROUTE, RTA_DST, RTA_OIF, RTN_LOCAL, ROUTE_TYPE = 26, 1, 4, 2, 7
RTNLGRP_LINK, RTNLGRP_IPV6_ROUTE = 1, 11
IFF_UP, IFF_RUNNING = 0x1, 0x40
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK = 1, 3, 4, 5
IFLA_LINKINFO, IFLA_AF_SPEC, IFLA_GROUP = 18, 26, 27
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE = 1, 1
IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE = 8, b"\x01"
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS, IFA_F_NODAD = 1, 2, 8, 0x02
NDA_DST, NDA_LLADDR, NUD_STALE = 1, 2, 0x04
NAME_MAX = 15
WAIT = 2.0
"""Seconds an interface may take to get ready."""

OWNED, RETIRED = 183, 184
"""Device groups: ours, and ours but out of service and waiting for deletion."""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface as the kernel reports it."""

    index: int
    name: str
    mac: str
    kind: str
    """Driver kind ("macvlan", "ip6tnl"), empty for hardware and loopback."""
    lower: int
    """Index of the interface below, 0 for none."""
    group: int
    mtu: int
    running: bool
    data: bytes
    """The driver's own attributes."""


def index(name: str) -> int:
    """Return the index of an interface."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise KernelError(f"no interface {name} here", errno.ENODEV) from error


def header(number: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """Struct ifinfomsg."""
    return struct.pack("=BxHiII", 0, 0, number, flags, change)


def new_macvlan(number: int, name: str, lower: int, mac: str) -> Request:
    """Create a private macvlan of group OWNED, down, with this index (spec §7 "DLIF (any role)")."""
    mode = nest(IFLA_INFO_DATA, attribute(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE))
    body = (
        header(number)
        + attribute(IFLA_IFNAME, name)
        + attribute(IFLA_LINK, lower)
        + attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        + attribute(IFLA_GROUP, OWNED)
        + nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "macvlan"), mode)
    )
    return Request(f"create macvlan {name}", RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)


def no_auto_link_local(number: int, name: str) -> Request:
    """addrgenmode none: the link-local address is given, not made."""
    mode = nest(socket.AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE))
    body = header(number) + nest(IFLA_AF_SPEC, mode)
    return Request(f"set addrgenmode none on {name}", RTM_SETLINK, body)


def set_up(number: int, name: str) -> Request:
    """Bring an interface up."""
    return Request(f"bring {name} up", RTM_NEWLINK, header(number, IFF_UP, IFF_UP))


def retire(number: int, name: str) -> Request:
    """Move an interface of ours out of service."""
    return Request(f"retire {name}", RTM_SETLINK, header(number) + attribute(IFLA_GROUP, RETIRED))


def take_back(name: str) -> Request:
    """Move an interface of ours back into service; by name, since its index may be another's by now."""
    body = header() + attribute(IFLA_IFNAME, name) + attribute(IFLA_GROUP, OWNED)
    return Request(f"take {name} back", RTM_SETLINK, body)


def delete(number: int, name: str) -> Request:
    """Delete an interface; one that is gone is fine. Takes some 20 ms of the caller's time."""
    return Request(f"delete {name}", RTM_DELLINK, header(number), ignore=(errno.ENODEV,))


def delete_group(group: int) -> Request:
    """Delete every interface of a group at once: as slow as deleting one."""
    gone = (errno.ENODEV, errno.EINVAL)  # a group without members
    return Request(f"delete group {group}", RTM_DELLINK, header() + attribute(IFLA_GROUP, group), ignore=gone)


def _address(kind: int, number: int, address: IPv6Interface, what: str, flags: int, gone: int) -> Request:
    packed = address.ip.packed
    body = struct.pack("=BBBBi", socket.AF_INET6, address.network.prefixlen, IFA_F_NODAD, 0, number)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed) + attribute(IFA_FLAGS, IFA_F_NODAD)
    return Request(what, kind, body, flags, (gone, errno.ENODEV) if kind == RTM_DELADDR else (gone,))


def add_address(number: int, name: str, address: IPv6Interface) -> Request:
    """Give an interface an address without duplicate address detection."""
    what = f"add {address} to {name}"
    return _address(RTM_NEWADDR, number, address, what, NLM_F_CREATE | NLM_F_EXCL, errno.EEXIST)


def delete_address(number: int, name: str, address: IPv6Interface) -> Request:
    """Take an address away; one that is not there is fine."""
    return _address(RTM_DELADDR, number, address, f"delete {address} from {name}", 0, errno.EADDRNOTAVAIL)


def hint_neighbour(number: int, name: str, neighbour: IPv6Address, mac: str) -> Request:
    """Tell where a neighbour is, unproven: used at once, verified as for any stale entry (RFC 4861 §7.3.3)."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET6, number, NUD_STALE, 0, 1)
    body += attribute(NDA_DST, neighbour.packed) + attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return Request(f"hint neighbour {neighbour} on {name}", RTM_NEWNEIGH, body, NLM_F_CREATE | NLM_F_REPLACE)


def parse_link(message: Message) -> Link:
    """Read an RTM_NEWLINK message."""
    number, flags = struct.unpack_from("=4xiI", message.body)
    found = attributes(message.body, 16)
    info = attributes(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=number,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        kind=info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
        lower=u32(found.get(IFLA_LINK)),
        group=u32(found.get(IFLA_GROUP)),
        mtu=u32(found.get(IFLA_MTU)),
        running=bool(flags & IFF_UP and flags & IFF_RUNNING),
        data=info.get(IFLA_INFO_DATA, b""),
    )


def links(netlink: Netlink) -> dict[str, Link]:
    """All interfaces, by name."""
    found = map(parse_link, netlink.dump(RTM_GETLINK, header(), "list interfaces"))
    return {link.name: link for link in found}


def link(netlink: Netlink, number: int, name: str) -> Link:
    """One interface."""
    return parse_link(netlink.ask(Request(f"look at {name}", RTM_GETLINK, header(number))))


def addresses(netlink: Netlink, number: int) -> set[IPv6Interface]:
    """IPv6 addresses of one interface."""
    found: set[IPv6Interface] = set()
    body = struct.pack("=BBBBi", socket.AF_INET6, 0, 0, 0, 0)
    for message in netlink.dump(RTM_GETADDR, body, "list addresses"):
        length, owner = struct.unpack_from("=xBxxi", message.body)
        packed = attributes(message.body, 8).get(IFA_ADDRESS, b"")
        if owner == number and len(packed) == 16:
            found.add(IPv6Interface((packed, length)))
    return found


def wait_running(netlink: Netlink, number: int, name: str) -> None:
    """Return when the interface is up and its carrier is there."""
    _wait(f"{name} has no carrier", RTNLGRP_LINK, lambda: link(netlink, number, name).running)


def wait_delivered(netlink: Netlink, number: int, name: str, address: IPv6Address) -> None:
    """Return when packets to a new address are delivered here.

    The kernel completes an address in a work queue, also without duplicate address detection. Until then a
    packet to it, such as the answer to the first neighbour solicitation, is routed elsewhere and lost.
    """
    body = struct.pack("=BBBBBBBBI", socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0)
    body += attribute(RTA_DST, address.packed) + attribute(RTA_OIF, number)
    request = Request(f"look for {address} on {name}", RTM_GETROUTE, body)
    local = f"{name} does not answer to {address}"
    _wait(local, RTNLGRP_IPV6_ROUTE, lambda: netlink.ask(request).body[ROUTE_TYPE] == RTN_LOCAL)


def _wait(failure: str, group: int, predicate: Callable[[], bool]) -> None:
    """Wait for a condition that events of a group announce: told by the kernel, not guessed by a delay."""
    if predicate():
        return
    watcher = Netlink(groups=(group,))
    try:
        deadline = time.monotonic() + WAIT
        # Asked again now that events are listened to: it may have happened in between.
        while not predicate():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([watcher], [], [], left)[0]:
                raise KernelError(f"{failure} after {WAIT:g} s", errno.ETIMEDOUT)
            watcher.events()
    finally:
        watcher.close()
