"""The realm dictionary of one prefix advertisement, both ends (spec §8.2; RFC 6521 §4.2).

Realms are text whose labels are separated by dots; octets that are no UTF-8 survive as surrogates. Strings compare
octet by octet.
"""

from __future__ import annotations

from functools import lru_cache

from agents.wire.errors import DecodeError

SLOTS = 128
LABEL_OCTETS = 127
REALM_OCTETS = 253
"""No network access identifier is longer (RFC 7542 §2.2); the bound keeps an octet from standing for a megabyte."""
SPELLINGS = 4096
"""Realms kept taken apart: many networks share one."""
INDEX = 0x80
END = b"\0"
KNOWN = tuple(bytes((INDEX | slot,)) + END for slot in range(SLOTS))
"""A realm that stands in a slot."""


class RealmDictionary:
    """128 strings in the order they were met, the 129th over the first."""

    def __init__(self) -> None:
        self._strings: list[bytes | None] = [None] * SLOTS
        self._slots: dict[bytes, int] = {}
        self._beginnings: set[bytes] = set()
        """First labels of what has been added: the others need not be looked up."""
        self._next = 0

    @property
    def filled(self) -> int:
        """How many strings have been added, modulo the number of slots."""
        return self._next

    def add(self, string: bytes) -> None:
        """Put a string into the next slot."""
        slot = self._next
        self._next = (slot + 1) % SLOTS
        old = self._strings[slot]
        if old is not None and self._slots.get(old) == slot:
            del self._slots[old]
        self._strings[slot] = string
        self._slots[string] = slot

    def add_suffixes(self, run: list[bytes]) -> None:
        """Add every suffix of two or more labels, longest first."""
        for start in range(len(run) - 1):
            self.add(b".".join(run[start:]))

    def add_label(self, label: bytes) -> None:
        """Put a label into the next slot; whatever an encoder adds besides begins with one that was added so."""
        self._beginnings.add(label)
        self.add(label)

    def longest(self, realm: Spelling, start: int) -> tuple[int | None, int]:
        """Slot of the longest known front from this label on, and how many labels it has; one when none is known."""
        if realm.labels[start] in self._beginnings:
            slots = self._slots
            fronts = realm.fronts(start)
            for shorter, front in enumerate(fronts):
                if front in slots:
                    return slots[front], len(fronts) - shorter
        return None, 1

    def slot(self, string: bytes) -> int | None:
        """Where the string stands."""
        return self._slots.get(string)

    def string(self, slot: int) -> bytes | None:
        """What stands in a slot."""
        return self._strings[slot]


class Spelling:
    """A realm taken apart once for all the times that it is written."""

    __slots__ = ("_fronts", "labels", "literals", "plain", "whole")

    def __init__(self, realm: str) -> None:
        """ValueError for an empty or too long label or realm."""
        self.labels = _labels(realm) if realm else []
        self.literals = [bytes((len(label),)) + label for label in self.labels]
        self.plain = b"".join(self.literals) + END
        """Without compression."""
        self.whole = b".".join(self.labels)
        self._fronts: dict[int, list[bytes]] = {}

    def fronts(self, start: int) -> list[bytes]:
        """From this label on: all labels, all but the last one, ..., one."""
        found = self._fronts.get(start)
        if found is None:
            ends = range(len(self.labels), start, -1)
            found = self._fronts[start] = [b".".join(self.labels[start:end]) for end in ends]
        return found

    def suffix(self, start: int) -> bytes:
        """All labels from this one on."""
        return self.fronts(start)[0]


@lru_cache(SPELLINGS)
def spelling(realm: str) -> Spelling:
    """The realm taken apart, if need be (ValueError as Spelling)."""
    return Spelling(realm)


class RealmEncoder:
    """A sender's dictionary; without `compress` it writes every label out."""

    def __init__(self, compress: bool = True) -> None:
        self._compress = compress
        self._dictionary = RealmDictionary()

    @property
    def filled(self) -> int:
        """How many slots have been filled, modulo their number; a sender that does not compress does not count."""
        return self._dictionary.filled

    def encode(self, realm: str) -> bytes:
        """Octets of a realm with its end mark; ValueError for an empty or too long label or realm."""
        octets = bytearray()
        self.write(spelling(realm), octets, [])
        return bytes(octets)

    def known(self, realm: Spelling) -> bytes:
        """What says a realm that stands in a slot; nothing when it does not."""
        slot = self._dictionary.slot(realm.whole) if self._compress else None
        return b"" if slot is None else KNOWN[slot]

    def write(self, realm: Spelling, octets: bytearray, references: list[int]) -> None:
        """Append a realm, and to `references` where an octet names a slot."""
        if not self._compress or not realm.labels:
            octets += realm.plain
            return
        labels = realm.labels
        if known := self.known(realm):
            references.append(len(octets))
            octets += known
            return
        dictionary = self._dictionary
        run = at = 0
        while at < len(labels):
            slot, taken = dictionary.longest(realm, at)
            if slot is None:
                octets += realm.literals[at]
                dictionary.add_label(labels[at])
            else:
                references.append(len(octets))
                octets.append(INDEX | slot)
                run = at + taken
            at += taken
        octets += END
        for start in range(run, len(labels) - 1):
            dictionary.add(realm.suffix(start))


class RealmDecoder:
    """A receiver's dictionary: that of the sender, whether the sender compresses or not."""

    def __init__(self) -> None:
        self._dictionary = RealmDictionary()

    def decode(self, data: bytes, start: int) -> tuple[str, int]:
        """The realm at `start` and where it ends; DecodeError if it has no end or names an empty slot."""
        parts: list[bytes] = []
        run: list[bytes] = []
        size = -1
        at = start
        while at < len(data) and data[at]:
            octet = data[at]
            if octet & INDEX:
                part = self._dictionary.string(octet & ~INDEX)
                if part is None:
                    raise DecodeError(f"realm names slot {octet & ~INDEX}, which is empty", at)
                run.clear()
                at += 1
            else:
                part = data[at + 1 : at + 1 + octet]
                self._dictionary.add(part)
                run.append(part)
                at += 1 + octet
            parts.append(part)
            size += 1 + len(part)
            if size > REALM_OCTETS:
                raise DecodeError(f"realm of more than {REALM_OCTETS} octets", start)
        if at >= len(data):
            raise DecodeError("realm without its end mark", start)
        self._dictionary.add_suffixes(run)
        return b".".join(parts).decode("utf-8", "surrogateescape"), at + 1


def _labels(realm: str) -> list[bytes]:
    """ValueError says what is wrong, and what would be right."""
    try:
        octets = realm.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"realm {realm!r}: character {error.start + 1} has no octets; leave it out") from error
    labels = octets.split(b".")
    if len(octets) > REALM_OCTETS:
        raise ValueError(f"realm {realm!r} has {len(octets)} octets; {REALM_OCTETS} can be written: shorten it")
    for number, label in enumerate(labels, 1):
        if not label:
            fault = f"label {number} is empty; put single dots, only between labels"
        elif len(label) > LABEL_OCTETS:
            fault = f"label {number} has {len(label)} octets; {LABEL_OCTETS} can be written: shorten or divide it"
        else:
            continue
        raise ValueError(f"realm {realm!r}: {fault}")
    return labels
