"""Mobility options as frozen dataclasses, one for each row of spec DGW §2.2.

Padding never appears in a decoded list. Options of unknown type and options of known type with a wrong Length
keep their place in the order, as UnknownOption and MalformedOption; whoever looks for a class simply does not
see them, which is how §10 wants them treated ("skip", "as absent"). Reserved fields and prefix bits beyond
the prefix length are sent 0 and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import ClassVar, Self, TypeAlias

from agents.wire.buffer import push_address, push_uint8, push_uint64
from agents.wire.mobility_codes import OptionType
from agents.wire.mobility_option_bases import (
    AddressOption,
    Alignment,
    CareOfOption,
    KnownOption,
    LinkLayerOption,
    NumberOption,
    PlainPrefixOption,
    PrefixOption,
)

NAI = 1
"""MN-ID subtype of a Network Access Identifier (RFC 4283 §4)."""


@dataclass(frozen=True, slots=True)
class AlternateCareOfAddress(CareOfOption):
    """The P-CoA when it is not the packet's source (RFC 6275 §6.2.5)."""

    type: ClassVar[int] = OptionType.ALTERNATE_CARE_OF_ADDRESS


@dataclass(frozen=True, slots=True)
class MobileNodeIdentifier(KnownOption):
    """Who the mobile node is (RFC 4283 §3); an empty identifier goes with status 160."""

    identifier: bytes
    """At most 254 octets, no terminator."""
    subtype: int = NAI

    type: ClassVar[int] = OptionType.MOBILE_NODE_IDENTIFIER

    @classmethod
    def of(cls, nai: str) -> MobileNodeIdentifier:
        """The option for a Network Access Identifier such as `mn1@dmm.example`."""
        return cls(nai.encode())

    @property
    def text(self) -> str:
        """The identifier as text; octets that are not UTF-8 show as \\xNN, other subtypes as `SUBTYPE:HEX`.

        Only a Network Access Identifier may name a node: the same octets of another subtype are another name.
        """
        if self.subtype != NAI:
            return f"{self.subtype}:{self.identifier.hex()}"
        return self.identifier.decode(errors="backslashreplace")

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return push_uint8(self.subtype, "MN-ID subtype") + self.identifier

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(data[1:], data[0]) if data else None


@dataclass(frozen=True, slots=True)
class HomeNetworkPrefix(PlainPrefixOption):
    """A prefix of the binding (RFC 5213 §8.3)."""

    type: ClassVar[int] = OptionType.HOME_NETWORK_PREFIX

    @classmethod
    def all_zero(cls) -> HomeNetworkPrefix:
        """::/0, "allocate one", also in a rejection of a request that named no prefix (spec HO-8)."""
        return cls(IPv6Address(0), 0)


@dataclass(frozen=True, slots=True)
class HandoffIndicator(NumberOption):
    """Why the binding is updated; see Handoff for the values (RFC 5213 §8.4)."""

    type: ClassVar[int] = OptionType.HANDOFF_INDICATOR


@dataclass(frozen=True, slots=True)
class AccessTechnology(NumberOption):
    """How the mobile node is attached; see AccessType for the values (RFC 5213 §8.5)."""

    type: ClassVar[int] = OptionType.ACCESS_TECHNOLOGY


@dataclass(frozen=True, slots=True)
class LinkLayerIdentifier(LinkLayerOption):
    """Link-layer address of the mobile node's interface (RFC 5213 §8.6)."""

    type: ClassVar[int] = OptionType.LINK_LAYER_IDENTIFIER


@dataclass(frozen=True, slots=True)
class LinkLocalAddress(AddressOption):
    """Link-local address of the serving gateway (RFC 5213 §8.7); see spec AMB-10 before sending it."""

    type: ClassVar[int] = OptionType.LINK_LOCAL_ADDRESS


