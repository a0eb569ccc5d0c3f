"""How many DHCPv6 messages a Server takes from one link-layer address, and in total (spec SRV-14, RFC 6221 §9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

KEPT = 4096
"""Sources whose rate is remembered; the longest silent one is forgotten first."""


class TokenBucket:
    """`rate` events per second on average, one second's worth at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._last: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is allowed now."""
        if self._last is not None:
            self._tokens = min(self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Limits:
    """One bucket for all and one for each source."""

    def __init__(self, per_source: float, total: float) -> None:
        self._per_source = per_source
        self._total = TokenBucket(total)
        self._sources: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def allow(self, source: Hashable, now: float) -> bool:
        """Whether a message of this source may pass now; its own limit is asked first."""
        bucket = self._sources.pop(source, None) or TokenBucket(self._per_source)
        self._sources[source] = bucket
        if len(self._sources) > KEPT:
            self._sources.popitem(last=False)
        return bucket.take(now) and self._total.take(now)
