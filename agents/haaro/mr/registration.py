"""Registration with the home agent: when to ask, what to ask for, what to make of the answer (spec MR-1..MR-6)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.compression import decode_advertisement
from agents.haaro.config import AccessLine
from agents.haaro.identification import answers
from agents.haaro.keys import genuine_home, sign_home
from agents.haaro.mr.base import MrBase
from agents.haaro.notices import Datagram
from agents.wire.mip4_codes import Code, NextHeader
from agents.wire.mip4_extension_lists import AnyExtension
from agents.wire.mip4_extensions import (
    MobileHomeAuth,
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

SPACING = 1.0
"""Seconds between two requests to one target (spec MR-21)."""
REFRESH = 0.75
"""Part of the lifetime after which a registration is renewed."""
BACK_OFF = 30.0
"""Seconds before a refused registration is tried again."""
PATIENCE = 3
"""Requests without an answer after which another line is tried."""
FAREWELL_TRIES = 2


class HomeRegistration:
    """The requests to the home agent, one at a time."""

    def __init__(self, base: MrBase) -> None:
        self._base = base
        self._agent = base.config.home_agent
        self._line: AccessLine | None = None
        """By which we register, or try to."""
        self._request: RegistrationRequest | None = None
        """The one that waits for its answer."""
        self._request_sent = float("-inf")
        self._unheard_since = 0.0
        """When the first request left that has no answer yet."""
        self._interval = SPACING
        self._tries = 0
        self._unwanted: set[IPv4Network] = set()
        """Own networks that the home agent does not take."""
        self._solicits: list[IPv4Address] = []
        """Routers to ask about."""
        self._outbound_only = False
        """O as the home agent knows it."""
        self._without_udp = False
        """The home agent has no tunnels in UDP (code 142)."""
        self.when_registered: Callable[[bool, float], None] = lambda _moved, _now: None
        """Told of every accepted registration, and whether it moved us to another address."""
        self.when_answered: Callable[[IPv4Address, float], None] = lambda _home, _now: None
        """Told when the home agent answered about a router."""
        self.when_left: Callable[[], None] = lambda: None

    @property
    def line(self) -> AccessLine | None:
        """The line in use, or being tried."""
        return self._line

    # --- asking

    def use(self, line: AccessLine, now: float) -> None:
        """Register by this line from now on; a change of lines need not wait (spec §9)."""
        self._line, self._request = line, None
        self._tries, self._interval = 0, SPACING
        self._send(now)

    def refresh(self, now: float) -> None:
        """Register anew as soon as the distance between requests allows."""
        if self._line is None:
            return
        due = self._request_sent + SPACING
        if due <= now:
            self._tries, self._interval = 0, SPACING
            self._send(now)
        elif self._sooner("home", due):
            self._base.timers.set(("home", self._agent), due)

    def unanswered(self, now: float) -> float:
        """Seconds for which requests by this line have had no answer; 0 when none is asked."""
        return now - self._unheard_since if self._request else 0.0

    def solicit(self, home: IPv4Address, now: float) -> None:
        """Ask about one router, in a full registration (spec CR-7)."""
        asked = self._request and self._solicited(self._request)
        if home not in self._solicits and home != asked:
            self._solicits.append(home)
        if self._request is None or not asked:
            self.refresh(now)

    def stop_soliciting(self, home: IPv4Address) -> None:
        """Nobody waits for the answer any more."""
        if home in self._solicits:
            self._solicits.remove(home)

    def leave(self, now: float) -> None:
        """Deregister (spec 7.3)."""
        self._tries, self._interval = 0, SPACING
        self._base.timers.cancel(("home", self._agent))
        self._base.timers.cancel(("home-refresh", self._agent))
        if self._line is None or not self._base.home.registered:
            self.when_left()
        elif (due := self._request_sent + SPACING) > now:  # the end of a registration is a request, too (spec MR-21)
            self._request = None
            self._base.timers.set(("home", self._agent), due)
        else:
            self._send(now)

    def offer(self, networks: tuple[IPv4Network, ...], now: float) -> None:
        """These are our networks from now on (spec 7.7); what was refused before is not asked for again."""
        self._unwanted &= set(self._base.networks)
        self._base.networks = networks
        self._base.reconcile()
        self.refresh(now)

    def suspend(self) -> None:
        """No line is up: nothing can be asked."""
        self._line, self._request = None, None
        self._base.timers.cancel(("home", self._agent))

    def timer(self, what: str, now: float) -> None:
        """A request is due, or the registration ends."""
        match what:
            case "home":
                self._again(now)
            case "home-refresh":
                self.refresh(now)
            case "home-expiry":
                self._lost(now)
            case "home-former":
                self._drop_former(now)

    def _sooner(self, what: str, due: float) -> bool:
        known = self._base.timers.due((what, self._agent))
        return known is None or due < known

    def _again(self, now: float) -> None:
        """No answer yet, or a request had to wait for its turn."""
        if self._request is not None and self._tries >= (FAREWELL_TRIES if self._base.leaving else PATIENCE):
            if self._base.leaving:
                self._left("unanswered")
                return
            other = self._base.lines.best(but=self._line.interface) if self._line else None
            if other:
                self._base.outbox.say("line-silent", interface=self._line and self._line.interface)
                self.use(other, now)
                return
        self._send(now)

    def _send(self, now: float) -> None:
        if self._line is None:
            return
        base = self._base
        lifetime = 0 if base.leaving else base.config.home_lifetime
        request = RegistrationRequest(
            lifetime=lifetime,
            home_address=base.own,
            home_agent=self._agent,
            careof_address=self._line.address,
            identification=base.stamper.next(self._agent, now),
            extensions=tuple(self._extensions()) if lifetime else (),
        )
        request = sign_home(request, base.config.spi, base.config.key)
        if self._request is None:
            self._unheard_since = now
        self._request, self._request_sent = request, now
        self._tries += 1
        base.send(request, self._line.address, self._agent)
        base.timers.set(("home", self._agent), now + self._interval)
        self._interval = min(self._interval * 2, max(SPACING, float(base.config.home_lifetime)))

    def _extensions(self) -> list[AnyExtension]:
        """All networks every time, since what is not listed is dropped (spec MR-1, HA-5)."""
        base = self._base
        found: list[AnyExtension] = []
        if base.config.capability:
            solicited = self._solicits[0] if self._solicits else None
            receive = base.config.learn or solicited is not None
            self._outbound_only = base.lines.outbound_only
            found.append(RoCapability(base.config.accept, receive, self._outbound_only, solicited))
        found += [MobileNetworkRequest.of(each) for each in base.networks if each not in self._unwanted]
        if not self._without_udp:
            found.append(UdpTunnelRequest(force=base.config.force_udp, encapsulation=NextHeader.IP))
        return found

    @staticmethod
    def _solicited(request: RegistrationRequest) -> IPv4Address | None:
        capability = request.first(RoCapability)
        return capability.solicited if capability else None

    # --- answers

    def receive(self, reply: RegistrationReply, datagram: Datagram, now: float) -> None:
        """A reply from the home agent; whatever does not prove to be one is dropped (spec §10)."""
        base, request = self._base, self._request
        if request is None or not answers(reply.identification, request.identification):
            self._dropped("reply_unexpected", datagram)
        elif not isinstance(reply.auth, MobileHomeAuth) or reply.surplus or reply.auth.spi != base.config.spi:
            self._dropped("reply_unauthenticated", datagram)
        elif not genuine_home(reply, base.config.key):
            self._dropped("reply_unauthenticated", datagram)
            base.outbox.say("reply-not-genuine", source=datagram.source)
        elif reply.malformed:
            self._dropped("reply_malformed", datagram)
        else:
            self._request = None
            base.timers.cancel(("home", self._agent))
            if reply.accepted:
                self._accepted(request, reply, now)
            else:
                self._denied(request, reply, now)

    def _dropped(self, counter: str, datagram: Datagram) -> None:
        self._base.drop(counter)
        self._base.outbox.say("reply-dropped", source=datagram.source, port=datagram.port, reason=counter)

    def _accepted(self, request: RegistrationRequest, reply: RegistrationReply, now: float) -> None:
        base = self._base
        if request.deregisters:
            self._left("deregistered")
            return
        self._tries, self._interval = 0, SPACING
        lifetime = min(request.lifetime, reply.lifetime)
        moved = self._take(request, reply, now)
        base.home.expires = self._request_sent + lifetime
        base.timers.set(("home-expiry", self._agent), base.home.expires)
        base.timers.set(("home-refresh", self._agent), self._request_sent + max(SPACING, lifetime * REFRESH))
        ro = reply.first(RoReply)
        base.home.haaro = bool(base.config.capability and ro and ro.accepted)
        if ro and base.config.capability and base.lines.used:
            base.lines.translated[base.lines.used] = ro.nat
        solicited = self._solicited(request)
        self._learn(request, reply, solicited)
        base.outbox.say(
            "registered",
            careof=request.careof_address,
            lifetime=lifetime,
            networks=base.home.networks,
            udp=base.home.udp,
            nat=bool(ro and ro.nat),
            haaro=base.home.haaro,
            solicited=solicited,
        )
        base.reconcile()
        if solicited in self._solicits:
            self._solicits.remove(solicited)
        self.when_registered(moved, now)
        if solicited is not None:
            self.when_answered(solicited, now)
        if self._solicits or (base.config.capability and base.lines.outbound_only != self._outbound_only):
            self.refresh(now)

    def _take(self, request: RegistrationRequest, reply: RegistrationReply, now: float) -> bool:
        """The tunnel and the networks that were granted; True when the tunnel's own end is another one now."""
        base, home = self._base, self._base.home
        udp = reply.first(UdpTunnelReply)
        new = (request.careof_address, bool(udp and udp.accepted))
        moved = home.careof is not None and home.careof != request.careof_address
        if home.registered and home.careof and (home.careof, home.udp) != new:
            until = now + base.timing.grace
            home.former = [each for each in home.former if each[0] != new[0]] + [(home.careof, home.udp, until)]
            base.timers.set(("home-former", self._agent), until)
        home.careof, home.udp = new
        home.keepalive = udp.keepalive if udp else 0
        base.lines.used = self._line.interface if self._line else None
        acks = reply.every(MobileNetworkAck)
        home.networks = tuple(each.network for each in acks if each.code == 0 and not each.bad_length)
        for each in acks:
            if each.code and not each.bad_length:
                self._unwanted.add(each.network)
                base.outbox.say("network-refused", prefix=each.network, code=each.code)
        if request.every(MobileNetworkRequest) and not acks:
            base.outbox.say("home-agent-without-networks")
        return moved

    def _learn(self, request: RegistrationRequest, reply: RegistrationReply, solicited: IPv4Address | None) -> None:
        base = self._base
        capability = request.first(RoCapability)
        if capability is None or not capability.receive or not base.home.haaro:
            return
        owners = []
        for each in reply.every(PrefixAdvertisement):
            advertised = decode_advertisement(each.data)
            owners += [owner for owner in advertised.owners if owner.home_address != base.own]
            if advertised.error:
                base.counters["advertisement_errors"] += 1
                base.outbox.say("advertisement-error", reason=str(advertised.error), taken=len(advertised.owners))
        if solicited is None and not base.config.learn:
            return
        base.cache.learn(owners, solicited=solicited)
        base.outbox.say(
            "learned",
            solicited=solicited,
            owners={
                str(owner.home_address): [f"{each.prefix} {each.realm}".strip() for each in owner.networks]
                for owner in owners
            },
        )

    def _denied(self, request: RegistrationRequest, reply: RegistrationReply, now: float) -> None:
        base = self._base
        base.outbox.say("registration-refused", by=self._agent, code=reply.code)
        match reply.code:
            case Code.IDENTIFICATION_MISMATCH:
                base.stamper.resynchronise(self._agent, reply.identification, now)
            case Code.MOBILE_NETWORK_ERROR:
                self._unwanted |= {each.network for each in request.every(MobileNetworkRequest) if not each.bad_length}
            case Code.MOBILE_NETWORK_DISALLOWED:
                self._unwanted |= set(base.networks)
            case Code.UDP_ENCAPSULATION_UNAVAILABLE if not self._without_udp:
                self._without_udp = True  # the other encapsulation that we have is IP in IP
            case _:
                self._without_udp = False
                if base.leaving:
                    self._left("refused")
                else:
                    base.timers.set(("home", self._agent), now + BACK_OFF)
                return
        base.timers.set(("home", self._agent), max(now, self._request_sent + SPACING))

    # --- ends

    def _lost(self, now: float) -> None:
        """The registration ended without renewal; direct tunnels live on by themselves (spec 7.4)."""
        base = self._base
        base.home.expires = None
        base.home.networks = ()
        base.outbox.say("registration-expired")
        base.reconcile()
        self.refresh(now)

    def _left(self, how: str) -> None:
        base = self._base
        self._request = None
        if base.home.registered and base.home.careof:  # what is under way comes out of the tunnel yet (spec A-39)
            until = self._request_sent + base.timing.grace
            base.home.former.append((base.home.careof, base.home.udp, until))
            base.timers.set(("home-former", self._agent), min(each[2] for each in base.home.former))
        base.home.expires = None
        for what in ("home", "home-expiry", "home-refresh"):
            base.timers.cancel((what, self._agent))
        base.outbox.say("left", how=how)
        base.reconcile()
        self.when_left()

    def _drop_former(self, now: float) -> None:
        home = self._base.home
        home.former = [each for each in home.former if each[2] > now]
        if home.former:
            self._base.timers.set(("home-former", self._agent), min(each[2] for each in home.former))
        self._base.reconcile()
