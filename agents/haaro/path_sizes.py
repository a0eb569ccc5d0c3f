"""How long a packet a path takes, as far as its routers have said: soft state of a tunnel (RFC 2003 §5.1, RFC 1191)."""

from __future__ import annotations

from ipaddress import IPv4Address

LIFETIME = 600.0
"""Seconds after which a path is tried anew (RFC 1191 §6.3)."""
SMALLEST = 576
"""No path of today takes less, and whoever says so wants packets in crumbs."""
PLATEAUS = (32000, 17914, 8166, 4352, 2002, 1492, 1006, SMALLEST)
"""What a path may take whose router does not say (RFC 1191 §7)."""
KEPT = 4096

Way = tuple[IPv4Address, IPv4Address]
"""Outer source and destination."""


class PathSizes:
    """The paths that take less than the line they begin with."""

    def __init__(self) -> None:
        self._known: dict[Way, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def learn(self, way: Way, mtu: int, now: float, *, sent: int) -> int:
        """A packet of `sent` octets was too long; `mtu` 0: how much too long is not known.  What the path takes now."""
        if not mtu:
            mtu = next((each for each in PLATEAUS if each < sent), SMALLEST)
        found = max(SMALLEST, min(mtu, self.of(way, now) or mtu))
        if len(self._known) >= KEPT and way not in self._known:
            self._known.clear()
        self._known[way] = (found, now + LIFETIME)
        return found

    def of(self, way: Way, now: float) -> int | None:
        """The longest outer packet that a path takes; None: nobody has complained, for a while."""
        known = self._known.get(way)
        if known is None:
            return None
        if known[1] <= now:
            del self._known[way]
            return None
        return known[0]
