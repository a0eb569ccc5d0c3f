"""Mobility Header codec of the D-GW family (spec DGW §2; RFC 6275, RFC 5213, RFC 8885).

`push_mobility` and `pull_mobility` are a pair. Bad input raises DecodeError, whose `kind` tells the receiver
how to answer (§10); nothing here opens a socket or reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from agents.wire.buffer import (
    Buffer,
    ipv6_checksum,
    pull_address,
    pull_uint8,
    pull_uint16,
    push_address,
    push_uint8,
    push_uint16,
)
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mobility_codes import (
    DFlagProfile,
    MessageType,
    pull_ack_flags,
    pull_update_flags,
    push_ack_flags,
    push_update_flags,
)
from agents.wire.mobility_lists import pull_options, push_options
from agents.wire.mobility_messages import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    Message,
    MobilityMessage,
)

__all__ = [
    "MAXIMUM_OCTETS",
    "NEXT_HEADER",
    "RECOMMENDED_OCTETS",
    "BindingAck",
    "BindingError",
    "BindingRefreshRequest",
    "BindingUpdate",
    "MobilityMessage",
    "checksum",
    "encoded_length",
    "icmpv6_pointer",
    "pull_mobility",
    "push_mobility",
]

NEXT_HEADER = 135
"""IPv6 Next Header of the Mobility Header."""
NO_NEXT_HEADER = 59
"""The only Payload Proto there is."""
HEADER_OCTETS = 6
"""Payload Proto, Header Len, MH Type, Reserved, Checksum."""
MAXIMUM_OCTETS = 2048
"""Largest Mobility Header the 8-bit Header Len can tell."""
RECOMMENDED_OCTETS = 1200
"""Stay below, and the header is never fragmented (spec §2.4, size rule); splitting is the caller's job."""


def checksum(source: IPv6Address, destination: IPv6Address, data: bytes) -> int:
    """Checksum of a Mobility Header whose checksum field is 0; over one with a right checksum, 0."""
    return ipv6_checksum(source, destination, NEXT_HEADER, data)


def push_mobility(
    message: MobilityMessage,
    source: IPv6Address,
    destination: IPv6Address,
    *,
    profile: DFlagProfile = DFlagProfile.RFC8885,
) -> bytes:
    """The message's octets, aligned, padded and with its checksum, as payload of an IPv6 header.

    Options go out in the order given (see `in_send_order`). ValueError when a value does not fit its field,
    when the whole exceeds 2048 octets, or when the peer could not tell the flags apart.
    """
    data = _push_unsummed(message, profile)
    return data[:4] + push_uint16(checksum(source, destination, data)) + data[6:]


def encoded_length(message: MobilityMessage) -> int:
    """Octets `push_mobility` would give, padding included; compare with RECOMMENDED_OCTETS."""
    return len(push_options(bytes(message.options_offset), message.options))


