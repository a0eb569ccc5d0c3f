"""What fits through one path: proven by probes, so that fragmentation tunes itself out (spec §3.1, §3.5).

All sizes are those of outer packets unless called inner.  The machine sends nothing: `probes` says which sizes to
probe now, and it is told what was answered.  A probe is a padded Neighbor Solicitation (spec §3.6).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from agents.aero.constants import (
    CONFIRM_INTERVAL,
    GUARANTEED,
    MAX_PROBES,
    PROBE_INTERVAL,
    RAISE_INTERVAL,
    WHOLE,
)


class State(enum.Enum):
    """Spec §3.5."""

    UNKNOWN = "unknown"
    PROBING = "probing"
    WHOLE = "whole"
    FRAG = "frag"


class Purpose(enum.Enum):
    """What a probe is for."""

    FIND = "find"
    """The largest size that gets through."""
    CONFIRM = "confirm"
    """That the proven size still does."""
    SMALL = "small"
    """That the neighbor answers at all, beside a probe that confirms."""
    BASE = "base"
    """That inner packets of 1280 octets get through whole."""


@dataclass(frozen=True)
class Probe:
    """A solicitation to send now."""

    purpose: Purpose
    size: int
    """Outer octets it is padded to; 0: not padded."""


@dataclass(slots=True)
class _Try:
    """A size being probed."""

    purpose: Purpose
    size: int
    sent: int = 0
    due: float = 0.0
    small_answered: bool = False


class PathMtu:
    """One link-layer address of one neighbor, one direction; another address begins with another machine."""

    def __init__(self, overhead: int, egress_mtu: int, *, floor: int) -> None:
        """`overhead` is H; `floor` the smallest size a Too Big is believed: 1280 over IPv6, 576 over IPv4."""
        self.overhead = overhead
        self.mtu = egress_mtu
        """P: path MTU assumed."""
        self.proven = 0
        """V: largest size proven."""
        self.state = State.UNKNOWN
        self.egress_mtu = egress_mtu
        self._floor = floor
        self._wanted = GUARANTEED
        self._try: _Try | None = None
        self._base: _Try | None = None
        self._again: float | None = None
        """When FRAG probes again, or WHOLE looks for more."""
        self._confirm: float | None = None
        self._large_seen = False
        self._raised = False
        """The own link became wider than what was proven through it: the next large packet asks for more."""

    @property
    def ceiling(self) -> int:
        """The largest size worth probing."""
        return min(self._wanted + self.overhead, self.egress_mtu)

    @property
    def inner_mtu(self) -> int:
        """What a Packet Too Big toward an inner source says: never below 1500."""
        return max(GUARANTEED, self.mtu - self.overhead)

    # --- what happens

    def used(self, inner: int, now: float) -> bool:
        """A packet of more than 1280 octets was to be sent: note that size matters; whether there is now more to probe
        than before."""
        self._large_seen = True
        if inner <= self._wanted and self.state is not State.UNKNOWN and not self._raised:
            return False
        before = self._try
        more = inner > self._wanted and self.state is State.WHOLE
        self._wanted = max(self._wanted, inner)
        if self._raised and inner + self.overhead > self.proven and self.state in (State.WHOLE, State.FRAG):
            more, self._raised = True, False
        if more and self.proven < self.ceiling:
            self.state = State.WHOLE if self.proven else State.PROBING
            self._seek(self.ceiling, now)
        if self.state is State.UNKNOWN:
            self.begin(now)
        return self._try is not before

    def begin(self, now: float, *, base: bool = False) -> None:
        """Probe from the top; with `base` also whether 1280 inner octets get through (a Client that attached)."""
        if base:
            self._base = _Try(Purpose.BASE, WHOLE + self.overhead, due=now)
        if self.state is State.UNKNOWN:
            self.state = State.PROBING
            self._seek(self.ceiling, now)

    def answered(self, probe: Probe, now: float) -> None:
        """A probe's advertisement came."""
        if probe.purpose is Purpose.BASE:
            self._base = None
        elif probe.purpose is Purpose.SMALL:
            if self._try:
                self._try.small_answered = True
        elif self._try and probe.size == self._try.size:
            self._prove(probe.size, now)

    def too_big(self, mtu: int, now: float) -> None:
        """A validated Too Big about a packet of this path (spec §2.8, §3.5)."""
        if mtu < self._floor:
            return
        if mtu < self.mtu:
            self.mtu = mtu
        if self.state is State.WHOLE and mtu < self.proven:
            self.proven = 0
            self.state = State.PROBING
            self._seek(mtu, now)
        elif self._try and mtu < self._try.size:
            self._seek(mtu, now)

    def egress(self, mtu: int, now: float) -> None:
        """The interface this path begins at has another MTU.

        A smaller one is a Too Big of our own.  A larger one says nothing of the path, but allows to look for more:
        when a larger packet is wanted, at the latest after RAISE_INTERVAL; what is proven stays (spec §3.5).
        """
        before, self.egress_mtu = self.egress_mtu, mtu
        if mtu < before:
            self.too_big(mtu, now)
        elif mtu > before:
            if self.mtu == before:
                self.mtu = mtu
            self._raised = True
            if self.state is State.WHOLE and self.proven < self.ceiling and self._again is None:
                self._again = now + RAISE_INTERVAL

    # --- time

    def next_timer(self) -> float | None:
        """When `probes` has something to send or to give up."""
        due = [each.due for each in (self._try, self._base) if each]
        due += [each for each in (self._again, self._confirm) if each is not None]
        return min(due, default=None)

    def probes(self, now: float) -> Iterator[Probe]:
        """Solicitations to send now; sizes that stayed unanswered are given up."""
        if self._again is not None and self._again <= now:
            self._again = None
            self._seek(self.ceiling, now)
            self.state = State.PROBING if self.state is State.FRAG else self.state
        if self._confirm is not None and self._confirm <= now:
            self._confirm_proven(now)
        if self._base and self._base.due <= now:
            yield from self._advance(self._base, now)
        if self._try and self._try.due <= now:
            yield from self._advance(self._try, now)

    def _advance(self, current: _Try, now: float) -> Iterator[Probe]:
        if current.sent == MAX_PROBES:
            self._lost(current, now)
            if self._try and self._try is not current and self._try.due <= now:
                yield from self._advance(self._try, now)
            return
        current.sent += 1
        current.due = now + PROBE_INTERVAL
        yield Probe(current.purpose, current.size)
        if current.purpose is Purpose.CONFIRM:
            yield Probe(Purpose.SMALL, 0)

    def _lost(self, lost: _Try, now: float) -> None:
        if lost.purpose is Purpose.BASE:
            self._base = None
            self.mtu = min(self.mtu, WHOLE)
            return
        self._try = None
        if lost.purpose is Purpose.CONFIRM:
            if lost.small_answered:  # a black hole
                self.mtu = min(self.mtu, lost.size - 1)
                self.proven = 0
                self.state = State.PROBING
                self._below(lost.size, now)
            else:
                self._confirm = now + CONFIRM_INTERVAL  # the neighbor itself is silent
            return
        # The smallest candidate is what a base probe is: its loss means as much (spec §3.5).
        self.mtu = min(self.mtu, WHOLE if lost.size == WHOLE + self.overhead else lost.size - 1)
        self._below(lost.size, now)

    def _below(self, size: int, now: float) -> None:
        """Try the next candidate below a size that was lost."""
        candidates = (GUARANTEED + self.overhead, 1500, 1492, 1400, WHOLE + self.overhead)
        found = max((each for each in candidates if self.proven < each < size), default=None)
        if found is not None:
            self._seek(found, now)
            return
        if self.proven:  # nothing larger is known to get through, so that nothing larger is sent (spec §3.1)
            self.mtu = min(self.mtu, self.proven)
        else:
            self.state = State.FRAG
        self._again = now + RAISE_INTERVAL

    def _seek(self, size: int, now: float) -> None:
        self._try = _Try(Purpose.FIND, size, due=now)
        self._again = None

    def _prove(self, size: int, now: float) -> None:
        self._try = None
        self.proven = size
        self.mtu = max(self.mtu, size)
        self.state = State.WHOLE
        self._large_seen = False
        self._confirm = now + CONFIRM_INTERVAL
        if size < self.ceiling <= self.mtu:  # more is wanted than when this was begun, and nothing speaks against it
            self._seek(self.ceiling, now)
        elif size < self.ceiling:
            self.mtu = size  # larger ones were lost, or named too big: nothing larger is sent (spec §3.1)
            self._again = self._again or now + RAISE_INTERVAL

    def _confirm_proven(self, now: float) -> None:
        self._confirm = None
        if self.state is not State.WHOLE:
            return
        if self._large_seen and self._try is None:
            self._try = _Try(Purpose.CONFIRM, self.proven, due=now)
        else:
            self._confirm = now + CONFIRM_INTERVAL
