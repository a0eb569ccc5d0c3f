"""What each role does with a data packet: who may send it, and where it goes (spec §1.4, §5.5).

A policy judges a flow once; the forwarder remembers the verdict until the neighbor cache changes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from agents.aero.dataplane.usage import Use
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.pairs import Correspondent
from agents.wire.icmp_errors import Problem

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
    use: Use | None = None
    """Record of when the flow was last used, where somebody asks for it."""


DELIVER = Verdict(Action.DELIVER)


def drop(counter: str, problem: Problem | None = None) -> Verdict:
    """A DROP."""
    return Verdict(Action.DROP, counter=counter, problem=problem)


def unfit(source: Inner, destination: Inner) -> Verdict | None:
    """Addresses no data packet may have (spec §11)."""
    if source.is_multicast or source.is_unspecified or source.is_loopback or source.is_link_local:
        return drop("bad_source")
    nobody = destination.is_unspecified or destination.is_loopback or destination == _BROADCAST
    if nobody or destination.is_multicast or destination.is_link_local:
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
    """An AERO Client: its own prefixes are local, the rest goes to its Server, or directly (spec §1.4, CLI-13)."""

    def __init__(
        self,
        cache: NeighborCache,
        own: Callable[[], tuple[Prefix, ...]],
        correspondents: Correspondents | None = None,
    ) -> None:
        self._cache = cache
        self._own = own
        self._correspondents = correspondents

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """The Server speaks for others, a correspondent for its accepted pairs (RO-14); nothing is passed on."""
        if isinstance(origin, Correspondent):
            trusted = origin.accepts(source, destination)
        else:
            trusted = origin.router and origin.type is not NeighborType.DYNAMIC
        if not trusted:
            return drop("origin_fail")
        return DELIVER if self._mine(destination) else drop("not_mine")

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """No foreign source leaks; a destination of our own would come back."""
        if not self._mine(source):
            return drop("foreign_source")
        if self._mine(destination):
            return drop("own_destination", Problem.ADDRESS_UNREACHABLE)
        direct = self._correspondents.direct(source, destination) if self._correspondents else None
        if direct and direct[0].path:
            return Verdict(Action.SEND, direct[0], use=direct[1])
        neighbor = self._cache.route(destination)
        if neighbor is None:
            return drop("no_server", Problem.NO_ROUTE)
        uses = self._correspondents.uses if self._correspondents else None
        return Verdict(Action.SEND, neighbor, use=uses.of(self._own(), source, destination) if uses else None)

    def _mine(self, address: Inner) -> bool:
        return any(address.version == prefix.version and address in prefix for prefix in self._own())


Watch = Callable[[Neighbor, Inner, Inner, Neighbor], Use | None]
"""(Client, source, destination, next neighbor) to the record of a flow that may be optimised (spec RO-1)."""
Departed = Callable[[Inner], bool]
"""Whether an address is of a prefix that left for another Server just now (spec MOB-9)."""


class ServerPolicy:
    """An AERO Server between its Clients, its Relays and its own kernel (spec §1.4, SRV-6, SRV-7, SRV-10)."""

    def __init__(
        self,
        cache: NeighborCache,
        own: Callable[[Inner], bool],
        *,
        native: bool = True,
        watch: Watch = lambda _client, _source, _destination, _next: None,
        departed: Departed = lambda _destination: False,
    ) -> None:
        """`own` tells addresses of this node; `native`: its kernel leads to the native Internet, not a Relay."""
        self._cache = cache
        self._own = own
        self._native = native
        self._watch = watch
        self._departed = departed

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """A Client speaks for its prefixes only; what no Client owns goes to a Relay or to the kernel."""
        client = origin.type is NeighborType.STATIC
        if client and self._cache.owner(source) is not origin:
            return drop("origin_fail")
        if self._own(destination):
            return DELIVER
        target, default = self._cache.owner(destination), self._cache.default
        if target is origin:
            return drop("hairpin", Problem.ADDRESS_UNREACHABLE)
        if target and not (client and self._is_lost(target)):
            use = self._watch(origin, source, destination, target) if client else None
            return Verdict(Action.FORWARD, target, use=use)
        if not client:
            if default and self._departed(destination):
                return Verdict(Action.FORWARD, default)
            return drop("no_client", Problem.NO_ROUTE)
        if default is None:
            return DELIVER if self._native else drop("no_relay", Problem.NO_ROUTE)
        return Verdict(Action.FORWARD, default, use=self._watch(origin, source, destination, default))

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """Packets of this node, or of the native network behind it, to its Clients."""
        neighbor = self._cache.route(destination)
        if neighbor and self._is_lost(neighbor):
            neighbor = self._cache.default
        return Verdict(Action.SEND, neighbor) if neighbor else drop("no_client", Problem.NO_ROUTE)

    def _is_lost(self, target: Neighbor) -> bool:
        """Whether a Client is silent while a Relay may know better: one that went to another Server, and could not
        tell this one, has an entry here as long as its lease (spec MOB-10).

        The Relay drops what it would send back here; what comes from a Relay is not asked about.
        """
        return target.type is NeighborType.STATIC and target.path is None and self._cache.default is not None


class RelayPolicy:
    """An AERO Relay between Servers and the native Internet, which its kernel leads to (spec §1.4, RLY-1 to RLY-4)."""

    def __init__(self, cache: NeighborCache, own: Callable[[Inner], bool], aggregates: Sequence[Prefix]) -> None:
        """`own` tells addresses of this node; `aggregates` are all prefixes of the AERO link."""
        self._cache = cache
        self._own = own
        self._aggregates = aggregates

    def from_neighbor(self, origin: Neighbor, source: Inner, destination: Inner) -> Verdict:
        """By longest match to the announcing Server; never out to where a default would bring it back."""
        if self._own(destination):
            return DELIVER
        target = self._cache.owner(destination)
        if target is origin:
            return drop("hairpin", Problem.ADDRESS_UNREACHABLE)
        if target:
            return Verdict(Action.FORWARD, target)
        return drop("no_route", Problem.NO_ROUTE) if self._inside(destination) else DELIVER

    def from_kernel(self, source: Inner, destination: Inner) -> Verdict:
        """From the native Internet to a Client, or what this node itself sends there."""
        target = self._cache.owner(destination)
        return Verdict(Action.SEND, target) if target else drop("no_route", Problem.NO_ROUTE)

    def _inside(self, address: Inner) -> bool:
        return any(address.version == prefix.version and address in prefix for prefix in self._aggregates)
