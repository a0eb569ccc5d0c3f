"""Messages of the Mobility Header as frozen dataclasses (spec DGW §2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import ClassVar, Self, TypeAlias, TypeVar

from agents.wire.mobility_codes import AckFlag, MessageType, UpdateFlag
from agents.wire.mobility_lists import AnchorGroup, anchor_groups, duplicate_types, every, first, without_distributed
from agents.wire.mobility_option_bases import KnownOption, PrefixOption
from agents.wire.mobility_options import MalformedOption, Option

LIFETIME_UNIT = 4
"""Seconds in one unit of Lifetime."""
MAXIMUM_LIFETIME_UNITS = 0xFFFF

UNSPECIFIED = IPv6Address(0)

T = TypeVar("T", bound=KnownOption)


def lifetime_units(seconds: float) -> int:
    """Whole 4 s units in `seconds`, never more than asked; but 0 (delete) only for 0, and at most 65535."""
    if not seconds >= 0:
        raise ValueError(f"lifetime {seconds} s")
    if seconds == 0:
        return 0
    return max(1, int(min(seconds / LIFETIME_UNIT, MAXIMUM_LIFETIME_UNITS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the four messages share: options, and questions about them."""

    options: tuple[Option, ...] = ()
    """In the order of the wire, padding removed, unknown and malformed ones in their place."""

    message_type: ClassVar[MessageType]
    options_offset: ClassVar[int]

    def first(self, cls: type[T]) -> T | None:
        """The first option of this class, or None."""
        return first(self.options, cls)

    def every(self, cls: type[T]) -> tuple[T, ...]:
        """All options of this class, in their order."""
        return every(self.options, cls)

    @property
    def groups(self) -> tuple[AnchorGroup, ...]:
        """Options 65, 66, 69, 70 by the anchor they speak of (spec AMB-7)."""
        return anchor_groups(self.options)

    def without_distributed(self) -> Self:
        """The message as a receiver reads it when the D flag is 0: options 65–70 ignored (spec §10)."""
        return replace(self, options=without_distributed(self.options))

    @property
    def malformed(self) -> tuple[MalformedOption, ...]:
        """Options of known type with a wrong Length; otherwise treated as absent (spec §10)."""
        return tuple(o for o in self.options if isinstance(o, MalformedOption))

    @property
    def duplicates(self) -> tuple[int, ...]:
        """Types of single-instance options that came more than once: reject an update with 128 (spec §10)."""
        return duplicate_types(self.options)

    @property
    def bad_prefixes(self) -> tuple[PrefixOption, ...]:
        """Prefix options with a bad length: answer an update with 155, ignore them in an ack (spec §10)."""
        return tuple(o for o in self.options if isinstance(o, PrefixOption) and o.bad_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingUpdate(Message):
    """Binding Update; with the proxy flag a Proxy Binding Update (RFC 6275 §6.1.7, RFC 5213 §8.1)."""

    sequence: int
    """16 bits."""
    flags: UpdateFlag
    lifetime_units: int
    """In units of 4 s; 0 deletes the binding."""

    message_type: ClassVar[MessageType] = MessageType.BINDING_UPDATE
    options_offset: ClassVar[int] = 12

    @property
    def distributed(self) -> bool:
        """D: the sender is a D-GW or CMD."""
        return UpdateFlag.DISTRIBUTED in self.flags

    @property
    def lifetime_seconds(self) -> int:
        """Lifetime asked for, in seconds."""
        return self.lifetime_units * LIFETIME_UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingAck(Message):
    """Binding Acknowledgement; with the proxy flag a Proxy Binding Acknowledgement (RFC 5213 §8.2)."""

    status: int
    """See Status; may be a number without a name there."""
    flags: AckFlag
    sequence: int
    """16 bits."""
    lifetime_units: int
    """In units of 4 s. Meaningless in a rejection: sent 0 there, whatever it says here."""

    message_type: ClassVar[MessageType] = MessageType.BINDING_ACK
    options_offset: ClassVar[int] = 12

    @property
    def accepted(self) -> bool:
        """Status below 128."""
        return self.status < 128

    @property
    def distributed(self) -> bool:
        """D: the sender supports D-GW operation."""
        return AckFlag.DISTRIBUTED in self.flags

    @property
    def lifetime_seconds(self) -> int:
        """Lifetime granted, in seconds."""
        return self.lifetime_units * LIFETIME_UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingError(Message):
    """Binding Error (RFC 6275 §6.1.9)."""

    status: int
    """See BindingErrorStatus."""
    home_address: IPv6Address = UNSPECIFIED
    """:: when the error is an unknown MH type."""

    message_type: ClassVar[MessageType] = MessageType.BINDING_ERROR
    options_offset: ClassVar[int] = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRefreshRequest(Message):
    """Binding Refresh Request (RFC 6275 §6.1.2)."""

    message_type: ClassVar[MessageType] = MessageType.BINDING_REFRESH_REQUEST
    options_offset: ClassVar[int] = 8


MobilityMessage: TypeAlias = BindingUpdate | BindingAck | BindingError | BindingRefreshRequest
