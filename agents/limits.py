"""How often something may happen: token buckets, for all together and for each source by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

KEPT = 4096
"""Sources whose rate is remembered; the longest silent one is forgotten first."""


@dataclass(frozen=True)
class Rate:
    """So many a second in the long run, and so many at once after a rest."""

    average: float
    burst: float

    def __post_init__(self) -> None:
        """Less than one at once would be none ever."""
        if self.average <= 0 or self.burst < 1:
            raise ValueError(f"{self.average:g} a second, {self.burst:g} at once: more than 0, and 1 or more")

    @classmethod
    def even(cls, average: float) -> Rate:
        """One second's worth at once."""
        return cls(average, max(1.0, average))


@dataclass(frozen=True)
class ErrorRates:
    """How many errors a node answers with (RFC 4443 §2.4(f), RFC 1812 §4.3.2.8).

    Linux limits the whole node alike, but Too Big not at all for one host: each flow of a busy one needs its own.
    """

    source: Rate = field(default_factory=lambda: Rate(50.0, 50.0))
    """To one host."""
    total: Rate = field(default_factory=lambda: Rate(1000.0, 200.0))
    """Of the node, whatever for: hosts that do not exist get no more together."""


ERRORS = ErrorRates()


class TokenBucket:
    """Room for a burst, filled at the average rate."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._last: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is allowed now; a clock that goes back fills nothing and takes nothing."""
        if self._last is not None:
            self._tokens = min(self._rate.burst, self._tokens + max(0.0, now - self._last) * self._rate.average)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Limits:
    """One bucket for all and one for each source."""

    def __init__(self, per_source: Rate, total: Rate) -> None:
        self._per_source = per_source
        self._total = TokenBucket(total)
        self._sources: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    @classmethod
    def of_errors(cls, rates: ErrorRates) -> Limits:
        """For the errors of one node, by whom they go to."""
        return cls(rates.source, rates.total)

    def allow(self, source: Hashable, now: float) -> bool:
        """Whether one more of this source is allowed now; its own limit is asked first."""
        bucket = self._sources.pop(source, None) or TokenBucket(self._per_source)
        self._sources[source] = bucket
        if len(self._sources) > KEPT:
            self._sources.popitem(last=False)
        return bucket.take(now) and self._total.take(now)
