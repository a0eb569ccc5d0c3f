"""The rtnetlink requests the testbed makes: links, bridge ports, addresses, routes, forwarding entries."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import time
from dataclasses import dataclass

from testbed.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Netlink, Request, attribute, nested

RTM_NEWLINK, RTM_GETLINK, RTM_SETLINK, RTM_NEWADDR, RTM_DELADDR = 16, 18, 19, 20, 21
RTM_NEWROUTE, RTM_NEWNEIGH = 24, 28
RTNLGRP_LINK = 1
IFF_UP, IFF_RUNNING = 1, 0x40
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_NET_NS_FD, IFLA_EXT_MASK, IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 28, 29, 31, 32
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
IFLA_BR_FORWARD_DELAY, IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING, IFLA_BRPORT_ISOLATED = 1, 5, 23, 33
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
IFA_F_NODAD = 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 0, 253, 1
NDA_LLADDR = 2
NUD_NOARP, NTF_MASTER, AF_BRIDGE = 0x40, 4, 7
SKIP_STATS = 8

_IFINFO = struct.Struct("=BxHiII")
_U32 = struct.Struct("=I")
LOOPBACK = 1
"""index of lo in every namespace"""

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(slots=True)
class End:
    """One end of a veth pair."""

    name: str
    """interface name"""
    index: int
    """interface index, chosen by the caller, so that later requests need not ask for it"""
    mac: bytes
    """6 octets"""
    fd: int
    """namespace it is created in"""


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, _U32.pack(value))


def _end(end: End, mtu: int | None) -> bytes:
    parts = attribute(IFLA_IFNAME, end.name.encode() + b"\0") + attribute(IFLA_ADDRESS, end.mac)
    # the kernel would allocate a queue a processor and use one: three times the time to create a pair
    parts += _u32(IFLA_NUM_TX_QUEUES, 1) + _u32(IFLA_NUM_RX_QUEUES, 1)
    return parts + _u32(IFLA_NET_NS_FD, end.fd) + (_u32(IFLA_MTU, mtu) if mtu else b"")


def veth(first: End, second: End, mtu: int | None, what: str, master: int = 0) -> Request:
    """Create a veth pair, each end in its namespace; the first end is up (and a port of bridge index master).

    The kernel refuses to bring the second end up in the same request (it has no peer yet at that time).
    The two indexes must differ: the kernel delays carrier events of an interface that seems its own peer by 1 s.
    """
    peer = attribute(VETH_INFO_PEER, _IFINFO.pack(0, 0, second.index, 0, 0) + _end(second, mtu))
    info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"veth"), nested(IFLA_INFO_DATA, peer))
    body = _IFINFO.pack(0, 0, first.index, IFF_UP, IFF_UP) + _end(first, mtu) + info
    if master:
        body += _u32(IFLA_MASTER, master)
    return Request(RTM_NEWLINK, body, what, NLM_F_CREATE | NLM_F_EXCL)


def bridge(name: str, index: int, fd: int, what: str) -> Request:
    """Create a bridge, up, without spanning tree, forward delay and multicast snooping."""
    data = nested(
        IFLA_INFO_DATA,
        _u32(IFLA_BR_STP_STATE, 0),
        _u32(IFLA_BR_FORWARD_DELAY, 0),
        attribute(IFLA_BR_MCAST_SNOOPING, b"\0"),
    )
    info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge"), data)
    body = _IFINFO.pack(0, 0, index, IFF_UP, IFF_UP) + attribute(IFLA_IFNAME, name.encode() + b"\0")
    return Request(RTM_NEWLINK, body + _u32(IFLA_NET_NS_FD, fd) + info, what, NLM_F_CREATE | NLM_F_EXCL)


def set_link(
    index: int, what: str, *, up: bool | None = None, master: int | None = None, mac: bytes | None = None,
    mtu: int | None = None,
) -> Request:  # fmt: skip
    """Change an interface: up or down, its bridge (0: none), MAC address, MTU."""
    flags, change = (IFF_UP if up else 0, IFF_UP) if up is not None else (0, 0)
    body = _IFINFO.pack(0, 0, index, flags, change)
    if master is not None:
        body += _u32(IFLA_MASTER, master)
    if mac is not None:
        body += attribute(IFLA_ADDRESS, mac)
    if mtu is not None:
        body += _u32(IFLA_MTU, mtu)
    return Request(RTM_SETLINK, body, what)


def isolate_port(index: int, what: str) -> Request:
    """Let a bridge port exchange frames with ports that are not isolated only."""
    data = nested(IFLA_INFO_SLAVE_DATA, attribute(IFLA_BRPORT_ISOLATED, b"\1"))
    info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_SLAVE_KIND, b"bridge"), data)
    return Request(RTM_NEWLINK, _IFINFO.pack(0, 0, index, 0, 0) + info, what)


def forwarding_entry(index: int, mac: bytes, what: str) -> Request:
    """Tell a port's bridge that mac lives behind the port; the entry goes when the port leaves the bridge."""
    body = struct.pack("=BxxxiHBB", AF_BRIDGE, index, NUD_NOARP, NTF_MASTER, 0) + attribute(NDA_LLADDR, mac)
    return Request(RTM_NEWNEIGH, body, what, NLM_F_CREATE | NLM_F_REPLACE)


