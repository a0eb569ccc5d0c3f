"""Lists of mobility options: octets (spec DGW §2.3), order, and which anchor each speaks of (AMB-7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agents.wire.buffer import Buffer, pull_uint8
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mobility_codes import OptionType
from agents.wire.mobility_option_bases import KnownOption
from agents.wire.mobility_options import (
    KNOWN_OPTIONS,
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    LocalPrefix,
    MalformedOption,
    Option,
    PreviousMaar,
    UnknownOption,
)

T = TypeVar("T", bound=KnownOption)

_GROUPED = (
    OptionType.DLIF_LINK_LOCAL,
    OptionType.DLIF_LINK_LAYER,
    OptionType.ANCHORED_PREFIX,
    OptionType.LOCAL_PREFIX,
)
_DISTRIBUTED = frozenset((*_GROUPED, OptionType.PREVIOUS_MAAR, OptionType.SERVING_MAAR))
# Alternate Care-of Address is in neither list of the sheet: with two of them, choosing one would be a guess.
_SINGLE = frozenset(
    (
        OptionType.ALTERNATE_CARE_OF_ADDRESS,
        OptionType.MOBILE_NODE_IDENTIFIER,
        OptionType.HANDOFF_INDICATOR,
        OptionType.ACCESS_TECHNOLOGY,
        OptionType.LINK_LAYER_IDENTIFIER,
        OptionType.LINK_LOCAL_ADDRESS,
        OptionType.TIMESTAMP,
        OptionType.SERVING_MAAR,
    )
)
_SINGLE_IN_GROUP = frozenset((OptionType.DLIF_LINK_LOCAL, OptionType.DLIF_LINK_LAYER))


_LARGEST = 255
"""Of an option's type, and of the octets of its data."""


def push_padding(length: int) -> bytes:
    """Pad1 for one octet, one PadN for more, never a run of Pad1."""
    if length < 2:
        return b"\0" * length
    return bytes((OptionType.PADN, length - 2)) + b"\0" * (length - 2)


def push_options(start: bytes, options: Iterable[Option]) -> bytes:
    """`start` (the message before its options), the aligned options, and padding to whole 8 octets."""
    out = bytearray(start)
    for option in options:
        if option.type in (OptionType.PAD1, OptionType.PADN):
            raise ValueError(f"option type {option.type} is padding and never given by the caller")
        if isinstance(option, KnownOption):
            data, (x, y) = option.push_data(), option.alignment
        else:
            data, (x, y) = option.data, (1, 0)
        if not 0 <= option.type <= _LARGEST or len(data) > _LARGEST:
            raise ValueError(f"option {option.type} of {len(data)} octets does not fit")
        out += push_padding((y - len(out)) % x)
        out += bytes((option.type, len(data)))
        out += data
    out += push_padding(-len(out) % 8)
    return bytes(out)


def pull_options(buf: Buffer) -> tuple[Option, ...]:
    """All options up to the end of `buf` in their order, without the padding; DecodeError if one overruns."""
    options: list[Option] = []
    while buf.remaining:
        start = buf.position
        number = pull_uint8(buf)
        if number == OptionType.PAD1:
            continue
        if not buf.remaining or (length := pull_uint8(buf)) > buf.remaining:
            raise DecodeError(f"option {number} reaches beyond the message", start, DecodeErrorKind.OPTION_OVERRUN)
        data = buf.pull_bytes(length)
        if number != OptionType.PADN:
            options.append(_read(number, data))
    return tuple(options)


def _read(number: int, data: bytes) -> Option:
    cls = KNOWN_OPTIONS.get(number)
    if cls is None:
        return UnknownOption(number, data)
    option = cls.pull_data(data)
    return MalformedOption(number, data) if option is None else option


@dataclass(frozen=True, slots=True)
class AnchorGroup:
    """What one message says of one anchor (spec AMB-7)."""

    previous: PreviousMaar | None
    """The option that opened the group; None when the anchor is the message's own source."""
    options: tuple[Option, ...] = ()
    """Options 65, 66, 69, 70 that belong to the anchor, in their order."""

    @property
    def link_local(self) -> DlifLinkLocal | None:
        """Option 69; the first one if the sender broke the once-a-group rule (see `duplicate_types`)."""
        return first(self.options, DlifLinkLocal)

    @property
    def link_layer(self) -> DlifLinkLayer | None:
        """Option 70; the first one if the sender broke the once-a-group rule (see `duplicate_types`)."""
        return first(self.options, DlifLinkLayer)

    @property
    def anchored(self) -> tuple[AnchoredPrefix, ...]:
        """Options 65, bad lengths included."""
        return every(self.options, AnchoredPrefix)

    @property
    def local(self) -> tuple[LocalPrefix, ...]:
        """Options 66, bad lengths included."""
        return every(self.options, LocalPrefix)


