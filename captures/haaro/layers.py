"""scapy layers of Mobile IPv4 registrations and of the HAARO messages (spec §2); scapy's own know no extension."""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.fields import (
    BitField,
    ByteField,
    FieldListField,
    IPField,
    LongField,
    PacketListField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet, Raw

from captures.packets import Part

RRQ, RRP, TUNNEL, HOTI, COTI, HOT, COT = 1, 3, 4, 24, 25, 26, 27
MHAE, UDP_REPLY, UDP_REQUEST, NETWORK, CAPABILITY, RO, ADVERTISEMENT = 32, 44, 144, 148, 153, 49, 50


class Extension(Part):
    """Any extension of the simple form."""

    name = "Extension"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", 0),
        ByteField("length", 0),
        StrLenField("data", b"", length_from=lambda extension: extension.length),
    ]


class Pad(Extension):
    """One octet of padding."""

    name = "Padding"
    fields_desc: ClassVar[list[Any]] = [ByteField("type", 0)]


class HomeAuth(Extension):
    """MHAE."""

    name = "Mobile-Home Authentication"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", MHAE),
        ByteField("length", 20),
        BitField("spi", 0, 32),
        StrLenField("authenticator", b"", length_from=lambda extension: extension.length - 4),
    ]


class UdpTunnelRequest(Extension):
    """RFC 3519 §3.1."""

    name = "UDP Tunnel Request"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", UDP_REQUEST),
        ByteField("length", 6),
        ByteField("subtype", 0),
        ByteField("reserved1", 0),
        BitField("force", 0, 1),
        BitField("relay", 0, 1),
        BitField("reserved2", 0, 6),
        ByteField("encapsulation", 4),
        ShortField("reserved3", 0),
    ]


class UdpTunnelReply(Extension):
    """RFC 3519 §3.2."""

    name = "UDP Tunnel Reply"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", UDP_REPLY),
        ByteField("length", 6),
        ByteField("subtype", 0),
        ByteField("code", 0),
        BitField("force", 0, 1),
        BitField("reserved", 0, 15),
        ShortField("keepalive", 0),
    ]


class NetworkRequest(Extension):
    """MNR."""

    name = "Mobile Network Request"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", NETWORK),
        ByteField("length", 6),
        ByteField("subtype", 0),
        ByteField("plen", 0),
        IPField("prefix", "0.0.0.0"),
    ]


class NetworkAck(Extension):
    """MNA, explicit and implicit."""

    name = "Mobile Network Acknowledgement"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", NETWORK),
        ByteField("length", 8),
        ByteField("subtype", 1),
        ByteField("code", 0),
        ByteField("plen", 0),
        ByteField("reserved", 0),
        IPField("prefix", "0.0.0.0"),
    ]


class Capability(Extension):
    """RO Capability; `rest` is the solicited home address."""

    name = "Route Optimization Capability"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", CAPABILITY),
        ByteField("length", 2),
        ByteField("subtype", 1),
        BitField("advertise", 0, 1),
        BitField("receive", 0, 1),
        BitField("solicit", 0, 1),
        BitField("outbound", 0, 1),
        BitField("reserved", 0, 4),
        StrLenField("rest", b"", length_from=lambda extension: extension.length - 2),
    ]


class RoReply(Extension):
    """RO Reply."""

    name = "Route Optimization Reply"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", RO),
        ByteField("length", 2),
        ByteField("subtype", 1),
        BitField("outbound", 0, 1),
        BitField("nat", 0, 1),
        BitField("solicited", 0, 1),
        BitField("code", 0, 5),
    ]


class CorrespondentAuth(Extension):
    """MCAE."""

    name = "Mobile-Correspondent Authentication"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", RO),
        ByteField("length", 22),
        ByteField("subtype", 2),
        ByteField("reserved", 0),
        ShortField("home_index", 0),
        ShortField("careof_index", 0),
        StrFixedLenField("authenticator", bytes(16), 16),
    ]


