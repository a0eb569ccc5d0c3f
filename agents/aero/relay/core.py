"""The AERO Relay's core: five doors over permanent neighbors, BGP routes and Predirects passing by (spec RLY-*)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_network
from math import inf
from typing import Any

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Route, next_hop
from agents.aero.bgp.notices import BgpConnected, BgpGone, BgpNews
from agents.aero.bgp.rib import Policy
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import RelayConfig
from agents.aero.dataplane.sink import Control
from agents.aero.describing import describe
from agents.aero.inner_packets import pull_discovery, pull_inner
from agents.aero.neighbors import Neighbor
from agents.aero.notices import Controlled, Notice, SendControl
from agents.aero.optimisation.transit import control_lladdr
from agents.aero.permanent import source_of, take_up
from agents.aero.relay.passing import Refused, pass_on
from agents.aero.router import Router
from agents.wire.errors import DecodeError
from agents.wire.nd import ICMPV6

DEFAULTS: tuple[Prefix, ...] = (ip_network("::/0"), ip_network("0.0.0.0/0"))


class RelayCore(Router):
    """An AERO Relay without sockets, kernel or clock."""

    def __init__(self, config: RelayConfig) -> None:
        super().__init__(config)
        self.config = config
        policy = Policy("clients", tuple(map(source_of, config.servers)), config.aggregates)
        self._speaker = Speaker(policy, self._outbox)
        self._speaker.when_routes = self._routed
        self._speaker.when_peer = self._peer
        self._routes: dict[Prefix, IPv6Address] = {}

    # --- doors

    def start(self, now: float) -> None:
        """Take up the Servers; offer defaults to them, and aggregates to the native Internet (spec RLY-3)."""
        take_up(self.config.servers, self.cache, self._discovery, self.links, now)
        self._speaker.announce(*self._offers())

    def _offers(self) -> Iterator[Route]:
        own = [address for link in self.config.links for address in link.addresses]
        servers = tuple(server.peer for server in self.config.servers)
        for prefix in DEFAULTS if servers else ():
            hop = next_hop(own, prefix.version)
            if hop:
                yield Route(prefix, hop, peers=servers)
        for native in self.config.natives:
            for prefix in self.config.aggregates:
                hops = [each for each in native.next_hops if each.version == prefix.version]
                yield from (Route(prefix, hop, peers=(native.peer,)) for hop in hops[:1])

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a control packet, a word of the underlay, or of BGP."""
        match message:
            case Controlled():
                self._receive_control(message.control, now)
            case BgpConnected() | BgpGone() | BgpNews():
                self._speaker.receive(message, now)
                if isinstance(message, BgpGone):  # with the program its sessions are gone, and all they said
                    self._routed([(prefix, []) for prefix in list(self._routes)], now)
            case _:
                self._discovery.hear(message, self.links, now)

    def handle_timer(self, now: float) -> None:
        """Solicitations, probes."""
        self._discovery.handle_timer(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return self._discovery.next_timer()

    def inspect(self) -> dict[str, Any]:
        """Servers, routes and counters."""
        return {
            "role": "relay",
            "name": self.config.name,
            "address": str(self.config.address),
            "neighbors": [describe(neighbor) for neighbor in self.cache],
            "routes": len(self._routes),
            "counters": dict(self.counters),
            "bgp": self._speaker.inspect(),
        }

    # --- routes

    def _routed(self, routes: list[tuple[Prefix, list[IPv6Address]]], now: float) -> None:
        for prefix, servers in routes:
            best = next((server for server in servers if self.cache.get(server)), None)
            if best == self._routes.get(prefix):
                continue
            self.cache.put_prefix(prefix, self.cache.get(best) if best else None, inf)
            if best:
                self._routes[prefix] = best
            else:
                del self._routes[prefix]
            self._outbox.say("route-chosen", prefix=prefix, server=best)

    def _peer(self, server: IPv6Address, up: bool, now: float) -> None:
        """A Server that has just come up may be reached by other ways than before."""
        neighbor = self.cache.get(server)
        if up and neighbor:
            self._discovery.encapsulations.improve(neighbor, now)

    # --- control packets

    def _receive_control(self, control: Control, now: float) -> None:
        """Only Servers are listened to (spec RLY-1)."""
        server = control.neighbor
        try:
            inner = pull_inner(control.packet)
            passed = pass_on(inner, server, self.cache, self.address) if server else None
            if passed:
                self.counters["passed_on"] += 1
                self._send(passed.packet, passed.next)
            elif inner.next_header == ICMPV6 and (message := pull_discovery(inner)):
                dropped = self._discovery.receive(control, inner, message, now)
                if dropped:
                    self._drop(dropped, control.lladdr)
            else:
                self._drop("control_unexpected" if server else "origin_fail", control.lladdr)
        except DecodeError:
            self._drop("control_malformed", control.lladdr)
        except Refused as refused:
            self._drop(str(refused), control.lladdr)

    def _send(self, packet: bytes, neighbor: Neighbor) -> None:
        """By UDP, as all control is (spec §2.10)."""
        lladdr = control_lladdr(neighbor)
        if lladdr:
            self._outbox.do(SendControl(packet, lladdr))
