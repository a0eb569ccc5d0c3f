"""The gateway's core: five doors over the serving and the anchoring side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any

from agents.core import Event
from agents.dgw.actions import (
    Action,
    Adopt,
    Advertise,
    Associated,
    Disassociated,
    Discarded,
    LocalAccessChanged,
    MobilityDatagram,
    NeighborSeen,
    Notice,
    PeerRefused,
    RepositoryDatagram,
    RouterAdvertised,
    RouterSolicited,
    Stations,
    TrafficCounted,
)
from agents.dgw.config import GatewayConfig
from agents.dgw.gateway.anchoring import Anchoring
from agents.dgw.gateway.base import GatewayBase
from agents.dgw.gateway.central import LocatorRegistration, RelayRegistration
from agents.dgw.gateway.classic import ClassicRegistration, ClassicServing
from agents.dgw.gateway.direct import DirectRegistration
from agents.dgw.gateway.plan import items
from agents.dgw.gateway.registration import Registration
from agents.dgw.gateway.releasing import Releasing
from agents.dgw.gateway.serving import Serving
from agents.dgw.gateway.state import GatewayState
from agents.dgw.repository import RepositoryClient
from agents.plain import build, plain
from agents.wire.mobility import BindingAck, BindingError, BindingRefreshRequest, BindingUpdate


class GatewayCore:
    """A distributed gateway without sockets, kernel or clock."""

    def __init__(self, config: GatewayConfig) -> None:
        if config.mode == "classic":
            config = replace(config, dgw_support=False, timing=replace(config.timing, idle=0))
        self.config = config
        self._base = GatewayBase(config)
        self._repository = RepositoryClient(config.cmd, config.repository_port, config.timing, self._base.outbox)
        self._anchoring = Anchoring(self._base)
        registration = self._registration()
        self._releasing = Releasing(self._base, registration)
        serving = ClassicServing if config.mode == "classic" else Serving
        self._serving = serving(self._base, self._anchoring, registration, self._releasing)

    def _registration(self) -> Registration:
        if self.config.mode == "direct":
            return DirectRegistration(self._base, self._repository)
        if self.config.mode == "locator":
            return LocatorRegistration(self._base)
        if self.config.mode == "classic":
            return ClassicRegistration(self._base)
        return RelayRegistration(self._base)

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a datagram or a notice of the access link; datagrams carry their own source."""
        match message:
            case MobilityDatagram():
                self._receive_mobility(message, now)
            case Discarded():
                self._base.reception.discard(message)
            case PeerRefused():
                self._base.exchanges.refuse(message.peer, now)
            case RepositoryDatagram():
                self._repository.receive(message.data, message.source, now)
            case Associated():
                self._serving.associate(message.mac, now)
            case Disassociated():
                self._serving.disassociate(message.mac, now)
                self._base.station_left(message.mac, now)
            case Stations():
                self._receive_stations(message, now)
            case RouterSolicited():
                self._serving.solicited(message.mac, message.link_local, now)
            case NeighborSeen():
                self._serving.learn(message.mac, message.link_local, now)
            case LocalAccessChanged():
                node = self._base.state.nodes.get(message.mn_id)
                if node:
                    self._serving.allow_local(node, message.allowed, now)
            case RouterAdvertised():
                self._receive_own_advertisement(message.mac, message.link_local, now)
            case TrafficCounted():
                self._releasing.counted(message.packets, now)
        self._releasing.watch(now)

    def _receive_mobility(self, datagram: MobilityDatagram, now: float) -> None:
        self._base.exchanges.heard(datagram.source)
        message = self._base.reception.decode(datagram, now)
        match message:
            case BindingUpdate():
                self._anchoring.on_update(message, datagram.source, now)
            case BindingAck():
                self._serving.on_ack(message, datagram.source, now)
            case BindingError():
                self._base.reception.note(message, datagram.source)
            case BindingRefreshRequest():
                self._serving.on_refresh_request(message, datagram.source, now)

    def _receive_stations(self, message: Stations, now: float) -> None:
        for node in list(self._base.state.nodes.values()):
            if node.attached and node.mac not in message.macs:
                self._serving.disassociate(node.mac, now)
            elif node.mac not in message.macs:
                self._serving.missing(node, now)
        for mac in sorted(message.macs):
            self._serving.associate(mac, now)

    def _receive_own_advertisement(self, mac: str, link_local: IPv6Address, now: float) -> None:
        for mn_id, dlif in list(self._base.dlifs_of(mac)):
            if dlif.link_local == link_local:
                self._base.advertiser.seen(mn_id, dlif, now)

    def handle_timer(self, now: float) -> None:
        """Retransmit, refresh, expire, advertise again: whatever is due."""
        self._base.exchanges.handle_timer(now)
        self._repository.handle_timer(now)
        self._base.advertiser.handle_timer(now)
        self._releasing.handle_timer(now)
        procedures = {
            "refresh": self._serving.refresh,
            "expire": self._serving.expire,
            "teardown": self._serving.teardown,
            "quiet": self._serving.quiet,
            "anchors": self._serving.review_anchors,
        }
        for name, mn_id in list(self._base.timers.take(now)):
            node = self._base.state.nodes.get(mn_id)
            if node:
                procedures[name](node, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        due = (
            self._base.exchanges.next_timer(),
            self._repository.next_timer(),
            self._base.advertiser.next_timer(),
            self._releasing.next_timer(),
            self._base.timers.next_timer(),
        )
        return min((t for t in due if t is not None), default=None)

    def actions(self) -> Iterator[Action]:
        """What to do now, in order."""
        return self._base.outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._base.outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Bindings, pool, forwarding items, what is under way, and counters."""
        base = self._base
        return {
            "role": "gateway",
            "name": self.config.name,
            "mode": self.config.mode,
            "nodes": plain(base.state.nodes),
            "pool": plain(base.state.pool),
            "items": [f"{kind} {name}" for kind, name in base.plan],
            "exchanges": [
                {"peer": str(e.peer), "mn_id": e.mn_id, "purpose": e.purpose, "sent": e.sends} for e in base.exchanges
            ],
            "queries": self._repository.under_way,
            "advertising": base.advertiser.awaited,
            "halted": base.exchanges.halted,
            "legacy_peers": sorted(map(str, base.state.legacy_peers)),
            "counters": dict(base.reception.counters),
        }

    def resume(self) -> int:
        """An administrator looked into what was halted; how much that was (spec §10, RETX-10)."""
        return self._base.exchanges.resume()

    def saved_state(self) -> dict[str, Any]:
        """What must survive a restart, as JSON-able data (spec §4, last lines)."""
        saved: dict[str, Any] = plain(self._base.state)
        return saved

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state: the kernel keeps forwarding, stations are reported anew (PlainError if unfit)."""
        base = self._base
        state = build(GatewayState, saved, "saved state")
        state.pool.aggregate, state.pool.reserved = base.config.pool, base.config.local_prefixes
        base.state = state
        base.stamper.sequence = state.sequence
        base.plan = items(state.nodes.values(), base.config)
        base.outbox.do(Adopt(tuple(base.plan.values())))
        base.outbox.say("restored", nodes=len(state.nodes))
        timing = base.config.timing
        for node in state.nodes.values():
            node.attached = False
            if node.expires is not None:
                # Whoever could not reach us with a refresh repeats it within the longest interval.
                grace = timing.hold if node.serving else timing.max_timeout
                base.timers.set(("expire", node.mn_id), max(node.expires, now + grace))
        # radvd still says what was ordered before the end, to nodes that may have left (spec RA-10); those that are
        # here are told anew as soon as they are reported.
        base.outbox.do(Advertise(()))
