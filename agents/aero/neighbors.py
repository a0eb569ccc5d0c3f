"""The neighbor cache: the one table that decides where an inner packet goes and who may have sent it (spec §5).

Data packets are judged by `NeighborCache.route` and `NeighborCache.origin`; every change of the table raises
`generation`, which empties the caches of decisions that the packet path keeps.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from agents.aero.addresses import aero_address
from agents.aero.dataplane.pathmtu import PathMtu
from agents.aero.lladdr import LinkLayerAddress, Underlay

Prefix = IPv4Network | IPv6Network
Inner = IPv4Address | IPv6Address


class NeighborType(enum.Enum):
    """Who made an entry, and thereby how long it lives (spec §5.1)."""

    PERMANENT = "permanent"
    """Server and Relay, by configuration."""
    STATIC = "static"
    """Client and Server, by DHCPv6."""
    DYNAMIC = "dynamic"
    """Client and Client, by route optimisation."""


class Reachability(enum.Enum):
    """Neighbor unreachability detection of one link-layer address."""

    UNKNOWN = 0
    REACHABLE = 1
    PROBING = 2
    FAILED = 3


@dataclass(slots=True, eq=False)
class Path:
    """One link-layer address of a neighbor and what is known of the path to it (spec §3.1, §5.1)."""

    lladdr: LinkLayerAddress
    link_id: int = 1
    preference: int = 128
    nat: bool = False
    reachability: Reachability = Reachability.UNKNOWN
    size: PathMtu = field(default_factory=lambda: PathMtu(0, 1500, floor=1280))
    """What fits through."""
    fragments: bool = True
    """Packets behind a Fragment Header get through as they are (spec FRAG-14)."""
    identifications: bool = True
    """Identifications arrive as they were sent: duplicates can be told (spec FRAG-14)."""
    last_received: float = 0.0
    last_sent: float = 0.0

    @classmethod
    def to(cls, lladdr: LinkLayerAddress, egress_mtu: int, **details: Any) -> Path:
        """A path nothing is known of but the MTU of the interface it begins at."""
        floor = 1280 if lladdr.ip.version == 6 else 576
        return cls(lladdr, size=PathMtu(lladdr.overhead, egress_mtu, floor=floor), **details)


@dataclass(slots=True, eq=False)
class Neighbor:
    """One neighbor cache entry."""

    address: IPv6Address
    """AERO address."""
    type: NeighborType
    router: bool = False
    prefixes: dict[Prefix, float] = field(default_factory=dict)
    """Prefixes of this neighbor and when they expire."""
    paths: list[Path] = field(default_factory=list)
    identification: int = field(default_factory=lambda: random.getrandbits(32))
    """Of the last packet sent with a Fragment Header (spec §3.7)."""
    duid: bytes = b""

    def next_identification(self) -> int:
        """A fresh identification."""
        self.identification = (self.identification + 1) & 0xFFFFFFFF
        return self.identification

    @property
    def path(self) -> Path | None:
        """The path data takes: the usable one with the highest preference, the newest of equals."""
        usable = [path for path in self.paths if path.preference and path.reachability is not Reachability.FAILED]
        return max(reversed(usable), key=lambda path: path.preference, default=None)

    def path_at(self, lladdr: LinkLayerAddress) -> Path | None:
        """The path with this link-layer address."""
        return next((path for path in self.paths if path.lladdr == lladdr), None)


class PrefixTable:
    """Longest-prefix match over neighbors; one dictionary for each prefix length in use."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], dict[int, Neighbor]] = {}
        """(IP version, prefix length), longest first, to the prefixes' leading bits."""

    def put(self, prefix: Prefix, neighbor: Neighbor) -> None:
        """Set the neighbor of a prefix."""
        key = (prefix.version, prefix.prefixlen)
        if key not in self._tables:
            self._tables = dict(sorted([*self._tables.items(), (key, {})], key=lambda entry: -entry[0][1]))
        self._tables[key][_leading(prefix)] = neighbor

    def drop(self, prefix: Prefix) -> None:
        """Forget a prefix."""
        key = (prefix.version, prefix.prefixlen)
        table = self._tables.get(key, {})
        table.pop(_leading(prefix), None)
        if not table:
            self._tables.pop(key, None)

    def get(self, prefix: Prefix) -> Neighbor | None:
        """The neighbor of exactly this prefix."""
        return self._tables.get((prefix.version, prefix.prefixlen), {}).get(_leading(prefix))

    def match(self, address: Inner) -> Neighbor | None:
        """The neighbor of the longest prefix that covers the address."""
        number, version, bits = int(address), address.version, address.max_prefixlen
        for (of_version, length), table in self._tables.items():
            if of_version == version:
                found = table.get(number >> (bits - length))
                if found is not None:
                    return found
        return None


