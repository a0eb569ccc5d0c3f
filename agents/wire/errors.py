"""The one exception every codec raises for bad input: where it went wrong, why, and which kind of wrong."""

from __future__ import annotations

from enum import Enum


class DecodeErrorKind(Enum):
    """Classes of bad input that a receiver answers differently (spec DGW §10)."""

    MALFORMED = "malformed"
    """Anything without a more precise kind: drop and count."""
    TRUNCATED = "truncated"
    """A fixed field does not fit into the octets received: drop and count."""
    CHECKSUM = "checksum"
    """Drop silently."""
    INTEGRITY = "integrity"
    """ESP: not made with this key, or altered under way. Drop and count."""
    PAYLOAD_PROTO = "payload-proto"
    """Payload Proto is not 59: ICMPv6 Parameter Problem, pointer 40."""
    UNKNOWN_TYPE = "unknown-type"
    """Unknown Mobility Header type: Binding Error with status 2."""
    HEADER_TOO_SHORT = "header-too-short"
    """Header Len below the message's minimum: ICMPv6 Parameter Problem, pointer 41."""
    HEADER_BEYOND_DATAGRAM = "header-beyond-datagram"
    """Header Len promises more octets than arrived: drop and count."""
    OPTION_OVERRUN = "option-overrun"
    """An option reaches beyond the end of its message: drop and count."""
    UNKNOWN_EXTENSION = "unknown-extension"
    """Mobile IPv4: an extension of an unknown type that may not be skipped: drop silently (RFC 5944 §1.8)."""


class DecodeError(ValueError):
    """Octets that are no message of the protocol.

    `offset` is the octet, counted from the start of the datagram given to the codec, where the field at fault
    begins; `reason` is one line for a log; `kind` tells a receiver how to answer.
    """

    def __init__(self, reason: str, offset: int, kind: DecodeErrorKind = DecodeErrorKind.MALFORMED) -> None:
        super().__init__(reason, offset, kind)
        self.reason = reason
        self.offset = offset
        self.kind = kind

    def __str__(self) -> str:
        return f"octet {self.offset}: {self.reason}"
