"""Which Relay a Server sends to: the first of its list that offers a default route and answers (spec RLY-8)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import PermanentNeighbor
from agents.aero.neighbors import Neighbor, NeighborCache
from agents.core import Outbox


class Relays:
    """The choice, kept up to date in the cache's default."""

    def __init__(
        self, relays: Sequence[PermanentNeighbor], cache: NeighborCache, speaker: Speaker, outbox: Outbox
    ) -> None:
        self._order = [relay.address for relay in relays]
        self._cache = cache
        self._speaker = speaker
        self._outbox = outbox
        self._offers: dict[Prefix, set[IPv6Address]] = {}
        speaker.when_routes = self._offered

    def choose(self) -> None:
        """Take the best Relay there is now."""
        best = next((relay for relay in map(self._usable, self._order) if relay), None)
        if best is not self._cache.default:
            self._cache.default = best
            self._cache.changed()
            self._outbox.say("relay-chosen", relay=best.address if best else None)

    def forget(self) -> None:
        """Nobody listens any more to what Relays offer."""
        self._offers.clear()

    def _offered(self, routes: list[tuple[Prefix, list[IPv6Address]]], now: float) -> None:
        for prefix, relays in routes:
            self._offers[prefix] = set(relays)
        self.choose()

    def _usable(self, address: IPv6Address) -> Neighbor | None:
        """A Relay that answers; with no session at all it is not theirs that failed, and any that answers will do."""
        relay = self._cache.get(address)
        offered = not self._speaker.in_session or any(address in relays for relays in self._offers.values())
        return relay if relay and relay.path and offered else None
