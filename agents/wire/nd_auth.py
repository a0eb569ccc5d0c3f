"""The AUTH option: proof that the sender of a Neighbor Discovery message holds a token (spec AERO §6.5)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from ipaddress import IPv6Address

from agents.wire.nd import NdMessage, mac_input
from agents.wire.nd_options import AUTH, EXPERIMENT, EXPERIMENTAL, MAC_OCTETS, Auth

_AUTH_OCTETS = 32
_HEAD = bytes((EXPERIMENTAL, _AUTH_OCTETS // 8)) + EXPERIMENT.to_bytes(2, "big") + bytes((AUTH,))


def seal(
    message: NdMessage, source: IPv6Address, destination: IPv6Address, key_id: int, token: bytes, timestamp: int
) -> NdMessage:
    """The message with an AUTH option at its end; `timestamp` is Unix time in units of 1/65536 s."""
    unsigned = replace(message, options=(*message.options, Auth(key_id, timestamp)))
    mac = _mac(mac_input(unsigned, source, destination), token)
    return replace(message, options=(*message.options, Auth(key_id, timestamp, mac)))


def genuine(message: bytes, source: IPv6Address, destination: IPv6Address, token: bytes) -> bool:
    """Whether an ICMPv6 message as received ends with an AUTH option made with this token."""
    if len(message) < _AUTH_OCTETS or not message[-_AUTH_OCTETS:].startswith(_HEAD):
        return False
    covered = message[:2] + b"\0\0" + message[4:-MAC_OCTETS] + bytes(MAC_OCTETS)
    made = _mac(source.packed + destination.packed + covered, token)
    return hmac.compare_digest(message[-MAC_OCTETS:], made)


def _mac(data: bytes, token: bytes) -> bytes:
    return hmac.new(token, data, hashlib.sha256).digest()[:MAC_OCTETS]
