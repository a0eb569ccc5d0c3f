"""A Client as the target of a flow: it accepts Predirects and answers with Redirects (spec RO-4 to RO-7)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, aero_address
from agents.aero.constants import ACCEPT_TIME
from agents.aero.discovery.base import Answer, Solicitation, Solicitations
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, Path, Reachability
from agents.aero.notices import SendControl
from agents.aero.optimisation.candidates import usable
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import Mediation, compose, covering, inside, push_mediation
from agents.aero.optimisation.pairs import Correspondent, PrefixPair
from agents.aero.optimisation.settings import Client
from agents.aero.optimisation.transit import control_lladdr
from agents.wire.redirects import Framing

OPENINGS = 2
"""Solicitations that open our own NAT for the source, a second apart: one may be lost."""


class Target:
    """Takes Predirects."""

    def __init__(self, client: Client, correspondents: Correspondents, solicitations: Solicitations) -> None:
        self._client = client
        self._correspondents = correspondents
        self._solicitations = solicitations

    def predirected(self, server: Neighbor, mediation: Mediation, now: float) -> str | None:
        """Take a Predirect of a Server of ours; the name of a counter when it is dropped."""
        if not self._client.settings.target:
            return "predirect_refused"
        prefixes, theirs = self._client.prefixes, mediation.prefix
        prefix = covering(tuple(prefixes), mediation.destination)
        if theirs is None or prefix is None or any(inside(theirs, own) or inside(own, theirs) for own in prefixes):
            return "redirect_prefix"
        lladdrs = usable(mediation.lladdrs, self._client)
        if not lladdrs or not mediation.lifetime:
            return "redirect_lladdr"
        source = self._correspondents.meet(mediation.message.target, aero_address(prefix), lladdrs)
        if source is None:
            return "redirect_prefix"
        until = now + min(ACCEPT_TIME, mediation.lifetime)
        if mediation.token:
            source.tokens.of(aero_address(prefix)).put(mediation.token, until, now, shared=False)
        self._correspondents.accept(source, PrefixPair(theirs, prefix), until)
        self._open(source, aero_address(prefix), [lladdr for lladdr, _nat in lladdrs], now)
        self._answer(server, mediation, prefix, prefixes[prefix] - now)
        return None

    def _open(self, source: Correspondent, own: IPv6Address, lladdrs: Sequence[LinkLayerAddress], now: float) -> None:
        """Let our own NAT or firewall know whom we talk to; the source may not know us yet (spec RO-5)."""
        for lladdr in lladdrs:
            path = source.path_at(lladdr)
            if path and not self._solicitations.asking(source, lladdr):
                self._solicitations.send(
                    source,
                    lladdr,
                    now,
                    own=own,
                    answered=partial(self._reached, path),
                    retries=OPENINGS,
                    sealed=source.tokens.of(own).introduce,
                )

    def _reached(self, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        path.reachability = Reachability.REACHABLE

    def _answer(self, server: Neighbor, mediation: Mediation, prefix: Prefix, lifetime: float) -> None:
        """The Redirect goes to the Server that the Predirect came from (spec RO-5, RO-7)."""
        lladdr = control_lladdr(server)
        if lladdr is None:
            return
        message = compose(
            predirect=False,
            prefix=prefix,
            lifetime=lifetime,
            lladdrs=self._client.told_lladdrs(),
            token=mediation.token,
            header=mediation.header,
        )
        framing = Framing[self._client.settings.framing.upper()]
        self._correspondents.outbox.do(
            SendControl(push_mediation(message, framing, aero_address(prefix), server.address), lladdr)
        )
