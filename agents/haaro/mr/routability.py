"""Return routability: the initiator's half (spec §5.4, §4.4)."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Address

from agents.haaro.keys import correspondent_key
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Correspondent, RRState, Token
from agents.haaro.notices import Datagram
from agents.wire.mip4_messages import CareofTest, CareofTestInit, HomeTest, HomeTestInit

LONGEST = 32.0
"""Seconds between two attempts, at most (spec RR-14)."""
COOKIE_OCTETS = 8


class Routability:
    """Obtains the tokens that a key is made of."""

    def __init__(self, base: MrBase, random: Callable[[int], bytes] = os.urandom) -> None:
        self._base = base
        self._random = random
        self.when_proved: Callable[[Correspondent, float], None] = lambda _peer, _now: None
        """Told when everything that was asked for is there."""
        self.when_failed: Callable[[Correspondent, float], None] = lambda _peer, _now: None

    def key(self, peer: Correspondent, careof: IPv4Address, now: float) -> tuple[int, int, bytes] | None:
        """Indexes and KRm for a registration from this address, if the tokens are there and young."""
        if peer.static_key is not None:
            return 0, 0, peer.static_key
        home, pair = self._alive(peer.home_token, now), peer.pair(careof)
        token = self._alive(pair.token, now)
        if home is None or token is None or pair.state is not RRState.ACTIVE:
            return None
        return home.index, token.index, correspondent_key(home.value, token.value)

    def farewell_key(self, peer: Correspondent, now: float) -> tuple[int, int, bytes] | None:
        """The same for a deregistration, which needs no care-of token (spec RR-9)."""
        if peer.static_key is not None:
            return 0, 0, peer.static_key
        home = self._alive(peer.home_token, now)
        return (home.index, 0, correspondent_key(home.value)) if home else None

    @staticmethod
    def _alive(token: Token | None, now: float) -> Token | None:
        return token if token and token.alive(now) else None

    def start(self, peer: Correspondent, careof: IPv4Address, now: float, *, home_only: bool = False) -> None:
        """Ask for what is missing, unless it has been asked for already (spec RR-1, RR-8)."""
        pair = peer.pair(careof)
        if pair.state is RRState.IN_PROGRESS:
            return
        peer.tests = 0
        pair.home_only = home_only
        self._ask(peer, careof, now)

    def _ask(self, peer: Correspondent, careof: IPv4Address, now: float) -> None:
        """New cookies in every attempt; nothing is asked twice that came (spec RR-2, RR-3)."""
        pair = peer.pair(careof)
        pair.state = RRState.IN_PROGRESS
        asked = []
        reachable = self._base.home.registered  # the answers come by the home agent (spec MR-24)
        if not pair.home_only and self._alive(pair.token, now) is None:
            pair.cookie = self._random(COOKIE_OCTETS)
            if reachable:
                self._base.send(CareofTestInit(pair.cookie), careof, peer.home)
            asked.append("care-of")
        if self._alive(peer.home_token, now) is None:
            peer.home_cookie = self._random(COOKIE_OCTETS)
            while peer.home_cookie == pair.cookie:
                peer.home_cookie = self._random(COOKIE_OCTETS)
            if reachable:
                self._base.send(HomeTestInit(peer.home_cookie), self._base.own, peer.home)
            asked.append("home")
        self._base.outbox.say("rr-started", peer=peer.home, careof=careof, asked=asked, attempt=peer.tests + 1)
        if not asked:
            self._proved(peer, careof, now)
            return
        delay = min(2.0**peer.tests, LONGEST)
        peer.tests += 1
        self._base.timers.set(("rr", peer.home), now + delay)

    def timer(self, peer: Correspondent, now: float) -> None:
        """No answer: again, or never mind (spec RR-14)."""
        for careof, pair in peer.pairs.items():
            if pair.state is not RRState.IN_PROGRESS:
                continue
            if peer.tests >= self._base.timing.tries:
                self.abandon(peer)
                self._base.outbox.say("rr-failed", peer=peer.home, careof=careof)
                self.when_failed(peer, now)
            else:
                self._ask(peer, careof, now)
            return

    def abandon(self, peer: Correspondent) -> None:
        """Whatever is in progress is not any more."""
        for pair in peer.pairs.values():
            if pair.state is RRState.IN_PROGRESS:
                pair.state, pair.cookie = RRState.INACTIVE, None
        peer.home_cookie = None
        self._base.timers.cancel(("rr", peer.home))

    def forget(self, peer: Correspondent, careof: IPv4Address, *, home: bool, of_careof: bool) -> None:
        """The correspondent no longer knows a nonce: the tokens made of it are worth nothing (spec MR-18)."""
        pair = peer.pair(careof)
        if home:
            peer.home_token = None
        if of_careof:
            pair.token = None
        if peer.static_key is None:
            pair.state = RRState.INACTIVE

    # --- answers

    def receive(self, test: HomeTest | CareofTest, datagram: Datagram, now: float) -> None:
        """A token, if it was asked for, came from whom it was asked of, and to where (spec RR-6)."""
        peer = self._base.cache.get(datagram.source)
        if peer is None:
            self._base.drop("test_unknown")
            return
        token = Token(test.index, test.token, now)
        careof = self._take_home(peer, test, datagram, token) or self._take_careof(peer, test, datagram, token)
        if careof is None:
            self._base.drop("test_unasked")
            return
        pair = peer.pair(careof)
        if self._alive(peer.home_token, now) and (pair.home_only or self._alive(pair.token, now)):
            self._proved(peer, careof, now)

    def _take_home(
        self, peer: Correspondent, test: HomeTest | CareofTest, datagram: Datagram, token: Token
    ) -> IPv4Address | None:
        if not isinstance(test, HomeTest) or datagram.destination != self._base.own or test.cookie != peer.home_cookie:
            return None
        careof = next((each for each, pair in peer.pairs.items() if pair.state is RRState.IN_PROGRESS), None)
        if careof is not None:
            peer.home_token, peer.home_cookie = token, None
        return careof

    @staticmethod
    def _take_careof(
        peer: Correspondent, test: HomeTest | CareofTest, datagram: Datagram, token: Token
    ) -> IPv4Address | None:
        pair = peer.pairs.get(datagram.destination)
        if not isinstance(test, CareofTest) or pair is None or pair.state is not RRState.IN_PROGRESS:
            return None
        if test.cookie != pair.cookie:
            return None
        pair.token, pair.cookie = token, None
        return datagram.destination

    def _proved(self, peer: Correspondent, careof: IPv4Address, now: float) -> None:
        peer.pair(careof).state = RRState.ACTIVE
        peer.tests = 0
        self._base.timers.cancel(("rr", peer.home))
        self._base.outbox.say("rr-done", peer=peer.home, careof=careof)
        self.when_proved(peer, now)
