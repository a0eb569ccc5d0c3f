"""What each role does with a data packet: who may send it, and where it goes (spec §1.4, §5.5).

A policy judges a flow once; the forwarder remembers the verdict until the neighbor cache changes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from agents.aero.dataplane.icmp import Problem
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType

Inner = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


class Action(enum.Enum):
    """What is done with a flow's packets."""

    DELIVER = 1
    """Give them to this node's kernel."""
    FORWARD = 2
    """Send them to a neighbor, one hop further: their hop limit falls."""
    SEND = 3
    """Send them to a neighbor: this node's own packets, or those its kernel forwarded."""
    DROP = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of a flow."""

    action: Action
    neighbor: Neighbor | None = None
    """Next hop of FORWARD and SEND."""
    counter: str = ""
    """What a DROP counts."""
    problem: Problem | None = None
    """What a DROP tells the inner source."""


DELIVER = Verdict(Action.DELIVER)


def drop(counter: str, problem: Problem | None = None) -> Verdict:
    """A DROP."""
    return Verdict(Action.DROP, counter=counter, problem=problem)


def unfit(source: Inner, destination: Inner) -> Verdict | None:
    """Addresses no data packet may have (spec §11)."""
    if source.is_multicast or source.is_unspecified or source.is_loopback or source.is_link_local:
        return drop("bad_source")
    if destination.is_multicast or destination.is_loopback or destination.is_unspecified or destination == _BROADCAST:
        return drop("bad_destination")
    return None


_BROADCAST = IPv4Address("255.255.255.255")


class Policy(Protocol):
    """One role."""

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """A flow that arrives from a neighbor."""

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """A flow that this node's kernel sends into the AERO interface."""


class ClientPolicy:
    """An AERO Client: its own prefixes are local, everything else goes to its Server (spec §1.4, CLI-13)."""

    def __init__(self, cache: NeighborCache, own: Callable[[], tuple[Prefix, ...]]) -> None:
        self._cache = cache
        self._own = own

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """Only the Server is trusted to speak for others; nothing is passed on between neighbors."""
        if not origin.router or origin.type is NeighborType.DYNAMIC:
            return drop("origin_fail")
        return DELIVER if self._mine(destination) else drop("not_mine")

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """No foreign source leaks; a destination of our own would come back."""
        if not self._mine(source):
            return drop("foreign_source")
        if self._mine(destination):
            return drop("own_destination", Problem.ADDRESS_UNREACHABLE)
        neighbor = self._cache.route(destination)
        return Verdict(Action.SEND, neighbor) if neighbor else drop("no_server", Problem.NO_ROUTE)

    def _mine(self, address: Inner) -> bool:
        return any(address.version == prefix.version and address in prefix for prefix in self._own())


class ServerPolicy:
    """An AERO Server between its Clients, its Relays and its own kernel (spec §1.4, SRV-6, SRV-7, SRV-10)."""

    def __init__(self, cache: NeighborCache, own: Callable[[Inner], bool]) -> None:
        """`own` tells addresses of this node."""
        self._cache = cache
        self._own = own

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """A Client speaks for its prefixes only; what no Client owns goes to a Relay or to the kernel."""
        client = origin.type is NeighborType.STATIC
        if client and self._cache.owner(source) is not origin:
            return drop("origin_fail")
        if self._own(destination):
            return DELIVER
        target = self._cache.owner(destination)
        if target is origin:
            return drop("hairpin", Problem.ADDRESS_UNREACHABLE)
        if target:
            return Verdict(Action.FORWARD, target)
        if not client:
            return drop("no_client", Problem.NO_ROUTE)
        default = self._cache.default
        return Verdict(Action.FORWARD, default) if default else DELIVER

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """Packets of this node, or of the native network behind it, to its Clients."""
        neighbor = self._cache.route(destination)
        return Verdict(Action.SEND, neighbor) if neighbor else drop("no_client", Problem.NO_ROUTE)
