"""Cutting inner packets in parts that fit every path (spec §3.2) and putting parts together again (§3.10, §3.11)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from agents.aero.constants import (
    MAX_PARTS,
    REASSEMBLY_CAP,
    REASSEMBLY_PER_NEIGHBOR,
    REASSEMBLY_PER_NODE,
    REASSEMBLY_TIME,
    SMALLEST_PART,
    SPLIT,
)
from agents.aero.dataplane.encapsulation import FRAGMENT_OCTETS, IPV4, Fragment
from agents.aero.dataplane.inner import IPV4_OCTETS, IPV6_OCTETS

BEYOND_HEADER = 8
"""Octets that a first part holds at least behind the inner IP header."""


def part_size(overhead: int, mtu: int) -> int:
    """Octets of the inner packet in each part but the last: 1024, less only on a path that cannot take it."""
    room = mtu - overhead - FRAGMENT_OCTETS
    return SPLIT if room >= SPLIT else max(room // 8 * 8, SMALLEST_PART)


def split(packet: memoryview, protocol: int, identification: int, size: int) -> list[tuple[Fragment, memoryview]]:
    """A packet's parts, in order; ValueError when it would take more than eight (spec §3.2).

    The first part is `size` octets and, where the rest still exceeds it, so are the following ones.
    """
    offsets = range(0, len(packet), size)
    if len(offsets) > MAX_PARTS:
        raise ValueError(f"{len(packet)} octets do not fit into {MAX_PARTS} parts of {size}")
    return [
        (Fragment(protocol, offset, offset + size < len(packet), identification), packet[offset : offset + size])
        for offset in offsets
    ]


_Key = tuple[Hashable, Hashable, int]


class Refused(Exception):
    """A part that is dropped; the text is the name of its counter."""


@dataclass(slots=True)
class _Pending:
    """A packet some of whose parts arrived."""

    neighbor: Hashable
    deadline: float
    parts: dict[int, bytes] = field(default_factory=dict)
    """By offset."""
    protocol: int | None = None
    """Of the part at offset 0."""
    length: int | None = None
    """Known once the last part is here."""
    abandoned: bool = False
    """An overlap was seen: the identification is ignored until the deadline."""
    ecn: int = 0
    octets: int = 0
    """Of all parts."""


class Reassembly:
    """Parts of packets from known neighbors, bounded in number and time."""

    def __init__(
        self,
        *,
        cap: int = REASSEMBLY_CAP,
        per_neighbor: int = REASSEMBLY_PER_NEIGHBOR,
        per_node: int = REASSEMBLY_PER_NODE,
    ) -> None:
        self._cap = cap
        self._per_neighbor = per_neighbor
        self._per_node = per_node
        self._pending: OrderedDict[_Key, _Pending] = OrderedDict()
        """By (neighbor, encapsulation family, identification), oldest first."""
        self._keys: dict[Hashable, dict[_Key, None]] = {}
        """Of each neighbor, oldest first."""
        self._next = float("inf")
        """Nothing is due before."""
        self.evicted = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(
        self, neighbor: Hashable, family: Hashable, fragment: Fragment, data: bytes, ecn: int, now: float
    ) -> tuple[int, bytearray, int] | None:
        """Take a part; (protocol, inner packet, outer ECN) when it was the last one missing.

        Refused names why a part was dropped.  `ecn` is the part's outer ECN field; CE wins, then the first part's.
        """
        if now >= self._next:
            self.expire(now)
        _check(fragment, data, self._cap)
        key = (neighbor, family, fragment.identification)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._open(key, neighbor, now)
        if pending.abandoned:
            raise Refused("fragment_abandoned")
        self._place(pending, fragment, data)
        if fragment.offset == 0:
            pending.protocol = fragment.next_header
            pending.ecn = 3 if pending.ecn == 3 else ecn
        elif ecn == 3:
            pending.ecn = 3
        if pending.length is None or pending.octets < pending.length or pending.protocol is None:
            return None
        self._close(key)
        whole = bytearray().join(pending.parts[offset] for offset in sorted(pending.parts))
        return pending.protocol, whole, pending.ecn

    def expire(self, now: float) -> None:
        """Forget what never became complete (60 s from its first part, no ICMP)."""
        while self._pending:
            key, pending = next(iter(self._pending.items()))
            if pending.deadline > now:
                self._next = pending.deadline
                return
            self._close(key)
            self.expired += not pending.abandoned
        self._next = float("inf")

    def forget(self, neighbor: Hashable) -> None:
        """Forget everything of one neighbor."""
        for key in list(self._keys.get(neighbor, ())):
            self._close(key)

    def _open(self, key: _Key, neighbor: Hashable, now: float) -> _Pending:
        own = self._keys.get(neighbor)
        if own and (len(own) >= self._per_neighbor or len(self._pending) >= self._per_node):
            self._evict(next(iter(own)))
        elif len(self._pending) >= self._per_node:  # or a few neighbors would keep everybody else out
            self._evict(next(iter(self._pending)))
        deadline = now + REASSEMBLY_TIME
        self._next = min(self._next, deadline)
        pending = self._pending[key] = _Pending(neighbor, deadline)
        self._keys.setdefault(neighbor, {})[key] = None
        return pending

    def _evict(self, key: _Key) -> None:
        self._close(key)
        self.evicted += 1

    def _close(self, key: _Key) -> None:
        pending = self._pending.pop(key)
        own = self._keys[pending.neighbor]
        del own[key]
        if not own:
            del self._keys[pending.neighbor]

    def _place(self, pending: _Pending, fragment: Fragment, data: bytes) -> None:
        end = fragment.offset + len(data)
        same = pending.parts.get(fragment.offset)
        if same == data and fragment.more == (pending.length != end):
            raise Refused("fragment_duplicate")
        if _overlaps(pending, fragment, end):
            self._abandon(pending)
            raise Refused("fragment_overlap")
        if len(pending.parts) == MAX_PARTS:
            self._abandon(pending)
            raise Refused("fragment_too_many")
        pending.parts[fragment.offset] = data
        pending.octets += len(data)
        if not fragment.more:
            pending.length = end

    @staticmethod
    def _abandon(pending: _Pending) -> None:
        pending.abandoned = True
        pending.parts.clear()
        pending.octets = 0


def _check(fragment: Fragment, data: bytes, cap: int) -> None:
    if not data or (fragment.more and len(data) % 8):
        raise Refused("fragment_size")
    if fragment.offset + len(data) > cap:
        raise Refused("fragment_beyond_cap")
    if fragment.offset == 0 and fragment.more:
        header = (data[0] & 0x0F) * 4 if fragment.next_header == IPV4 else IPV6_OCTETS
        if len(data) < max(header, IPV4_OCTETS) + BEYOND_HEADER:
            raise Refused("fragment_tiny")


def _overlaps(pending: _Pending, fragment: Fragment, end: int) -> bool:
    """Any octet twice, or octets behind the end that is known (RFC 5722)."""
    for offset, part in pending.parts.items():
        if fragment.offset < offset + len(part) and offset < end:
            return True
    if pending.length is not None:
        return end > pending.length or not fragment.more
    if fragment.more:
        return False
    return any(offset + len(part) > end for offset, part in pending.parts.items())
