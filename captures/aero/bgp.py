"""BGP out of captures: TCP streams put together, messages cut out of them, updates read (RFC 4271, RFC 4760, RFC 6793).

AS numbers are read as four octets, which is what all speakers of an AERO link agree on (spec §8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from captures.aero.decode import ETHERNET, ETHERTYPES
from captures.ip import Address, address, read_ip
from captures.pcapng import CaptureError, Frames

TCP, PORT = 6, 179
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
_AS_PATH, _NEXT_HOP, _MED, _REACH, _UNREACH = 2, 3, 4, 14, 15
_MARKER = b"\xff" * 16
_SYN, _FIN, _RST = 0x02, 0x01, 0x04
Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Message:
    """A BGP message; time and frame are those of its last octet."""

    file: str
    number: int
    time: float
    source: Address
    destination: Address
    type: int
    announced: tuple[Prefix, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    next_hop: Address | None = None
    med: int | None = None
    as_path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """A session's TCP connection was closed or reset."""

    file: str
    number: int
    time: float
    source: Address
    destination: Address


@dataclass(slots=True)
class _Stream:
    """One direction of a connection."""

    next: int
    octets: bytearray = field(default_factory=bytearray)
    ahead: dict[int, bytes] = field(default_factory=dict)
    """Segments that came before their turn."""


def read_bgp(path: Path, file: str) -> list[Message | End]:
    """Every BGP message and end of a connection of a capture, in order; CaptureError when it cannot be read."""
    try:
        raw = Frames(path)
    except OSError as error:
        raise CaptureError(f"cannot read capture {path}: {error.strerror}") from error
    try:
        numbered = ((number, raw.time(number), raw[number]) for number in range(1, len(raw) + 1))
        return list(messages(numbered, file))
    finally:
        raw.close()


def messages(frames: Iterable[tuple[int, float, bytes]], file: str) -> Iterator[Message | End]:
    """The same of (number, time, octets)."""
    streams: dict[tuple[Address, Address, bytes], _Stream] = {}
    for number, time, octets in frames:
        if len(octets) < ETHERNET or int.from_bytes(octets[12:14], "big") not in ETHERTYPES:
            continue
        ip = read_ip(octets[ETHERNET:])
        if ip is None or ip.protocol != TCP or ip.cut:
            continue
        segment = octets[ETHERNET + ip.header : ETHERNET + ip.size]
        if len(segment) < 20 or PORT not in struct.unpack_from("!HH", segment):
            continue
        place = file, number, time, ip.source, ip.destination
        key = ip.source, ip.destination, segment[:4]
        flags, sequence = segment[13], int.from_bytes(segment[4:8], "big")
        if flags & _SYN:
            streams[key] = _Stream(sequence + 1 & 0xFFFFFFFF)
            continue
        stream = streams.setdefault(key, _Stream(sequence))
        _add(stream, sequence, segment[(segment[12] >> 4) * 4 :])
        yield from (_read(*place, kind, body) for kind, body in _cut(stream.octets))
        if flags & (_FIN | _RST):
            yield End(*place)


def _add(stream: _Stream, sequence: int, data: bytes) -> None:
    """Octets in their turn; what was there already is left out, what is early waits."""
    stream.ahead[sequence] = max(stream.ahead.get(sequence, b""), data, key=len)
    progress = True
    while progress:
        progress = False
        for start in list(stream.ahead):
            early = start - stream.next & 0xFFFFFFFF
            if 0 < early < 1 << 31:
                continue
            part = stream.ahead.pop(start)[stream.next - start & 0xFFFFFFFF :]
            stream.octets += part
            stream.next = stream.next + len(part) & 0xFFFFFFFF
            progress = progress or bool(part)


def _cut(octets: bytearray) -> Iterator[tuple[int, bytes]]:
    """Whole messages, taken from the front; a stream that a capture begins in the middle of gives none."""
    while len(octets) >= 19:
        length = int.from_bytes(octets[16:18], "big")
        if octets[:16] != _MARKER or length < 19:
            octets.clear()
            return
        if len(octets) < length:
            return
        kind, body = octets[18], bytes(octets[19:length])
        del octets[:length]
        yield kind, body


def _read(
    file: str, number: int, time: float, source: Address, destination: Address, kind: int, body: bytes
) -> Message:
    place = file, number, time, source, destination, kind
    if kind != UPDATE:
        return Message(*place)
    try:
        return _update(place, body)
    except (struct.error, ValueError, IndexError) as error:
        raise CaptureError(f"{file} frame {number}: unreadable BGP update: {error}") from error


def _update(place: tuple[str, int, float, Address, Address, int], body: bytes) -> Message:
    withdrawn_octets = int.from_bytes(body[:2], "big")
    withdrawn = list(_prefixes(body[2 : 2 + withdrawn_octets], 4))
    at = 2 + withdrawn_octets
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    announced = list(_prefixes(body[end:], 4))
    next_hop, med = None, None
    as_path: tuple[int, ...] = ()
    for kind, value in _attributes(body[at + 2 : end]):
        if kind == _AS_PATH:
            as_path = _as_path(value)
        elif kind == _NEXT_HOP:
            next_hop = address(value)
        elif kind == _MED:
            med = int.from_bytes(value, "big")
        elif kind == _REACH:
            family, hop = int.from_bytes(value[:2], "big"), value[3]
            next_hop = address(value[4 : 4 + min(hop, 16)])
            announced += _prefixes(value[5 + hop :], {1: 4, 2: 6}[family])
        elif kind == _UNREACH:
            withdrawn += _prefixes(value[3:], {1: 4, 2: 6}[int.from_bytes(value[:2], "big")])
    return Message(*place, tuple(announced), tuple(withdrawn), next_hop, med, as_path)


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while octets:
        flags, kind = octets[0], octets[1]
        wide = 2 if flags & 0x10 else 1
        length = int.from_bytes(octets[2 : 2 + wide], "big")
        yield kind, octets[2 + wide : 2 + wide + length]
        octets = octets[2 + wide + length :]


def _as_path(octets: bytes) -> tuple[int, ...]:
    found: list[int] = []
    while octets:
        count = octets[1]
        found += struct.unpack_from(f"!{count}I", octets, 2)
        octets = octets[2 + 4 * count :]
    return tuple(found)


def _prefixes(octets: bytes, version: int) -> Iterator[Prefix]:
    while octets:
        length = octets[0]
        used = (length + 7) // 8
        padded = octets[1 : 1 + used].ljust(4 if version == 4 else 16, b"\0")
        pair = padded, length
        yield IPv4Network(pair, strict=False) if version == 4 else IPv6Network(pair, strict=False)
        octets = octets[1 + used :]
