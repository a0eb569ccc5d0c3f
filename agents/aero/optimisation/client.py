"""All that a Client does to correspond directly with other Clients, behind one door (spec RO-*, MOB-3 to MOB-5)."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix
from agents.aero.dataplane.sink import Control
from agents.aero.discovery.core import Discovery
from agents.aero.inner_packets import Inner
from agents.aero.neighbors import Neighbor, NeighborType
from agents.aero.optimisation.authentication import Authentication, Refused
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.messages import Kind, Mediation
from agents.aero.optimisation.moving import Moving
from agents.aero.optimisation.pairs import Correspondent
from agents.aero.optimisation.settings import Client
from agents.aero.optimisation.source import Source
from agents.aero.optimisation.target import Target
from agents.aero.optimisation.unaccepted import Refusals
from agents.core import Outbox
from agents.timers import earliest
from agents.wire.nd import NdMessage


class Correspondence:
    """Direct paths to other Clients."""

    def __init__(self, client: Client, discovery: Discovery, outbox: Outbox) -> None:
        solicitations = discovery.solicitations
        self._client = client
        self._discovery = discovery
        self.correspondents = Correspondents(discovery.cache, outbox, client.path_mtu, client.wall)
        self._target = Target(client, self.correspondents, solicitations)
        self._source = Source(client, self.correspondents, solicitations, discovery.encapsulations)
        self._moving = Moving(client, self.correspondents)
        self.refusals = Refusals(client, self.correspondents)
        self._authentication = Authentication(client, self.correspondents)
        self._authentication.in_vain = self.refusals.in_vain
        self._authentication.when_heard = self._moving.heard
        self._authentication.when_seen = self._source.seen
        self._authentication.when_moved = self._confirm
        self.correspondents.when_gone = self._gone
        solicitations.sealed = self._authentication.sealed
        solicitations.own = self._own_toward

    def _own_toward(self, neighbor: Neighbor) -> IPv6Address | None:
        return neighbor.own if isinstance(neighbor, Correspondent) else self._client.address

    # --- messages

    def mediated(self, control: Control, mediation: Mediation, now: float) -> str | None:
        """Take a Predirect, a Redirect or one of their kin; the name of a counter when it is dropped."""
        server = control.neighbor
        of_server = server is not None and server.router and server.type is NeighborType.STATIC
        if of_server and server and mediation.inner.source == server.address:
            return self._of_server(server, mediation, now)
        if mediation.kind in (Kind.NULL, Kind.KEEPALIVE):
            return self._of_client(control, mediation, now)
        return "origin_fail"

    def _of_server(self, server: Neighbor, mediation: Mediation, now: float) -> str | None:
        match mediation.kind:
            case Kind.PREDIRECT:
                return self._target.predirected(server, mediation, now)
            case Kind.REDIRECT:
                return self._source.redirected(mediation, now)
            case Kind.NULL:
                return self._end(list(self.correspondents), mediation)
            case _:
                return "redirect_unexpected"

    def _of_client(self, control: Control, mediation: Mediation, now: float) -> str | None:
        """A word between Clients, without a Server: it can end a pair or keep one, and make none (spec RO-18, A7)."""
        inner = mediation.inner
        sender = self.correspondents.get(inner.source)
        if sender is None:
            return "origin_fail"
        if mediation.kind is Kind.KEEPALIVE:
            return self._kept(sender, control, mediation, now)
        auth = mediation.auth
        if auth is None or not sender.tokens.accept(auth, mediation.octets, inner.source, inner.destination, now):
            return "redirect_auth_fail"
        return self._end([sender], mediation)

    def _end(self, senders: list[Correspondent], mediation: Mediation) -> str | None:
        for each in senders:
            for forward in list(each.forward.values()):
                if forward.pair.covers(mediation.source, mediation.destination):
                    self.correspondents.leave(each, forward, "null-redirect")
                    return None
        return "redirect_unused"

    def _kept(self, sender: Correspondent, control: Control, mediation: Mediation, now: float) -> str | None:
        if sender.path_at(control.lladdr) is None or mediation.message.target != sender.address:
            return "origin_fail"
        for pair in sender.accept:
            if pair.covers(mediation.source, mediation.destination):
                self.correspondents.refresh(sender, (pair.destination,), now)
                return None
        return "redirect_unused"

    def admit(self, control: Control, inner: Inner, message: NdMessage, now: float) -> Control | str | None:
        """A packet of Neighbor Discovery as its sender's; a counter's name when it is dropped; None when it is done."""
        try:
            return self._authentication.admit(control, inner, message, now)
        except Refused as refused:
            return str(refused)

    # --- what happens to us

    def moved(self, now: float) -> None:
        """Our link-layer address is another."""
        for each in self.correspondents:  # what was asked from where we were is answered there
            self._discovery.solicitations.forget(each)
        self._source.moved()
        self._moving.moved(now, router=self._client.router)
        for each in list(self.correspondents):
            if len(each.tokens):  # who else would answer to where we are now?
                self._confirm(each, now)

    def confirmed(self, now: float) -> None:
        """Our Server knows where we are."""
        self._moving.confirmed(now)

    def withdraw(self, now: float) -> None:
        """We leave: sources had better use their Servers."""
        for each in list(self.correspondents):
            self._moving.withdraw(each, now)

    def prune(self, own: Collection[Prefix]) -> None:
        """Our prefixes are these."""
        self.correspondents.prune(own)

    def path_failed(self, correspondent: Correspondent, now: float) -> None:
        """Nothing reaches a correspondent any more."""
        self._source.lost(correspondent, now)

    def _confirm(self, correspondent: Correspondent, now: float) -> None:
        """Whether the path in use works where it leads now; data goes there meanwhile (spec MOB-4)."""
        self._source.confirm(correspondent, now)

    def _gone(self, correspondent: Correspondent) -> None:
        self._moving.heard(correspondent)
        self._discovery.forget(correspondent)

    # --- time

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return earliest(self.correspondents, self._source, self._moving)

    def handle_timer(self, now: float) -> None:
        """Pairs end, direct paths are asked for signs of life, announcements are repeated."""
        self.correspondents.handle_timer(now)
        self._source.handle_timer(now)
        self._moving.handle_timer(now, router=self._client.router)
