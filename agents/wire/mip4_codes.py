"""Numbers of Mobile IPv4 and HAARO (spec §2.2, §2.3, §2.6, §2.7)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

PORT = 434
INFINITE = 0xFFFF
"""Lifetime that never ends."""


class MessageType(IntEnum):
    """First octet of the datagram."""

    REGISTRATION_REQUEST = 1
    REGISTRATION_REPLY = 3
    TUNNEL_DATA = 4
    HOME_TEST_INIT = 24
    CAREOF_TEST_INIT = 25
    HOME_TEST = 26
    CAREOF_TEST = 27


class RequestFlag(IntFlag):
    """Second octet of a registration request."""

    SIMULTANEOUS = 0x80
    BROADCAST = 0x40
    COLOCATED = 0x20
    """D: the router decapsulates itself."""
    MINIMAL = 0x10
    GRE = 0x08
    RESERVED_R = 0x04
    REVERSE_TUNNEL = 0x02
    """T."""
    RESERVED_X = 0x01


HAARO_FLAGS = RequestFlag.COLOCATED | RequestFlag.REVERSE_TUNNEL


class Code(IntEnum):
    """Codes of a registration reply (spec §2.6)."""

    ACCEPTED = 0
    ACCEPTED_NOT_SIMULTANEOUS = 1
    CONCURRENT = 2
    """Pre-accepted; from a correspondent only."""
    UNSPECIFIED = 128
    PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    FAILED_AUTHENTICATION = 131
    IDENTIFICATION_MISMATCH = 133
    POORLY_FORMED = 134
    TOO_MANY_BINDINGS = 135
    UNKNOWN_HOME_AGENT = 136
    REVERSE_TUNNEL_UNAVAILABLE = 137
    REVERSE_TUNNEL_REQUIRED = 138
    ENCAPSULATION_UNAVAILABLE = 139
    UDP_ENCAPSULATION_UNAVAILABLE = 142
    MOBILE_NETWORK_ERROR = 147
    MOBILE_NETWORK_DISALLOWED = 148
    EXPIRED_HOME_NONCE = 201
    EXPIRED_CAREOF_NONCE = 202
    EXPIRED_NONCES = 203


class NetworkCode(IntEnum):
    """Codes of a mobile network acknowledgement."""

    OK = 0
    INVALID_PREFIX_LENGTH = 1
    UNAUTHORIZED = 2
    FORWARDING_SETUP_FAILED = 3


class NextHeader(IntEnum):
    """What follows a tunnel data header, and what a UDP tunnel request asks for."""

    IP = 4
    GRE = 47
    MINIMAL = 55
