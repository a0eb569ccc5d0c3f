"""The anchor's work: accept, move, refresh, end mobility sessions (RFC 5213 §5.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agents.core import Outbox
from agents.dgw.actions import Install, Remove, Send
from agents.dgw.forwarding import Item, difference
from agents.dgw.freshness import Freshness
from agents.dgw.identity import own_identity
from agents.dgw.lma.config import LmaConfig
from agents.dgw.lma.reading import Undecided, access_of, find_session, requested_prefixes
from agents.dgw.lma.state import Binding, LmaState, items
from agents.dgw.messages import care_of_address, compose_ack
from agents.dgw.pool import PoolEmpty, PrefixPool
from agents.dgw.reception import Reception
from agents.dgw.validation import (
    Ignored,
    Rejected,
    Support,
    check_flags,
    check_freshness,
    check_identifier,
    check_sender,
    check_service,
)
from agents.timers import Timers
from agents.wire.mobility import BindingAck, BindingUpdate, push_mobility
from agents.wire.mobility_codes import DFlagProfile, Status
from agents.wire.mobility_options import LinkLocalAddress, Option, Timestamp

LEGACY_ONLY = Support(distributed=False, legacy=True)
"""A D flag is refused as a whole (RFC 8885 §4.1), options 65-70 are not looked at (§4.3, §4.4)."""


@dataclass(frozen=True)
class Request:
    """An update that passed all checks which do not need its session."""

    update: BindingUpdate
    source: IPv6Address
    care_of: IPv6Address
    mn_id: str
    prefixes: tuple[IPv6Network, ...]


class Registrar:
    """Keeps the binding cache, and the kernel in line with it."""

    def __init__(self, config: LmaConfig, outbox: Outbox) -> None:
        self.config = config
        self.state = LmaState(PrefixPool(config.pool))
        self.timers: Timers[tuple[str, str]] = Timers()
        """("expire", prefix) and ("assign", MN-ID)"""
        self.reception = Reception(
            config.address, lambda _source: DFlagProfile.RFC8885, outbox, distributed=False, errors=config.timing.errors
        )
        self.plan: dict[tuple[str, str], Item] = {}
        self._outbox = outbox
        self._gateways = {gateway.address for gateway in config.gateways}
        self._profiles = {profile.mn_id: profile for profile in config.profiles}
        self._waiting: dict[str, Request] = {}

    def on_update(self, update: BindingUpdate, source: IPv6Address, now: float) -> None:
        """Take a PBU: act and acknowledge, reject with a status, or ignore (spec §10)."""
        try:
            request = self._check(update, source, now)
            self._decide(request, now)
        except Ignored as ignored:
            self.reception.drop(str(ignored), source)
        except Rejected as rejected:
            self._reject(update, rejected, source, now)

    def _check(self, update: BindingUpdate, source: IPv6Address, now: float) -> Request:
        update = check_flags(update, LEGACY_ONLY)
        mn_id = check_identifier(update)
        check_sender(source, self._gateways)
        if not update.lifetime_units and not self.state.sessions(mn_id):
            raise Ignored(f"de-registration of {mn_id}, which has no session")
        check_service(mn_id, self._profiles)
        freshness = self.state.freshness.get(mn_id, Freshness())
        check_freshness(update, freshness, now, self.config.timing.timestamp_window)
        prefixes = requested_prefixes(update)
        others = {one.prefix for one in self.state.bindings.values() if one.mn_id != mn_id}
        if others & set(prefixes):
            raise Rejected(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, "a prefix of another node")
        care_of = care_of_address(update, source)
        if care_of not in self._gateways:
            raise Rejected(Status.INVALID_CARE_OF_ADDRESS, f"{care_of} is no gateway of this domain")
        return Request(update, source, care_of, mn_id, prefixes)

    def _decide(self, request: Request, now: float) -> None:
        try:
            binding = find_session(request.update, request.prefixes, self.state.sessions(request.mn_id))
        except Undecided:
            if not request.update.lifetime_units:
                raise Ignored("de-registration of an interface that has no session") from None
            self._wait(request, now)
            return
        if request.update.lifetime_units:
            self._register(request, binding, now)
        elif binding is None or binding.care_of != request.care_of:
            raise Ignored("de-registration from a gateway that does not serve the node")
        else:
            self._deregister(request, binding, now)

    def _wait(self, request: Request, now: float) -> None:
        """Handoff state unknown: first let the former gateway report the node gone (RFC 5213 §5.4.1.2)."""
        self._waiting[request.mn_id] = request
        if self.timers.due(("assign", request.mn_id)) is None:
            self._outbox.say("handoff-unknown", mn_id=request.mn_id, gateway=request.care_of)
            self.timers.set(("assign", request.mn_id), now + self.config.assign_delay)

    def assign(self, mn_id: str, now: float) -> None:
        """Nobody reported the node gone: a further interface, hence a further session."""
        request = self._waiting.pop(mn_id, None)
        if request:
            self._register_or_reject(request, None, now)

    def _register_or_reject(self, request: Request, binding: Binding | None, now: float) -> None:
        try:
            self._register(request, binding, now)
        except Rejected as rejected:
            self._reject(request.update, rejected, request.source, now)

    def _register(self, request: Request, binding: Binding | None, now: float) -> None:
        # Whatever waited for word of a former gateway is older than this.
        self._waiting.pop(request.mn_id, None)
        self.timers.cancel(("assign", request.mn_id))
        created = binding is None
        binding = binding or self._create(request, now)
        moved = created or binding.deleting or binding.care_of != request.care_of
        binding.access, mac = access_of(request.update)
        binding.mac = mac or binding.mac
        binding.care_of, binding.deleting = request.care_of, False
        binding.lifetime = min(request.update.lifetime_seconds, self.config.timing.lifetime)
        self._note(request)
        self._run_until(binding, now + binding.lifetime)
        if moved:
            event = "binding-created" if created else "binding-moved"
            told = {"prefix": binding.prefix, "care_of": binding.care_of, "lifetime": binding.lifetime}
            self._outbox.say(event, mn_id=binding.mn_id, **told)
        link_local = self._link_local(request.update, binding)
        ack = compose_ack(request.update, lifetime=binding.lifetime, prefixes=[binding.prefix], extra=link_local)
        self.reconcile(between=lambda: self._send(ack, request.source))

    def _create(self, request: Request, now: float) -> Binding:
        try:
            prefix = self.state.pool.allocate(request.mn_id, now)
        except PoolEmpty as error:
            raise Rejected(Status.INSUFFICIENT_RESOURCES, str(error)) from error
        access, mac = access_of(request.update)
        link_local = own_identity(self.config.index, self.state.pool.slot(prefix)).link_local
        binding = Binding(request.mn_id, access, mac, prefix, link_local, request.care_of)
        self.state.bindings[str(prefix)] = binding
        return binding

    def _link_local(self, update: BindingUpdate, binding: Binding) -> tuple[Option, ...]:
        """Option 26: all-zero asks for the router's address, another one announces it (RFC 5213 §6.8, §6.9.1.1)."""
        option = update.first(LinkLocalAddress)
        if option is None:
            return ()
        if option.address.is_link_local:
            binding.link_local = option.address
        return (LinkLocalAddress(binding.link_local),)

    def _deregister(self, request: Request, binding: Binding, now: float) -> None:
        """Answer at once, forward no more, and wait: the node may turn up elsewhere (RFC 5213 §5.3.5)."""
        self._note(request)
        binding.deleting = True
        self._run_until(binding, now + self.config.timing.hold)
        self._outbox.say("binding-deregistered", mn_id=binding.mn_id, prefix=binding.prefix, peer=request.source)
        link_local = self._link_local(request.update, binding)
        self._send(compose_ack(request.update, lifetime=0, prefixes=[binding.prefix], extra=link_local), request.source)
        self.reconcile()
        waiting = self._waiting.pop(binding.mn_id, None)
        if waiting:
            self._register_or_reject(waiting, binding, now)

    def expire(self, prefix: str, now: float) -> None:
        """Hold time or lifetime is over: forget the session; its prefix rests until no host can be using it."""
        binding = self.state.bindings.pop(prefix)
        rest = max(self.config.timing.quarantine, float(self.config.timing.lifetime))
        self.state.pool.release(binding.prefix, now + rest)
        self._outbox.say("binding-deleted", mn_id=binding.mn_id, prefix=binding.prefix)
        self.reconcile()

    def reconcile(self, between: Callable[[], None] = lambda: None) -> None:
        """Bring the kernel in line with the cache: install, then `between` (the answer), then tear down."""
        new = items(self.state.bindings.values())
        install, remove = difference(self.plan, new)
        self.plan = new
        if install:
            self._outbox.do(Install(tuple(install)))
        between()
        if remove:
            self._outbox.do(Remove(tuple(remove)))

    def _note(self, request: Request) -> None:
        timestamp = request.update.first(Timestamp)
        freshness = self.state.freshness.setdefault(request.mn_id, Freshness())
        freshness.accept(timestamp.raw if timestamp else None, request.update.sequence)

    def _run_until(self, binding: Binding, end: float) -> None:
        binding.expires = end
        self.timers.set(("expire", str(binding.prefix)), end)

    def _reject(self, update: BindingUpdate, rejected: Rejected, source: IPv6Address, now: float) -> None:
        self._send(self.reception.reject(update, rejected, source, now), source)

    def _send(self, ack: BindingAck, destination: IPv6Address) -> None:
        self._outbox.do(Send(destination, push_mobility(ack, self.config.address, destination)))
