"""A Client whose own link-layer address changes: what others are told (spec MOB-3, MOB-5, MOB-14, RO-18)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.constants import MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER
from agents.aero.inner_packets import push_discovery
from agents.aero.lladdr import Encapsulation
from agents.aero.neighbors import Path
from agents.aero.notices import SendControl
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import UNSPECIFIED, header_between, push_mediation
from agents.aero.optimisation.pairs import Correspondent
from agents.aero.optimisation.settings import Client
from agents.aero.optimisation.transit import control_lladdr
from agents.timers import Timers
from agents.wire.nd import NeighborAdvertisement, Redirect
from agents.wire.redirects import Framing


@dataclass
class _Announcement:
    sent: int = 0


class Moving:
    """Tells correspondents where we are."""

    def __init__(self, client: Client, correspondents: Correspondents) -> None:
        self._client = client
        self._correspondents = correspondents
        self._announcements: dict[IPv6Address, _Announcement] = {}
        self._timers: Timers[IPv6Address] = Timers()
        self._untold: set[IPv6Address] = set()
        """Who cannot be told before our Server knows where we are."""

    def moved(self, now: float, *, router: bool) -> None:
        """We are elsewhere: tell everybody, in both directions; without a token, back to the Servers (spec MOB-5)."""
        for each in list(self._correspondents):
            self._begin_anew(each)
            if len(each.tokens):
                self._announcements[each.address] = _Announcement()
                self._announce(each, now, router=router)
            else:
                self._untold.add(each.address)
                for forward in list(each.forward.values()):
                    self._correspondents.leave(each, forward, "moved")

    def confirmed(self, now: float) -> None:
        """Our Server has heard of the move: what it passes on for us is believed."""
        for correspondent in [self._correspondents.get(address) for address in self._untold]:
            if correspondent:
                self.withdraw(correspondent, now)
        self._untold.clear()

    def _begin_anew(self, correspondent: Correspondent) -> None:
        """What was known of the paths held for where we were; only UDP was announced to be found there again."""
        mtu = self._correspondents.mtu
        fresh = [
            Path.to(path.lladdr, mtu(path.lladdr), link_id=path.link_id, nat=path.nat)
            for path in correspondent.paths
            if path.lladdr.encapsulation is Encapsulation.UDP
        ]
        self._correspondents.cache.set_paths(correspondent, fresh or correspondent.paths)

    def heard(self, correspondent: Correspondent) -> None:
        """It knows where we are."""
        if self._announcements.pop(correspondent.address, None):
            self._timers.cancel(correspondent.address)

    def next_timer(self) -> float | None:
        """When an announcement is to be repeated."""
        return self._timers.next_timer()

    def handle_timer(self, now: float, *, router: bool) -> None:
        """Announce again; after the last time, the correspondent finds out by itself (spec MOB-14)."""
        for address in list(self._timers.take(now)):
            correspondent = self._correspondents.get(address)
            if correspondent and address in self._announcements:
                self._announce(correspondent, now, router=router)

    def _announce(self, correspondent: Correspondent, now: float, *, router: bool) -> None:
        announcement, lladdr = self._announcements[correspondent.address], control_lladdr(correspondent)
        if lladdr is None or announcement.sent >= MAX_NEIGHBOR_ADVERTISEMENT:
            del self._announcements[correspondent.address]
            return
        announcement.sent += 1
        self._timers.set(correspondent.address, now + RETRANS_TIMER)
        peer = correspondent.address
        for own in sorted(correspondent.owns):  # it knows each of them as a neighbor of its own
            message = NeighborAdvertisement(own, router, override=True, options=self._client.told_lladdrs())
            sealed = correspondent.tokens.seal(message, own, peer, now)
            self._correspondents.outbox.do(SendControl(push_discovery(sealed, own, peer), lladdr))

    def withdraw(self, correspondent: Correspondent, now: float) -> None:
        """Ask a source to go back to its Server: a NULL Redirect for each of its pairs (RFC 6706 §6.4.12).

        Without a token it would prove nothing to the source, which believes its own Server only (spec RO-18): the
        Servers pass it on, as they do with a Redirect.
        """
        to = correspondent if len(correspondent.tokens) else self._correspondents.cache.default
        lladdr = control_lladdr(to) if to else None
        if to is None or lladdr is None:
            return
        own, framing = correspondent.own, Framing[self._client.settings.framing.upper()]
        for pair in correspondent.accept:
            null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (header_between(pair.source, pair.destination),))
            sealed = correspondent.tokens.seal(null, own, to.address, now)
            assert isinstance(sealed, Redirect)
            self._correspondents.outbox.do(SendControl(push_mediation(sealed, framing, own, to.address), lladdr))
