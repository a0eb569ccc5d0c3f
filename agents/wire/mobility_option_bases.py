"""What the mobility options have in common: layouts shared by several of them (spec DGW §2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import ClassVar, Self, TypeAlias

from agents.wire.buffer import push_address, push_uint8

Alignment: TypeAlias = tuple[int, int]
"""(x, y): the option starts at an offset x*n + y from the first octet of the Mobility Header."""


class KnownOption:
    """Base of the options we understand: `type`, and the octets after the Length field."""

    __slots__ = ()
    type: ClassVar[int]

    @property
    def alignment(self) -> Alignment:
        """Where a sender puts the option; receivers never check."""
        return (1, 0)

    def push_data(self) -> bytes:
        """Octets after the Length field; ValueError if a value does not fit."""
        raise NotImplementedError

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option with these octets after the Length field, or None when the Length is wrong."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AddressOption(KnownOption):
    """An option that is one IPv6 address."""

    address: IPv6Address

    @property
    def alignment(self) -> Alignment:
        """Address or number on its natural boundary."""
        return (8, 6)

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return push_address(self.address)

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(IPv6Address(data)) if len(data) == 16 else None


@dataclass(frozen=True, slots=True)
class CareOfOption(AddressOption):
    """An address that is to become a tunnel's far end."""

    @property
    def usable(self) -> bool:
        """False for a multicast, link-local, loopback or unspecified address: answer 174 (spec §10)."""
        a = self.address
        return not (a.is_multicast or a.is_link_local or a.is_unspecified or a.is_loopback)


@dataclass(frozen=True, slots=True)
class NumberOption(KnownOption):
    """An option that is one number, after a reserved octet."""

    value: int
    """May be a number without a name in the enumeration: it came from the wire."""

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return b"\0" + push_uint8(self.value, type(self).__name__)

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(data[1]) if len(data) == 2 else None


@dataclass(frozen=True, slots=True)
class LinkLayerOption(KnownOption):
    """An option that is a link-layer address, after two reserved octets."""

    identifier: bytes
    """Six octets for Ethernet."""

    @property
    def alignment(self) -> Alignment:
        """Even for the reserved field; an EUI-64 on its natural boundary."""
        return (8, 4) if len(self.identifier) == 8 else (2, 0)

    @property
    def text(self) -> str:
        """Octets in hexadecimal with colons, as `ip link` prints a MAC."""
        return self.identifier.hex(":")

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return b"\0\0" + self.identifier

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(data[2:]) if len(data) >= 2 else None


@dataclass(frozen=True, slots=True)
class PrefixOption(KnownOption):
    """A prefix as the wire carries it, so that a receiver can see a bad length and answer 155 (spec §10)."""

    address: IPv6Address
    """Bits beyond a length of 1..128 are cleared on construction; with a bad length it is kept as it came."""
    length: int
    """Prefix length in bits, 0..255 on the wire."""

    only_64: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if 1 <= self.length <= 127:
            bits = int(self.address) & -1 << (128 - self.length)
            object.__setattr__(self, "address", IPv6Address(bits))

    @property
    def alignment(self) -> Alignment:
        """Address or number on its natural boundary."""
        return (8, 4)

    @property
    def bad_length(self) -> bool:
        """True for 0, for more than 128 and, except in a Local Prefix option, for anything but 64."""
        return self.length != 64 if self.only_64 else not 1 <= self.length <= 128

    @property
    def is_all_zero(self) -> bool:
        """True when the prefix is ::, whatever its length: R5213's request for an allocation."""
        return int(self.address) == 0

    @property
    def network(self) -> IPv6Network:
        """The prefix; ValueError while `bad_length` (ask that first for anything that was received)."""
        if self.bad_length:
            raise ValueError(f"{type(self).__name__}: prefix length {self.length}")
        return IPv6Network((int(self.address), self.length))  # an address would go through its text

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return b"\0" + push_uint8(self.length, "prefix length") + push_address(self.address)


@dataclass(frozen=True, slots=True)
class PlainPrefixOption(PrefixOption):
    """An option that is one prefix and nothing else."""

    @classmethod
    def of(cls, network: IPv6Network) -> Self:
        """The option for this prefix."""
        return cls(network.network_address, network.prefixlen)

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(IPv6Address(data[2:]), data[1]) if len(data) == 18 else None
