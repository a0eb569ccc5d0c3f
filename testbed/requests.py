"""The rtnetlink requests the testbed makes: links, bridge ports, addresses, routes, forwarding entries."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Any

from pyroute2.config import AF_BRIDGE
from pyroute2.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTM_SETLINK,
    RTMGRP_LINK,
    rt_proto,
    rt_scope,
    rt_type,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import NTF_MASTER, NUD_NOARP, NUD_REACHABLE, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.netlink import Message, Netlink, Request

RT_TABLE_MAIN, RTEXT_FILTER_SKIP_STATS = 254, 8  # pyroute2 0.9.7 has no names for these
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
    mac: str
    fd: int
    """namespace it is created in"""


def _attributes(**attributes: Any) -> dict[str, list[tuple[str, Any]]]:
    """Return attributes, without those that are None, as pyroute2 wants them."""
    return {"attrs": [(name, value) for name, value in attributes.items() if value is not None]}


def _link(index: int, up: bool | None = None, **attributes: Any) -> ifinfmsg:
    flags, change = (IFF_UP if up else 0, IFF_UP) if up is not None else (0, 0)
    message = ifinfmsg()
    message.update(index=index, flags=flags, change=change, **_attributes(**attributes))
    return message


def _end(end: End, mtu: int | None) -> dict[str, Any]:
    # the kernel would allocate a queue a processor and use one: three times the time to create a pair
    queues = {"IFLA_NUM_TX_QUEUES": 1, "IFLA_NUM_RX_QUEUES": 1}
    return {"IFLA_IFNAME": end.name, "IFLA_ADDRESS": end.mac, "IFLA_NET_NS_FD": end.fd, "IFLA_MTU": mtu, **queues}


def veth(first: End, second: End, mtu: int | None, what: str, master: int | None = None) -> Request:
    """Create a veth pair, each end in its namespace; the first end is up (and a port of bridge index master).

    The kernel refuses to bring the second end up in the same request (it has no peer yet at that time).
    The two indexes must differ: the kernel delays carrier events of an interface that seems its own peer by 1 s.
    """
    peer = {"index": second.index, **_attributes(**_end(second, mtu))}
    info = _attributes(IFLA_INFO_KIND="veth", IFLA_INFO_DATA=_attributes(VETH_INFO_PEER=peer))
    message = _link(first.index, up=True, **_end(first, mtu), IFLA_LINKINFO=info, IFLA_MASTER=master)
    return Request(RTM_NEWLINK, message, what, NLM_F_CREATE | NLM_F_EXCL)


def bridge(name: str, index: int, fd: int, what: str) -> Request:
    """Create a bridge, up, without spanning tree, forward delay and multicast snooping."""
    data = _attributes(IFLA_BR_STP_STATE=0, IFLA_BR_FORWARD_DELAY=0, IFLA_BR_MCAST_SNOOPING=0)
    info = _attributes(IFLA_INFO_KIND="bridge", IFLA_INFO_DATA=data)
    message = _link(index, up=True, IFLA_IFNAME=name, IFLA_NET_NS_FD=fd, IFLA_LINKINFO=info)
    return Request(RTM_NEWLINK, message, what, NLM_F_CREATE | NLM_F_EXCL)


def set_link(
    index: int,
    what: str,
    *,
    up: bool | None = None,
    master: int | None = None,
    mac: str | None = None,
    name: str | None = None,
) -> Request:
    """Change an interface: up or down, its bridge (0: none), MAC address, name."""
    message = _link(index, up=up, IFLA_MASTER=master, IFLA_ADDRESS=mac, IFLA_IFNAME=name)
    return Request(RTM_SETLINK, message, what)


def radio_port(index: int, what: str) -> Request:
    """Make a bridge port one of an access point's stations: it hears frames for its own MAC and group frames only.

    It exchanges frames with ports that are not isolated, and gets nothing that is meant for a station which left.
    """
    data = _attributes(IFLA_BRPORT_ISOLATED=1, IFLA_BRPORT_UNICAST_FLOOD=0)
    info = _attributes(IFLA_INFO_SLAVE_KIND="bridge", IFLA_INFO_SLAVE_DATA=data)
    return Request(RTM_NEWLINK, _link(index, IFLA_LINKINFO=info), what)


def forwarding_entry(index: int, mac: str, what: str) -> Request:
    """Tell a port's bridge that mac lives behind the port; the entry goes when the port leaves the bridge."""
    message = ndmsg()
    entry = _attributes(NDA_LLADDR=mac)
    message.update(family=AF_BRIDGE, ifindex=index, state=NUD_NOARP, flags=NTF_MASTER, **entry)
    return Request(RTM_NEWNEIGH, message, what, NLM_F_CREATE | NLM_F_REPLACE)


