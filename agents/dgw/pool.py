"""A gateway's exclusive prefix pool: one /64 per mobile node, a rest before reuse (spec ATT-3, §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Network

MAX_SLOT = 0xFFFF
"""Slots are the last two octets of a DLIF's link-layer address."""


class PoolEmpty(Exception):
    """No /64 is free (status 130)."""


@dataclass
class PrefixPool:
    """Hands out the /64s of an aggregate by number, lowest free first; number 0 stays unused."""

    aggregate: IPv6Network
    reserved: tuple[IPv6Network, ...] = ()
    """Prefixes inside the aggregate that never go to a node, e.g. a local network."""
    allocated: dict[int, str] = field(default_factory=dict)
    """Slot to MN-ID."""
    quarantine: dict[int, float] = field(default_factory=dict)
    """Slot to the Unix time until which it rests."""

    @property
    def size(self) -> int:
        """Usable slots, 1..size."""
        return min(int(2 ** (64 - self.aggregate.prefixlen)) - 1, MAX_SLOT)

    def prefix(self, slot: int) -> IPv6Network:
        """The /64 with this number."""
        return IPv6Network((int(self.aggregate.network_address) + (slot << 64), 64))

    def slot(self, prefix: IPv6Network) -> int:
        """The number of a /64 of this pool."""
        return (int(prefix.network_address) - int(self.aggregate.network_address)) >> 64

    def allocate(self, mn_id: str, now: float) -> IPv6Network:
        """A free /64 for this node; PoolEmpty when there is none."""
        self.quarantine = {slot: until for slot, until in self.quarantine.items() if until > now}
        for slot in range(1, self.size + 1):
            if slot in self.allocated or slot in self.quarantine:
                continue
            prefix = self.prefix(slot)
            if any(prefix.overlaps(other) for other in self.reserved):
                continue
            self.allocated[slot] = mn_id
            return prefix
        raise PoolEmpty(f"no free /64 in {self.aggregate}")

    def release(self, prefix: IPv6Network, until: float | None = None) -> None:
        """Take a /64 back, to rest until the given time (None: free at once, it was never advertised)."""
        slot = self.slot(prefix)
        self.allocated.pop(slot, None)
        if until is not None:
            self.quarantine[slot] = until
