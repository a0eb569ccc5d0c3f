"""scapy layers for the Mobility Header with the PMIPv6 and DMM options that tshark and scapy lack.

Sources: RFC 6275 §6.1 and §6.2, RFC 5213 §8, RFC 4283 §3, RFC 8885 §4. The codec the agents use is
deliberately not used here: what checks must not share a bug with what is checked.
"""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.fields import (
    BitField,
    ByteField,
    FieldLenField,
    PacketListField,
    ShortField,
    StrField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet, Raw

from captures.packets import Part

BRR, BU, BA, BE = 0, 5, 6, 7
PAD1, PADN, ALTERNATE_COA, MN_ID = 0, 1, 3, 8
HNP, HANDOFF, ACCESS, LINK_LAYER_ID, LINK_LOCAL, TIMESTAMP = 22, 23, 24, 25, 26, 27
ANCHORED, LOCAL, PREVIOUS_MAAR, SERVING_MAAR, DLIF_LINK_LOCAL, DLIF_LINK_LAYER = 65, 66, 67, 68, 69, 70

BU_ACK, BU_HOME, BU_PROXY, BU_D = 0x8000, 0x4000, 0x0200, 0x0010
BA_PROXY, BA_D = 0x20, 0x02
BU_D_DRAFT, BA_D_DRAFT = 0x0100, 0x10
"""Where the seed draft drew the D flag: later RFC 5844's F, RFC 5845's T (spec AMB-5)."""


def d_flags(draft03: bool) -> tuple[int, int]:
    """Masks of the D flag in a PBU and in a PBA."""
    return (BU_D_DRAFT, BA_D_DRAFT) if draft03 else (BU_D, BA_D)


class Option(Part):
    """Any mobility option: type, length, data (RFC 6275 §6.2.1)."""

    name = "Mobility Option"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", 0),
        FieldLenField("olen", None, length_of="data", fmt="B"),
        StrLenField("data", b"", length_from=lambda p: p.olen),
    ]


class Pad1(Option):
    """Pad1: a single zero octet without a length (RFC 6275 §6.2.2)."""

    name = "Pad1"
    fields_desc: ClassVar[list[Any]] = [ByteField("otype", PAD1)]


class MnIdentifier(Option):
    """Mobile Node Identifier (RFC 4283 §3)."""

    name = "MN Identifier"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", MN_ID),
        FieldLenField("olen", None, length_of="identifier", fmt="B", adjust=lambda _p, x: x + 1),
        ByteField("subtype", 1),
        StrLenField("identifier", b"", length_from=lambda p: p.olen - 1),
    ]


class PrefixOption(Option):
    """Home Network Prefix (22), Anchored Prefix (65), Local Prefix (66): one layout."""

    name = "Prefix"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", HNP),
        ByteField("olen", 18),
        ByteField("reserved", 0),
        ByteField("plen", 64),
        StrFixedLenField("prefix", bytes(16), 16),
    ]


class OctetOption(Option):
    """Handoff Indicator (23), Access Technology Type (24)."""

    name = "Octet"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", HANDOFF),
        ByteField("olen", 2),
        ByteField("reserved", 0),
        ByteField("value", 0),
    ]


class LinkLayerOption(Option):
    """MN Link-layer Identifier (25), DLIF Link-Layer Address (70)."""

    name = "Link-layer"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", LINK_LAYER_ID),
        FieldLenField("olen", None, length_of="identifier", fmt="B", adjust=lambda _p, x: x + 2),
        ShortField("reserved", 0),
        StrLenField("identifier", b"", length_from=lambda p: p.olen - 2),
    ]


class AddressOption(Option):
    """Alternate CoA (3), Link-local Address (26), Serving MAAR (68), DLIF Link-Local Address (69)."""

    name = "Address"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", SERVING_MAAR),
        ByteField("olen", 16),
        StrFixedLenField("address", bytes(16), 16),
    ]


class TimestampOption(Option):
    """Timestamp: 48 bit seconds, 16 bit fraction (RFC 5213 §8.8)."""

    name = "Timestamp"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", TIMESTAMP),
        ByteField("olen", 8),
        BitField("seconds", 0, 48),
        BitField("fraction", 0, 16),
    ]


