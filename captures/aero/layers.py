"""scapy layers of what scapy lacks or misreads in AERO's control messages (spec §6.2, §6.5, §6.9)."""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    BitField,
    ByteField,
    FieldLenField,
    IP6Field,
    PacketListField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet

SLLAO, TLLAO, REDIRECTED, NONCE, ROUTE, EXPERIMENTAL = 1, 2, 4, 14, 24, 253
EXPERIMENT, TOKEN, AUTH, OBSERVED = 0xAE60, 1, 2, 3


class _Option(Packet):  # type: ignore[misc, unused-ignore]
    """A Neighbor Discovery option: what follows belongs to the next one."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Give the rest back."""
        return b"", s


class LinkLayerOption(_Option):
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


class ExperimentalOption(_Option):
    """Option 253 with AERO's magic number; TOKEN and AUTH keep their octets in `body`."""

    name = "AERO experimental"
    fields_desc = [  # noqa: RUF012
        ByteField("type", EXPERIMENTAL),
        ByteField("len", 4),
        ShortField("experiment", EXPERIMENT),
        ByteField("subtype", OBSERVED),
        ByteField("aux", 0),
        ShortField("id", 0),
        StrLenField("body", b"", length_from=lambda option: max(option.len * 8 - 8, 0)),
    ]


class OtherOption(_Option):
    """Any other option."""

    name = "Neighbor Discovery option"
    fields_desc = [  # noqa: RUF012
        ByteField("type", 0),
        ByteField("len", 1),
        StrLenField("body", b"", length_from=lambda option: max(option.len * 8 - 2, 0)),
    ]


def _kind(_packet: Packet, _before: Any, _last: Any, rest: bytes) -> type[Packet] | None:
    if len(rest) < 8 or rest[1] == 0:
        return None
    if rest[0] in (SLLAO, TLLAO) and rest[1] == 3:
        return LinkLayerOption
    if rest[0] == EXPERIMENTAL and rest[2:4] == EXPERIMENT.to_bytes(2, "big"):
        return ExperimentalOption
    return OtherOption


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


class Dhcp6Option(_Option):
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


class Fragment(Packet):  # type: ignore[misc, unused-ignore]
    """The Fragment Header, wherever AERO puts it."""

    name = "AERO fragment header"
    fields_desc = [  # noqa: RUF012
        ByteField("next_header", 4),
        ByteField("reserved", 0),
        BitField("offset", 0, 13),
        BitField("reserved2", 0, 2),
        BitField("more", 0, 1),
        StrFixedLenField("identification", bytes(4), 4),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """The part is not this layer's."""
        return b"", s
