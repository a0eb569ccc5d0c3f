"""Neighbor Discovery between Clients: proved by tokens, how a Client is found (spec §5.5, RO-15, MOB-4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

from agents.aero.addresses import aero_address
from agents.aero.constants import ND_HOP_LIMIT
from agents.aero.dataplane.sink import Control
from agents.aero.inner_packets import Inner
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Reachability
from agents.aero.optimisation.candidates import can_be_host
from agents.aero.optimisation.correspondents import Correspondents
from agents.aero.optimisation.pairs import Correspondent
from agents.aero.optimisation.settings import Client
from agents.wire.nd import NdMessage, NeighborAdvertisement, NeighborSolicitation
from agents.wire.nd_options import Auth, Nonce


class Refused(Exception):
    """A message that proves nothing; the text is the name of its counter."""


class Authentication:
    """Judges what Clients send to each other, and puts proof on what we send them."""

    def __init__(self, client: Client, correspondents: Correspondents) -> None:
        self._client = client
        self._correspondents = correspondents
        self.when_heard: Callable[[Correspondent], None] = lambda _correspondent: None
        """A correspondent proved to know where we are now."""
        self.when_seen: Callable[[Correspondent, LinkLayerAddress, float], None] = lambda _sender, _lladdr, _now: None
        """A correspondent proved to be where nobody told us of."""
        self.when_moved: Callable[[Correspondent, float], None] = lambda _correspondent, _now: None
        self.in_vain: Callable[[Correspondent, float], bool] = lambda _correspondent, _now: False
        """Whether a correspondent is better left without an answer."""

    def sealed(self, message: NdMessage, source: IPv6Address, destination: IPv6Address, now: float) -> NdMessage:
        """A message of ours to whoever has this AERO address, with proof if that is a Client (spec §6.7)."""
        correspondent = self._correspondents.get(destination)
        return correspondent.tokens.seal(message, source, destination, now) if correspondent else message

    def admit(self, control: Control, inner: Inner, message: NdMessage, now: float) -> Control | None:
        """The packet as its sender's, once that is proved; None where all is done with it (Refused).

        Packets that are no correspondent's come back as they are.
        """
        correspondent = self._correspondents.get(inner.source)
        if correspondent is None or inner.hop_limit != ND_HOP_LIMIT:
            return control
        advertises = isinstance(message, NeighborAdvertisement)
        self._prove(correspondent, control, inner, message, "na_auth_fail" if advertises else "ns_auth_fail", now)
        moved = advertises and not any(isinstance(option, Nonce) for option in message.options)
        if moved and isinstance(message, NeighborAdvertisement):
            self._moved(correspondent, control, message, now)
            return None
        if isinstance(message, NeighborSolicitation) and self.in_vain(correspondent, now):
            raise Refused("ns_unaccepted")
        self._seen(correspondent, control, now)
        self.when_heard(correspondent)
        if isinstance(message, NeighborSolicitation):
            ours = [prefix for prefix in self._client.prefixes if aero_address(prefix) == inner.destination]
            self._correspondents.refresh(correspondent, ours, now)
        return replace(control, neighbor=correspondent)

    def _prove(
        self, sender: Correspondent, control: Control, inner: Inner, message: NdMessage, failure: str, now: float
    ) -> None:
        if not len(sender.tokens):  # nobody gave us one: the link-layer address must do, and nothing can be changed
            solicited = isinstance(message, NeighborSolicitation) or any(
                isinstance(option, Nonce) for option in message.options
            )
            if sender.path_at(control.lladdr) is None or not solicited:
                raise Refused(failure)
            return
        auth = message.options[-1] if message.options else None
        if not isinstance(auth, Auth):
            raise Refused(failure)
        if not sender.tokens.accept(auth, inner.payload, inner.source, inner.destination, now):
            raise Refused(failure)

    def _seen(self, sender: Correspondent, control: Control, now: float) -> None:
        """Proved to be at a link-layer address that nobody told us of (spec RO-15)."""
        lladdr = control.lladdr
        if sender.path_at(lladdr) or not can_be_host(lladdr.ip) or lladdr in self._client.own_lladdrs():
            return
        if lladdr.encapsulation is Encapsulation.UDP:
            self._correspondents.found_at(sender, lladdr)
            self.when_seen(sender, lladdr, now)
        elif any(path.lladdr.ip == lladdr.ip for path in sender.paths):  # spec §2.10
            # In another encapsulation it is only being tried: each sender decides for itself (spec ENC-10).
            self._correspondents.found_at(sender, lladdr, preference=0)

    def _moved(self, sender: Correspondent, control: Control, message: NeighborAdvertisement, now: float) -> None:
        """It says that it is elsewhere now: at the address that the message came from (spec MOB-4)."""
        lladdr = control.lladdr
        if message.target != sender.address or message.solicited or lladdr in self._client.own_lladdrs():
            raise Refused("nd_wrong_source")
        known = sender.path_at(lladdr)
        if known and len(sender.paths) == 1 and known.reachability is not Reachability.FAILED:
            self.when_heard(sender)
            return  # a repetition
        self._correspondents.moved_to(sender, lladdr)
        self._correspondents.outbox.say("correspondent-moved", correspondent=sender.address, lladdr=str(lladdr))
        self.when_heard(sender)
        self.when_moved(sender, now)
