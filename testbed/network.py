"""The network: Mininet's API over namespaces by descriptor, netlink batches and radio cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from testbed import ending
from testbed import validation as v
from testbed.building import build
from testbed.links import INTERFACE_OPTIONS, LINK_OPTIONS, Impairment, Interface, VethLink
from testbed.mininet_api import Mininet, Topo, file_of
from testbed.nodes import Air, Bridge, Cell, Host, MobileHost
from testbed.radio.bridges import BridgedRadio
from testbed.radio.cells import Association, Radio
from testbed.radio.wifi import WifiRadio
from testbed.validation import LabError, check_options, unknown

FIRST_INDEX = 1001
"""Interface indices count from here: a kernel with ip6_tunnel or sit loaded takes low ones in each new namespace."""


class Network(Mininet):
    """A Mininet network that starts and stops in milliseconds, without OVS, controllers or tools.

    Constructing it reads and checks the topology (LabError names file, place and nearest valid key);
    start() makes everything and returns when all links carry frames; stop() leaves nothing.
    Usable as a context manager: `with Network(topo) as net:`.
    """

    def __init__(
        self, topo: Topo | None = None, *, host: type[Host] = Host, switch: type[Host] = Bridge,
        ipBase: str = "10.0.0.0/8", source: str | None = None, logs: Path | None = None,
    ) -> None:  # fmt: skip
        """Read topo; source is the file named in error messages (default: the one that defines topo's class).

        logs is a folder for what the network's own programs say (those of 802.11).
        """
        Mininet.inited = True  # its init() would change limits and sysctls of the whole machine
        super().__init__(host=host, switch=switch, controller=None, link=VethLink, build=False, ipBase=ipBase)
        self.topo = topo
        self.source = source or ("network" if topo is None else file_of(topo))
        self.built = False
        self.started = False
        self.radio: Radio = BridgedRadio()
        self._logs = logs
        self._indexes = itertools.count(FIRST_INDEX)
        self._numbers: dict[Host, str] = {}
        self._new_nodes: list[Host] = []
        self._new_links: list[VethLink] = []
        if topo is not None:
            self.buildFromTopo(topo)
            self._check_cells()

    # --- describing -------------------------------------------------------------------------------------------

    def buildFromTopo(self, topo: Topo | None = None) -> None:
        """Make the objects of a topology; nothing is created in the kernel before start()."""
        assert topo is not None
        for name in topo.hosts():
            self.addHost(name, **topo.nodeInfo(name))
        for name in topo.switches():
            self.addSwitch(name, **topo.nodeInfo(name))
        for _first, _second, options in topo.links(sort=True, withInfo=True):
            self.addLink(**options)

    def addHost(self, name: str, cls: type[Host] | None = None, **params: Any) -> Host:
        """Add a node that is not a switch."""
        node = self._add(name, cls or self.host, params)
        self.hosts.append(node)
        if not isinstance(node, MobileHost):
            self._numbers[node] = self._next_address()
        self._join()
        return node

    def addSwitch(self, name: str, cls: type[Host] | None = None, **params: Any) -> Host:
        """Add a Bridge, Air or Cell."""
        node = self._add(name, cls or self.switch, params)
        self.switches.append(node)
        self._join()
        return node

    def _add(self, name: str, cls: type[Host], params: dict[str, Any]) -> Host:
        where = f"{self.source}: node {name}"
        params = {key: value for key, value in params.items() if key != "isSwitch"}
        if not (isinstance(cls, type) and issubclass(cls, Host)):
            raise LabError(f"{where}: cls must be a node class of the testbed, not {getattr(cls, '__name__', cls)!r}")
        if name in self.nameToNode:
            raise LabError(f"{where}: there is a node of this name already")
        check_options(where, params, cls.OPTIONS)
        node = cls(name, **params)
        if isinstance(node, Bridge):
            if v.interface_name(name) is not None:
                raise LabError(f"{where}: its name must be an interface name of 1 to 15 characters")
            node.device_index = next(self._indexes)
        if isinstance(node, Air):
            self._choose_radio(where, node)
        self.nameToNode[name] = node
        self._new_nodes.append(node)
        return node

    def _choose_radio(self, where: str, air: Air) -> None:
        """The first air decides which kind of radio the network has."""
        first = not any(isinstance(node, Air) for node in self.switches)
        if first and air.WIRELESS:
            self.radio = WifiRadio(self._logs)
        if isinstance(self.radio, WifiRadio) != air.WIRELESS:
            raise LabError(f"{where}: all airs of a network are of one kind")

    def addLink(
        self,
        node1: Host | str,
        node2: Host | str,
        port1: int | None = None,
        port2: int | None = None,
        **options: Any,
    ) -> VethLink:
        """Add a link; created at once when the network runs."""
        first, second = self._node(node1), self._node(node2)
        where = f"{self.source}: link {first}–{second}"
        check_options(where, options, LINK_OPTIONS)
        ends = [
            self._end(where, number, node, port, options)
            for number, node, port in ((1, first, port1), (2, second, port2))
        ]
        impairment = Impairment(options.get("delay"), options.get("loss"), options.get("rate"))
        link = VethLink(ends[0], ends[1], options.get("mtu"), impairment)
        self.links.append(link)
        self._new_links.append(link)
        self._join()
        return link

    def _end(self, where: str, number: int, node: Host, port: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of one end's Interface."""
        given = options.get(f"params{number}") or {}
        if not isinstance(given, Mapping):
            raise LabError(f"{where}: params{number} must be a mapping, not {given!r}")
        check_options(f"{where}: params{number}", given, INTERFACE_OPTIONS)
        port = node.newPort() if port is None else port
        name = options.get(f"intfName{number}") or f"{node.name}-eth{port}"
        if v.interface_name(name) is not None:
            raise LabError(f"{where}: interface name {name!r} is too long (15 characters): give intfName{number}")
        if name in node.nameToIntf or (name == node.name and isinstance(node, Bridge)):
            raise LabError(f"{where}: {node} has an interface {name} already")
        index = next(self._indexes)
        mac = given.get("mac") or options.get(f"addr{number}") or (None if node.intfs else node.params.get("mac"))
        automatic = f"02:72:6c:{index >> 16 & 255:02x}:{index >> 8 & 255:02x}:{index & 255:02x}"
        addresses = [*given.get("addresses", ()), *([given["ip"]] if "ip" in given else ())]
        if not node.intfs and node.params.get("ip"):
            addresses.append(node.params["ip"])
        return {
            "name": name, "node": node, "port": port, "index": index, "mac": mac or automatic, "addresses": addresses,
        }  # fmt: skip

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Create everything; returns when every link carries frames. On failure nothing remains."""
        if self.built:
            raise LabError(f"{self.source}: a network starts once: make a new one")
        self._check_cells()
        self._number_hosts()
        self.built = self.started = True
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._build()
            undo.pop_all()

    def build(self) -> None:
        """Do nothing: start() builds (Mininet's build() belongs to its constructor)."""

    def _join(self) -> None:
        """Create what was just added, when the network runs."""
        if self.started:
            self._check_cells()
            self._build()

    def _build(self) -> None:
        nodes, links = self._new_nodes, self._new_links
        self._new_nodes, self._new_links = [], []
        build(self.source, nodes, links)
        self.radio.add(nodes, links)

    def stop(self) -> None:
        """End the nodes' processes and drop their namespaces. Safe to repeat; the network cannot start again."""
        nodes = self.values()
        self.radio.close()  # first: the end of an access point is not news of its stations
        ending.end_processes(nodes)
        for node in nodes:
            node.close()
        self.started = False

    def __enter__(self) -> Network:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    # --- radio cells ------------------------------------------------------------------------------------------

    def attach(self, node: str, cell: str) -> None:
        """Connect a mobile node to a cell (leaving its present one); in its present cell: it associates again."""
        self.radio.attach(node, cell)

    def detach(self, node: str) -> None:
        """Take a mobile node out of its cell; does nothing when it is in none."""
        self.radio.detach(node)

    def move(self, node: str, cell: str) -> None:
        """Hand a mobile node over to a cell."""
        self.radio.move(node, cell)

    def cell_of(self, node: str) -> str | None:
        """Return the cell a mobile node is attached to."""
        return self.radio.cell_of(node)

    def listen_associations(self, callback: Callable[[Association], None]) -> None:
        """Have callback told of every association and disassociation, in the thread that learns of it."""
        self.radio.listen(callback)

    # --- looking ----------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return the `nodes`, `links` and `cells` of lab.json."""
        return {
            "nodes": {node.name: {"role": node.role, "interfaces": _interfaces(node)} for node in self.values()},
            "links": [
                {
                    "a": [link.intf1.node.name, link.intf1.name],
                    "b": [link.intf2.node.name, link.intf2.name],
                    "mtu": link.intf1.mtu,
                    "delay": link.impairment.delay,
                    "loss": link.impairment.loss,
                    "rate": link.impairment.rate,
                }
                for link in self.links
            ],
            "cells": self.radio.describe(),
        }

    def __getitem__(self, key: str) -> Any:
        """Return the node of this name; LabError with the nearest name when there is none."""
        return self._node(key)

    def getNodeByName(self, *args: str) -> Any:
        """Return the node of this name, or a list of nodes."""
        return self._node(args[0]) if len(args) == 1 else [self._node(name) for name in args]

    def _node(self, node: Host | str) -> Host:
        if not isinstance(node, str):
            return node
        if node not in self.nameToNode:
            raise LabError(f"{self.source}: {unknown('node', node, self.nameToNode)}")
        found: Host = self.nameToNode[node]
        return found

    def _next_address(self) -> str:
        base, prefix = self.ipBaseNum, self.prefixLen
        octets = (base + self.nextIP).to_bytes(4, "big")
        self.nextIP += 1
        return f"{'.'.join(map(str, octets))}/{prefix}"

    def _number_hosts(self) -> None:
        """Number the hosts 10.0.0.1, 10.0.0.2 ... as Mininet does, when the topology gives no address at all."""
        interfaces = [interface for link in self.links for interface in link.ends]
        if any(interface.addresses for interface in interfaces):
            return
        if any(node.params.get("addresses") for node in self.hosts):
            return
        for node, address in self._numbers.items():
            if node.intfs:
                node.intfList()[0].addresses.append(address)

    def _check_cells(self) -> None:
        """Find the Air each Cell names; LabError when there is none of that name."""
        airs = {node.name: node for node in self.switches if isinstance(node, Air)}
        for node in self.switches:
            if isinstance(node, Cell):
                name = str(node.params.get("air"))
                if name not in airs:
                    raise LabError(f"{self.source}: node {node}: {unknown('air', name, airs)}")
                node.air_node = airs[name]


def _interfaces(node: Host) -> dict[str, Any]:
    def facts(interface: Interface) -> dict[str, Any]:
        return {"mac": interface.mac, "addresses": list(interface.addresses), "mtu": interface.mtu}

    return {interface.name: facts(interface) for interface in node.intfList()}
