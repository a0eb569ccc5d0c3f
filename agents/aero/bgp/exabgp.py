"""ExaBGP's API: the lines it writes (JSON, acknowledgements) and the commands it takes (ExaBGP 5, spec §8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from agents.aero.addresses import Prefix
from agents.wire.errors import DecodeError

Underlay = IPv4Address | IPv6Address
UNICAST = ("ipv4 unicast", "ipv6 unicast")
LONGEST_LINE = 4 << 20
"""Octets; an update of 64 KiB is far shorter as JSON."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command was carried out, or not."""

    done: bool


@dataclass(frozen=True, slots=True)
class PeerState:
    """A session came up or went down."""

    peer: Underlay
    up: bool


@dataclass(frozen=True, slots=True)
class Announced:
    """One prefix of an update."""

    prefix: Prefix
    next_hops: tuple[Underlay, ...]
    """Global first; an IPv6 peer on the same link adds its link-local address."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a peer announced and withdrew."""

    peer: Underlay
    announced: tuple[Announced, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    med: int = 0
    """0 where it has none (RFC 4271 §9.1.2.2)."""
    as_path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else ExaBGP says."""

    type: str


Said = Acknowledged | PeerState | Update | Other


class Lines:
    """Cuts a stream into lines; what a line lacks to its end is waited for."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._rest = b""
        self._longest = longest
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes; a line that is too long is left out (b"" stands for it)."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield b"" if self._skipping else line
            self._skipping = False
        if len(self._rest) > self._longest:
            self._rest, self._skipping = b"", True


_NO_LINE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What reading something else than a line of ExaBGP may end in: an infinite number and a bottomless list are JSON."""


def pull_line(line: bytes) -> Said:
    """One line of ExaBGP; DecodeError for anything that is not one."""
    text = line.strip()
    if text in (b"done", b"error"):
        return Acknowledged(text == b"done")
    try:
        said = json.loads(text)
        kind = said["type"]
        if kind == "state":
            return PeerState(ip_address(said["neighbor"]["address"]["peer"]), said["neighbor"]["state"] == "up")
        if kind == "update":
            return _update(said["neighbor"])
        return Other(str(kind))
    except _NO_LINE as error:
        raise DecodeError(f"no line of ExaBGP: {error!r}", 0) from error


def _update(neighbor: dict[str, Any]) -> Update:
    peer = ip_address(neighbor["address"]["peer"])
    update = neighbor["message"].get("update", {})  # an end of RIB is no update
    attributes = update.get("attribute", {})
    announced: dict[Prefix, list[Underlay]] = {}
    for family in UNICAST:
        for next_hop, prefixes in update.get("announce", {}).get(family, {}).items():
            for each in prefixes:
                announced.setdefault(ip_network(each["nlri"]), []).append(_unmapped(ip_address(next_hop)))
    withdrawn = [ip_network(each["nlri"]) for family in UNICAST for each in update.get("withdraw", {}).get(family, [])]
    return Update(
        peer,
        tuple(Announced(prefix, tuple(sorted(hops, key=_link_local))) for prefix, hops in announced.items()),
        tuple(withdrawn),
        _med(attributes.get("med", 0)),
        _as_path(attributes.get("as-path", {})),
    )


def _med(value: Any) -> int:
    """A preference beyond its 32 bits would win for ever (RFC 4271 §4.3)."""
    if not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise ValueError(f"MED {value!r}")
    return value


def next_hop(addresses: Sequence[Underlay], version: int) -> Underlay | None:
    """Of a node's addresses the one that a prefix of an IP version is reached at, None when there is none.

    An IPv6 prefix over an IPv4-only underlay has the IPv4 address, mapped (spec §8).
    """
    same = next((each for each in addresses if each.version == version), None)
    if same or version == 4 or not addresses:
        return same
    return IPv6Address(0xFFFF << 32 | int(addresses[0]))


def _unmapped(address: Underlay) -> Underlay:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _link_local(address: Underlay) -> bool:
    return address.is_link_local


def _as_path(path: dict[str, Any]) -> tuple[int, ...]:
    """All segments in order; a set counts with all of its members, so that it never passes for one AS."""
    segments = [path[number] for number in sorted(path, key=int)]
    return tuple(int(asn) for segment in segments for asn in segment["value"])


@dataclass(frozen=True, slots=True)
class Route:
    """What to announce, and to whom."""

    prefix: Prefix
    next_hop: Underlay
    med: int | None = None
    peers: tuple[Underlay, ...] = ()
    """Nobody else hears of it; empty: all peers do."""


def push_announce(route: Route) -> bytes:
    """The command that announces a route."""
    med = "" if route.med is None else f" med {route.med}"
    return f"{_to(route)}announce route {route.prefix} next-hop {route.next_hop}{med}\n".encode()


def push_withdraw(route: Route) -> bytes:
    """The command that withdraws it."""
    return f"{_to(route)}withdraw route {route.prefix} next-hop {route.next_hop}\n".encode()


def _to(route: Route) -> str:
    return ", ".join(f"neighbor {peer}" for peer in route.peers) + " " * bool(route.peers)
