"""What a Server announces: its Clients' prefixes, so that the newest attachment wins (spec §8, SRV-2, MOB-8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Route
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import ServerConfig
from agents.aero.notices import SendControl
from agents.core import Outbox

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

    def __init__(self, config: ServerConfig, speaker: Speaker, outbox: Outbox) -> None:
        self._addresses = [address for link in config.links for address in link.addresses]
        self._speaker = speaker
        self._outbox = outbox
        self._held: list[Held] = []
        self._last: dict[Prefix, int] = {}
        self._lowest = MED_BASE
        """Of all MEDs used here before this start: a clock that stepped back must not make us older."""
        speaker.when_confirmed = lambda _prefix, now: self._release(now)

    @property
    def lowest(self) -> int:
        """The lowest MED ever used here."""
        return min([self._lowest, *self._last.values()])

    def restore(self, lowest: int) -> None:
        """Remember what was used before."""
        self._lowest = lowest

    def granted(self, prefixes: Iterable[Prefix], *, attached: bool, now: float) -> None:
        """A Reply gives prefixes: announce them anew if it answers an attachment, else those that are not announced."""
        for prefix in prefixes:
            hop = _next_hop(self._addresses, prefix.version)
            if hop and (attached or not self._speaker.announced(prefix)):
                self._speaker.announce(Route(prefix, hop, self._med(prefix, now)))

    def lost(self, prefix: Prefix) -> None:
        """The prefix is no Client's of ours any more."""
        self._speaker.withdraw(prefix)

    def _med(self, prefix: Prefix, now: float) -> int:
        """The newest attachment has the lowest MED; never one that was used before (spec §11, clock)."""
        med = min(MED_BASE - int(now), self._last.get(prefix, self._lowest) - 1)
        self._last[prefix] = max(0, med)
        return self._last[prefix]

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


def _next_hop(addresses: list[IPv4Address | IPv6Address], version: int) -> IPv4Address | IPv6Address | None:
    """Our underlay address of a prefix's version; for IPv6 over an IPv4-only underlay, our IPv4 one, mapped."""
    same = next((each for each in addresses if each.version == version), None)
    if same or version == 4 or not addresses:
        return same
    return IPv6Address(0xFFFF << 32 | int(addresses[0]))
