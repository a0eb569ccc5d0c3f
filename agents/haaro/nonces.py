"""Nonces of a correspondent: tokens that keep no state per peer, and the keys made of them (spec §3.3, §3.4)."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from agents.haaro.keys import careof_token, correspondent_key, home_token
from agents.wire.mip4_codes import Code

NONCE_OCTETS = 8
KCR_OCTETS = 16
INDEX_OCTETS = 2
KEPT = 8
"""So many nonces, each of which makes new tokens for an eighth of the time for which it is good: 30 s of 240."""
MAX_NONCE_LIFETIME = 240.0
"""Seconds after its first use for which a nonce is good."""
MAX_TOKEN_LIFETIME = 210.0
"""Seconds for which a router may use a token it got."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """A nonce and the Kcr that is in use with it."""

    index: int
    value: bytes
    kcr: bytes
    first_used: float
    """Unix time."""


class Nonces:
    """The ring of a router's nonces; a new one, with a new Kcr, is made by the first request that needs it.

    Made on demand, a nonce's first use is its creation; so the last 8 of 30 s each are exactly those of 240 s.
    """

    def __init__(self, random: Callable[[int], bytes] = os.urandom, *, lifetime: float = MAX_NONCE_LIFETIME) -> None:
        """`lifetime`: seconds after its first use for which a nonce is good, 240 at most (spec §3.4)."""
        self._random = random
        self._lifetime = lifetime
        self._period = lifetime / KEPT
        self._ring: deque[Nonce] = deque(maxlen=KEPT)
        self._index = int.from_bytes(random(INDEX_OCTETS), "big")
        """Not the same after every start: tokens of a former life are expired (201-203, which help their owner), not
        wrong (131, which it cannot verify)."""

    def home_test(self, home_address: IPv4Address, now: float) -> tuple[int, bytes]:
        """Index and home token for the sender of a HoTI."""
        nonce = self._current(now)
        return nonce.index, home_token(nonce.kcr, home_address, nonce.value)

    def careof_test(self, source: IPv4Address, now: float) -> tuple[int, bytes]:
        """Index and care-of token for the address a CoTI came from."""
        nonce = self._current(now)
        return nonce.index, careof_token(nonce.kcr, source, nonce.value)

    def key(
        self, home_address: IPv4Address, source: IPv4Address, home_index: int, careof_index: int, now: float
    ) -> bytes | Code:
        """KRm of a request from `source`, or why there is none: 201, 202 or 203."""
        home, careof = self._find(home_index, now), self._find(careof_index, now)
        if home is None:
            return Code.EXPIRED_HOME_NONCE if careof else Code.EXPIRED_NONCES
        if careof is None:
            return Code.EXPIRED_CAREOF_NONCE
        return correspondent_key(
            home_token(home.kcr, home_address, home.value), careof_token(careof.kcr, source, careof.value)
        )

    def deregistration_key(self, home_address: IPv4Address, home_index: int, now: float) -> bytes | Code:
        """KRm of a request with lifetime 0, for which the care-of index does not count; or 201."""
        nonce = self._find(home_index, now)
        if nonce is None:
            return Code.EXPIRED_HOME_NONCE
        return correspondent_key(home_token(nonce.kcr, home_address, nonce.value))

    @property
    def last(self) -> int:
        """Index of the newest nonce."""
        return self._index

    def size(self) -> int:
        """Nonces kept: all the memory that test messages can cost."""
        return len(self._ring)

    def _find(self, index: int, now: float) -> Nonce | None:
        return next((n for n in self._ring if n.index == index and now - n.first_used <= self._lifetime), None)

    def _current(self, now: float) -> Nonce:
        if not self._ring or now - self._ring[-1].first_used >= self._period:
            self._index = self._index % 0xFFFF + 1  # 0 stands for a static key
            self._ring.append(Nonce(self._index, self._random(NONCE_OCTETS), self._random(KCR_OCTETS), now))
        return self._ring[-1]
