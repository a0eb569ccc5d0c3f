"""What the extensions of Mobile IPv4 registrations have in common (spec §2.1; RFC 5944 §1.9-1.11)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, Self

from agents.wire.buffer import push_uint8, push_uint16

LONG_FORM = (50,)
"""Types of the long form, whose Length has 16 bits; the others known here are simple or short."""


class Extension:
    """Base of all extensions: `type`, `subtype` (None in the simple form) and the data after them."""

    __slots__ = ()
    type: ClassVar[int]
    subtype: ClassVar[int | None] = None

    def push_data(self) -> bytes:
        """Octets after Type, Length and Subtype; ValueError if a value does not fit."""
        raise NotImplementedError

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The extension with these octets after the Subtype, or None when the layout is not that of the type."""
        raise NotImplementedError

    def push(self) -> bytes:
        """The whole extension in the form of its type."""
        data = self.push_data()
        if self.subtype is None:
            return bytes((self.type,)) + push_uint8(len(data), "extension length") + data
        if self.type in LONG_FORM:
            return bytes((self.type, self.subtype)) + push_uint16(len(data), "extension length") + data
        return bytes((self.type,)) + push_uint8(len(data) + 1, "extension length") + bytes((self.subtype,)) + data


@dataclass(frozen=True, slots=True)
class UnknownExtension:
    """A skippable extension without a reading here, stepped over (a sender can make any)."""

    type: int
    data: bytes
    """Everything after the Length, the subtype included."""

    def push(self) -> bytes:
        """Simple form."""
        return push_uint8(self.type, "extension type") + push_uint8(len(self.data), "extension length") + self.data


@dataclass(frozen=True, slots=True)
class MalformedExtension:
    """An extension of a known kind whose Length is not one of its layout."""

    kind: type[Extension]
    """Extension itself where there was no room for a subtype."""
    octets: bytes
    """The whole extension as it came."""

    def push(self) -> bytes:
        """As it came."""
        return self.octets


@dataclass(frozen=True, slots=True)
class PrefixExtension(Extension):
    """A prefix as the wire carries it, so that a receiver can see a bad length and answer it (MNA code 1)."""

    address: IPv4Address
    length: int
    """Prefix length in bits, 0-255 on the wire."""

    @property
    def bad_length(self) -> bool:
        """0 or more than 32 (spec HA-3)."""
        return not 1 <= self.length <= 32

    @property
    def network(self) -> IPv4Network:
        """The prefix, bits beyond its length cleared; ValueError while `bad_length`."""
        if self.bad_length:
            raise ValueError(f"{type(self).__name__}: prefix length {self.length}")
        return IPv4Network((self.address, self.length), strict=False)
