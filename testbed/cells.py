"""Radio cells: attaching a mobile node is one netlink call that makes its radio port a port of the cell's bridge.

    mn1 eth0 ────── air-eth1 (radio port)      in the air's namespace: cell1, cell2 ... are bridges;
    mn2 eth0 ────── air-eth2                   a radio port is a member of one of them, or of none;
    dgw1 phy ────── cell1-eth1 (gateway port)  gateway ports are members for good.

The mobile node's own interface stays up and keeps its addresses. As behind an access point, frames of one mobile node
reach the gateway's port only (radio ports are isolated), the bridge knows the node's MAC from the association, and
a frame for a node that left reaches nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from testbed import requests
from testbed.links import Interface, VethLink
from testbed.namespace import Namespace
from testbed.netlink import Netlink, Request
from testbed.nodes import Air, Bridge, Cell, Host
from testbed.validation import LabError, unknown


@dataclass(frozen=True, slots=True)
class Association:
    """What an access point tells its gateway."""

    t: float
    """Unix time of the bridge change, seconds"""
    event: Literal["associated", "disassociated"]
    node: str
    """mobile node"""
    mac: str
    """its MAC address"""
    cell: str
    gateway: str | None
    """node linked to the cell, or None when the cell has no gateway"""
    interface: str | None
    """the gateway's interface to the cell"""


Listener = Callable[[Association], None]


class RadioCells:
    """Which mobile node is in which cell."""

    def __init__(self) -> None:
        self._ports: dict[str, tuple[Interface, Interface]] = {}
        self._cells: dict[str, Cell] = {}
        self._gateways: dict[str, Interface] = {}
        self._member: dict[str, str] = {}
        self._listeners: list[Listener] = []
        self._sockets: dict[Namespace, Netlink] = {}
        self._changing = threading.RLock()

    def add(self, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
        """Learn the radio parts of what was just built."""
        self._cells |= {node.name: node for node in nodes if isinstance(node, Cell)}
        for node in nodes:
            if isinstance(node, Air) and node.namespace:
                with node.namespace.entered():
                    self._sockets[node.namespace] = Netlink()
        for link in links:
            for end in link.ends:
                other = link.other(end)
                if isinstance(end.node, Air):
                    self._ports.setdefault(other.node.name, (other, end))
                elif isinstance(end.node, Cell) and not isinstance(other.node, Bridge | Air):
                    self._gateways.setdefault(end.node.name, other)

    def listen(self, listener: Listener) -> None:
        """Have listener told of every change, in the mover's thread."""
        self._listeners.append(listener)

    def cell_of(self, node: str) -> str | None:
        """Return the cell a mobile node is attached to."""
        self._port(node)
        return self._member.get(node)

    def attach(self, node: str, cell: str) -> None:
        """Connect a mobile node to a cell (leaving its present one); already there: re-association events only."""
        with self._changing:
            self._attach(node, cell)

    def _attach(self, node: str, cell: str) -> None:
        station, port = self._port(node)
        target = self._cell(cell)
        if target.namespace is not port.node.namespace:
            raise LabError(f"{node} cannot attach to {cell}: its radio is in {port.node}, the cell in another air")
        present = self._member.get(node)
        if present == cell:
            self._tell("disassociated", station, cell, time.time())
            self._tell("associated", station, cell, time.time())
            return
        if present is not None:
            self.detach(node)
        batch = _attachment(port.index, target.device_index, station.mac, f"attach {node} to {cell}")
        moment = time.time()  # before the change: nothing the node sends in the cell is earlier than its association
        self._netlink(port).run(batch)
        self._member[node] = cell
        self._tell("associated", station, cell, moment)

    def detach(self, node: str) -> None:
        """Take a mobile node out of its cell; the bridge forgets its MAC with the port. None: does nothing."""
        station, port = self._port(node)
        with self._changing:
            cell = self._member.get(node)
            if cell is None:
                return
            batch = _detachment(port.index, f"detach {node} from {cell}")
            moment = time.time()
            self._netlink(port).run(batch)
            del self._member[node]
            self._tell("disassociated", station, cell, moment)

    def move(self, node: str, cell: str) -> None:
        """Detach a mobile node and attach it to a cell."""
        self._cell(cell)  # an unknown cell must not leave the node detached
        self.attach(node, cell)

    def describe(self) -> dict[str, dict[str, str | None]]:
        """Return `cells` of lab.json: each cell's gateway and the gateway's interface."""
        return {
            name: {
                "gateway": gateway.node.name if (gateway := self._gateways.get(name)) else None,
                "interface": gateway.name if gateway else None,
            }
            for name in self._cells
        }

    def close(self) -> None:
        """Close the airs' netlink sockets."""
        for netlink in self._sockets.values():
            netlink.close()
        self._sockets.clear()

    def _tell(
        self, event: Literal["associated", "disassociated"], station: Interface, cell: str, moment: float
    ) -> None:
        gateway = self._gateways.get(cell)
        name, interface = (gateway.node.name, gateway.name) if gateway else (None, None)
        association = Association(moment, event, station.node.name, station.mac, cell, name, interface)
        for listener in self._listeners:
            listener(association)

    def _port(self, node: str) -> tuple[Interface, Interface]:
        if node not in self._ports:
            raise LabError(unknown("mobile node", node, self._ports))
        return self._ports[node]

    def _cell(self, cell: str) -> Cell:
        if cell not in self._cells:
            raise LabError(unknown("cell", cell, self._cells))
        return self._cells[cell]

    def _netlink(self, port: Interface) -> Netlink:
        netlink = self._sockets.get(port.node.namespace)
        if netlink is None:
            raise LabError("the network is not started")
        return netlink


# encoding takes pyroute2 longer than the change takes the kernel, so what was encoded is kept


@lru_cache(maxsize=4096)
def _attachment(port: int, bridge: int, mac: str, what: str) -> list[Request]:
    return [
        requests.set_link(port, what, master=bridge),
        requests.radio_port(port, what),
        requests.forwarding_entry(port, mac, what),
    ]


@lru_cache(maxsize=4096)
def _detachment(port: int, what: str) -> list[Request]:
    return [requests.set_link(port, what, master=0)]