@dataclass(frozen=True, slots=True, order=True)
class Timestamp(KnownOption):
    """Time of sending in units of 1/65536 s since 1970-01-01 UTC (RFC 5213 §8.8); compares exactly."""

    raw: int
    """The 64 bits of the wire: 48 bits of seconds, 16 bits of fraction."""

    type: ClassVar[int] = OptionType.TIMESTAMP

    @classmethod
    def from_seconds(cls, seconds: float) -> Timestamp:
        """The last tick not after `seconds` (Unix time); ValueError outside 0..2**48."""
        if not 0 <= seconds < 1 << 48:
            raise ValueError(f"Unix time {seconds} does not fit a 48-bit timestamp")
        return cls(int(seconds * 65536))

    @property
    def seconds(self) -> float:
        """Unix time; exact for any date up to the year 6000, nearest float beyond."""
        return self.raw / 65536

    @property
    def alignment(self) -> Alignment:
        """Address or number on its natural boundary."""
        return (8, 2)

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        return push_uint64(self.raw, "timestamp")

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        return cls(int.from_bytes(data, "big")) if len(data) == 8 else None


@dataclass(frozen=True, slots=True)
class AnchoredPrefix(PlainPrefixOption):
    """A prefix anchored at the sender or at the group's anchor (RFC 8885 §4.4)."""

    type: ClassVar[int] = OptionType.ANCHORED_PREFIX


@dataclass(frozen=True, slots=True)
class LocalPrefix(PlainPrefixOption):
    """A network reachable only through one D-GW (RFC 8885 §4.5); any length of 1..128 is good."""

    type: ClassVar[int] = OptionType.LOCAL_PREFIX
    only_64: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class PreviousMaar(PrefixOption):
    """An anchor and a prefix it anchors; opens an anchor group (RFC 8885 §4.5, spec AMB-7)."""

    maar: IPv6Address
    """P-CoA of the anchor: the tunnel's far end."""

    type: ClassVar[int] = OptionType.PREVIOUS_MAAR

    @classmethod
    def of(cls, maar: IPv6Address, network: IPv6Network) -> PreviousMaar:
        """The option for this anchor and prefix."""
        return cls(network.network_address, network.prefixlen, maar)

    def push_data(self) -> bytes:
        """Octets after the Length field."""
        length = push_uint8(self.length, "prefix length")
        return b"\0" + length + push_address(self.maar) + push_address(self.address)

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """The option, or None when the Length is wrong."""
        if len(data) != 34:
            return None
        return cls(IPv6Address(data[18:]), data[1], IPv6Address(data[2:18]))


@dataclass(frozen=True, slots=True)
class ServingMaar(CareOfOption):
    """P-CoA of the gateway now serving, in updates from a CMD (RFC 8885 §4.6)."""

    type: ClassVar[int] = OptionType.SERVING_MAAR


@dataclass(frozen=True, slots=True)
class DlifLinkLocal(AddressOption):
    """Link-local address of an anchor's DLIF (RFC 8885 §4.7)."""

    type: ClassVar[int] = OptionType.DLIF_LINK_LOCAL

    @property
    def usable(self) -> bool:
        """False outside fe80::/10: ignore the identity (spec §10)."""
        return self.address.is_link_local


@dataclass(frozen=True, slots=True)
class DlifLinkLayer(LinkLayerOption):
    """Link-layer address (LMAC) of an anchor's DLIF (RFC 8885 §4.8)."""

    type: ClassVar[int] = OptionType.DLIF_LINK_LAYER

    @property
    def usable(self) -> bool:
        """False unless it is a unicast, non-zero, six-octet MAC: ignore the identity (spec §10)."""
        return len(self.identifier) == 6 and not self.identifier[0] & 1 and any(self.identifier)


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """An option whose type we do not know; receivers skip it."""

    type: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MalformedOption:
    """An option of a known type whose Length is wrong; receivers treat it as absent (spec §10)."""

    type: int
    data: bytes


Option: TypeAlias = KnownOption | UnknownOption | MalformedOption

KNOWN_OPTIONS: dict[int, type[KnownOption]] = {
    cls.type: cls
    for cls in (
        AlternateCareOfAddress,
        MobileNodeIdentifier,
        HomeNetworkPrefix,
        HandoffIndicator,
        AccessTechnology,
        LinkLayerIdentifier,
        LinkLocalAddress,
        Timestamp,
        AnchoredPrefix,
        LocalPrefix,
        PreviousMaar,
        ServingMaar,
        DlifLinkLocal,
        DlifLinkLayer,
    )
}
"""Class by option type."""