class CareofAddresses(Extension):
    """Care-of addresses of a correspondent."""

    name = "Care-of Address"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", RO),
        ByteField("length", 6),
        ByteField("subtype", 3),
        ByteField("reserved", 0),
        FieldListField("addresses", [], IPField("", "0.0.0.0"), count_from=lambda e: (e.length - 2) // 4),
    ]


class Advertisement(Extension):
    """Prefix advertisement; its structures are read elsewhere."""

    name = "Route Optimization Prefix Advertisement"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", ADVERTISEMENT),
        ByteField("subtype", 1),
        ShortField("length", 0),
        StrLenField("data", b"", length_from=lambda extension: extension.length),
    ]


LAYOUTS: dict[tuple[int, int], tuple[type[Extension], int | None]] = {
    (UDP_REQUEST, 0): (UdpTunnelRequest, 6),
    (UDP_REPLY, 0): (UdpTunnelReply, 6),
    (NETWORK, 0): (NetworkRequest, 6),
    (NETWORK, 1): (NetworkAck, 8),
    (NETWORK, 2): (NetworkAck, 8),
    (CAPABILITY, 1): (Capability, None),
    (RO, 1): (RoReply, 2),
    (RO, 2): (CorrespondentAuth, 22),
    (RO, 3): (CareofAddresses, None),
}
"""Of the short form: type and subtype -> layout and exact length, None when it varies."""


def _kind(_packet: Packet, _before: Any, _last: Any, rest: bytes) -> type[Packet] | None:
    """Layout of the next extension; one that overruns the message stays raw."""
    if not rest:
        return None  # nothing after the fixed part: replies 201 to 203
    if rest[0] == 0:
        return Pad
    if rest[0] == ADVERTISEMENT:
        return Advertisement if len(rest) >= 4 and 4 + int.from_bytes(rest[2:4], "big") <= len(rest) else Raw
    if len(rest) < 2 or 2 + rest[1] > len(rest):
        return Raw
    if rest[0] == MHAE:
        return HomeAuth if rest[1] >= 4 else Extension
    layout, length = LAYOUTS.get((rest[0], rest[2] if rest[1] else -1), (Extension, None))
    if layout is Capability:
        return layout if rest[1] in (2, 6) else Extension
    if layout is CareofAddresses:
        return layout if rest[1] >= 6 and rest[1] % 4 == 2 else Extension
    return layout if length in (None, rest[1]) else Extension


class Request(Packet):  # type: ignore[misc, unused-ignore]
    """Registration request."""

    name = "Registration Request"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", RRQ),
        ByteField("flags", 0x22),
        ShortField("lifetime", 0),
        IPField("home_address", "0.0.0.0"),
        IPField("home_agent", "0.0.0.0"),
        IPField("careof_address", "0.0.0.0"),
        LongField("identification", 0),
        PacketListField("extensions", [], next_cls_cb=_kind),
    ]


class Reply(Packet):  # type: ignore[misc, unused-ignore]
    """Registration reply."""

    name = "Registration Reply"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", RRP),
        ByteField("code", 0),
        ShortField("lifetime", 0),
        IPField("home_address", "0.0.0.0"),
        IPField("home_agent", "0.0.0.0"),
        LongField("identification", 0),
        PacketListField("extensions", [], next_cls_cb=_kind),
    ]


class Init(Packet):  # type: ignore[misc, unused-ignore]
    """HoTI and CoTI."""

    name = "Test Init"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", HOTI),
        ByteField("reserved", 0),
        StrFixedLenField("cookie", bytes(8), 8),
    ]


class Test(Packet):  # type: ignore[misc, unused-ignore]
    """HoT and CoT."""

    name = "Test"
    fields_desc: ClassVar[list[Any]] = [
        ByteField("type", HOT),
        ByteField("reserved", 0),
        ShortField("index", 0),
        StrFixedLenField("cookie", bytes(8), 8),
        StrFixedLenField("token", bytes(8), 8),
    ]


MESSAGES: dict[int, tuple[type[Packet], int]] = {
    RRQ: (Request, 24),
    RRP: (Reply, 20),
    HOTI: (Init, 10),
    COTI: (Init, 10),
    HOT: (Test, 20),
    COT: (Test, 20),
}
"""Type -> layout and least octets."""