def add_address(index: int, address: Address, what: str, *, dad: bool = False) -> Request:
    """Add an address; without dad it can be used at once."""
    body = _address(index, address, 0 if dad else IFA_F_NODAD)
    return Request(RTM_NEWADDR, body, what, NLM_F_CREATE | NLM_F_REPLACE)


def delete_address(index: int, address: Address, what: str) -> Request:
    """Remove an address."""
    return Request(RTM_DELADDR, _address(index, address, 0), what)


def _address(index: int, address: Address, flags: int) -> bytes:
    packed, length = address.packed, address.network.prefixlen
    if address.version == 6:
        head = struct.pack("=BBBBI", socket.AF_INET6, length, flags, 0, index)
        return head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    head = struct.pack("=BBBBI", socket.AF_INET, length, 0, 0, index)
    body = head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    if length < 31:
        body += attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
    return body


def add_route(destination: str, via: str, what: str, indexes: dict[str, int]) -> Request:
    """Add or replace a route of the main table; via is an address, address%interface or an interface.

    destination is a prefix or "default" (the family of via; IPv6 when via is an interface).
    indexes maps the namespace's interface names to indexes; KeyError when via names none of them.
    """
    gateway_text, _, device = via.partition("%")
    try:
        gateway = ipaddress.ip_address(gateway_text)
        version = gateway.version
    except ValueError:
        gateway, device = None, via
        version = 6 if destination == "default" else ipaddress.ip_network(destination).version
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    network = ipaddress.ip_network(everything if destination == "default" else destination)
    scope = RT_SCOPE_LINK if version == 4 and gateway is None else RT_SCOPE_UNIVERSE
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    head = (family, network.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0)
    body = struct.pack("=BBBBBBBBI", *head)
    if network.prefixlen:
        body += attribute(RTA_DST, network.network_address.packed)
    if gateway is not None:
        body += attribute(RTA_GATEWAY, gateway.packed)
    if device:
        body += _u32(RTA_OIF, indexes[device])
    return Request(RTM_NEWROUTE, body, what, NLM_F_CREATE | NLM_F_REPLACE)


def get_link(index: int, what: str) -> Request:
    """Ask for an interface's state."""
    return Request(RTM_GETLINK, _IFINFO.pack(0, 0, index, 0, 0) + _u32(IFLA_EXT_MASK, SKIP_STATS), what)


def link_flags(message: bytes) -> tuple[int, int]:
    """Return (index, IFF_* flags) of an RTM_NEWLINK message."""
    _family, _type, index, flags, _change = _IFINFO.unpack_from(message, 16)
    return index, flags


def wait_running(netlink: Netlink, indexes: dict[int, str], timeout: float) -> None:
    """Wait for the kernel's event that each interface is operational (carrier known, IPv6 started).

    indexes maps interface index to its name; TimeoutError names those that are not after timeout seconds.
    """
    netlink.subscribe(RTNLGRP_LINK)  # before the question, so that no change falls between the two
    pending = dict(indexes)
    deadline = time.monotonic() + timeout
    while pending:
        try:
            for index in list(pending):
                _note_until_answer(netlink, get_link(index, f"state of {indexes[index]}"), pending)
            _note_events(netlink, pending, deadline)
        except TimeoutError:
            names = ", ".join(sorted(pending.values()))
            raise TimeoutError(f"no carrier on {names} after {timeout:g} s") from None
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # ENOBUFS: events were lost, so ask again
                raise


def _note_until_answer(netlink: Netlink, request: Request, pending: dict[int, str]) -> None:
    """Ask for one interface's state; note it and every event that comes before the answer."""
    index = _IFINFO.unpack_from(request.body)[2]
    if index not in pending:
        return
    sequence = netlink.ask(request)
    for kind, answered, message in netlink.messages():
        _note(kind, message, pending)
        if answered == sequence:
            return


def _note_events(netlink: Netlink, pending: dict[int, str], deadline: float) -> None:
    if not pending:
        return
    for kind, _sequence, message in netlink.messages(max(0.001, deadline - time.monotonic())):
        _note(kind, message, pending)
        if not pending:
            return
        if time.monotonic() > deadline:
            raise TimeoutError


def _note(kind: int, message: bytes, pending: dict[int, str]) -> None:
    if kind == RTM_NEWLINK:
        index, flags = link_flags(message)
        if flags & IFF_RUNNING:
            pending.pop(index, None)
