"""Lists of Mobile IPv4 extensions, read and told apart (spec §2.1; RFC 5944 §1.8-1.11).

An extension with an unknown type below 128 makes the whole message unreadable; from 128 on it is stepped over and kept
as `UnknownExtension`. A known one whose Length contradicts its layout is kept as `MalformedExtension`, because a home
agent answers that with a code once it knows who sent it. Only what reaches beyond the datagram is no message at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mip4_extension_bases import LONG_FORM, Extension, MalformedExtension, UnknownExtension
from agents.wire.mip4_extensions import (
    CareofAddresses,
    ImplicitNetworkAck,
    MobileCorrespondentAuth,
    MobileHomeAuth,
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)

PADDING = 0
FIRST_SKIPPABLE = 128

AnyExtension = Extension | UnknownExtension | MalformedExtension


KINDS: dict[tuple[int, int | None], type[Extension]] = {
    (kind.type, kind.subtype): kind
    for kind in (
        MobileHomeAuth,
        UdpTunnelRequest,
        UdpTunnelReply,
        MobileNetworkRequest,
        MobileNetworkAck,
        ImplicitNetworkAck,
        RoCapability,
        RoReply,
        MobileCorrespondentAuth,
        CareofAddresses,
        PrefixAdvertisement,
    )
}
"""By type and subtype; subtypes of one type have different layouts (types 49, 148)."""
SIMPLE_FORM = {number for number, subtype in KINDS if subtype is None}
KNOWN_TYPES = {number for number, _subtype in KINDS}


@dataclass(frozen=True, slots=True)
class Placed:
    """An extension and where it stands in its message."""

    extension: AnyExtension
    start: int
    end: int


def walk(data: bytes, start: int) -> Iterator[Placed]:
    """The extensions from `start` to the end, without padding; DecodeError at the first that cannot be stepped over."""
    while start < len(data):
        if data[start] == PADDING:
            start += 1
            continue
        placed = _pull(data, start)
        yield placed
        start = placed.end


def decode_extensions(data: bytes, start: int = 0) -> tuple[AnyExtension, ...]:
    """All extensions from `start` on (spec §2.1); DecodeError for an overrun or an unknown non-skippable one."""
    return tuple(placed.extension for placed in walk(data, start))


def _pull(data: bytes, start: int) -> Placed:
    number = data[start]
    if number not in KNOWN_TYPES and number < FIRST_SKIPPABLE:
        raise DecodeError(f"extension {number} is unknown and not skippable", start, DecodeErrorKind.UNKNOWN_EXTENSION)
    header = 4 if number in LONG_FORM else 2
    if len(data) - start < header:
        raise DecodeError(f"extension {number} without its length", start, DecodeErrorKind.OPTION_OVERRUN)
    length = int.from_bytes(data[start + 2 : start + 4], "big") if header == 4 else data[start + 1]
    end = start + header + length
    if end > len(data):
        reason = f"extension {number} of {length} octets, {len(data) - start - header} left"
        raise DecodeError(reason, start, DecodeErrorKind.OPTION_OVERRUN)
    return Placed(_read(data, start, header, end), start, end)


def _read(data: bytes, start: int, header: int, end: int) -> AnyExtension:
    number = data[start]
    body = data[start + header : end]
    kind: type[Extension] | None
    if number not in KNOWN_TYPES:
        return UnknownExtension(number, body)
    if number in SIMPLE_FORM:
        kind, content = KINDS[number, None], body
    elif number in LONG_FORM:
        kind, content = _kind(number, data[start + 1], start), body
    elif not body:
        return MalformedExtension(Extension, data[start:end])
    else:
        kind, content = _kind(number, body[0], start), body[1:]
    if kind is None:
        return UnknownExtension(number, body)
    extension = kind.pull_data(content)
    if extension is not None:
        return extension
    if kind in (MobileHomeAuth, MobileCorrespondentAuth):
        raise DecodeError(f"{kind.__name__} of {len(content)} octets", start)
    return MalformedExtension(kind, data[start:end])


def _kind(number: int, subtype: int, start: int) -> type[Extension] | None:
    """The kind, None where it may be skipped: an unknown subtype is like an unknown type (spec §2.1)."""
    kind = KINDS.get((number, subtype))
    if kind is None and number < FIRST_SKIPPABLE:
        reason = f"extension {number}/{subtype} is unknown and not skippable"
        raise DecodeError(reason, start, DecodeErrorKind.UNKNOWN_EXTENSION)
    return kind
