"""Interfaces of this namespace: macvlans, addresses, neighbours, and waiting until one runs."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, nlmsg, rtnl
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_RUNNING, IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import NTF_PROXY, NUD_STALE, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agents.kernel.netlink import KernelError, Netlink, Request

CHANGES = (rtnl.RTNLGRP_LINK, rtnl.RTNLGRP_IPV4_IFADDR, rtnl.RTNLGRP_IPV6_IFADDR)
"""Groups that tell of interfaces and their addresses."""

ADDR_GEN_NONE = 1
SIOCGIFFLAGS, SIOCGIFMTU = 0x8913, 0x8921
WAIT = 2.0
"""Seconds an interface may take to get ready."""

Interface = IPv4Interface | IPv6Interface

_UNFIT = 0x08 | 0x20 | 0x40
"""Address flags IFA_F_DADFAILED, _DEPRECATED, _TENTATIVE."""
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
    data: Any
    """The driver's own attributes, as pyroute2 reads them."""


def index(name: str) -> int:
    """Return the index of an interface."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise KernelError(f"no interface {name} here", errno.ENODEV) from error


def index_if(name: str, *, needed: bool) -> int:
    """Its index; 0 for one that is gone with everything on it, unless it is needed (KernelError)."""
    try:
        return index(name)
    except KernelError:
        if needed:
            raise
        return 0


def new(kind: str, name: str, *data: tuple[str, Any], number: int = 0, lower: int = 0, mac: str = "") -> Request:
    """Create an interface of a driver, with the driver's attributes; it is of group OWNED, and down."""
    info = [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": data})]
    attributes = [("IFLA_IFNAME", name), ("IFLA_GROUP", OWNED), ("IFLA_LINKINFO", {"attrs": info})]
    if lower:
        attributes += ("IFLA_LINK", lower), ("IFLA_ADDRESS", mac)
    content = {"index": number, "attrs": attributes}
    return Request(f"create {kind} {name}", rtnl.RTM_NEWLINK, ifinfmsg, content, NLM_F_CREATE | NLM_F_EXCL)


def new_macvlan(number: int, name: str, lower: int, mac: str) -> Request:
    """Create a private macvlan with this index (spec §7 "DLIF (any role)")."""
    return new("macvlan", name, ("IFLA_MACVLAN_MODE", "private"), number=number, lower=lower, mac=mac)


def _change(what: str, *attributes: tuple[str, Any], number: int = 0, ignore: tuple[int, ...] = ()) -> Request:
    return Request(what, rtnl.RTM_SETLINK, ifinfmsg, {"index": number, "attrs": attributes}, ignore=ignore)


def no_auto_link_local(number: int, name: str) -> Request:
    """addrgenmode none: the link-local address is given, not made."""
    mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", ADDR_GEN_NONE)]}
    return _change(f"set addrgenmode none on {name}", ("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]}), number=number)


def set_up(number: int, name: str) -> Request:
    """Bring an interface up."""
    content = {"index": number, "flags": IFF_UP, "change": IFF_UP}
    return Request(f"bring {name} up", rtnl.RTM_NEWLINK, ifinfmsg, content)


def set_mtu(number: int, name: str, mtu: int) -> Request:
    """Set the largest packet of an interface, octets."""
    return _change(f"set MTU {mtu} on {name}", ("IFLA_MTU", mtu), number=number)


def retire(number: int, name: str) -> Request:
    """Move an interface of ours out of service; one that is gone is fine."""
    return _change(f"retire {name}", ("IFLA_GROUP", RETIRED), number=number, ignore=(errno.ENODEV,))


def take_back(name: str) -> Request:
    """Move an interface of ours back into service; by name, since its index may be another's by now."""
    return _change(f"take {name} back", ("IFLA_IFNAME", name), ("IFLA_GROUP", OWNED))


def delete(number: int, name: str) -> Request:
    """Delete an interface; one that is gone is fine. Takes some 20 ms of the caller's time."""
    return Request(f"delete {name}", rtnl.RTM_DELLINK, ifinfmsg, {"index": number}, ignore=(errno.ENODEV,))


def delete_group(group: int) -> Request:
    """Delete every interface of a group at once: as slow as deleting one."""
    gone = (errno.ENODEV, errno.EINVAL)  # a group without members
    return Request(f"delete group {group}", rtnl.RTM_DELLINK, ifinfmsg, {"attrs": [("IFLA_GROUP", group)]}, ignore=gone)


def _address(number: int, address: Interface, *, dad: bool = False, owner: int = 0) -> dict[str, Any]:
    ip = str(address.ip)
    six = address.version == 6
    flags = [("IFA_FLAGS", IFA_F_NODAD)] if six and not dad else []
    mark = [("IFA_PROTO", owner)] if owner else []
    return {
        "family": socket.AF_INET6 if six else socket.AF_INET,
        "prefixlen": address.network.prefixlen,
        "index": number,
        "attrs": [("IFA_LOCAL", ip), ("IFA_ADDRESS", ip), *flags, *mark],
    }


def add_address(number: int, name: str, address: Interface, *, dad: bool = False, owner: int = 0) -> Request:
    """Give an interface an address, without duplicate address detection unless `dad`; `owner` marks whose it is."""
    flags = NLM_F_CREATE | NLM_F_EXCL
    content = _address(number, address, dad=dad, owner=owner)
    return Request(f"add {address} to {name}", rtnl.RTM_NEWADDR, ifaddrmsg, content, flags, (errno.EEXIST,))


def owned_addresses(netlink: Netlink, owner: int) -> list[tuple[int, Interface]]:
    """Addresses with this owner's mark, each with its interface's index; Linux 5.18 keeps the mark, older ones none."""
    found: list[tuple[int, Interface]] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in netlink.dump(Request("list addresses", rtnl.RTM_GETADDR, ifaddrmsg, {"family": family})):
            if message.get_attr("IFA_PROTO") == owner:
                ip = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                found.append((message["index"], ip_interface((ip, message["prefixlen"]))))
    return found


def delete_address(number: int, name: str, address: Interface) -> Request:
    """Take an address away; one that is not there is fine."""
    gone = (errno.EADDRNOTAVAIL, errno.ENODEV)
    what = f"delete {address} from {name}"
    return Request(what, rtnl.RTM_DELADDR, ifaddrmsg, _address(number, address), ignore=gone)


def hint_neighbour(number: int, name: str, neighbour: IPv6Address, mac: str) -> Request:
    """Tell where a neighbour is, unproven: used at once, verified as for any stale entry (RFC 4861 §7.3.3)."""
    content = {
        "family": socket.AF_INET6,
        "ifindex": number,
        "state": NUD_STALE,
        "ndm_type": rtnl.rt_type["unicast"],
        "attrs": [("NDA_DST", str(neighbour)), ("NDA_LLADDR", mac)],
    }
    what = f"hint neighbour {neighbour} on {name}"
    return Request(what, rtnl.RTM_NEWNEIGH, ndmsg, content, NLM_F_CREATE | NLM_F_REPLACE)


def _proxy(number: int, address: IPv6Address) -> dict[str, Any]:
    return {
        "family": socket.AF_INET6,
        "ifindex": number,
        "flags": NTF_PROXY,
        "attrs": [("NDA_DST", str(address))],
    }


def add_proxy(number: int, name: str, address: IPv6Address) -> Request:
    """Answer solicitations for an address on an interface (needs forwarding and proxy_ndp)."""
    what = f"defend {address} on {name}"
    return Request(what, rtnl.RTM_NEWNEIGH, ndmsg, _proxy(number, address), NLM_F_CREATE | NLM_F_REPLACE)


def delete_proxy(number: int, name: str, address: IPv6Address) -> Request:
    """Answer for it no longer; one that is not there is fine."""
    what = f"stop defending {address} on {name}"
    return Request(what, rtnl.RTM_DELNEIGH, ndmsg, _proxy(number, address), ignore=(errno.ENOENT, errno.ENODEV))


def _running(message: nlmsg) -> bool:
    return bool(message["flags"] & IFF_UP and message["flags"] & IFF_RUNNING)


def _link(message: nlmsg) -> Link:
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        mac=message.get_attr("IFLA_ADDRESS", ""),
        kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
        lower=message.get_attr("IFLA_LINK", 0),
        group=message.get_attr("IFLA_GROUP", 0),
        mtu=message.get_attr("IFLA_MTU", 0),
        running=_running(message),
        data=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA"),
    )


def _look(number: int, name: str) -> Request:
    return Request(f"look at {name}", rtnl.RTM_GETLINK, ifinfmsg, {"index": number})


def links(netlink: Netlink) -> dict[str, Link]:
    """All interfaces, by name."""
    found = map(_link, netlink.dump(Request("list interfaces", rtnl.RTM_GETLINK, ifinfmsg, {})))
    return {link.name: link for link in found}


def link(netlink: Netlink, number: int, name: str) -> Link:
    """One interface."""
    return _link(netlink.ask(_look(number, name)))


def addresses(netlink: Netlink, number: int) -> set[IPv6Interface]:
    """IPv6 addresses of one interface."""
    content = {"family": socket.AF_INET6, "index": number}
    found = netlink.dump(Request("list addresses", rtnl.RTM_GETADDR, ifaddrmsg, content))
    return {IPv6Interface((message.get_attr("IFA_ADDRESS"), message["prefixlen"])) for message in found}


def own_addresses(netlink: Netlink) -> set[IPv4Address | IPv6Address]:
    """Every address of this namespace."""
    found: set[IPv4Address | IPv6Address] = set()
    for family, kind in ((socket.AF_INET, IPv4Address), (socket.AF_INET6, IPv6Address)):
        request = Request("list addresses", rtnl.RTM_GETADDR, ifaddrmsg, {"family": family})
        for message in netlink.dump(request):
            found.add(kind(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")))
    return found


def usable_addresses(netlink: Netlink, name: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Global addresses of an interface that packets can be sent from, as the kernel lists them; none of one gone."""
    try:
        number = index(name)
    except KernelError:
        return ()
    found: list[IPv4Address | IPv6Address] = []
    for family, kind in ((socket.AF_INET, IPv4Address), (socket.AF_INET6, IPv6Address)):
        request = Request("list addresses", rtnl.RTM_GETADDR, ifaddrmsg, {"family": family})
        for message in netlink.dump(request):
            unfit = (message.get_attr("IFA_FLAGS") or message["flags"]) & _UNFIT
            if message["index"] == number and message["scope"] == 0 and not unfit:
                found.append(kind(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")))
    return tuple(found)


def wait_running(name: str) -> None:
    """Return when the interface is up and its carrier is there."""
    _wait(f"{name} has no carrier", rtnl.RTNLGRP_LINK, lambda: is_running(name))


def is_running(name: str) -> bool:
    """Whether an interface is up with carrier, asked in the cheapest way: this is on the path of a handover."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
        except OSError as error:
            raise KernelError(f"cannot look at {name}: {error.strerror}", error.errno or 0) from error
    flags = struct.unpack_from("16xH", answer)[0]
    return bool(flags & IFF_UP and flags & IFF_RUNNING)


def mtu(name: str) -> int:
    """Largest packet of an interface, octets."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, SIOCGIFMTU, struct.pack("16si20x", name.encode(), 0))
        except OSError as error:
            raise KernelError(f"cannot look at {name}: {error.strerror}", error.errno or 0) from error
    return int(struct.unpack_from("16xi", answer)[0])


def wait_delivered(netlink: Netlink, number: int, name: str, address: IPv6Address) -> None:
    """Return when packets to a new address are delivered here.

    The kernel completes an address in a work queue, also without duplicate address detection. Until then a
    packet to it, such as the answer to the first neighbour solicitation, is routed elsewhere and lost.
    """
    attributes = [("RTA_DST", str(address)), ("RTA_OIF", number)]
    content = {"family": socket.AF_INET6, "dst_len": 128, "attrs": attributes}
    request = Request(f"look for {address} on {name}", rtnl.RTM_GETROUTE, rtmsg, content)
    local = f"{name} does not answer to {address}"
    _wait(local, rtnl.RTNLGRP_IPV6_ROUTE, lambda: bool(netlink.ask(request)["type"] == rtnl.rt_type["local"]))


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
