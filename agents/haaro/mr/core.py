"""The mobile router's core: five doors over its registrations, its correspondents and its tunnels (spec MR-*, CR-*)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from agents.core import Event
from agents.haaro.config import MrConfig
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.cache import Cache, Correspondent
from agents.haaro.mr.correspondent import CorrespondentRole
from agents.haaro.mr.describing import describe
from agents.haaro.mr.handover import Handover
from agents.haaro.mr.home_path import HomePath
from agents.haaro.mr.optimisation import Optimisation
from agents.haaro.mr.plan import router_plan
from agents.haaro.mr.registration import HomeRegistration
from agents.haaro.mr.routability import Routability
from agents.haaro.mr.tunnels import Tunnels
from agents.haaro.notices import (
    Datagram,
    Echo,
    Leave,
    LineDown,
    LineUp,
    Move,
    Networks,
    Notice,
    OwnNetworks,
    TrafficSeen,
)
from agents.wire.errors import DecodeError
from agents.wire.mip4 import decode
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    Message,
    RegistrationReply,
    RegistrationRequest,
)


class MrCore:
    """A mobile router without sockets, kernel or clock."""

    def __init__(self, config: MrConfig) -> None:
        self.config = config
        self._base = base = MrBase(config, router_plan)
        self._home = HomeRegistration(base)
        self._tunnels = Tunnels(base)
        self._routability = Routability(base)
        self._optimisation = Optimisation(base, self._routability, self._tunnels)
        self._correspondent = CorrespondentRole(base, self._tunnels, self._home.solicit)
        self._handover = Handover(base, self._home, self._optimisation, self._tunnels)
        self._home_path = HomePath(base, self._home)
        self._correspondent.when_given_up = self._home.stop_soliciting
        self._correspondent.when_superseded = self._optimisation.drop
        self._home.when_registered = self._registered
        self._home.when_answered = self._correspondent.answered
        self._optimisation.when_ended = self._leave_home
        self._tunnels.when_up = self._optimisation.mutual
        self.left = False
        """Deregistered everywhere, after Leave."""
        self._home.when_left = self._gone

    @property
    def cache(self) -> Cache:
        """What is known of others."""
        return self._base.cache

    @property
    def registered(self) -> bool:
        """The home agent forwards to us."""
        return self._base.home.registered

    # --- doors

    def start(self, now: float) -> None:
        """Register by the most preferred line that is up."""
        self._base.reconcile()
        best = self._base.lines.best()
        if best:
            self._home.use(best, now)

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a signalling message, a keepalive, or a word of data plane or kernel."""
        match message:
            case Datagram():
                self._receive_datagram(message, now)
            case Echo():
                self._receive_echo(message, now)
            case TrafficSeen():
                self._home_path.used(now)
                self._optimisation.wanted(message.source, message.destination, now)
            case LineUp():
                self._handover.line_up(message.interface, now)
            case LineDown():
                self._handover.line_down(message.interface, now)
            case Move():
                self._handover.move(message.interface, now)
            case Networks():
                self._base.outbox.do(OwnNetworks(message.prefixes))
                self._home.offer(message.prefixes, now)
            case Leave():
                self._leave(now)

    def handle_timer(self, now: float) -> None:
        """Whatever is due."""
        for what, home in self._base.timers.take(now):
            self._timer(what, home, now)

    def _timer(self, what: str, home: IPv4Address, now: float) -> None:
        if what == "home-keepalive":
            self._home_path.timer(now)
        elif what.startswith("home"):
            self._home.timer(what, now)
        elif what == "parked":
            self._correspondent.timer(home, now)
        elif peer := self.cache.get(home):
            self._peer_timer(what, peer, now)

    def _peer_timer(self, what: str, peer: Correspondent, now: float) -> None:
        match what:
            case "rr":
                self._routability.timer(peer, now)
            case "rrq" | "refresh" | "outgoing-expiry" | "held":
                self._optimisation.timer(what, peer, now)
            case "mutual":
                self._optimisation.mutual(peer, now)
            case "incoming-expiry":
                self._correspondent.expire(peer, now)
            case _:
                self._tunnels.timer(what, peer, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return self._base.timers.next_timer()

    def actions(self) -> Iterator[Any]:
        """What to do now, in order."""
        return self._base.outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._base.outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Registration, cache, forwarding, counters."""
        base = self._base
        return {
            "role": "mr",
            "name": self.config.name,
            "home_address": base.own,
            "registered": base.home.expires,
            "careof": base.home.careof,
            "udp": base.home.udp,
            "haaro": base.home.haaro,
            "networks": base.home.networks,
            "outbound_only": base.lines.outbound_only,
            "correspondents": [describe(peer) for peer in base.cache],
            "items": [f"{kind} {name}".strip() for kind, name in base.plan],
            "counters": dict(base.counters),
        }

    # --- what arrived

    def _receive_datagram(self, datagram: Datagram, now: float) -> None:
        try:
            message = decode(datagram.data)
        except DecodeError as error:
            self._base.drop(error.kind.value.replace("-", "_"))
            return
        self._dispatch(message, datagram, now)

    def _dispatch(self, message: Message, datagram: Datagram, now: float) -> None:
        """By type, and by whether it is a matter between routers (spec §1.6)."""
        match message:
            case RegistrationRequest():
                self._correspondent.receive(message, datagram, now)
            case RegistrationReply() if datagram.source == self.config.home_agent:
                self._home.receive(message, datagram, now)
            case RegistrationReply():
                self._optimisation.receive(message, datagram, now)
            case HomeTestInit() | CareofTestInit():
                self._correspondent.test(message, datagram, now)
            case HomeTest() | CareofTest():
                self._routability.receive(message, datagram, now)
            case _:
                self._base.drop("unexpected")

    def _receive_echo(self, echo: Echo, now: float) -> None:
        if echo.source == self.config.home_agent == echo.remote:  # another outer source proves nothing (spec TUN-5)
            self._home_path.receive(echo)
        else:
            self._tunnels.receive(echo, now)

    # --- what follows

    def _registered(self, moved: bool, now: float) -> None:
        self._home_path.registered(now)
        self._handover.registered(moved, now)
        if self.config.mesh:
            for peer in self.cache:
                if peer.known:
                    self._optimisation.start(peer, now)

    def _leave(self, now: float) -> None:
        """Correspondents first, since their replies come by the home agent (spec 7.3)."""
        base = self._base
        if base.leaving:
            return
        base.leaving = True
        for peer in base.cache:
            if peer.outgoing or peer.incoming:
                self._optimisation.finish(peer, now)
        self._leave_home(now)

    def _leave_home(self, now: float) -> None:
        if self._base.leaving and not any(peer.outgoing for peer in self.cache):
            self._home.leave(now)

    def _gone(self) -> None:
        self.left = True
