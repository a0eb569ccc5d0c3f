"""DSCP and ECN across the tunnel (spec §2.5, RFC 6040)."""

from __future__ import annotations

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
DROP = -1
EGRESS: tuple[tuple[int, int, int, int], ...] = (
    (NOT_ECT, NOT_ECT, NOT_ECT, DROP),
    (ECT1, ECT1, ECT1, CE),
    (ECT0, ECT1, ECT0, CE),
    (CE, CE, CE, CE),
)
"""[inner][outer]: the inner ECN field after decapsulation (RFC 6040 §4.2), DROP for a mark on a deaf flow."""


def traffic_class(packet: bytes | bytearray | memoryview) -> int:
    """DSCP and ECN of an inner IPv4 or IPv6 packet, which the outer header copies."""
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] & 0x0F) << 4 | packet[1] >> 4


def set_ecn(packet: bytearray | memoryview, ecn: int) -> None:
    """Write the ECN field of an inner packet; an IPv4 header checksum is brought up to date (RFC 1624)."""
    if packet[0] >> 4 == 6:
        packet[1] = packet[1] & 0xCF | ecn << 4
        return
    before = packet[1]
    packet[1] = before & 0xFC | ecn
    adjust_checksum(packet, 10, packet[0] << 8 | before, packet[0] << 8 | packet[1])


def adjust_checksum(packet: bytearray | memoryview, at: int, before: int, after: int) -> None:
    """Bring the 16-bit checksum at `at` up to date with a word that changed (RFC 1624, equation 3)."""
    total = (~(packet[at] << 8 | packet[at + 1]) & 0xFFFF) + (~before & 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    packet[at], packet[at + 1] = total >> 8, total & 0xFF