def first(options: Iterable[Option], cls: type[T]) -> T | None:
    """The first option of this class, or None."""
    return next((o for o in options if isinstance(o, cls)), None)


def every(options: Iterable[Option], cls: type[T]) -> tuple[T, ...]:
    """All options of this class, in their order."""
    return tuple(o for o in options if isinstance(o, cls))


def anchor_groups(options: Iterable[Option]) -> tuple[AnchorGroup, ...]:
    """Group 65, 66, 69 and 70 by anchor: those before any 67 are the source's, then one group for each 67.

    The source's group is left out when it is empty. What follows a malformed 67 is left out too: it is of an
    anchor that we cannot name, and must not be mistaken for the previous one's.
    """
    runs = _runs(options)
    groups = [AnchorGroup(None, tuple(runs[0][1]))] if runs[0][1] else []
    groups += [AnchorGroup(o, tuple(members)) for o, members in runs[1:] if isinstance(o, PreviousMaar)]
    return tuple(groups)


def _runs(options: Iterable[Option]) -> list[tuple[Option | None, list[Option]]]:
    """Group openers with their followers; the first entry has no opener. Malformed openers are openers."""
    runs: list[tuple[Option | None, list[Option]]] = [(None, [])]
    for option in options:
        if option.type == OptionType.PREVIOUS_MAAR:
            runs.append((option, []))
        elif option.type in _GROUPED:
            runs[-1][1].append(option)
    return runs


_HEAD = (
    OptionType.MOBILE_NODE_IDENTIFIER,
    OptionType.HOME_NETWORK_PREFIX,
    OptionType.HANDOFF_INDICATOR,
    OptionType.ACCESS_TECHNOLOGY,
    OptionType.LINK_LAYER_IDENTIFIER,
    OptionType.LINK_LOCAL_ADDRESS,
    OptionType.TIMESTAMP,
    OptionType.ALTERNATE_CARE_OF_ADDRESS,
)


def in_send_order(options: Iterable[Option]) -> tuple[Option, ...]:
    """The recommended order (spec §2.2), with every option still in the anchor group it was in.

    Always 8, 22, 23, 24, 25, 26, 27, 3 first. Then without any 67: 65, 66, 68, 69, 70; else the source's 65,
    66, 69, 70, each 67 with its 69, 70, 65, 66, and 68. Other types come last.
    """
    given = tuple(options)
    (_, own), *groups = _runs(given)
    loose = [o for o in given if o.type not in _GROUPED and o.type != OptionType.PREVIOUS_MAAR]
    out = [o for number in _HEAD for o in loose if o.type == number]
    serving = [o for o in loose if o.type == OptionType.SERVING_MAAR]
    prefixes = [*_of(own, OptionType.ANCHORED_PREFIX), *_of(own, OptionType.LOCAL_PREFIX)]
    identity = [*_of(own, OptionType.DLIF_LINK_LOCAL), *_of(own, OptionType.DLIF_LINK_LAYER)]
    if groups:
        out += prefixes + identity
        for opener, members in groups:
            out += [opener] if opener else []
            out += [o for number in _GROUPED for o in _of(members, number)]
        out += serving
    else:
        out += prefixes + serving + identity
    out += [o for o in loose if o.type not in _HEAD and o.type != OptionType.SERVING_MAAR]
    return tuple(out)


def _of(options: Sequence[Option], number: int) -> list[Option]:
    return [o for o in options if o.type == number]


def duplicate_types(options: Iterable[Option]) -> tuple[int, ...]:
    """Types of single-instance options that repeat, 69 and 70 within one anchor group: answer 128."""
    given = tuple(options)
    found = _repeated(every(given, KnownOption), _SINGLE)
    for _, members in _runs(given):
        found |= _repeated(every(members, KnownOption), _SINGLE_IN_GROUP)
    return tuple(sorted(found))


def _repeated(options: Sequence[KnownOption], single: frozenset[OptionType]) -> set[int]:
    seen: set[int] = set()
    repeated: set[int] = set()
    for option in options:
        if option.type in single:
            (repeated if option.type in seen else seen).add(int(option.type))
    return repeated


def without_distributed(options: Iterable[Option]) -> tuple[Option, ...]:
    """The options a receiver may look at when the D flag is 0: all but 65–70 (RFC 8885 §4.3, §4.4)."""
    return tuple(o for o in options if o.type not in _DISTRIBUTED)
