"""What a home agent remembers: bindings by home address (spec §4.1)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import Encapsulation, OwnedPrefix, Router


@dataclass
class Binding:
    """Where a router is, until when, and what it brought along."""

    router: Router
    careof: IPv4Address
    """What the request said."""
    source: IPv4Address
    """Where the request came from: the tunnel's other end (spec §1.3)."""
    port: int
    """UDP source port of the request, and of the tunnel if that is in UDP."""
    encapsulation: Encapsulation
    identification: int
    expires: float | None
    """Unix time; None: never."""
    networks: tuple[OwnedPrefix, ...] = ()
    """Those that are forwarded to it, explicit and implicit ones."""
    advertise: bool = False
    """A: others may know."""
    outbound_only: bool = False
    """O."""

    @property
    def home_address(self) -> IPv4Address:
        """The key."""
        return self.router.home_address

    @property
    def way(self) -> tuple[Hashable, ...]:
        """All that forwarding depends on."""
        return self.careof, self.source, self.port, self.encapsulation, self.networks

    @property
    def nat(self) -> bool:
        """Something between us translates its address (spec HA-9)."""
        return self.source != self.careof


def in_several_realms(routers: tuple[Router, ...]) -> frozenset[IPv4Network]:
    """Prefixes that mean different networks in different realms."""
    realms: dict[IPv4Network, set[str]] = {}
    for router in routers:
        for owned in router.prefixes:
            realms.setdefault(owned.prefix, set()).add(owned.realm)
    return frozenset(prefix for prefix, names in realms.items() if len(names) > 1)


def overlapping(routers: tuple[Router, ...]) -> tuple[IPv4Network, IPv4Network] | None:
    """Two prefixes of different routers in one realm of which one holds the other (spec HA-20); None: all is well."""
    by_realm: dict[str, list[tuple[int, int, IPv4Network, IPv4Address]]] = {}
    for router in routers:
        for owned in router.prefixes:
            prefix = owned.prefix
            if prefix.prefixlen:  # everything overlaps a default route, and is preferred to it
                ends = int(prefix.network_address), int(prefix.broadcast_address)
                by_realm.setdefault(owned.realm, []).append((*ends, prefix, router.home_address))
    for entries in by_realm.values():
        entries.sort(key=lambda entry: (entry[0], -entry[1]))
        widest = entries[0]
        for entry in entries[1:]:
            if entry[0] <= widest[1] and entry[3] != widest[3]:
                return widest[2], entry[2]
            widest = max(widest, entry, key=lambda each: each[1])
    return None
