"""IPv4 packets in pieces (RFC 791 §3.2)."""

from __future__ import annotations

from agents.wire.buffer import internet_checksum

DONT_FRAGMENT = 0x40
"""In the seventh octet of a header."""
_MORE_FRAGMENTS, _PLACE = 0x2000, 0x1FFF


def cut_ipv4(packet: bytes | memoryview, size: int) -> list[memoryview]:
    """The fragments of a packet without DF, or of a fragment of one, each of at most `size` octets."""
    octets = (packet[0] & 0x0F) * 4
    place = (packet[6] << 8 | packet[7]) & (_MORE_FRAGMENTS | _PLACE)
    room = (size - octets) // 8 * 8
    body = packet[octets:]
    pieces = []
    for start in range(0, len(body), room):
        part = body[start : start + room]
        last = start + room >= len(body)
        more = 0 if last and not place & _MORE_FRAGMENTS else _MORE_FRAGMENTS
        head = bytearray(packet[:octets])
        head[2:4] = (octets + len(part)).to_bytes(2, "big")
        head[6:8] = (more | (place & _PLACE) + start // 8).to_bytes(2, "big")
        head[10:12] = b"\0\0"
        head[10:12] = internet_checksum(bytes(head)).to_bytes(2, "big")
        pieces.append(memoryview(head + part))
    return pieces
