"""Building a described network in the kernel, in a few netlink batches."""

from __future__ import annotations

import ipaddress
import os
import resource
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

from testbed import impairments, requests
from testbed.links import Interface, VethLink
from testbed.namespace import Namespace
from testbed.netlink import Netlink, Request
from testbed.nodes import Bridge, Cell, Host
from testbed.radio import hwsim
from testbed.validation import LabError, unknown

CARRIER_TIMEOUT = 20.0
"""seconds; the kernel takes milliseconds, a loaded machine longer"""
SPARE_DESCRIPTORS = 256

Sockets = dict[Namespace, Netlink]


def build(source: str, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
    """Create nodes and links (between these or earlier nodes) and wait until every link carries frames.

    LabError names source and what the kernel refused.
    """
    wired = [link for link in links if not link.wireless]
    _check_wireless(source, nodes, links)
    impairments.check(source, wired)
    _allow_descriptors(2 * len(nodes) + SPARE_DESCRIPTORS)
    with ExitStack() as stack:
        sockets: Sockets = {}
        _make_namespaces(source, nodes, links, sockets, stack)
        if not sockets:
            return
        any_socket = next(iter(sockets.values()))
        any_socket.run([*_bridges(nodes), *(_veth(link) for link in wired)])
        hwsim.equip(link for link in links if link.wireless)
        for namespace, batch in _settings(source, nodes, links).items():
            sockets[namespace].run(batch)
        impairments.apply(wired)
        _wait(source, wired, sockets)
    for node in nodes:
        if node.needs_finish():
            with node.entered():
                node.finish()


def _check_wireless(source: str, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
    """Raise LabError for 802.11 where the kernel has none, and for a radio that is to be impaired as a cable is."""
    for link in links:
        if link.wireless and (link.impairment or link.mtu):
            raise LabError(f"{source}: link {link}: a radio takes no delay, loss, rate or mtu")
    if any(node.WIRELESS for node in nodes):
        hwsim.check(source)


def _make_namespaces(
    source: str, nodes: Sequence[Host], links: Sequence[VethLink], sockets: Sockets, stack: ExitStack
) -> None:
    """Give each node its namespace, prepare it, and open a netlink socket in each that takes part."""
    for node in nodes:
        if isinstance(node, Cell):
            continue  # inside its air's
        try:
            node.namespace = Namespace.create()
        except OSError as error:
            raise LabError(f"{source}: node {node}: no namespace: {error.strerror}; see doctor") from error
        with node.namespace.entered():
            node.prepare()
            sockets[node.namespace] = stack.enter_context(Netlink())
    for node in nodes:
        if isinstance(node, Cell) and node.air_node:
            node.namespace = node.air_node.namespace
    for namespace in {_namespace(end.node) for link in links for end in link.ends}:
        if namespace not in sockets:
            with namespace.entered():
                sockets[namespace] = stack.enter_context(Netlink())


def _bridges(nodes: Sequence[Host]) -> list[Request]:
    return [
        requests.bridge(node.name, node.device_index, _namespace(node).fd, f"bridge {node}")
        for node in nodes
        if isinstance(node, Bridge)
    ]


def _veth(link: VethLink) -> Request:
    """Return the request that makes a link; the first end is up at once, so that is a bridge's port if there is one."""
    first, second = _ordered(link)
    return requests.veth(_end(first), _end(second), link.mtu, f"link {link}", _master(first))


def _ordered(link: VethLink) -> tuple[Interface, Interface]:
    if isinstance(link.intf2.node, Bridge):
        return link.intf2, link.intf1
    return link.intf1, link.intf2


def _end(interface: Interface) -> requests.End:
    return requests.End(interface.name, interface.index, interface.mac, _namespace(interface.node).fd)


def _master(interface: Interface) -> int | None:
    return interface.node.device_index if isinstance(interface.node, Bridge) else None


def _settings(source: str, nodes: Sequence[Host], links: Sequence[VethLink]) -> dict[Namespace, list[Request]]:
    """Return what to do inside each namespace: interfaces up, addresses, routes."""
    batches: dict[Namespace, list[Request]] = defaultdict(list)
    for node in nodes:
        if not isinstance(node, Cell):
            batches[_namespace(node)].append(requests.set_link(requests.LOOPBACK, f"{node} lo up", up=True))
    for link in links:
        if link.wireless:
            for end in link.ends:
                if not end.node.WIRELESS:
                    what = f"{end.node} {end} up"
                    batches[_namespace(end.node)] += [requests.set_link(end.index, what, up=True), *end.requests()]
            continue
        second = _ordered(link)[1]
        what = f"{second.node} {second} up"
        batches[_namespace(second.node)].append(requests.set_link(second.index, what, up=True, master=_master(second)))
        for end in link.ends:
            batches[_namespace(end.node)] += end.requests()
    for node in nodes:
        batches[_namespace(node)] += [*_loopback_addresses(node), *_routes(source, node)]
    return batches


def _loopback_addresses(node: Host) -> list[Request]:
    return [
        requests.add_address(requests.LOOPBACK, ipaddress.ip_interface(address), f"address {address} on {node} lo")
        for address in node.params.get("addresses", ())
    ]


def _routes(source: str, node: Host) -> list[Request]:
    """Return the requests for a node's `routes` and Mininet's `defaultRoute`."""
    wanted = list(node.params.get("routes", ()))
    if node.params.get("defaultRoute"):  # "via 10.0.0.1", "dev eth0" or an interface's name
        wanted.append(("default", str(node.params["defaultRoute"]).split()[-1]))
    indexes = {"lo": requests.LOOPBACK} | {interface.name: interface.index for interface in node.intfList()}
    result = []
    for destination, via in wanted:
        try:
            what = f"route {destination} via {via} on {node}"
            result.append(requests.add_route(destination, via, what, indexes))
        except KeyError as error:
            name = str(error.args[0])
            raise LabError(f"{source}: node {node}: routes: {unknown('interface', name, indexes)}") from None
    return result


def _wait(source: str, links: Sequence[VethLink], sockets: Sockets) -> None:
    """Wait for the kernel to say that every end carries frames; without that IPv6 would not answer yet."""
    ends: dict[Namespace, dict[int, str]] = defaultdict(dict)
    for link in links:
        for end in link.ends:
            ends[_namespace(end.node)][end.index] = f"{end.node} {end}"
    for namespace, pending in ends.items():
        try:
            with namespace.entered():
                requests.wait_running(sockets[namespace], pending, CARRIER_TIMEOUT)
        except TimeoutError as error:
            raise LabError(f"{source}: {error}") from None


def _namespace(node: Host) -> Namespace:
    if node.namespace is None:
        raise LabError(f"{node}: the network is not started")
    return node.namespace


def _allow_descriptors(needed: int) -> None:
    """Raise this process's limit of open files as far as it may be, when it is too low for the network."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = len(os.listdir("/proc/self/fd")) + needed  # noqa: PTH208
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise LabError(f"the network needs {wanted} open files and the limit is {hard}: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