class PreviousMaar(Option):
    """Previous MAAR: address and home network prefix of an anchor (RFC 8885 §4.5)."""

    name = "Previous MAAR"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("otype", PREVIOUS_MAAR),
        ByteField("olen", 34),
        ByteField("reserved", 0),
        ByteField("plen", 64),
        StrFixedLenField("address", bytes(16), 16),
        StrFixedLenField("prefix", bytes(16), 16),
    ]


LAYOUTS: dict[int, tuple[type[Option], int | None]] = {
    ALTERNATE_COA: (AddressOption, 16),
    MN_ID: (MnIdentifier, None),
    HNP: (PrefixOption, 18),
    HANDOFF: (OctetOption, 2),
    ACCESS: (OctetOption, 2),
    LINK_LAYER_ID: (LinkLayerOption, None),
    LINK_LOCAL: (AddressOption, 16),
    TIMESTAMP: (TimestampOption, 8),
    ANCHORED: (PrefixOption, 18),
    LOCAL: (PrefixOption, 18),
    PREVIOUS_MAAR: (PreviousMaar, 34),
    SERVING_MAAR: (AddressOption, 16),
    DLIF_LINK_LOCAL: (AddressOption, 16),
    DLIF_LINK_LAYER: (LinkLayerOption, None),
}
"""Option type -> (layout, exact length or None when variable)."""
MINIMUM = {MN_ID: 1, LINK_LAYER_ID: 2, DLIF_LINK_LAYER: 2}


def _option_class(_packet: Packet, _done: list[Any], _current: Packet | None, rest: bytes) -> type[Packet] | None:
    """Layout of the next option; an option that overruns the message is left as Raw."""
    if rest[0] == PAD1:
        return Pad1
    if len(rest) < 2 or 2 + rest[1] > len(rest):
        return Raw
    layout, exact = LAYOUTS.get(rest[0], (Option, None))
    wrong = rest[1] != exact if exact is not None else rest[1] < MINIMUM.get(rest[0], 0)
    return Option if wrong else layout


class MobilityHeader(Packet):
    """Mobility Header without message data: BRR, BE and unknown types (RFC 6275 §6.1.1)."""

    name = "Mobility Header"
    head: ClassVar[tuple[Any, ...]] = (
        ByteField("proto", 59),
        ByteField("hlen", 0),
        ByteField("mhtype", BRR),
        ByteField("reserved", 0),
        ShortField("checksum", 0),
    )
    fields_desc: ClassVar[list[Any]] = [*head, StrField("data", b"")]


class BindingUpdate(Packet):
    """Binding Update and Proxy Binding Update (RFC 6275 §6.1.7, RFC 5213 §8.1, RFC 8885 §4.1)."""

    name = "Binding Update"
    fields_desc: ClassVar[list[Any]] = [
        *MobilityHeader.head,
        ShortField("sequence", 0),
        ShortField("flags", BU_ACK | BU_PROXY | BU_D),
        ShortField("lifetime", 75),
        PacketListField("options", [], next_cls_cb=_option_class),
    ]


class BindingAcknowledgement(Packet):
    """Binding Acknowledgement and its proxy form (RFC 6275 §6.1.8, RFC 5213 §8.2, RFC 8885 §4.2)."""

    name = "Binding Acknowledgement"
    fields_desc: ClassVar[list[Any]] = [
        *MobilityHeader.head,
        ByteField("status", 0),
        ByteField("flags", BA_PROXY | BA_D),
        ShortField("sequence", 0),
        ShortField("lifetime", 75),
        PacketListField("options", [], next_cls_cb=_option_class),
    ]


def dissect(message: bytes) -> Packet:
    """Dissect one Mobility Header message (its own octets only, trailing ones cut off)."""
    kind = message[2] if len(message) > 2 else BRR
    layer = {BU: BindingUpdate, BA: BindingAcknowledgement}.get(kind, MobilityHeader)
    if layer is not MobilityHeader and len(message) < 12:
        layer = MobilityHeader
    return layer(message)


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """Mobility Header checksum (RFC 6275 §6.1.1), its own field counted as zero."""
    data = source + destination + len(message).to_bytes(4, "big") + bytes(3) + bytes([135])
    data += message[:4] + bytes(2) + message[6:]
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
