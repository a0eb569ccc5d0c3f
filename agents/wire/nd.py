"""Neighbor Discovery messages with the options AERO uses (RFC 4861, RFC 4191, RFC 3971; spec AERO §6.1-6.8).

`pull_nd` and `push_nd` are a pair over the ICMPv6 message, without the IPv6 header in front of it.  Unknown
options are skipped.  The AUTH option's MAC is computed with `mac_input`, by whoever holds the token.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.wire.buffer import Buffer, ipv6_checksum, pull_address, pull_uint8, pull_uint16
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.nd_options import Option, pull_options, push_options

ICMPV6 = 58
"""IPv6 Next Header of ICMPv6."""
_NO_CHECKSUM = b"\0\0"


class NdType(enum.IntEnum):
    """ICMPv6 types."""

    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOR_SOLICITATION = 135
    NEIGHBOR_ADVERTISEMENT = 136
    REDIRECT = 137


@dataclass(frozen=True)
class NeighborSolicitation:
    """NS (RFC 4861 §4.3)."""

    target: IPv6Address
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class NeighborAdvertisement:
    """NA (RFC 4861 §4.4)."""

    target: IPv6Address
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Redirect:
    """Redirect, or with `predirect` Predirect (RFC 6706 §6.4.5, spec §6.6)."""

    target: IPv6Address
    destination: IPv6Address
    predirect: bool = False
    options: tuple[Option, ...] = ()


NdMessage = NeighborSolicitation | NeighborAdvertisement | Redirect
_ROUTER, _SOLICITED, _OVERRIDE = 0x80, 0x40, 0x20
_PREDIRECT = 0x80


def push_nd(message: NdMessage, source: IPv6Address, destination: IPv6Address) -> bytes:
    """The ICMPv6 message with its checksum; ValueError when an option does not fit."""
    data = _push_unsummed(message)
    checksum = ipv6_checksum(source, destination, ICMPV6, data)
    return data[:2] + checksum.to_bytes(2, "big") + data[4:]


def pull_nd(data: bytes, source: IPv6Address, destination: IPv6Address) -> NdMessage | None:
    """The message; None for ICMPv6 of another type; DecodeError for a wrong checksum, code, or option."""
    buf = Buffer(data)
    number, code = pull_uint8(buf, "type"), pull_uint8(buf, "code")
    if number not in _READERS:
        return None
    pull_uint16(buf, "checksum")
    if ipv6_checksum(source, destination, ICMPV6, data):
        raise DecodeError("wrong ICMPv6 checksum", 2, DecodeErrorKind.CHECKSUM)
    if code:
        raise DecodeError(f"code {code} of ICMPv6 type {number}", 1)
    return _READERS[number](buf)


def push_redirect_body(message: Redirect) -> bytes:
    """A Redirect from its fifth octet on: what both framings share (spec §6.6)."""
    flags = _PREDIRECT if message.predirect else 0
    head = bytes((flags, 0, 0, 0)) + message.target.packed + message.destination.packed
    return head + push_options(message.options)


def pull_redirect_body(buf: Buffer) -> Redirect:
    """The pair of `push_redirect_body`."""
    flags = buf.pull_bytes(4, "P flag and reserved")[0]
    target, destination = pull_address(buf, "target"), pull_address(buf, "destination")
    return Redirect(target, destination, bool(flags & _PREDIRECT), pull_options(buf))


def mac_input(message: NdMessage, source: IPv6Address, destination: IPv6Address) -> bytes:
    """What an AUTH option's MAC covers: addresses and the message with checksum and MAC zero (spec §6.5).

    The message's AUTH option, its last one, must hold a zero MAC.
    """
    return source.packed + destination.packed + _push_unsummed(message)


def _push_unsummed(message: NdMessage) -> bytes:
    match message:
        case NeighborSolicitation():
            body = bytes(4) + message.target.packed + push_options(message.options)
            return bytes((NdType.NEIGHBOR_SOLICITATION, 0)) + _NO_CHECKSUM + body
        case NeighborAdvertisement():
            flags = message.router * _ROUTER | message.solicited * _SOLICITED | message.override * _OVERRIDE
            body = bytes((flags, 0, 0, 0)) + message.target.packed + push_options(message.options)
            return bytes((NdType.NEIGHBOR_ADVERTISEMENT, 0)) + _NO_CHECKSUM + body
        case Redirect():
            return bytes((NdType.REDIRECT, 0)) + _NO_CHECKSUM + push_redirect_body(message)


def _pull_solicitation(buf: Buffer) -> NeighborSolicitation:
    buf.pull_bytes(4, "reserved")
    return NeighborSolicitation(pull_address(buf, "target"), pull_options(buf))


def _pull_advertisement(buf: Buffer) -> NeighborAdvertisement:
    flags = buf.pull_bytes(4, "flags")[0]
    target = pull_address(buf, "target")
    return NeighborAdvertisement(
        target, bool(flags & _ROUTER), bool(flags & _SOLICITED), bool(flags & _OVERRIDE), pull_options(buf)
    )


_READERS: dict[int, Callable[[Buffer], NdMessage]] = {
    NdType.NEIGHBOR_SOLICITATION: _pull_solicitation,
    NdType.NEIGHBOR_ADVERTISEMENT: _pull_advertisement,
    NdType.REDIRECT: pull_redirect_body,
}
