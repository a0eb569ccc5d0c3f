"""scapy layers of what scapy lacks or misreads in AERO's control messages (spec §6.2, §6.5, §6.9)."""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    BitField,
    ByteField,
    FieldLenField,
    IntField,
    IP6Field,
    LongField,
    PacketListField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet

from captures.packets import Part

SLLAO, TLLAO, REDIRECTED, NONCE, ROUTE, EXPERIMENTAL = 1, 2, 4, 14, 24, 253
EXPERIMENT, TOKEN, AUTH, OBSERVED = 0xAE60, 1, 2, 3


class LinkLayerOption(Part):
    """S/TLLAO of 24 octets; scapy's own reads 6 octets of address and loses its place."""

    name = "AERO link-layer address"
    fields_desc = [  # noqa: RUF012
        ByteField("type", SLLAO),
        ByteField("len", 3),
        BitField("encapsulation", 0, 4),
        BitField("nat", 0, 1),
        BitField("reserved", 0, 11),
        ByteField("link_id", 1),
        ByteField("preference", 128),
        ShortField("port", 0),
        IP6Field("ip", "::"),
    ]


class RouteOption(Part):
    """RIO (RFC 4191 §2.3); of the prefix there may be 0, 8 or 16 octets."""

    name = "Route information"
    fields_desc = [  # noqa: RUF012
        ByteField("type", ROUTE),
        FieldLenField("len", None, fmt="B", length_of="prefix", adjust=lambda _option, octets: 1 + octets // 8),
        ByteField("prefix_length", 0),
        BitField("reserved1", 0, 3),
        BitField("preference", 0, 2),
        BitField("reserved2", 0, 3),
        IntField("lifetime", 0),
        StrLenField("prefix", b"", length_from=lambda option: option.len * 8 - 8),
    ]


class RedirectedOption(Part):
    """RHO (RFC 4861 §4.6.3): the start of the packet concerned, and zero octets up to the next multiple of 8."""

    name = "Redirected header"
    fields_desc = [  # noqa: RUF012
        ByteField("type", REDIRECTED),
        FieldLenField("len", None, fmt="B", length_of="packet", adjust=lambda _option, octets: 1 + (octets + 7) // 8),
        StrFixedLenField("reserved", bytes(6), 6),
        StrLenField("packet", b"", length_from=lambda option: option.len * 8 - 8),
    ]

    def post_build(self, packet: bytes, payload: bytes) -> bytes:
        """Fill up."""
        return packet + bytes(-len(packet) % 8) + payload


class NonceOption(Part):
    """Nonce (RFC 3971 §5.3.2)."""

    name = "Nonce"
    fields_desc = [  # noqa: RUF012
        ByteField("type", NONCE),
        ByteField("len", 1),
        StrLenField("value", bytes(6), length_from=lambda option: option.len * 8 - 2),
    ]


def _experimental(units: int) -> tuple[Any, ...]:
    """How every option 253 of AERO begins."""
    return ByteField("type", EXPERIMENTAL), ByteField("len", units), ShortField("experiment", EXPERIMENT)


class TokenOption(Part):
    """A key for two Clients."""

    name = "AERO token"
    fields_desc = [  # noqa: RUF012
        *_experimental(3),
        ByteField("subtype", TOKEN),
        ByteField("aux", 0),
        ShortField("key_id", 0),
        StrFixedLenField("value", bytes(16), 16),
    ]


class AuthOption(Part):
    """Proof of a key; the timestamp counts 1/65536 s."""

    name = "AERO authentication"
    fields_desc = [  # noqa: RUF012
        *_experimental(4),
        ByteField("subtype", AUTH),
        ByteField("algorithm", 1),
        ShortField("key_id", 0),
        LongField("timestamp", 0),
        StrFixedLenField("mac", bytes(16), 16),
    ]


class ObservedOption(Part):
    """What the receiver of a solicitation saw of it."""

    name = "AERO observed"
    fields_desc = [  # noqa: RUF012
        *_experimental(4),
        ByteField("subtype", OBSERVED),
        ByteField("encapsulation", 0),
        ShortField("port", 0),
        IP6Field("ip", "::"),
        ShortField("size", 0),
        StrFixedLenField("zero", bytes(6), 6),
    ]


class ExperimentalOption(Part):
    """Option 253 with AERO's magic number, of another subtype or length."""

    name = "AERO experimental"
    fields_desc = [  # noqa: RUF012
        *_experimental(4),
        ByteField("subtype", 0),
        ByteField("aux", 0),
        ShortField("id", 0),
        StrLenField("body", b"", length_from=lambda option: max(option.len * 8 - 8, 0)),
    ]


class OtherOption(Part):
    """Any other option."""

    name = "Neighbor Discovery option"
    fields_desc = [  # noqa: RUF012
        ByteField("type", 0),
        ByteField("len", 1),
        StrLenField("body", b"", length_from=lambda option: max(option.len * 8 - 2, 0)),
    ]


_LAYOUTS: dict[int, tuple[type[Packet], int | None]] = {
    SLLAO: (LinkLayerOption, 3),
    TLLAO: (LinkLayerOption, 3),
    REDIRECTED: (RedirectedOption, None),
    NONCE: (NonceOption, None),
    ROUTE: (RouteOption, None),
}
"""By type; with a length in units of 8 octets where there is only one."""
_SUBTYPES: dict[int, tuple[type[Packet], int | None]] = {
    TOKEN: (TokenOption, 3),
    AUTH: (AuthOption, 4),
    OBSERVED: (ObservedOption, 4),
}
"""Of option 253."""


def _kind(_packet: Packet, _before: Any, _last: Any, rest: bytes) -> type[Packet] | None:
    if len(rest) < 8 or rest[1] == 0:
        return None
    ours = rest[0] == EXPERIMENTAL and rest[2:4] == EXPERIMENT.to_bytes(2, "big")
    layout, units = _SUBTYPES.get(rest[4], (None, 0)) if ours else _LAYOUTS.get(rest[0], (None, 0))
    if layout and units in (None, rest[1]) and len(rest) >= 8 * rest[1]:
        return layout
    return ExperimentalOption if ours else OtherOption


class NeighborMessage(Packet):  # type: ignore[misc, unused-ignore]
    """ICMPv6 NS or NA as AERO sends it."""

    name = "AERO neighbor discovery"
    fields_desc = [  # noqa: RUF012
        ByteField("type", 135),
        ByteField("code", 0),
        ShortField("checksum", 0),
        BitField("router", 0, 1),
        BitField("solicited", 0, 1),
        BitField("override", 0, 1),
        BitField("reserved", 0, 29),
        IP6Field("target", "::"),
        PacketListField("options", [], next_cls_cb=_kind),
    ]


class RedirectMessage(Packet):  # type: ignore[misc, unused-ignore]
    """Predirect or Redirect, from type to end (RFC 6706 §6.4.5)."""

    name = "AERO redirect"
    fields_desc = [  # noqa: RUF012
        ByteField("type", 137),
        ByteField("code", 0),
        ShortField("checksum", 0),
        BitField("predirect", 0, 1),
        BitField("reserved", 0, 31),
        IP6Field("target", "::"),
        IP6Field("destination", "::"),
        PacketListField("options", [], next_cls_cb=_kind),
    ]


class AeroLinkLayer(Packet):  # type: ignore[misc, unused-ignore]
    """Content of DHCPv6 option 79 in AERO's form."""

    name = "AERO client link-layer address"
    fields_desc = [ShortField("kind", 256), ShortField("port", 0), IP6Field("ip", "::")]  # noqa: RUF012


class InterfaceId(Packet):  # type: ignore[misc, unused-ignore]
    """The relay's Interface-ID: the way back to the client, sealed by the Server."""

    name = "AERO interface-id"
    fields_desc = [  # noqa: RUF012
        ByteField("version", 1),
        ByteField("encapsulation", 0),
        ShortField("port", 0),
        IP6Field("ip", "::"),
        StrFixedLenField("mac", bytes(8), 8),
    ]


class Dhcp6Option(Part):
    """One DHCPv6 option, its content unread: how to read it depends on where it is."""

    name = "DHCPv6 option"
    fields_desc = [  # noqa: RUF012
        ShortField("code", 0),
        FieldLenField("length", None, length_of="data"),
        StrLenField("data", b"", length_from=lambda option: option.length),
    ]


class Dhcp6Options(Packet):  # type: ignore[misc, unused-ignore]
    """Options up to the end."""

    name = "DHCPv6 options"
    fields_desc = [PacketListField("options", [], Dhcp6Option)]  # noqa: RUF012


class Fragment(Part):
    """The Fragment Header, wherever AERO puts it; the part behind it is not read."""

    name = "AERO fragment header"
    fields_desc = [  # noqa: RUF012
        ByteField("next_header", 4),
        ByteField("reserved", 0),
        BitField("offset", 0, 13),
        BitField("reserved2", 0, 2),
        BitField("more", 0, 1),
        StrFixedLenField("identification", bytes(4), 4),
    ]
