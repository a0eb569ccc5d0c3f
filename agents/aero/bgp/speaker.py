"""An agent's end of BGP: what it wants announced, whether that was heard, and whom it may use (spec §8).

Part of a core: no socket, no clock.  ExaBGP and its program may come and go; each time they come they are told
everything, since they know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Address
from typing import Any

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Route, Underlay
from agents.aero.bgp.notices import BgpConnected, BgpGone, BgpNews, BgpNotice, ToBgp
from agents.aero.bgp.rib import Policy
from agents.core import Outbox
from agents.plain import plain

BATCH = 256
"""Routes told in one message."""


class Speaker:
    """Everything an agent says by BGP."""

    def __init__(self, policy: Policy, outbox: Outbox) -> None:
        self.connected = False
        self.counters: dict[str, int] = {}
        """Of the program that reads what peers say."""
        self._policy = policy
        self._outbox = outbox
        self._routes: dict[Prefix, dict[tuple[Underlay, ...], Route]] = {}
        """By prefix, and by whom they are for."""
        self._unconfirmed: set[Prefix] = set()
        self._up: dict[Underlay, bool] = {}
        self.when_confirmed: Callable[[Prefix, float], None] = lambda _prefix, _now: None
        """ExaBGP took an announcement, or will not: nothing is to be waited for."""
        self.when_routes: Callable[[list[tuple[Prefix, list[IPv6Address]]], float], None] = lambda _routes, _now: None
        """Prefixes that go another way now: whom to use, the best first."""
        self.when_peer: Callable[[IPv6Address, bool, float], None] = lambda _neighbor, _up, _now: None

    # --- what is announced

    def announce(self, *routes: Route) -> None:
        """Announce routes, or announce them anew with other attributes."""
        for route in routes:
            self._routes.setdefault(route.prefix, {})[route.peers] = route
            self._unconfirmed.add(route.prefix)
            self._outbox.say("route-announced", prefix=route.prefix, next_hop=route.next_hop, med=route.med)
        self._tell("announce", routes)

    def withdraw(self, prefix: Prefix) -> None:
        """Withdraw whatever is announced of a prefix."""
        gone = self._routes.pop(prefix, {})
        self._unconfirmed.discard(prefix)
        if gone:
            self._outbox.say("route-withdrawn", prefix=prefix)
            self._tell("withdraw", gone.values())

    def announced(self, prefix: Prefix) -> bool:
        """Whether a prefix is announced."""
        return prefix in self._routes

    @property
    def in_session(self) -> bool:
        """Whether anybody speaks with us."""
        return any(self._up.values())

    def waiting(self, prefixes: Iterable[Prefix]) -> bool:
        """Whether an announcement of one of them is still to be confirmed, by somebody who could."""
        return self.connected and any(prefix in self._unconfirmed for prefix in prefixes)

    def _tell(self, what: str, routes: Iterable[Route]) -> None:
        whole = list(routes) if self.connected else []
        for start in range(0, len(whole), BATCH):
            self._outbox.do(ToBgp({what: plain(whole[start : start + BATCH])}))

    # --- what is heard

    def receive(self, notice: BgpNotice, now: float) -> None:
        """Take what the program of ExaBGP says, or its coming and going."""
        match notice:
            case BgpConnected():
                self.connected = True
                self._outbox.say("bgp-speaker", connected=True)
                self._outbox.do(ToBgp({"policy": plain(self._policy)}))
                self._unconfirmed = set(self._routes)
                self._tell("announce", self._all())
            case BgpGone():
                self._gone(now)
            case BgpNews():
                self._news(notice, now)

    def _all(self) -> Iterator[Route]:
        return (route for of_prefix in self._routes.values() for route in of_prefix.values())

    def _gone(self, now: float) -> None:
        self.connected = False
        self._outbox.say("bgp-speaker", connected=False)
        waiting, self._unconfirmed = self._unconfirmed, set()
        for prefix in waiting:
            self.when_confirmed(prefix, now)
        self._peers(dict.fromkeys([peer for peer, up in self._up.items() if up], False), now)

    def _news(self, news: BgpNews, now: float) -> None:
        self.counters = news.counters or self.counters
        self._peers(news.peers, now)
        if news.routes:
            self.when_routes(news.routes, now)
        for prefix in news.refused:
            self._outbox.say("route-refused", prefix=prefix)
        for prefix in (*news.confirmed, *news.refused):
            self._unconfirmed.discard(prefix)
            self.when_confirmed(prefix, now)

    def _peers(self, peers: dict[Underlay, bool], now: float) -> None:
        for source in self._policy.sources:
            up = peers.get(source.peer)
            if up is not None and up != self._up.get(source.peer, False):
                self._up[source.peer] = up
                self._outbox.say("bgp-session", neighbor=source.neighbor, peer=source.peer, up=up)
                self.when_peer(source.neighbor, up, now)

    # --- for people

    def inspect(self) -> dict[str, Any]:
        """Sessions, announcements and counters."""
        return {
            "connected": self.connected,
            "sessions": {str(source.neighbor): self._up.get(source.peer, False) for source in self._policy.sources},
            "announced": {str(route.prefix): route.med for route in self._all()},
            "counters": self.counters,
        }
