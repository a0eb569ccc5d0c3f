"""What every kind of radio has: cells with a gateway each, mobile nodes in them, and who is told of changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from testbed.links import Interface, VethLink
from testbed.nodes import Air, Bridge, Cell, Host
from testbed.validation import LabError, unknown

Change = Literal["associated", "disassociated"]
Noticed = Literal["now", "never", "late"]


@dataclass(frozen=True, slots=True)
class Association:
    """A mobile node came to a cell or left it."""

    t: float
    """Unix time of the change on layer 2, seconds"""
    event: Change
    node: str
    """mobile node"""
    mac: str
    """its MAC address"""
    cell: str
    gateway: str | None
    """node linked to the cell, or None when the cell has no gateway"""
    interface: str | None
    """the gateway's interface to the cell"""
    noticed: Noticed = "now"
    """when the access point noticed and told its gateway; "never": a station that roams says no good-bye,
    "late": it forgets a station that had left before"""


Listener = Callable[[Association], None]


class Radio(ABC):
    """Which mobile node is in which cell."""

    def __init__(self) -> None:
        self._ports: dict[str, tuple[Interface, Interface]] = {}
        """mobile node -> its interface, and the link's end in the air"""
        self._cells: dict[str, Cell] = {}
        self._gateways: dict[str, Interface] = {}
        self._member: dict[str, str] = {}
        self._listeners: list[Listener] = []

    def add(self, nodes: Sequence[Host], links: Sequence[VethLink]) -> None:
        """Learn the radio parts of what was just built."""
        self._cells |= {node.name: node for node in nodes if isinstance(node, Cell)}
        for link in links:
            for end in link.ends:
                other = link.other(end)
                if isinstance(end.node, Air):
                    self._ports.setdefault(other.node.name, (other, end))
                elif isinstance(end.node, Cell) and not isinstance(other.node, Bridge | Air):
                    self._gateways.setdefault(end.node.name, other)

    def listen(self, listener: Listener) -> None:
        """Have listener told of every change, in the thread that learns of it."""
        self._listeners.append(listener)

    def cell_of(self, node: str) -> str | None:
        """Return the cell a mobile node is attached to."""
        self._port(node)
        return self._member.get(node)

    @abstractmethod
    def attach(self, node: str, cell: str) -> None:
        """Connect a mobile node to a cell (leaving its present one); already there: it associates again."""

    @abstractmethod
    def detach(self, node: str) -> None:
        """Take a mobile node out of its cell. In none: does nothing."""

    def move(self, node: str, cell: str) -> None:
        """Hand a mobile node over to a cell."""
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

    @abstractmethod
    def close(self) -> None:
        """End what the radio holds; nobody is told of anything any more. Safe to repeat."""

    def _tell(self, event: Change, station: Interface, cell: str, moment: float, noticed: Noticed = "now") -> None:
        gateway = self._gateways.get(cell)
        name, interface = (gateway.node.name, gateway.name) if gateway else (None, None)
        association = Association(moment, event, station.node.name, station.mac, cell, name, interface, noticed)
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
