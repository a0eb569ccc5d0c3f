"""What a Server announces: its Clients' prefixes, so that the newest attachment wins (spec §8, SRV-2, MOB-8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Route, next_hop
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import ServerConfig
from agents.aero.notices import SendControl
from agents.core import Outbox, WallClock

MED_BASE = 4294967295
PATIENCE = 0.25
"""Seconds that a Reply waits for ExaBGP to take the announcement: it usually takes two thousandths."""


@dataclass(eq=False)
class Held:
    """A Reply that waits until the prefixes it gives are announced."""

    prefixes: tuple[Prefix, ...]
    reply: SendControl
    due: float


class Announcing:
    """Announcements of one Server, and the Replies that wait for them."""

    def __init__(self, config: ServerConfig, speaker: Speaker, outbox: Outbox, wall: WallClock) -> None:
        """`wall`: the clock that all Servers have in common (spec §11)."""
        self._addresses = [address for link in config.links for address in link.addresses]
        self._speaker = speaker
        self._outbox = outbox
        self._wall = wall
        self._held: list[Held] = []
        self._last: dict[Prefix, int] = {}
        self._before = MED_BASE
        """The lowest MED used before this start: a clock that stepped back must not make us older."""
        self.lowest = MED_BASE
        """Of all MEDs ever used here."""
        speaker.when_confirmed = lambda _prefix, now: self._release(now)

    def restore(self, lowest: int) -> None:
        """Remember what was used before."""
        self._before = self.lowest = lowest

    def granted(self, prefixes: Iterable[Prefix], *, attached: bool, now: float) -> None:
        """A Reply gives prefixes: announce them anew if it answers an attachment, else those that are not announced."""
        for prefix in prefixes:
            hop = next_hop(self._addresses, prefix.version)
            if hop and (attached or not self._speaker.announced(prefix)):
                self._speaker.announce(Route(prefix, hop, self._med(prefix, now)))

    def lost(self, prefix: Prefix) -> None:
        """The prefix is no Client's of ours any more."""
        self._speaker.withdraw(prefix)

    def _med(self, prefix: Prefix, now: float) -> int:
        """The newest attachment has the lowest MED; never one that was used before (spec §11, clock)."""
        med = max(0, min(MED_BASE - int(self._wall.at(now)), self._last.get(prefix, self._before) - 1))
        self._last[prefix] = med
        self.lowest = min(self.lowest, med)
        return med

    # --- Replies

    def send(self, reply: SendControl, prefixes: Iterable[Prefix], now: float) -> None:
        """Send a Reply when its prefixes are announced, or when that takes too long."""
        mine = tuple(prefixes)
        if self._speaker.waiting(mine):
            self._held.append(Held(mine, reply, now + PATIENCE))
        else:
            self._outbox.do(reply)

    def next_timer(self) -> float | None:
        """When a Reply has waited long enough."""
        return min((each.due for each in self._held), default=None)

    def handle_timer(self, now: float) -> None:
        """Send it all the same: ExaBGP is busy or stuck."""
        self._release(now)

    def _release(self, now: float) -> None:
        ready = [each for each in self._held if each.due <= now or not self._speaker.waiting(each.prefixes)]
        self._held = [each for each in self._held if each not in ready]
        self._outbox.do(*(each.reply for each in ready))
