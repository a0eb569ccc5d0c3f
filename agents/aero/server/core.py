"""The AERO Server's core: five doors over relay, leases and Neighbor Discovery (spec SRV-*, LDRA-*)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any

from agents.aero.addresses import Prefix
from agents.aero.bgp.notices import BgpConnected, BgpGone, BgpNews
from agents.aero.bgp.rib import Policy
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import ServerConfig
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.dataplane.sink import Control
from agents.aero.describing import describe
from agents.aero.inner_packets import UDP, pull_discovery, pull_inner, push_discovery
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborType
from agents.aero.notices import (
    Controlled,
    DhcpAnswer,
    FlowUsed,
    Notice,
    SendControl,
    Stranger,
)
from agents.aero.optimisation.messages import read_mediation
from agents.aero.optimisation.server import Mediator
from agents.aero.optimisation.transit import Refused as NotPassed
from agents.aero.permanent import source_of, take_up
from agents.aero.router import Router
from agents.aero.server.announcing import MED_BASE, Announcing
from agents.aero.server.departures import Departures
from agents.aero.server.dhcp import Dhcp
from agents.aero.server.ldra import Refused
from agents.aero.server.leases import Leases
from agents.aero.server.relays import Relays
from agents.aero.server.takeovers import Takeovers
from agents.core import WallClock
from agents.plain import PlainError
from agents.timers import earliest
from agents.wire.errors import DecodeError
from agents.wire.nd import ICMPV6, NeighborAdvertisement
from agents.wire.nd_options import Observed

HINT_INTERVAL = 1.0


class ServerCore(Router):
    """An AERO Server without sockets, kernel or clock."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.config = config
        self.wall = WallClock()
        self._leases = Leases(self.cache, self._outbox, self.links.mtu, self.links.addresses)
        self._leases.when_added = self._client_added
        self._leases.when_removed = self._client_removed
        self.departures = Departures()
        self._leases.when_gained = lambda _client, prefix, _now: self.departures.returned(prefix)
        self._leases.when_lost = self._prefix_lost
        self._takeovers = Takeovers(self.cache, self._discovery.solicitations, self._leases.taken_over)
        self.mediator = Mediator(
            self.cache,
            config.address,
            config.aggregates,
            config.optimisation,
            self._outbox,
            self.departures.covers,
            self._takeovers.seen,
        )
        self._speaker = Speaker(Policy("defaults", tuple(map(source_of, config.relays))), self._outbox)
        self._announcing = Announcing(config, self._speaker, self._outbox, self.wall)
        self._relays = Relays(config.relays, self.cache, self._speaker, self._outbox)
        self._speaker.when_peer = self._relay_session
        self._discovery.when_failed = self._discovery.when_restored = lambda _neighbor, _now: self._relays.choose()
        self._dhcp = Dhcp(config, self._leases, self._announcing, self._outbox, self._drop)
        self._hinted: dict[IPv6Address, float] = {}

    # --- doors

    def start(self, now: float) -> None:
        """Take up the Relays."""
        take_up(self.config.relays, self.cache, self._discovery, self.links, now)
        self._relays.choose()

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a control packet, an answer of the DHCPv6 server, a word of the underlay, or of BGP."""
        match message:
            case Controlled():
                self._receive_control(message.control, now)
            case DhcpAnswer():
                self._dhcp.receive(message, self.address, now)
            case Stranger():
                self._hint(message.lladdr, self.cache.owner(message.source), message.size, now)
            case FlowUsed():
                self.mediator.origination.used(message.use, message.packet, message.idle, now)
            case BgpConnected() | BgpGone() | BgpNews():
                if isinstance(message, BgpGone):
                    self._relays.forget()
                self._speaker.receive(message, now)
                self._relays.choose()
            case _:
                self._discovery.hear(message, self.links, now)

    def handle_timer(self, now: float) -> None:
        """Leases, Replies that wait, solicitations, probes."""
        self._leases.handle_timer(now)
        if self.departures.handle_timer(now):
            self.cache.changed()
        self._announcing.handle_timer(now)
        self._discovery.handle_timer(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return earliest(self._leases, self._announcing, self.departures, self._discovery)

    def inspect(self) -> dict[str, Any]:
        """Clients and counters."""
        return {
            "role": "server",
            "name": self.config.name,
            "address": str(self.config.address),
            "neighbors": [describe(neighbor) for neighbor in self.cache],
            "counters": dict(self.counters),
            "bgp": self._speaker.inspect(),
            "relay": str(self.cache.default.address) if self.cache.default else None,
        }

    def saved_state(self) -> dict[str, Any]:
        """The LDRA's secret; entries come back with the Clients' next Renew (spec SRV-12). The lowest MED used."""
        return {**self._dhcp.saved_state(), "med": self._announcing.lowest}

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state (PlainError if unfit)."""
        try:
            self._dhcp.restore(saved)
            self._announcing.restore(int(saved.get("med", MED_BASE)))
        except (KeyError, TypeError, ValueError) as error:
            raise PlainError(f"saved state: {error!r}") from error

    def restore_replays(self, taken: Mapping[bytes, int]) -> None:
        """Take up the values of `ReplayTaken` before this start."""
        self._dhcp.restore_replays(taken)

    # --- control packets

    def _receive_control(self, control: Control, now: float) -> None:
        try:
            inner = pull_inner(control.packet)
            if mediation := read_mediation(inner):
                self.mediator.pass_on(control, mediation, now)
            elif inner.next_header == UDP and inner.destination == ALL_DHCP_SERVERS:
                self._dhcp.relay(control, inner, now)
            elif inner.next_header == ICMPV6 and (message := pull_discovery(inner)):
                dropped = self._discovery.receive(control, inner, message, now)
                if dropped:
                    self._drop(dropped, control.lladdr)
                if dropped == "origin_fail":
                    self._hint(control.lladdr, self.cache.get(inner.source), len(control.packet), now)
            else:
                self._drop("control_unexpected", control.lladdr)
        except DecodeError:
            self._drop("control_malformed", control.lladdr)
        except (Refused, NotPassed) as refused:
            self._drop(str(refused), control.lladdr)

    def _client_added(self, client: Neighbor, now: float) -> None:
        self._takeovers.forget(client)
        if client.path:
            self.mediator.origination.moved(client)
            self._discovery.watch(client, None, now)
            self._discovery.encapsulations.improve(client, now)

    def _client_removed(self, client: Neighbor) -> None:
        self.mediator.origination.removed(client)
        self._takeovers.forget(client)
        self._discovery.forget(client)

    def _prefix_lost(self, client: Neighbor, prefix: Prefix, now: float) -> None:
        """What is still under way to it goes to a Relay, which may know better (spec MOB-9)."""
        self._announcing.lost(prefix)
        self.departures.left(prefix, now)
        self.cache.changed()

    def _relay_session(self, relay: IPv6Address, up: bool, now: float) -> None:
        """A Relay that has just come up may be reached by other ways than before."""
        neighbor = self.cache.get(relay)
        if up and neighbor:
            self._discovery.encapsulations.improve(neighbor, now)

    # --- hints

    def _hint(self, lladdr: LinkLayerAddress, client: Neighbor | None, size: int, now: float) -> None:
        """Tell a Client that it is seen at a link-layer address that is not in its entry (spec SRV-9)."""
        if client is None or client.type is not NeighborType.STATIC:
            return
        if now - self._hinted.get(client.address, float("-inf")) < HINT_INTERVAL:
            return
        seen = Observed(lladdr.encapsulation, lladdr.ipv6_form, lladdr.port, size)
        message = NeighborAdvertisement(self.address, router=True, override=False, options=(seen,))
        packet = push_discovery(message, self.address, client.address)
        if len(packet) > size:
            return
        self._hinted = {a: t for a, t in self._hinted.items() if now - t < HINT_INTERVAL}
        self._hinted[client.address] = now
        self.counters["hints"] += 1
        self._outbox.do(SendControl(packet, lladdr))
