"""The home agent's core: five doors over its bindings (spec HA-*)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from agents.core import Event, Outbox
from agents.haaro.config import HaConfig, Router
from agents.haaro.ha.advertising import Advertising
from agents.haaro.ha.plan import binding_items, tunnel_of
from agents.haaro.ha.registration import Granted, Refused, ends, judge
from agents.haaro.ha.state import Binding, in_several_realms, overlapping
from agents.haaro.identification import ReplayGuard
from agents.haaro.items import Item, Plan, Tunnel, difference, plan_of
from agents.haaro.keys import genuine_home, sign_home
from agents.haaro.notices import Datagram, Install, Notice, Remove, Send
from agents.plain import PlainError
from agents.timers import Timers
from agents.wire.errors import DecodeError
from agents.wire.mip4 import decode, encode
from agents.wire.mip4_codes import Code
from agents.wire.mip4_extension_lists import AnyExtension
from agents.wire.mip4_extensions import MobileHomeAuth
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

REPLY_ROOM = 65507 - (20 + 8 + 4 + 4 + 22)
"""Octets of a datagram less fixed part, UDP reply, RO Reply, head of the advertisement, authenticator (spec A-44)."""
ACK_OCTETS = 10


class HaCore:
    """A home agent without sockets, kernel or clock."""

    def __init__(self, config: HaConfig) -> None:
        """PlainError for prefixes that overlap (spec HA-20)."""
        clash = overlapping(config.routers)
        if clash:
            raise PlainError(f"configuration.routers: prefixes {clash[0]} and {clash[1]} overlap in one realm")
        self.config = config
        self.bindings: dict[IPv4Address, Binding] = {}
        self.counters: Counter[str] = Counter()
        self.usable: Callable[[IPv4Network], bool] = lambda _prefix: True
        """Whether a prefix can be forwarded at all (MNA 3)."""
        self._associations = {(router.spi, router.home_address): router for router in config.routers}
        self._ambiguous = in_several_realms(config.routers)
        self._advertising = Advertising(config)
        self._guard = ReplayGuard(config.tolerance)
        self._plans: dict[IPv4Address, Plan] = {}
        self._timers: Timers[tuple[str, IPv4Address]] = Timers()
        """(what ends, home address)"""
        self._former: dict[IPv4Address, Tunnel] = {}
        """The tunnel a router came by until it moved: what is under way still comes out of it (spec 7.1)."""
        self._outbox = Outbox()

    # --- doors

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a signalling message; whatever is no proper request of a known router stays without answer."""
        if not isinstance(message, Datagram):
            return
        try:
            request = decode(message.data)
        except DecodeError as error:
            self._drop(error.kind.value, message, str(error))
            return
        if not isinstance(request, RegistrationRequest) or request.between_peers:
            self._drop("unexpected", message, "not a request to a home agent")
        else:
            self._register(request, message, now)

    def handle_timer(self, now: float) -> None:
        """Bindings end in silence (spec HA-2, HA-19)."""
        for what, home_address in self._timers.take(now):
            if what == "binding":
                self._outbox.say("binding-expired", home_address=home_address)
                self._forget(home_address)
            else:
                self._former.pop(home_address, None)
                self._reconcile(home_address)

    def next_timer(self) -> float | None:
        """When the next binding ends."""
        return self._timers.next_timer()

    def actions(self) -> Iterator[Any]:
        """What to do now, in order."""
        return self._outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Bindings and counters."""
        return {
            "role": "ha",
            "name": self.config.name,
            "address": self.config.address,
            "bindings": {str(address): _describe(binding) for address, binding in self.bindings.items()},
            "counters": dict(self.counters),
        }

    # --- registration

    def _register(self, request: RegistrationRequest, datagram: Datagram, now: float) -> None:
        """Authenticate, check freshness, then look at the content (spec HA-1)."""
        auth = request.auth
        router = self._associations.get((auth.spi, request.home_address)) if isinstance(auth, MobileHomeAuth) else None
        if router is None:
            self._drop("unauthenticated", datagram, f"no security association for {request.home_address}")
            return
        if not genuine_home(request, router.key):
            self.counters["bad_authenticator"] += 1
            self._deny(request, datagram, router, Code.FAILED_AUTHENTICATION, "authenticator is wrong")
            return
        if not self._guard.fresh(request.home_address, request.identification, now):
            self.counters["bad_identification"] += 1
            denial = self._guard.denial(request.identification, now)
            self._deny(request, datagram, router, Code.IDENTIFICATION_MISMATCH, "not fresh", denial)
            return
        self._guard.accept(request.home_address, request.identification)
        try:
            granted = judge(request, datagram, router, self.config, self.usable)
            self._check_room(request)
        except Refused as refused:
            self.counters[f"refused_{int(refused.code)}"] += 1
            self._deny(request, datagram, router, refused.code, refused.reason)
            return
        if request.deregisters:
            self._deregister(request)
        else:
            self._bind(request, datagram, router, granted, now)
        self._accept(request, datagram, router, granted)

    def _check_room(self, request: RegistrationRequest) -> None:
        known = request.home_address in self.bindings
        if not known and not request.deregisters and len(self.bindings) >= self.config.max_bindings:
            raise Refused(Code.INSUFFICIENT_RESOURCES, "no room for more bindings")

    def _bind(
        self, request: RegistrationRequest, datagram: Datagram, router: Router, granted: Granted, now: float
    ) -> None:
        home_address = request.home_address
        capability = granted.capability
        binding = Binding(
            router=router,
            careof=request.careof_address,
            source=datagram.source,
            port=datagram.port,
            encapsulation=granted.encapsulation,
            identification=request.identification,
            expires=ends(granted.lifetime, now),
            networks=granted.networks,
            advertise=bool(capability and capability.advertise),
            outbound_only=bool(capability and capability.outbound_only),
        )
        before = self.bindings.get(home_address)
        self.bindings[home_address] = binding
        self._advertising.update(home_address, binding)
        if binding.expires is None:
            self._timers.cancel(("binding", home_address))
        else:
            self._timers.set(("binding", home_address), binding.expires)
        self._outbox.say(
            "binding-updated" if before else "binding-accepted",
            home_address=home_address,
            careof=binding.careof,
            source=binding.source,
            port=binding.port,
            lifetime=granted.lifetime,
            encapsulation=binding.encapsulation,
            networks=[each.prefix for each in binding.networks],
            advertise=binding.advertise,
        )
        if before is None or before.way != binding.way:
            if before:
                self._remember_former(before, binding, now)
            self._reconcile(home_address)

    def _remember_former(self, before: Binding, binding: Binding, now: float) -> None:
        """Packets that the router sent from its last address before it heard of our consent are its packets still."""
        old, new = tunnel_of(before, self.config), tunnel_of(binding, self.config)
        if old.name != new.name:
            self._former[before.home_address] = old
            self._timers.set(("former", before.home_address), now + self.config.grace)

    def _deregister(self, request: RegistrationRequest) -> None:
        """The home address as care-of address means all bindings, another only its own (spec HA-18)."""
        binding = self.bindings.get(request.home_address)
        if binding and request.careof_address in (request.home_address, binding.careof):
            self._outbox.say("binding-removed", home_address=request.home_address)
            self._forget(request.home_address)

    def _forget(self, home_address: IPv4Address) -> None:
        self.bindings.pop(home_address, None)
        self._advertising.update(home_address, None)
        self._former.pop(home_address, None)
        for what in ("binding", "former"):
            self._timers.cancel((what, home_address))
        self._reconcile(home_address)

    def _reconcile(self, home_address: IPv4Address) -> None:
        """Forwarding of this binding alone: the others did not change."""
        binding = self.bindings.get(home_address)
        former = self._former.get(home_address)
        items: list[Item] = [former] if former else []
        if binding:
            items += binding_items(binding, self.config, self._ambiguous)
        new = plan_of(*items)
        old = self._plans.pop(home_address, {})
        if new:
            self._plans[home_address] = new
        install, remove = difference(old, new)
        if remove:
            self._outbox.do(Remove(tuple(remove)))
        if install:
            self._outbox.do(Install(tuple(install)))

    # --- answers

    def _accept(self, request: RegistrationRequest, datagram: Datagram, router: Router, granted: Granted) -> None:
        extensions: list[AnyExtension] = [*granted.acks]
        if granted.udp_reply:
            extensions.append(granted.udp_reply)
        if granted.capability:
            nat = datagram.source != request.careof_address
            room = REPLY_ROOM - ACK_OCTETS * len(granted.acks)
            extensions += self._advertising.answer(granted.capability, router, nat, self.bindings, room)
        self._reply(request, datagram, router, granted.code, granted.lifetime, extensions)

    def _deny(
        self,
        request: RegistrationRequest,
        datagram: Datagram,
        router: Router,
        code: Code,
        reason: str,
        identification: int | None = None,
    ) -> None:
        self._outbox.say(
            "registration-denied",
            home_address=request.home_address,
            source=datagram.source,
            code=int(code),
            reason=reason,
        )
        self._reply(request, datagram, router, code, 0, [], identification)

    def _reply(
        self,
        request: RegistrationRequest,
        datagram: Datagram,
        router: Router,
        code: Code,
        lifetime: int,
        extensions: list[AnyExtension],
        identification: int | None = None,
    ) -> None:
        """Back to where the request came from, its identification copied unless it was not fresh."""
        reply = RegistrationReply(
            code=code,
            lifetime=lifetime,
            home_address=request.home_address,
            home_agent=self.config.address,
            identification=request.identification if identification is None else identification,
            extensions=tuple(extensions),
        )
        octets = encode(sign_home(reply, router.spi, router.key))
        self._outbox.do(Send(octets, self.config.address, datagram.source, datagram.port))

    def _drop(self, counter: str, datagram: Datagram, reason: str) -> None:
        self.counters[f"dropped_{counter}".replace("-", "_")] += 1
        self._outbox.say("dropped", source=datagram.source, port=datagram.port, reason=reason)


def _describe(binding: Binding) -> dict[str, Any]:
    return {
        "careof": binding.careof,
        "source": binding.source,
        "port": binding.port,
        "encapsulation": binding.encapsulation,
        "expires": binding.expires,
        "nat": binding.nat,
        "advertise": binding.advertise,
        "outbound_only": binding.outbound_only,
        "networks": [each.prefix for each in binding.networks],
    }
