"""Reading and writing octets: a bounded reader, range-checked writers, the Internet checksum.

Shared by the codecs. Reading past the end raises DecodeError; a value that does not fit its field raises
ValueError, since that is a caller's mistake and not bad input.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from agents.wire.errors import DecodeError, DecodeErrorKind


class Buffer:
    """Octets read from front to back, from `start` up to but not including `end`."""

    __slots__ = ("_data", "end", "position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self.position = start
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def remaining(self) -> int:
        """Octets still to be read."""
        return self.end - self.position

    def pull_bytes(self, length: int, what: str = "octets") -> bytes:
        """Take `length` octets; `what` names the field in the error."""
        if length > self.remaining:
            reason = f"{what}: {length} octets wanted, {self.remaining} left"
            raise DecodeError(reason, self.position, DecodeErrorKind.TRUNCATED)
        start = self.position
        self.position += length
        return self._data[start : self.position]


def pull_uint8(buf: Buffer, what: str = "8-bit field") -> int:
    """Take one octet."""
    return buf.pull_bytes(1, what)[0]


def pull_uint16(buf: Buffer, what: str = "16-bit field") -> int:
    """Take two octets, big-endian."""
    return int.from_bytes(buf.pull_bytes(2, what), "big")


def pull_address(buf: Buffer, what: str = "IPv6 address") -> IPv6Address:
    """Take the 16 octets of an IPv6 address."""
    return IPv6Address(buf.pull_bytes(16, what))


def push_uint8(value: int, what: str = "8-bit field") -> bytes:
    """One octet; ValueError outside 0..255."""
    return _push_uint(value, 1, what)


def push_uint16(value: int, what: str = "16-bit field") -> bytes:
    """Two octets, big-endian; ValueError outside 0..65535."""
    return _push_uint(value, 2, what)


def push_uint64(value: int, what: str = "64-bit field") -> bytes:
    """Eight octets, big-endian; ValueError outside 0..2**64-1."""
    return _push_uint(value, 8, what)


def push_address(address: IPv6Address) -> bytes:
    """The 16 octets of an IPv6 address (a zone index is local and never sent)."""
    return address.packed


def _push_uint(value: int, octets: int, what: str) -> bytes:
    if not 0 <= value < 1 << (8 * octets):
        raise ValueError(f"{what}: {value} does not fit into {octets} octets")
    return value.to_bytes(octets, "big")


def internet_checksum(data: bytes) -> int:
    """Internet checksum of 16-bit words (RFC 1071); 0 for data that contains its own checksum.

    An odd last octet is padded with zero. A sum of 16-bit words with end-around carry equals the whole number
    modulo 65535 (where 0 stands for 65535 unless every word is 0), so Python's big integers do the loop.
    """
    total = int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big")
    return 0xFFFF - (total % 0xFFFF or 0xFFFF) if total else 0xFFFF


def ipv6_checksum(source: IPv6Address, destination: IPv6Address, next_header: int, payload: bytes) -> int:
    """Upper-layer checksum with the IPv6 pseudo-header (RFC 8200 §8.1); 0 if `payload` holds a right one."""
    pseudo = source.packed + destination.packed + len(payload).to_bytes(4, "big") + bytes((0, 0, 0, next_header))
    return internet_checksum(pseudo + payload)
