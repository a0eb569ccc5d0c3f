"""Prefix advertisements and their compression (spec §2.5, §8; RFC 6521 §4, §5.5).

A prefix may be one octet that replaces the end of the master, the last prefix written out; master and realm dictionary
live through the whole advertisement.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from agents.haaro.realms import SLOTS, RealmDecoder, RealmEncoder, Spelling, spelling
from agents.wire.errors import DecodeError, DecodeErrorKind

DELTA = 0x80
OWNER = 0x40
NUMBER = 0x3F
"""Of a structure's first octet: prefix length, or info of an owner."""
OUTBOUND_ONLY = 1
MAXIMUM_OCTETS = 0xFFFF
"""What the Length of the extension can say; a datagram has less room."""
MOVED = 16
"""Copies of a block kept for different slots before it."""


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


class Prepared:
    """An owner in octets, as far as they do not depend on who stands before it."""

    __slots__ = ("head", "networks")

    def __init__(self, owner: Owner) -> None:
        """ValueError for a realm that cannot be written."""
        self.head = bytes((OWNER | owner.outbound_only,)) + owner.home_address.packed
        self.networks = tuple((*_spelled(each.prefix), spelling(each.realm)) for each in owner.networks)


class Block:
    """Structures of some owners that refer to nothing outside: they mean the same behind any other blocks."""

    __slots__ = ("_ends", "_mask", "_moved", "_parts", "slots")

    def __init__(self, owners: Iterable[Prepared], compress: bool = True) -> None:
        octets = bytearray()
        self._parts: tuple[Block, ...] = ()
        self._ends: list[int] = []
        """Where it may be cut off: nowhere between an owner and its first network."""
        references: list[int] = []
        realms = RealmEncoder(compress)
        master: int | None = None
        last: Spelling | None = None
        again = b""
        """What says the last realm once more."""
        for owner in owners:
            octets += owner.head
            if not owner.networks:
                self._ends.append(len(octets))
            for length, value, whole, realm in owner.networks:
                if compress and master is not None and length >= 8 and not (value ^ master) >> (40 - length):
                    octets.append(DELTA | length)
                    octets.append(value >> (32 - length) & 0xFF)
                else:
                    octets += whole
                    master = value
                if realm is last:
                    references.append(len(octets))
                    octets += again
                else:
                    realms.write(realm, octets, references)
                    again = realms.known(realm)
                    last = realm if again else None
                self._ends.append(len(octets))
        self._moved = {0: bytes(octets)}
        mask = bytearray(len(octets))
        for at in references:
            mask[at] = 1
        self._mask = int.from_bytes(mask, "big")
        """1 in every octet that names a slot of the realm dictionary."""
        self.slots = realms.filled
        """How many slots of the dictionary it fills, modulo their number."""

    def at(self, slot: int) -> bytes:
        """The octets where the dictionary's next slot is this one."""
        return self._moved.get(slot) or self._move(slot)

    @classmethod
    def together(cls, parts: Iterable[Block]) -> Self:
        """One block that says the same as these after each other."""
        found = cls(())
        found._parts = tuple(parts)
        octets = bytearray()
        for part in found._parts:
            own = part.at(found.slots)
            octets += own
            found._mask = found._mask << 8 * len(own) | part._mask
            found.slots = (found.slots + part.slots) % SLOTS
        found._moved = {0: bytes(octets)}
        return found

    def cut(self, slot: int, limit: int) -> bytes:
        """What of it fits into so many octets."""
        if self._parts:
            return joined(self._parts, limit, slot)
        fitting = bisect_right(self._ends, limit)
        return self.at(slot)[: self._ends[fitting - 1] if fitting else 0]

    def _move(self, slot: int) -> bytes:
        """Add to all references at once: octets that may become 254 do not touch their neighbours."""
        first = self._moved[0]
        number = int.from_bytes(first, "big")
        slots = number & self._mask * (SLOTS - 1)
        moved = number ^ slots ^ (slots + self._mask * slot) & self._mask * (SLOTS - 1)
        if len(self._moved) > MOVED:
            self._moved = {0: first}
        octets = self._moved[slot] = moved.to_bytes(len(first), "big")
        return octets


def joined(blocks: Iterable[Block], limit: int = MAXIMUM_OCTETS, slot: int = 0) -> bytes:
    """The blocks from this slot on, cut off before the first structure beyond `limit` octets (spec A-44)."""
    made: list[bytes] = []
    room = limit
    for block in blocks:
        octets = block.at(slot)
        if len(octets) > room:
            made.append(block.cut(slot, room))
            break
        made.append(octets)
        room -= len(octets)
        slot = (slot + block.slots) % SLOTS
    return b"".join(made)


def encode_advertisement(owners: Iterable[Owner], *, limit: int = MAXIMUM_OCTETS, compress: bool = True) -> bytes:
    """The structures, best owner first, cut off before the first that would exceed `limit` octets (spec A-44).

    ValueError for a realm that cannot be written.
    """
    return joined([Block(map(Prepared, owners), compress)], limit)


def decode_advertisement(data: bytes) -> Advertised:
    """Everything up to the end or up to what cannot be read (spec §10: the rest is ignored); never raises."""
    reader = _Reader(data)
    try:
        reader.read()
    except DecodeError as error:
        return Advertised(reader.owners(), error)
    return Advertised(reader.owners())


def _spelled(prefix: IPv4Network) -> tuple[int, int, bytes]:
    """Length, value, and the octets in full."""
    length = prefix.prefixlen
    address = prefix.network_address
    return length, int(address), bytes((length,)) + address.packed[: (length + 7) // 8]


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
