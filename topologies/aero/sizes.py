"""Outer sizes of the sheet's tables (spec §2.2, §3.3), as the labs demand them of the wire."""

from __future__ import annotations

OVERHEAD = {
    ("udp", "ipv4"): 28, ("udp", "ipv6"): 48, ("gue1", "ipv4"): 28, ("gue1", "ipv6"): 48,
    ("minimal", "ipv4"): 20, ("minimal", "ipv6"): 40, ("gue", "ipv4"): 32, ("gue", "ipv6"): 52,
}  # fmt: skip
"""H of §2.2: octets around an inner packet sent whole."""
SPLITS = {
    ("udp", "ipv4"): {1281: (1060, 293), 1400: (1060, 412), 1500: (1060, 512), 1280: (1060, 292)},
    ("udp", "ipv6"): {1281: (1080, 313), 1400: (1080, 432), 1500: (1080, 532), 1280: (1080, 312)},
    ("minimal", "ipv4"): {1281: (1052, 285), 1400: (1052, 404), 1500: (1052, 504), 1280: (1052, 284)},
    ("minimal", "ipv6"): {1281: (1072, 305), 1400: (1072, 424), 1500: (1072, 524), 1280: (1072, 304)},
    ("gue", "ipv4"): {1281: (1064, 297), 1400: (1064, 416), 1500: (1064, 516), 1280: (1064, 296)},
    ("gue", "ipv6"): {1281: (1084, 317), 1400: (1084, 436), 1500: (1084, 536), 1280: (1084, 316)},
}
"""§3.3 and the last column of §3.4: by encapsulation and outer IP version, by inner size, the two fragments."""
WHOLE = {
    ("udp", "ipv4"): {1500: 1472, 1400: 1372, 1280: 1252},
    ("udp", "ipv6"): {1500: 1452, 1400: 1352, 1280: 1232},
    ("minimal", "ipv4"): {1500: 1480, 1400: 1380, 1280: 1260},
    ("minimal", "ipv6"): {1500: 1460, 1400: 1360, 1280: 1240},
    ("gue", "ipv4"): {1500: 1468, 1400: 1368, 1280: 1248},
    ("gue", "ipv6"): {1500: 1448, 1400: 1348, 1280: 1228},
}
"""§3.4: the largest inner packet that goes whole, by true outer MTU."""
FRAGMENTED = {"udp": "0F", "gue1": "2F", "minimal": "1F", "gue": "2F"}
PLAIN = {"udp": "0", "gue1": "3", "minimal": "1", "gue": "2"}
"""Codes of §2.1."""


def split(encapsulation: str, outer: str, inner: int) -> tuple[int, ...]:
    """Outer sizes of the fragments of an inner packet: of the table, or in steps of one octet from its last entry."""
    table = SPLITS["gue" if encapsulation == "gue1" else encapsulation, outer]
    first, second = table[1500]
    return table.get(inner, (first, second - (1500 - inner)))


def whole(encapsulation: str, outer: str, inner: int) -> tuple[int, ...]:
    """Outer size of an inner packet sent whole."""
    return (inner + OVERHEAD[encapsulation, outer],)


def expected(encapsulation: str, outer: str, inner: int, mtu: int) -> list[int]:
    """Outer sizes of an inner packet once sizes are found out on a path of this MTU."""
    fits = inner + OVERHEAD[encapsulation, outer] <= mtu
    return list((whole if fits else split)(encapsulation, outer, inner))


def largest_whole(encapsulation: str, outer: str, mtu: int) -> int:
    """The largest inner packet that goes whole once sizes are found out on a path of this MTU (spec §3.4)."""
    table = WHOLE.get((encapsulation, outer))
    return table[mtu] if table else mtu - OVERHEAD[encapsulation, outer]


def around(encapsulation: str, outer: str) -> list[int]:
    """Outer octets beside the inner ones: of a whole packet, and of each part of one that is cut (spec §2.2)."""
    first, _second = split(encapsulation, outer, 1500)
    return [OVERHEAD[encapsulation, outer], first - 1024]
