"""Predirect and Redirect in both framings: as ICMPv6 137, and as RFC 6706 published it, in UDP (spec AERO §6.6).

A router on the way changes nothing but addresses, hop limit and, at the target's Server, link-layer addresses:
`readdress` and `replace_lladdrs` work on octets, so that options nobody here knows stay as they are.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from ipaddress import IPv6Address

from agents.wire.buffer import Buffer, ipv6_checksum
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.nd import ICMPV6, NdType, Redirect, pull_nd, pull_redirect_body, push_nd, push_redirect_body
from agents.wire.nd_options import TARGET, LinkLayerOption, push_options

UDP, PORT = 17, 8060
_UDP_OCTETS, _BODY, _OPTIONS = 8, 4, 40


class Framing(enum.Enum):
    """How the message is carried; the value is the inner IPv6 Next Header."""

    ND = ICMPV6
    RFC6706 = UDP


def push_redirect(message: Redirect, framing: Framing, source: IPv6Address, destination: IPv6Address) -> bytes:
    """What stands behind the inner IPv6 header; ValueError when an option does not fit."""
    if framing is Framing.ND:
        return push_nd(message, source, destination)
    return _in_udp(bytes(_BODY) + push_redirect_body(message), source, destination)


def pull_redirect(
    payload: bytes, next_header: int, source: IPv6Address, destination: IPv6Address
) -> tuple[Redirect, Framing] | None:
    """The message and its framing; None for anything else that this Next Header carries.

    DecodeError for a wrong checksum (none at all is wrong in UDP), type, code or option.
    """
    if next_header == ICMPV6:
        if payload[:1] != bytes((NdType.REDIRECT,)):
            return None
        message = pull_nd(payload, source, destination)
        assert isinstance(message, Redirect)
        return message, Framing.ND
    ports = PORT.to_bytes(2, "big") * 2
    if next_header != UDP or payload[:4] != ports:
        return None
    if int.from_bytes(payload[4:6], "big") != len(payload) or len(payload) < _UDP_OCTETS + _BODY:
        raise DecodeError(f"UDP length of a Redirect of {len(payload)} octets", 4)
    if payload[6:8] == b"\0\0" or ipv6_checksum(source, destination, UDP, payload):
        raise DecodeError("wrong UDP checksum", 6, DecodeErrorKind.CHECKSUM)
    if payload[_UDP_OCTETS : _UDP_OCTETS + _BODY] != bytes(_BODY):
        raise DecodeError("type, code or checksum of a Redirect in UDP", _UDP_OCTETS)
    return pull_redirect_body(Buffer(payload, _UDP_OCTETS + _BODY)), Framing.RFC6706


def message_octets(payload: bytes, framing: Framing) -> bytes:
    """From the message's type to its end."""
    return payload if framing is Framing.ND else payload[_UDP_OCTETS:]


def readdress(payload: bytes, framing: Framing, source: IPv6Address, destination: IPv6Address) -> bytes:
    """The same message between other addresses: only its checksum changes."""
    message = message_octets(payload, framing)
    if framing is Framing.RFC6706:
        return _in_udp(message, source, destination)
    blank = message[:2] + b"\0\0" + message[4:]
    return message[:2] + ipv6_checksum(source, destination, ICMPV6, blank).to_bytes(2, "big") + message[4:]


def replace_lladdrs(payload: bytes, framing: Framing, lladdrs: Sequence[LinkLayerOption]) -> bytes:
    """The message with these TLLAOs in place of its own, all else as it was; its checksum is left wrong."""
    message = message_octets(payload, framing)
    kept = [option for option in _frames(message[_OPTIONS:]) if option[0] != TARGET]
    changed = message[:_OPTIONS] + push_options(tuple(lladdrs)) + b"".join(kept)
    return changed if framing is Framing.ND else payload[:_UDP_OCTETS] + changed


def _frames(options: bytes) -> list[bytes]:
    """Options one by one; they were read before, so their lengths are right."""
    found = []
    while options:
        length = 8 * options[1]
        found.append(options[:length])
        options = options[length:]
    return found


def _in_udp(message: bytes, source: IPv6Address, destination: IPv6Address) -> bytes:
    length = _UDP_OCTETS + len(message)
    head = PORT.to_bytes(2, "big") * 2 + length.to_bytes(2, "big")
    checksum = ipv6_checksum(source, destination, UDP, head + b"\0\0" + message) or 0xFFFF
    return head + checksum.to_bytes(2, "big") + message
