"""What a Client tells a correspondent that sends directly what is not accepted: to use its Server (RFC 6706 §6.4.12).

A Client that was started anew answers the solicitations of those whom it sends to itself, so that their paths to it
stay alive, but it has no ACCEPT pair for what they send: without a word of it that would be lost for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from agents.aero.addresses import aero_address
from agents.aero.dataplane.inner import ends
from agents.aero.neighbors import Inner
from agents.aero.notices import SendControl, Unaccepted
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import UNSPECIFIED, covering, push_mediation
from agents.aero.optimisation.pairs import Correspondent
from agents.aero.optimisation.settings import Client
from agents.wire.nd import Redirect
from agents.wire.nd_options import RedirectedHeader
from agents.wire.redirects import Framing

INTERVAL = 1.0
"""Seconds between two words to one correspondent: they may be larger than what they are about."""
IN_VAIN = 6.0
"""So long after data that was not accepted a solicitation is not answered where no token proves a word: its sender
asks every five seconds while it sends, and goes back to its Server when it hears nothing."""


class Refusals:
    """Answers data that no ACCEPT pair covers."""

    def __init__(self, client: Client, correspondents: Correspondents) -> None:
        self._client = client
        self._correspondents = correspondents

    def refused(self, notice: Unaccepted, now: float) -> None:
        """Data came from where a correspondent is, for a pair that we know nothing of."""
        source, destination = ends(notice.packet)
        mine = covering(tuple(self._client.prefixes), destination)
        if mine is None:
            return
        for sender in self._senders(notice, source):
            if sender.accepts(source, destination) or now - sender.refused < INTERVAL:
                continue
            sender.refused = now
            if len(sender.tokens):
                self._tell(sender, aero_address(mine), notice, now)

    def in_vain(self, sender: Correspondent, now: float) -> bool:
        """Whether an answer would keep a path alive that leads nowhere, and nothing else can be said."""
        return not len(sender.tokens) and not sender.accept and now - sender.refused < IN_VAIN

    def _senders(self, notice: Unaccepted, source: Inner) -> Iterator[Correspondent]:
        """Those at the link-layer address whose prefix the source is of, as far as we know their prefixes."""
        cache = self._correspondents.cache
        for each in (cache.at(notice.lladdr), *cache.fellows(notice.lladdr)):
            if isinstance(each, Correspondent):
                known = (*(pair.destination for pair in each.forward), *(pair.source for pair in each.accept))
                if covering(known, source):
                    yield each

    def _tell(self, sender: Correspondent, own: IPv6Address, notice: Unaccepted, now: float) -> None:
        null = Redirect(UNSPECIFIED, UNSPECIFIED, False, (RedirectedHeader(notice.packet),))
        sealed = sender.tokens.seal(null, own, sender.address, now)
        assert isinstance(sealed, Redirect)
        framing = Framing[self._client.settings.framing.upper()]
        packet = push_mediation(sealed, framing, own, sender.address)
        self._correspondents.outbox.do(SendControl(packet, notice.lladdr))
