"""Pairs of prefixes that correspond directly, and the dynamic neighbors they belong to (spec §5.1, RO-13, RO-14)."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, aero_address
from agents.aero.dataplane.usage import AT_ONCE, Use
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Inner, Neighbor
from agents.aero.optimisation.messages import UNSPECIFIED, covering
from agents.aero.optimisation.tokens import Keys

USES = 4096
"""Flows whose last use is remembered; the longest unused one is forgotten first."""


@dataclass(frozen=True, slots=True)
class PrefixPair:
    """Packets from one prefix to another."""

    source: Prefix
    destination: Prefix

    def covers(self, source: Inner, destination: Inner) -> bool:
        """Whether a packet between these addresses is one of them."""
        return (
            source.version == self.source.version
            and destination.version == self.destination.version
            and source in self.source
            and destination in self.destination
        )

    def __str__(self) -> str:
        return f"{self.source} {self.destination}"


class Stage(enum.Enum):
    """How far a source is with a pair (spec §5.3)."""

    TESTING = "testing"
    """All data still goes through the Server."""
    FORWARDING = "forwarding"


@dataclass(slots=True, eq=False)
class Forward:
    """A pair that we are the source of."""

    pair: PrefixPair
    own: IPv6Address
    """Our AERO address of the pair's source prefix."""
    expires: float
    """When it ends without a sign of life of the direct path."""
    use: Use
    stage: Stage = Stage.TESTING
    untested: set[LinkLayerAddress] = field(default_factory=set)
    """Link-layer addresses that were asked and have not answered."""


@dataclass(slots=True, eq=False)
class Correspondent(Neighbor):
    """A dynamic neighbor: another Client, reached without its Server."""

    own: IPv6Address = UNSPECIFIED
    """Our AERO address that it knows us by."""
    accept: dict[PrefixPair, float] = field(default_factory=dict)
    """What it may send directly, and until when."""
    forward: dict[PrefixPair, Forward] = field(default_factory=dict)
    """What we may send to it directly."""
    tokens: Keys = field(default_factory=Keys)
    unanswered: set[LinkLayerAddress] = field(default_factory=set)
    """Where it proved to be, told by nobody (spec RO-15), and has not answered yet."""

    refused: float = AT_ONCE
    """When data of it was not accepted last."""

    @property
    def owns(self) -> set[IPv6Address]:
        """All AERO addresses of ours that it knows us by."""
        mine = {aero_address(pair.destination) for pair in self.accept}
        return mine | {each.own for each in self.forward.values()} or {self.own}

    def accepts(self, source: Inner, destination: Inner) -> bool:
        """Whether data between these addresses may come from it (spec RO-14)."""
        return any(pair.covers(source, destination) for pair in self.accept)


class Uses:
    """Which flows were used lately; a flow is a source prefix of ours and a destination address (spec RO-11)."""

    def __init__(self) -> None:
        self._uses: OrderedDict[tuple[Prefix, Inner], Use] = OrderedDict()

    def of(self, prefixes: Sequence[Prefix], source: Inner, destination: Inner) -> Use:
        """The record of a flow."""
        prefix = covering(prefixes, source)
        if prefix is None:
            return Use()
        key = prefix, destination
        found = self._uses.pop(key, None) or Use()
        self._uses[key] = found
        if len(self._uses) > USES:
            self._uses.popitem(last=False)
        return found

    def used(self, pair: PrefixPair, since: float) -> bool:
        """Whether anything was sent for a pair since then."""
        return any(
            use.last >= since
            for (prefix, destination), use in self._uses.items()
            if prefix == pair.source and destination.version == pair.destination.version
            if destination in pair.destination
        )


class ForwardTable:
    """The pairs that data takes the direct path for."""

    def __init__(self) -> None:
        self._entries: dict[PrefixPair, tuple[Correspondent, Forward]] = {}

    def put(self, correspondent: Correspondent, forward: Forward) -> None:
        """Use the direct path for a pair."""
        self._entries[forward.pair] = correspondent, forward

    def drop(self, forward: Forward) -> None:
        """Use it no longer."""
        if self._entries.get(forward.pair, (None, None))[1] is forward:
            del self._entries[forward.pair]

    def __iter__(self) -> Iterator[tuple[Correspondent, Forward]]:
        return iter(list(self._entries.values()))

    def match(self, source: Inner, destination: Inner) -> tuple[Correspondent, Forward] | None:
        """The most specific pair for a packet, asked once a flow."""
        found = [each for pair, each in self._entries.items() if pair.covers(source, destination)]
        return max(found, key=lambda each: each[1].pair.destination.prefixlen, default=None)