class NeighborCache:
    """All neighbors of one node."""

    def __init__(self) -> None:
        self._by_address: dict[IPv6Address, Neighbor] = {}
        self._further: dict[IPv6Address, Neighbor] = {}
        """By the other AERO addresses of Clients with several prefixes (spec §4)."""
        self._by_lladdr: dict[LinkLayerAddress, Neighbor] = {}
        self._fellows: dict[LinkLayerAddress, list[Neighbor]] = {}
        """Further dynamic neighbors at a link-layer address: one Client with several prefixes is several of them."""
        self._by_ip: dict[Underlay, set[IPv6Address]] = {}
        self._prefixes = PrefixTable()
        self.default: Neighbor | None = None
        """Where packets go that match no prefix: a Client's Server, a Server's Relay."""
        self.generation = 0
        """Rises with every change that may alter a decision about a packet."""

    def __iter__(self) -> Iterator[Neighbor]:
        return iter(self._by_address.values())

    def __len__(self) -> int:
        return len(self._by_address)

    def get(self, address: IPv6Address) -> Neighbor | None:
        """The entry of this AERO address, which may be one of several of its Client."""
        return self._by_address.get(address) or self._further.get(address)

    def add(self, neighbor: Neighbor) -> None:
        """Take up an entry with its paths and prefixes; it replaces one of the same AERO address."""
        self.remove(neighbor.address)
        self._by_address[neighbor.address] = neighbor
        for path in neighbor.paths:
            self._index(path.lladdr, neighbor)
        for prefix in neighbor.prefixes:
            self._prefixes.put(prefix, neighbor)
        self._know_by(neighbor)
        self.changed()

    def remove(self, address: IPv6Address) -> Neighbor | None:
        """Drop an entry."""
        neighbor = self._by_address.pop(address, None)
        if neighbor is None:
            return None
        self._unindex(neighbor)
        self._forget_by(neighbor)
        for prefix in neighbor.prefixes:
            if self._prefixes.get(prefix) is neighbor:
                self._prefixes.drop(prefix)
        if self.default is neighbor:
            self.default = None
        self.changed()
        return neighbor

    def set_paths(self, neighbor: Neighbor, paths: list[Path]) -> None:
        """Replace the paths of an entry: link-layer addresses not among them are forgotten (spec MOB-2)."""
        self._unindex(neighbor)
        neighbor.paths = paths
        for path in paths:
            self._index(path.lladdr, neighbor)
        self.changed()

    def set_prefixes(self, neighbor: Neighbor, prefixes: dict[Prefix, float]) -> None:
        """Replace the prefixes of an entry; only other times for the same ones change no decision."""
        if neighbor.prefixes.keys() == prefixes.keys():
            neighbor.prefixes = prefixes
            return
        for prefix in neighbor.prefixes:
            if self._prefixes.get(prefix) is neighbor:
                self._prefixes.drop(prefix)
        self._forget_by(neighbor)
        neighbor.prefixes = prefixes
        for prefix in prefixes:
            self._prefixes.put(prefix, neighbor)
        self._know_by(neighbor)
        self.changed()

    def put_prefix(self, prefix: Prefix, neighbor: Neighbor | None, expires: float) -> None:
        """One prefix is this neighbor's now and nobody else's, or nobody's; the others stay as they are."""
        before = self._prefixes.get(prefix)
        if before:
            before.prefixes.pop(prefix, None)
        if neighbor:
            neighbor.prefixes[prefix] = expires
            self._prefixes.put(prefix, neighbor)
        elif before:
            self._prefixes.drop(prefix)
        self.changed()

    def changed(self) -> None:
        """Something that decisions depend on is different now (a path failed, a size was proven ...)."""
        self.generation += 1

    def at(self, lladdr: LinkLayerAddress) -> Neighbor | None:
        """The neighbor with this link-layer address: the origin of a packet (spec §5.5)."""
        return self._by_lladdr.get(lladdr)

    def fellows(self, lladdr: LinkLayerAddress) -> Sequence[Neighbor]:
        """Further neighbors with this link-layer address: AERO addresses of the same Client (spec §4)."""
        return self._fellows.get(lladdr, ())

    def at_ip(self, ip: Underlay) -> list[Neighbor]:
        """Neighbors with any link-layer address at this underlay address (spec §2.10, ICMP errors)."""
        return [self._by_address[address] for address in self._by_ip.get(ip, ())]

    def owner(self, address: Inner) -> Neighbor | None:
        """The neighbor whose prefix covers an inner address."""
        return self._prefixes.match(address)

    def route(self, destination: Inner) -> Neighbor | None:
        """Where a data packet goes: the owner of the destination, else the default neighbor."""
        return self._prefixes.match(destination) or self.default

    def _know_by(self, neighbor: Neighbor) -> None:
        """A Client speaks in the name of any of its prefixes, whichever of them its Server heard of first."""
        if neighbor.type is NeighborType.STATIC:
            others = {aero_address(prefix) for prefix in neighbor.prefixes} - {neighbor.address}
            self._further |= dict.fromkeys(others, neighbor)

    def _forget_by(self, neighbor: Neighbor) -> None:
        for prefix in neighbor.prefixes if neighbor.type is NeighborType.STATIC else ():
            if self._further.get(aero_address(prefix)) is neighbor:
                del self._further[aero_address(prefix)]

    def _index(self, lladdr: LinkLayerAddress, neighbor: Neighbor) -> None:
        """Nobody takes a link-layer address from a neighbor of another type than dynamic by being told of it."""
        known = self._by_lladdr.get(lladdr)
        if known is None or known is neighbor or NeighborType.DYNAMIC not in (known.type, neighbor.type):
            self._by_lladdr[lladdr] = neighbor
        elif neighbor.type is NeighborType.DYNAMIC:
            self._fellows.setdefault(lladdr, []).append(neighbor)
        else:
            self._by_lladdr[lladdr] = neighbor
            self._fellows.setdefault(lladdr, []).append(known)
        self._by_ip.setdefault(lladdr.ip, set()).add(neighbor.address)

    def _unindex(self, neighbor: Neighbor) -> None:
        """All link-layer addresses of an entry, of which several may be at one underlay address."""
        for path in neighbor.paths:
            lladdr = path.lladdr
            fellows = [each for each in self._fellows.pop(lladdr, ()) if each is not neighbor]
            if self._by_lladdr.get(lladdr) is neighbor:
                del self._by_lladdr[lladdr]
                if fellows:
                    self._by_lladdr[lladdr] = fellows.pop(0)
            if fellows:
                self._fellows[lladdr] = fellows
            addresses = self._by_ip.get(lladdr.ip, set())
            addresses.discard(neighbor.address)
            if not addresses:
                self._by_ip.pop(lladdr.ip, None)


def _leading(prefix: Prefix) -> int:
    return int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)
