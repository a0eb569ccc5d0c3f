"""Radio cells of bridges: attaching a node is one netlink call that makes its radio port a port of the cell's bridge.

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
from collections.abc import Sequence
from functools import lru_cache

from testbed import requests
from testbed.links import Interface, VethLink
from testbed.namespace import Namespace
from testbed.netlink import Netlink, Request
from testbed.nodes import Air, Host
from testbed.radio.cells import Radio
from testbed.validation import LabError


class BridgedRadio(Radio):
    """Mobile nodes change cells as their ports change bridges."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: dict[Namespace, Netlink] = {}
        self._changing = threading.RLock()

    def add(self, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
        """Learn the radio parts of what was just built."""
        for node in nodes:
            if isinstance(node, Air) and node.namespace:
                with node.namespace.entered():
                    self._sockets[node.namespace] = Netlink()
        super().add(nodes, links)

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

    def close(self) -> None:
        """Close the airs' netlink sockets."""
        for netlink in self._sockets.values():
            netlink.close()
        self._sockets.clear()

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
