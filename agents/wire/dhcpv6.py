"""DHCPv6 messages for prefix delegation through a relay (RFC 8415, RFC 6221, RFC 6422; spec AERO §6.9).

`pull_dhcpv6` and `push_dhcpv6` are a pair over the UDP payload.  Options that are not known here are kept as they
are, so that a message read and written again is unchanged.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TypeVar

from agents.wire.buffer import Buffer, pull_address, pull_uint8
from agents.wire.dhcpv6_options import Option, pull_options, push_options

T = TypeVar("T")


class MessageType(enum.IntEnum):
    """RFC 8415 §7.3."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    RECONFIGURE = 10
    INFORMATION_REQUEST = 11
    RELAY_FORWARD = 12
    RELAY_REPLY = 13


RELAY = (MessageType.RELAY_FORWARD, MessageType.RELAY_REPLY)


class _Optioned:
    options: tuple[Option, ...]

    def first(self, kind: type[T]) -> T | None:
        """The first option of a kind."""
        return next((option for option in self.options if isinstance(option, kind)), None)

    def every(self, kind: type[T]) -> tuple[T, ...]:
        """All options of a kind."""
        return tuple(option for option in self.options if isinstance(option, kind))


@dataclass(frozen=True)
class Message(_Optioned):
    """Between client and server."""

    type: int
    transaction: int
    """24 bits."""
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class RelayedMessage(_Optioned):
    """Between relay and server."""

    type: int
    hop_count: int
    link_address: IPv6Address
    peer_address: IPv6Address
    options: tuple[Option, ...] = ()


def push_dhcpv6(message: Message | RelayedMessage) -> bytes:
    """The message's octets; ValueError when a value does not fit its field."""
    if isinstance(message, Message):
        head = bytes((message.type,)) + message.transaction.to_bytes(3, "big")
    else:
        head = bytes((message.type, message.hop_count)) + message.link_address.packed + message.peer_address.packed
    return head + push_options(message.options)


def pull_dhcpv6(data: bytes) -> Message | RelayedMessage:
    """The message; DecodeError when it is cut short or an option is malformed."""
    buf = Buffer(data)
    number = pull_uint8(buf, "message type")
    if number in RELAY:
        hops = pull_uint8(buf, "hop count")
        link, peer = pull_address(buf, "link address"), pull_address(buf, "peer address")
        return RelayedMessage(number, hops, link, peer, pull_options(buf))
    transaction = int.from_bytes(buf.pull_bytes(3, "transaction id"), "big")
    return Message(number, transaction, pull_options(buf))