def _push_unsummed(message: MobilityMessage, profile: DFlagProfile) -> bytes:
    body = push_options(bytes(HEADER_OCTETS) + _push_fixed(message, profile), message.options)
    if len(body) > MAXIMUM_OCTETS:
        raise ValueError(f"Mobility Header of {len(body)} octets, at most {MAXIMUM_OCTETS} are possible")
    return bytes((NO_NEXT_HEADER, len(body) // 8 - 1, message.message_type)) + body[3:]


def _push_fixed(message: MobilityMessage, profile: DFlagProfile) -> bytes:
    match message:
        case BindingUpdate():
            flags = push_uint16(push_update_flags(message.flags, profile), "flags")
            lifetime = push_uint16(message.lifetime_units, "lifetime")
            return push_uint16(message.sequence, "sequence") + flags + lifetime
        case BindingAck():
            flags = push_uint8(push_ack_flags(message.flags, profile), "flags")
            lifetime = push_uint16(message.lifetime_units if message.accepted else 0, "lifetime")
            return push_uint8(message.status, "status") + flags + push_uint16(message.sequence, "sequence") + lifetime
        case BindingError():
            return push_uint8(message.status, "status") + b"\0" + push_address(message.home_address)
        case BindingRefreshRequest():
            return b"\0\0"


def pull_mobility(
    data: bytes,
    source: IPv6Address,
    destination: IPv6Address,
    *,
    verify_checksum: bool = True,
    profile: DFlagProfile = DFlagProfile.RFC8885,
) -> MobilityMessage:
    """The message in a datagram's payload; DecodeError for anything else, checked in the order of spec §10.

    A raw socket's kernel verified the checksum already: its reader may switch that off here. `profile` tells
    where the peer puts its D flag. Octets behind the Mobility Header are ignored.
    """
    if len(data) < 8:
        reason = f"{len(data)} octets are no Mobility Header"
        raise DecodeError(reason, len(data), DecodeErrorKind.TRUNCATED)
    proto, header_len, number = data[:3]
    length = 8 * (header_len + 1)
    if verify_checksum:
        _verify(data, length, source, destination)
    if proto != NO_NEXT_HEADER:
        raise DecodeError(f"Payload Proto {proto}, not 59", 0, DecodeErrorKind.PAYLOAD_PROTO)
    pull = _PULL.get(number)
    if pull is None:
        raise DecodeError(f"unknown MH type {number}", 2, DecodeErrorKind.UNKNOWN_TYPE)
    cls, pull_message = pull
    if length < cls.options_offset:
        reason = f"Header Len {header_len} is too short for a {cls.__name__}"
        raise DecodeError(reason, 1, DecodeErrorKind.HEADER_TOO_SHORT)
    if length > len(data):
        reason = f"Header Len {header_len} tells {length} octets, {len(data)} came"
        raise DecodeError(reason, 1, DecodeErrorKind.HEADER_BEYOND_DATAGRAM)
    return pull_message(Buffer(data, HEADER_OCTETS, length), profile)


def _verify(data: bytes, length: int, source: IPv6Address, destination: IPv6Address) -> None:
    # RFC 6275 sums the header; a kernel, which cannot know where it ends, sums the datagram. They differ when
    # ignored octets follow the header: a sum over either proves that nothing changed on the way.
    if checksum(source, destination, data) and checksum(source, destination, data[:length]):
        found = int.from_bytes(data[4:6], "big")
        raise DecodeError(f"checksum {found:#06x} is wrong", 4, DecodeErrorKind.CHECKSUM)


def _pull_update(buf: Buffer, profile: DFlagProfile) -> BindingUpdate:
    return BindingUpdate(
        sequence=pull_uint16(buf),
        flags=pull_update_flags(pull_uint16(buf), profile),
        lifetime_units=pull_uint16(buf),
        options=pull_options(buf),
    )


def _pull_ack(buf: Buffer, profile: DFlagProfile) -> BindingAck:
    return BindingAck(
        status=pull_uint8(buf),
        flags=pull_ack_flags(pull_uint8(buf), profile),
        sequence=pull_uint16(buf),
        lifetime_units=pull_uint16(buf),
        options=pull_options(buf),
    )


def _pull_error(buf: Buffer, profile: DFlagProfile) -> BindingError:
    status = pull_uint8(buf)
    buf.pull_bytes(1)
    return BindingError(status=status, home_address=pull_address(buf), options=pull_options(buf))


def _pull_refresh_request(buf: Buffer, profile: DFlagProfile) -> BindingRefreshRequest:
    buf.pull_bytes(2)
    return BindingRefreshRequest(options=pull_options(buf))


_PULL: dict[int, tuple[type[Message], Callable[[Buffer, DFlagProfile], MobilityMessage]]] = {
    MessageType.BINDING_UPDATE: (BindingUpdate, _pull_update),
    MessageType.BINDING_ACK: (BindingAck, _pull_ack),
    MessageType.BINDING_ERROR: (BindingError, _pull_error),
    MessageType.BINDING_REFRESH_REQUEST: (BindingRefreshRequest, _pull_refresh_request),
}


def icmpv6_pointer(error: DecodeError) -> int | None:
    """Pointer of the ICMPv6 Parameter Problem (type 4 code 0) that answers this error, or None for no answer.

    40 for the Payload Proto, 41 for Header Len: right while no extension header precedes the Mobility Header.
    """
    if error.kind in (DecodeErrorKind.PAYLOAD_PROTO, DecodeErrorKind.HEADER_TOO_SHORT):
        return 40 + error.offset
    return None
