"""Who may be told to whom, in order of priority, kept as encoded blocks (spec HA-11, HA-12, HA-15).

A reply is made of all blocks, that of the asker without the asker.  Blocks refer to nothing outside, so that none
depends on which others stand before it: a change costs the encoding of one block, whatever the number of routers.
The price is that every block writes out its first prefix and its realms once.  Neighbouring blocks are kept joined,
too, so that a reply is put together from few pieces: owners stand on shelves, shelves in cases, and what grows too
large is divided where it stands.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Generic, Self, TypeVar

from agents.haaro.compression import Block, Owner, Prepared, joined

OWNERS = 6
"""On a shelf; it is divided at twice as many."""
SHELVES = 10
"""In a case; it is divided at twice as many."""

M = TypeVar("M")
P = TypeVar("P", bound="_Part[Any]")


class Directory:
    """Owners by rank, lowest first."""

    def __init__(self, compress: bool = True) -> None:
        self._compress = compress
        self._owners: dict[int, Owner] = {}
        self._cases: list[_Case] = []
        """In order of rank, none empty."""

    def put(self, rank: int, owner: Owner | None) -> None:
        """This is true of a rank from now on; None: nobody may be told.

        ValueError for a realm that cannot be written.
        """
        if self._owners.get(rank) == owner:
            return
        if owner is None:
            del self._owners[rank]
            place = _place(self._cases, rank)
            self._cases[place].take_out(rank)
            _tidy(self._cases, place, SHELVES)
            return
        prepared = Prepared(owner)
        self._owners[rank] = owner
        if not self._cases:
            self._cases.append(_Case([_Shelf([])]))
        place = _place(self._cases, rank)
        self._cases[place].put(rank, prepared)
        _divide(self._cases, place, SHELVES)

    def encoded(self, without: int, limit: int) -> bytes:
        """All owners but the one of this rank, in at most so many octets (spec A-44)."""
        place = _place(self._cases, without) if without in self._owners else None
        blocks: list[Block] = []
        for at, case in enumerate(self._cases):
            if at == place:
                blocks += case.blocks(without, self._compress)
            else:
                blocks.append(case.block(self._compress))
        return joined(blocks, limit)


class _Part(Generic[M]):
    """Some neighbours, in order of rank."""

    def __init__(self, members: list[M]) -> None:
        self.members = members

    @abstractmethod
    def first(self) -> int:
        """The lowest rank."""

    @abstractmethod
    def changed(self) -> None:
        """What has been encoded does not hold any more."""

    def divide(self) -> Self:
        """The upper half, which leaves this one."""
        half = len(self.members) // 2
        upper = type(self)(self.members[half:])
        del self.members[half:]
        self.changed()
        return upper


class _Shelf(_Part[tuple[int, Prepared]]):
    """Owners with their ranks, and what has been encoded of them."""

    def __init__(self, members: list[tuple[int, Prepared]]) -> None:
        super().__init__(members)
        self._whole: Block | None = None
        self._parts: dict[int, Block] = {}
        """By the rank that is left out."""

    def first(self) -> int:
        return self.members[0][0] if self.members else 0

    def changed(self) -> None:
        self._whole, self._parts = None, {}

    def put(self, rank: int, owner: Prepared) -> None:
        """Add or replace; what is left without this rank remains as it was."""
        at = self._at(rank)
        if at < len(self.members) and self.members[at][0] == rank:
            self.members[at] = (rank, owner)
            rest = self._parts.get(rank)
        else:
            self.members.insert(at, (rank, owner))
            rest = self._whole
        self._whole = None
        self._parts = {rank: rest} if rest else {}

    def take_out(self, rank: int) -> None:
        """Remove; what it was without this rank is the whole now."""
        del self.members[self._at(rank)]
        self._whole = self._parts.get(rank)
        self._parts = {}

    def block(self, without: int | None, compress: bool) -> Block:
        """Everyone but this rank, encoded."""
        found = self._whole if without is None else self._parts.get(without)
        if found is None:
            found = Block([owner for rank, owner in self.members if rank != without], compress)
            if without is None:
                self._whole = found
            else:
                self._parts[without] = found
        return found

    def _at(self, rank: int) -> int:
        return bisect_left(self.members, rank, key=itemgetter(0))


class _Case(_Part[_Shelf]):
    """Shelves, and their blocks as one."""

    def __init__(self, members: list[_Shelf]) -> None:
        super().__init__(members)
        self._joined: Block | None = None

    def first(self) -> int:
        return self.members[0].first()

    def changed(self) -> None:
        self._joined = None

    def put(self, rank: int, owner: Prepared) -> None:
        """Add or replace."""
        place = _place(self.members, rank)
        self.members[place].put(rank, owner)
        _divide(self.members, place, OWNERS)
        self.changed()

    def take_out(self, rank: int) -> None:
        """Remove."""
        place = _place(self.members, rank)
        self.members[place].take_out(rank)
        _tidy(self.members, place, OWNERS)
        self.changed()

    def block(self, compress: bool) -> Block:
        """Everyone, encoded as one."""
        if self._joined is None:
            self._joined = Block.together(shelf.block(None, compress) for shelf in self.members)
        return self._joined

    def blocks(self, without: int, compress: bool) -> Iterator[Block]:
        """Everyone but this rank, which is here, shelf by shelf."""
        place = _place(self.members, without)
        for at, shelf in enumerate(self.members):
            yield shelf.block(without if at == place else None, compress)


def _place(parts: Sequence[P], rank: int) -> int:
    """Where the part is that holds a rank, or should."""
    return max(0, bisect_right(parts, rank, key=lambda part: part.first()) - 1)


def _divide(parts: list[P], place: int, usual: int) -> None:
    """One that has become too large becomes two."""
    if len(parts[place].members) >= 2 * usual:
        parts.insert(place + 1, parts[place].divide())


def _tidy(parts: list[P], place: int, usual: int) -> None:
    """Two small ones become one, so that there are never many of them; an empty one goes."""
    for first in (place - 1, place):
        if 0 <= first < len(parts) - 1:
            one, other = parts[first : first + 2]
            if len(one.members) + len(other.members) <= usual:
                parts[first : first + 2] = [type(one)(one.members + other.members)]
                return
    if not parts[place].members:
        del parts[place]