def neighbor(index: int, address: str, mac: str, what: str) -> Request:
    """Tell an interface which MAC address a node on its link has, as if the node had just confirmed it."""
    message = ndmsg()
    family = _family(ipaddress.ip_address(address).version)
    entry = _attributes(NDA_DST=address, NDA_LLADDR=mac)
    message.update(family=family, ifindex=index, state=NUD_REACHABLE, **entry)
    return Request(RTM_NEWNEIGH, message, what, NLM_F_CREATE | NLM_F_REPLACE)


def add_address(index: int, address: Address, what: str, *, dad: bool = False) -> Request:
    """Add an address; without dad it can be used at once."""
    flags = IFA_F_NODAD if address.version == 6 and not dad else 0
    return Request(RTM_NEWADDR, _address(index, address, flags), what, NLM_F_CREATE | NLM_F_REPLACE)


def delete_address(index: int, address: Address, what: str) -> Request:
    """Remove an address."""
    return Request(RTM_DELADDR, _address(index, address, 0), what)


def _address(index: int, address: Address, flags: int) -> ifaddrmsg:
    own, network = str(address.ip), address.network
    broadcast = str(network.broadcast_address) if address.version == 4 and network.prefixlen < 31 else None
    message = ifaddrmsg()
    message.update(
        family=_family(address.version), prefixlen=network.prefixlen, flags=flags, index=index,
        **_attributes(IFA_LOCAL=own, IFA_ADDRESS=own, IFA_BROADCAST=broadcast),
    )  # fmt: skip
    return message


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def add_route(destination: str, via: str, what: str, indexes: dict[str, int]) -> Request:
    """Add or replace a route of the main table; via is an address, address%interface or an interface.

    destination is a prefix or "default" (the family of via; IPv6 when via is an interface).
    indexes maps the namespace's interface names to indexes; KeyError when via names none of them.
    """
    gateway, _, device = via.partition("%")
    try:
        version = ipaddress.ip_address(gateway).version
    except ValueError:
        gateway, device = "", via
        version = 6 if destination == "default" else ipaddress.ip_network(destination).version
    network = None if destination == "default" else ipaddress.ip_network(destination)
    message = rtmsg()
    message.update(
        family=_family(version), dst_len=network.prefixlen if network else 0, table=RT_TABLE_MAIN,
        proto=rt_proto["static"], type=rt_type["unicast"],
        scope=rt_scope["link" if version == 4 and not gateway else "universe"],
        **_attributes(
            RTA_DST=str(network.network_address) if network and network.prefixlen else None,
            RTA_GATEWAY=gateway or None,
            RTA_OIF=indexes[device] if device else None,
        ),
    )  # fmt: skip
    return Request(RTM_NEWROUTE, message, what, NLM_F_CREATE | NLM_F_REPLACE)


def get_link(index: int, what: str) -> Request:
    """Ask for an interface's state, or with index 0 for that of every interface."""
    message = _link(index, IFLA_EXT_MASK=RTEXT_FILTER_SKIP_STATS)
    return Request(RTM_GETLINK, message, what, 0 if index else NLM_F_DUMP)


def wait_running(netlink: Netlink, indexes: dict[int, str], timeout: float) -> None:
    """Wait for the kernel's event that each interface is operational (carrier known, IPv6 started).

    That is the operational state, not the flag IFF_RUNNING, which is set too while the state is not known yet.
    indexes maps interface index to its name; TimeoutError names those that are not after timeout seconds.
    The calling thread must be in netlink's namespace.
    """
    pending = dict(indexes)
    deadline = time.monotonic() + timeout
    with Netlink(RTMGRP_LINK) as events:  # opened before the question: no change falls between the two
        while pending:
            for message in netlink.run([get_link(0, "state of interfaces")]):
                _note(message, pending)
            try:
                while pending:
                    for message in events.receive(max(0.001, deadline - time.monotonic())):
                        _note(message, pending)
                    if time.monotonic() > deadline:
                        raise TimeoutError
            except TimeoutError:
                names = ", ".join(sorted(pending.values()))
                raise TimeoutError(f"no carrier on {names} after {timeout:g} s") from None
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # ENOBUFS: events were lost, so ask again
                    raise


def _note(message: Message, pending: dict[int, str]) -> None:
    if message["header"]["type"] == RTM_NEWLINK and message.get_attr("IFLA_OPERSTATE") == "UP":
        pending.pop(message["index"], None)
