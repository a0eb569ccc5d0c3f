"""Prefix advertisements and their compression (spec §2.5, §8; RFC 6521 §4, §5.5).

A prefix may be one octet that replaces the end of the master, the last prefix written out; master and realm dictionary
live through the whole advertisement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.realms import RealmDecoder, RealmEncoder
from agents.wire.errors import DecodeError, DecodeErrorKind

DELTA = 0x80
OWNER = 0x40
NUMBER = 0x3F
"""Of a structure's first octet: prefix length, or info of an owner."""
OUTBOUND_ONLY = 1
MAXIMUM_OCTETS = 0xFFFF
"""What the Length of the extension can say; a datagram has less room."""


@dataclass(frozen=True, slots=True)
class Network:
    """A prefix in a realm; the empty realm is none."""

    prefix: IPv4Network
    realm: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """A mobile router and what lies behind it."""

    home_address: IPv4Address
    networks: tuple[Network, ...] = ()
    outbound_only: bool = False
    """Info 1; 2-63 are read like 1 (spec A-43)."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """Content of an advertisement: all of it, or what came before an error."""

    owners: tuple[Owner, ...]
    error: DecodeError | None = None
    """Its offset counts from the first structure."""


def encode_advertisement(owners: Iterable[Owner], *, limit: int = MAXIMUM_OCTETS, compress: bool = True) -> bytes:
    """The structures, best owner first, cut off before the first that would exceed `limit` octets (spec A-44).

    ValueError for a realm that cannot be written.
    """
    made: list[bytes] = []
    size = 0
    for octets in _structures(owners, compress):
        size += len(octets)
        if size > limit:
            if made and not octets[0] & OWNER and made[-1][0] & OWNER:
                made.pop()  # an owner who would seem to have no networks
            break
        made.append(octets)
    return b"".join(made)


def decode_advertisement(data: bytes) -> Advertised:
    """Everything up to the end or up to what cannot be read (spec §10: the rest is ignored); never raises."""
    reader = _Reader(data)
    try:
        reader.read()
    except DecodeError as error:
        return Advertised(reader.owners(), error)
    return Advertised(reader.owners())


def _structures(owners: Iterable[Owner], compress: bool) -> Iterator[bytes]:
    realms = RealmEncoder(compress)
    master: int | None = None
    for owner in owners:
        yield bytes((OWNER | owner.outbound_only,)) + owner.home_address.packed
        for network in owner.networks:
            length = network.prefix.prefixlen
            value = int(network.prefix.network_address)
            if compress and master is not None and length >= 8 and not (value ^ master) >> (40 - length):
                prefix = bytes((DELTA | length, value >> (32 - length) & 0xFF))
            else:
                prefix = bytes((length,)) + network.prefix.network_address.packed[: (length + 7) // 8]
                master = value
            yield prefix + realms.encode(network.realm)


class _Reader:
    """One pass over the structures."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._realms = RealmDecoder()
        self._master: int | None = None
        self._heads: list[Owner] = []
        self._networks: list[list[Network]] = []

    def owners(self) -> tuple[Owner, ...]:
        """What has been read so far."""
        pairs = zip(self._heads, self._networks, strict=True)
        return tuple(Owner(head.home_address, tuple(networks), head.outbound_only) for head, networks in pairs)

    def read(self) -> None:
        """To the end; DecodeError at the structure that cannot be read."""
        at = 0
        while at < len(self._data):
            at = self._owner(at) if self._data[at] & OWNER else self._network(at)

    def _owner(self, at: int) -> int:
        end = at + 5
        if end > len(self._data):
            raise DecodeError("home address cut off", at, DecodeErrorKind.TRUNCATED)
        info = self._data[at] & NUMBER
        self._heads.append(Owner(IPv4Address(self._data[at + 1 : end]), outbound_only=info >= OUTBOUND_ONLY))
        self._networks.append([])
        return end

    def _network(self, at: int) -> int:
        if not self._heads:
            raise DecodeError("a network before any owner", at)
        value, length, end = self._prefix(at)
        realm, end = self._realms.decode(self._data, end)
        self._networks[-1].append(Network(IPv4Network((value, length)), realm))
        return end

    def _prefix(self, at: int) -> tuple[int, int, int]:
        """Value, length, and where the realm begins."""
        length = self._data[at] & NUMBER
        if length > 32:
            raise DecodeError(f"prefix length {length}", at)
        delta = self._data[at] & DELTA
        end = at + 1 + (1 if delta else (length + 7) // 8)
        if end > len(self._data):
            raise DecodeError("prefix cut off", at, DecodeErrorKind.TRUNCATED)
        if delta:
            return self._from_master(length, at), length, end
        value = int.from_bytes(self._data[at + 1 : end].ljust(4, b"\0"), "big") & _mask(length)
        self._master = value
        return value, length, end

    def _from_master(self, length: int, at: int) -> int:
        if self._master is None:
            raise DecodeError("a shortened prefix before any master", at)
        if length < 8:
            raise DecodeError(f"a shortened prefix of {length} bits", at)
        return self._master & _mask(length - 8) | self._data[at + 1] << (32 - length)


def _mask(length: int) -> int:
    return (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
