"""Where the packet path's packets go: the seam between the sans-IO data plane and the sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Inner, Neighbor

Octets = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Control:
    """A packet that concerns the AERO link itself: Neighbor Discovery, DHCPv6 (spec §6)."""

    packet: bytes
    """The inner IPv6 packet, without padding."""
    lladdr: LinkLayerAddress
    """Where it came from."""
    neighbor: Neighbor | None
    """Whose link-layer address that is."""
    size: int
    """Octets of the inner part, padding included (spec §6.5 OBSERVED)."""
    atomic: bool = False
    """It came behind a Fragment Header, whole (spec FRAG-14)."""


class Sink(Protocol):
    """Where packets go."""

    def transmit(
        self, through: Carrier, destination: SocketAddress, octets: Sequence[Octets], df: bool, tos: int
    ) -> None:
        """Send a payload to an underlay address."""

    def deliver(self, packet: Octets) -> None:
        """Give an inner packet to this node's kernel."""

    def control(self, control: Control) -> None:
        """Take a control packet."""

    def unknown_origin(self, lladdr: LinkLayerAddress, source: Inner, size: int) -> None:
        """Data came from a link-layer address that nobody has (spec SRV-9)."""
