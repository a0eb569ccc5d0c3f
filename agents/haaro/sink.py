"""What stands around a HAARO node's packet path: where its packets go, and whose node it is."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from agents.haaro.notices import Datagram, Echo, TrafficSeen


class Sink(Protocol):
    """Where packets and news go."""

    def send_udp(
        self, local: IPv4Address, remote: IPv4Address, port: int, data: bytes, tos: int, df: bool = False
    ) -> int | None:
        """Send a datagram from UDP 434 of one of our addresses; with `df` it may not be divided.

        What the way takes, octets, when it was not sent for that reason, and that is known.
        """

    def send_ip(self, local: IPv4Address, remote: IPv4Address, packet: bytes, tos: int, df: bool = False) -> int | None:
        """Send a packet in IP (protocol 4), likewise."""

    def deliver(self, packet: bytes) -> None:
        """Hand a packet that came out of a tunnel to the kernel."""

    def notice(self, notice: Datagram | Echo | TrafficSeen) -> None:
        """Tell the core."""


@dataclass(frozen=True)
class Ends:
    """Who a router's own packets are: None and nothing for a home agent."""

    home_address: IPv4Address | None = None
    networks: tuple[IPv4Network, ...] = ()
    home_agent: IPv4Address | None = None
    gateway: bool = False
    """Everything is its network (spec S26)."""
