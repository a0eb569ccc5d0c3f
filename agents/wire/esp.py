"""ESP in transport mode with the NULL cipher and HMAC-SHA-256-128 (RFC 4303, RFC 2410, RFC 4868; spec SEC-3).

    0               4               8                                                      -16
    | SPI           | Sequence #    | payload ... | 1, 2, 3 ... | pad length | next header | ICV |

The ICV covers everything before it.  Sequence numbers have 32 bits (no ESN).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from agents.wire.buffer import Buffer
from agents.wire.errors import DecodeError, DecodeErrorKind

PROTOCOL = 50
"""IPv6 Next Header of ESP."""
KEY_OCTETS = 32
"""RFC 4868 §2.1.1: the key is as long as the hash."""
ICV_OCTETS = 16
LAST_SEQUENCE = 0xFFFFFFFF
"""A key is never used beyond it (RFC 4303 §3.3.3)."""
LOWEST_SPI = 256
"""1-255 are reserved by IANA, 0 is for local use (RFC 4303 §2.1)."""
WINDOW = 64
"""Anti-replay window in packets (RFC 4303 §3.4.3)."""
_ALIGNMENT = 4
_FIXED = 8


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """One direction between two addresses, with a manual key (RFC 4301 §4.1, spec SEC-1)."""

    source: IPv6Address
    destination: IPv6Address
    spi: int
    key: bytes = field(repr=False)
    """32 octets; never shown, never logged."""

    def __post_init__(self) -> None:
        if not LOWEST_SPI <= self.spi <= 0xFFFFFFFF:
            raise ValueError(f"SPI {self.spi} is not between {LOWEST_SPI} and {0xFFFFFFFF}")
        if len(self.key) != KEY_OCTETS:
            raise ValueError(f"a key of {len(self.key)} octets, not {KEY_OCTETS}")


@dataclass(frozen=True, slots=True)
class EspPacket:
    """What an ESP packet says."""

    spi: int
    sequence: int
    next_header: int
    payload: bytes


def push_esp(packet: EspPacket, key: bytes) -> bytes:
    """The packet's octets, padded to a multiple of 4 and with its ICV, as payload of an IPv6 header."""
    padding = -(len(packet.payload) + 2) % _ALIGNMENT
    head = packet.spi.to_bytes(4, "big") + packet.sequence.to_bytes(4, "big")
    tail = _padding(padding) + bytes((padding, packet.next_header))
    covered = head + packet.payload + tail
    return covered + _icv(covered, key)


def pull_esp_header(data: bytes) -> tuple[int, int]:
    """SPI and sequence number, which say with which key to read on; nothing of it is to be believed yet."""
    buf = Buffer(data)
    spi = int.from_bytes(buf.pull_bytes(4, "SPI"), "big")
    return spi, int.from_bytes(buf.pull_bytes(4, "sequence number"), "big")


def pull_esp(data: bytes, key: bytes) -> EspPacket:
    """The packet in a datagram; DecodeError of kind INTEGRITY for a wrong ICV, looked at before all that it covers."""
    spi, sequence = pull_esp_header(data)
    end = len(data) - ICV_OCTETS
    if end < _FIXED + 2:
        raise DecodeError(f"{len(data)} octets are no ESP packet", len(data), DecodeErrorKind.TRUNCATED)
    if not hmac.compare_digest(_icv(data[:end], key), data[end:]):
        raise DecodeError("ICV is wrong", end, DecodeErrorKind.INTEGRITY)
    length, next_header = data[end - 2], data[end - 1]
    start = end - 2 - length
    # RFC 4303 §2.4: a receiver should look at the padding, which has one form when no cipher asks for another.
    if start < _FIXED or data[start : end - 2] != _padding(length):
        raise DecodeError(f"padding of {length} octets", end - 2)
    return EspPacket(spi, sequence, next_header, data[_FIXED:start])


def _padding(length: int) -> bytes:
    return bytes(range(1, length + 1))


def _icv(covered: bytes, key: bytes) -> bytes:
    return hmac.digest(key, covered, hashlib.sha256)[:ICV_OCTETS]


@dataclass(slots=True)
class ReplayWindow:
    """Which sequence numbers an inbound association has seen (RFC 4303 §3.4.3 and appendix A2)."""

    highest: int = 0
    seen: int = 0
    """Bit n: `highest` - n was seen; WINDOW bits."""

    def fresh(self, sequence: int) -> bool:
        """Neither seen nor too old to tell."""
        if sequence > self.highest:
            return True
        age = self.highest - sequence
        return sequence > 0 and age < WINDOW and not self.seen >> age & 1

    def accept(self, sequence: int) -> None:
        """Remember a number whose packet proved genuine."""
        ahead = sequence - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self.highest = sequence
        else:
            self.seen |= 1 << -ahead
