"""Who may be told to whom, in order of priority, kept as encoded blocks (spec HA-11, HA-12, HA-15).

A reply is made of all blocks, that of the asker without the asker.  Blocks refer to nothing outside, so that none
depends on which others stand before it: a change costs the encoding of one block, whatever the number of routers.
The price is that every block writes out its first prefix and its realms once.  Neighbouring blocks are kept joined,
too, so that a reply is put together from few pieces.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter

from agents.haaro.compression import Block, Owner, Prepared, joined

OWNERS = 8
"""In a block; it is divided at twice as many."""
BLOCKS = 8
"""That are kept joined, too."""
NOWHERE = -BLOCKS
"""A place in no group of shelves."""


class Directory:
    """Owners by rank, lowest first."""

    def __init__(self, compress: bool = True) -> None:
        self._compress = compress
        self._owners: dict[int, Owner] = {}
        self._shelves: list[_Shelf] = []
        """In order of rank, none empty."""
        self._joined: dict[int, Block] = {}
        """By the number of its first shelf divided by BLOCKS."""

    def put(self, rank: int, owner: Owner | None) -> None:
        """This is true of a rank from now on; None: nobody may be told.

        ValueError for a realm that cannot be written.
        """
        if self._owners.get(rank) == owner:
            return
        place = self._place(rank)
        self._joined.pop(place // BLOCKS, None)
        if owner is None:
            del self._owners[rank]
            self._shelves[place].take_out(rank)
            self._tidy(place)
            return
        prepared = Prepared(owner)
        self._owners[rank] = owner
        if not self._shelves:
            self._shelves.append(_Shelf())
        shelf = self._shelves[place]
        shelf.put(rank, prepared)
        if len(shelf.owners) >= 2 * OWNERS:
            self._shelves.insert(place + 1, shelf.divide())
            self._forget_from(place)

    def encoded(self, without: int, limit: int) -> bytes:
        """All owners but the one of this rank, in at most so many octets (spec A-44)."""
        place = self._place(without) if without in self._owners else NOWHERE
        blocks: list[Block] = []
        for group in range(-(-len(self._shelves) // BLOCKS)):
            if group != place // BLOCKS:
                blocks.append(self._joined.get(group) or self._join(group))
                continue
            first = group * BLOCKS
            for at, shelf in enumerate(self._shelves[first : first + BLOCKS], first):
                blocks.append(shelf.block(without if at == place else None, self._compress))
        return joined(blocks, limit)

    def _join(self, group: int) -> Block:
        shelves = self._shelves[group * BLOCKS : (group + 1) * BLOCKS]
        block = Block.together(shelf.block(None, self._compress) for shelf in shelves)
        self._joined[group] = block
        return block

    def _forget_from(self, place: int) -> None:
        """Shelves from this one on have other numbers now."""
        self._joined = {group: block for group, block in self._joined.items() if group < place // BLOCKS}

    def _place(self, rank: int) -> int:
        """Where the shelf is that holds a rank, or should."""
        return max(0, bisect_right(self._shelves, rank, key=_Shelf.first) - 1)

    def _tidy(self, place: int) -> None:
        """Two small shelves become one, so that there are never many of them."""
        shelf = self._shelves[place]
        for first in (place - 1, place):
            if 0 <= first < len(self._shelves) - 1:
                pair = self._shelves[first], self._shelves[first + 1]
                if len(pair[0].owners) + len(pair[1].owners) <= OWNERS:
                    self._shelves[first : first + 2] = [_Shelf(pair[0].owners + pair[1].owners)]
                    self._forget_from(first)
                    return
        if not shelf.owners:
            del self._shelves[place]
            self._forget_from(place)


class _Shelf:
    """Neighbouring ranks, and what has been encoded of them."""

    def __init__(self, owners: list[tuple[int, Prepared]] | None = None) -> None:
        self.owners = owners or []
        """In order of rank."""
        self._whole: Block | None = None
        self._parts: dict[int, Block] = {}
        """By the rank that is left out."""

    def first(self) -> int:
        """Its lowest rank."""
        return self.owners[0][0]

    def put(self, rank: int, owner: Prepared) -> None:
        """Add or replace; what is left without this rank remains as it was."""
        at = self._at(rank)
        if at < len(self.owners) and self.owners[at][0] == rank:
            self.owners[at] = (rank, owner)
            rest = self._parts.get(rank)
        else:
            self.owners.insert(at, (rank, owner))
            rest = self._whole
        self._whole = None
        self._parts = {rank: rest} if rest else {}

    def take_out(self, rank: int) -> None:
        """Remove; what it was without this rank is the whole now."""
        del self.owners[self._at(rank)]
        self._whole = self._parts.get(rank)
        self._parts = {}

    def divide(self) -> _Shelf:
        """The upper half, which leaves this one."""
        half = len(self.owners) // 2
        upper = _Shelf(self.owners[half:])
        self.owners = self.owners[:half]
        self._whole = None
        self._parts = {}
        return upper

    def block(self, without: int | None, compress: bool) -> Block:
        """Everyone but this rank, encoded."""
        found = self._whole if without is None else self._parts.get(without)
        if found is None:
            found = Block([owner for rank, owner in self.owners if rank != without], compress)
            if without is None:
                self._whole = found
            else:
                self._parts[without] = found
        return found

    def _at(self, rank: int) -> int:
        return bisect_left(self.owners, rank, key=itemgetter(0))
