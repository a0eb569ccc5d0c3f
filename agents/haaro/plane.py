"""The packet path of a HAARO node: which tunnel a packet takes, and which may come out of one (spec §5.5, HA-16).

Without sockets of its own: a Sink sends, delivers and reports, in the shell to sockets and a TUN interface.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from agents.haaro import inner
from agents.haaro.config import Encapsulation
from agents.haaro.departure import Departure
from agents.haaro.inner import EchoMessage
from agents.haaro.items import TUNNEL_MTU, TUNNEL_PORT, Item, Tunnel, TunnelRoute
from agents.haaro.notices import Datagram, Echo, Send, SendEcho, TrafficSeen
from agents.haaro.path_errors import PathError
from agents.haaro.sink import Ends, Sink
from agents.limits import ERRORS, ErrorRates
from agents.wire.icmp_errors import Problem
from agents.wire.mip4 import TUNNEL_IP
from agents.wire.mip4_codes import MessageType, NextHeader

_Flow = tuple[str, int, int, int, bytes]
"""Encapsulation, outer addresses, remote port, inner addresses."""
KEEPALIVE = 0x4841
"""ICMP identifier of our keepalives."""
_HEADER = len(TUNNEL_IP)
TELL_AGAIN = 1.0
"""Seconds after which the same destination is reported again."""
TOLD = 4096
"""Destinations remembered as reported."""
_NOWHERE = IPv4Address("0.0.0.0")
_UNKNOWN = Tunnel(_NOWHERE, _NOWHERE, _NOWHERE, "udp")
"""Stands for flows not seen yet."""
K = TypeVar("K")
V = TypeVar("V")


class Plane:
    """Tunnels and the routes into them, of one node."""

    def __init__(
        self,
        sink: Sink,
        ends: Ends | None = None,
        *,
        relays: bool = False,
        clock: Callable[[], float] = lambda: 0.0,
        errors: ErrorRates = ERRORS,
    ) -> None:
        """`relays`: lead packets from tunnel to tunnel here, as the kernel would, but without asking it.

        `clock`: Unix time, for what is forgotten with time; `errors`: how many inner sources are told.
        """
        self._sink = sink
        self._ends = ends or Ends()
        self._relays = relays
        self.counters: Counter[str] = Counter()
        self._departure = Departure(sink, lambda: self._ends.home_address, self.counters, clock, errors)
        self._enter = self._departure.enter
        self.when_dropped: Callable[[str, IPv4Address, IPv4Address], None] = lambda _reason, _local, _remote: None
        """Told of every packet that came out of no tunnel, with its outer addresses."""
        self.relayed = 0
        """Octets that went from tunnel to tunnel without the kernel."""
        self._tunnels: dict[str, Tunnel] = {}
        self._by_outer: dict[tuple[str, IPv4Address, IPv4Address], list[Tunnel]] = {}
        self._routes: dict[int, dict[int, dict[str, TunnelRoute]]] = {}
        """Prefix length -> prefix bits -> realm -> route, longest first."""
        self._known: dict[int, Mapping[str, TunnelRoute]] = {}
        """Destinations looked up since the last change."""
        self._flows: dict[_Flow, Tunnel | None] = {}
        """Into which tunnel packets out of another go on, None: to the kernel, as checked since the last change."""
        self._leaving: dict[bytes, Tunnel] = {}
        """Inner addresses of packets from the kernel -> tunnel, if they need neither check nor report any more."""
        self._told: dict[int, float] = {}

    # --- what is to hold

    def install(self, item: Item) -> None:
        """Take a tunnel or a route into one; other items are the kernel's."""
        if isinstance(item, Tunnel):
            self.remove(item)
            self._tunnels[item.name] = item
            self._by_outer.setdefault((item.encapsulation, item.local, item.remote), []).append(item)
        elif isinstance(item, TunnelRoute):
            table = self._routes.setdefault(item.prefix.prefixlen, {})
            table.setdefault(int(item.prefix.network_address), {})[item.realm] = item
            self._routes = dict(sorted(self._routes.items(), reverse=True))
        self._known.clear()
        self._flows.clear()
        self._leaving.clear()

    def remove(self, item: Item) -> None:
        """Forget a tunnel or a route, whatever version of it is there."""
        if isinstance(item, Tunnel):
            present = self._tunnels.pop(item.name, None)
            if present:
                key = (present.encapsulation, present.local, present.remote)
                self._by_outer[key].remove(present)
                if not self._by_outer[key]:
                    del self._by_outer[key]
        elif isinstance(item, TunnelRoute):
            table, bits = self._routes.get(item.prefix.prefixlen, {}), int(item.prefix.network_address)
            table.get(bits, {}).pop(item.realm, None)
            if not table.get(bits):
                table.pop(bits, None)
        self._known.clear()
        self._flows.clear()
        self._leaving.clear()

    def own(self, networks: tuple[IPv4Network, ...]) -> None:
        """The networks behind this node are others now."""
        self._ends = replace(self._ends, networks=networks)
        self._flows.clear()
        self._leaving.clear()

    @property
    def tunnels(self) -> Sequence[Tunnel]:
        """All tunnels."""
        return tuple(self._tunnels.values())

    def toward(self, destination: IPv4Address) -> Tunnel | None:
        """The tunnel that packets to a destination take; of several realms the first."""
        return next((self._tunnels.get(route.tunnel) for route in self._matching(destination).values()), None)

    def _matching(self, destination: IPv4Address) -> Mapping[str, TunnelRoute]:
        """The routes of the longest prefix, by realm."""
        number = int(destination)
        found = self._known.get(number)
        if found is None:
            if len(self._known) > TOLD:
                self._known.clear()
            self._known[number] = found = self._look_up(number)
        return found

    def _look_up(self, number: int) -> Mapping[str, TunnelRoute]:
        for length, table in self._routes.items():
            shift = 32 - length
            routes = table.get(number >> shift << shift)
            if routes:
                return routes
        return {}

    # --- from the kernel

    def from_kernel(self, packet: inner.Octets, now: float) -> None:
        """A packet that the kernel routed into the tunnels."""
        if not inner.is_ipv4(packet):
            self.counters["not_ipv4"] += 1
            return
        between = bytes(packet[12:20])
        tunnel = self._leaving.get(between)
        if tunnel:
            self._enter(tunnel, bytes(packet), packet[1])
            return
        tunnel = self.toward(inner.destination_of(packet))
        if tunnel is None:
            self.counters["no_tunnel"] += 1
            return
        ends = self._ends
        if ends.home_address:
            source = inner.source_of(packet)
            own = source == ends.home_address or any(source in network for network in ends.networks)
            if not own and not ends.gateway:
                self.counters["foreign_source"] += 1  # spec MR-23
                return
            if tunnel.peer == ends.home_agent:
                self._report(source, inner.destination_of(packet), now)
        if tunnel.peer != ends.home_agent:
            _remember(self._leaving, between, tunnel)
        self._enter(tunnel, bytes(packet), packet[1])

    def _report(self, source: IPv4Address, destination: IPv4Address, now: float) -> None:
        """A packet took the way over the home agent: not every one of them is news (spec MR-7)."""
        number = int(destination)
        if now - self._told.get(number, 0.0) < TELL_AGAIN:
            return
        if len(self._told) >= TOLD:
            self._told.clear()
        self._told[number] = now
        self._sink.notice(TrafficSeen(source, destination))

    # --- from the core

    def send(self, action: Send) -> None:
        """A message of the core: from the home address through the home agent's tunnel, else as it is (spec §1.5)."""
        if action.source != self._ends.home_address:
            self._sink.send_udp(action.source, action.destination, action.port, action.data, 0)
            return
        home = self.home
        if home is None:
            self.counters["no_home_tunnel"] += 1
            return
        packet = inner.push_udp(action.source, action.destination, (TUNNEL_PORT, action.port), action.data)
        self._enter(home, packet, 0)

    @property
    def home(self) -> Tunnel | None:
        """The tunnel to the home agent that is in use."""
        route = self._routes.get(0, {}).get(0, {}).get("")
        return self._tunnels.get(route.tunnel) if route else None

    def send_echo(self, action: SendEcho) -> None:
        """A keepalive, or the answer to one."""
        if self._ends.home_address is None:
            return
        echo = EchoMessage(action.request, action.identifier, action.sequence, action.data)
        packet = inner.push_echo(self._ends.home_address, action.destination, echo)
        if action.encapsulation == "udp":
            self._sink.send_udp(action.local, action.remote, action.port, TUNNEL_IP + packet, 0)
        else:
            self._sink.send_ip(action.local, action.remote, packet, 0)

    # --- from the world

    def from_udp(self, local: IPv4Address, source: IPv4Address, port: int, data: bytes) -> None:
        """A datagram that came for UDP 434 (spec §1.6)."""
        if data[:_HEADER] == TUNNEL_IP:
            self._leave("udp", local, source, port, data[_HEADER:])
        elif data[:1] != bytes((MessageType.TUNNEL_DATA,)):
            self._sink.notice(Datagram(data, source, port, local))
        elif len(data) < _HEADER or data[1] != NextHeader.IP:
            self._drop("next_header", local, source)
        else:
            self._leave("udp", local, source, port, data[_HEADER:])

    def from_ip(self, local: IPv4Address, source: IPv4Address, packet: bytes) -> None:
        """A packet that came in IP."""
        self._leave("ipip", local, source, 0, packet)

    def path_error(self, said: PathError) -> None:
        """A router on the way complains about a packet of a tunnel (RFC 2003 §4)."""
        self._departure.heard(said, self._by_outer.get((said.encapsulation, said.local, said.remote), ()), self.toward)

    def _drop(self, reason: str, local: IPv4Address, remote: IPv4Address) -> None:
        """A packet between these outer addresses that comes out of no tunnel."""
        self.counters[reason] += 1
        self.when_dropped(reason, local, remote)

    def _leave(self, how: Encapsulation, local: IPv4Address, remote: IPv4Address, port: int, packet: bytes) -> None:
        """A packet at the end of a tunnel: only what this tunnel may carry comes out (spec TUN-5, TUN-6)."""
        if not inner.is_ipv4(packet):
            self._drop("not_ipv4", local, remote)
            return
        flow = (how, int(local), int(remote), port, packet[12:20])
        onward = self._flows.get(flow, _UNKNOWN)
        if onward is None:
            self._sink.deliver(packet)
            return
        if onward is not _UNKNOWN and len(packet) <= TUNNEL_MTU and (older := inner.aged(packet)):
            self.relayed += len(packet)
            self._enter(onward, older, packet[1])
            return
        source, destination = inner.source_of(packet), inner.destination_of(packet)
        tunnels = self._by_outer.get((how, local, remote), ())
        tunnel = next((each for each in tunnels if each.port == port or how == "ipip"), None)
        own = destination == self._ends.home_address
        if own and (echo := inner.pull_echo(packet)) and (echo.request or echo.identifier == KEEPALIVE):
            # Its outer source may be new: the core knows whom it expects from where (spec CR-15, NAT-5).
            known = tunnel is not None and tunnel.peer != self._ends.home_agent
            if not echo.request or tunnel is None or known:
                self._sink.notice(
                    Echo(echo.request, source, echo.identifier, echo.sequence, echo.data, local, remote, port, how)
                )
                return
        if tunnel is None:
            self._drop("unknown_outer", local, remote)
        elif not any(source in network for network in tunnel.sources):
            self._drop("foreign_inner_source", local, remote)
        elif own and (datagram := inner.pull_udp(packet)) and datagram.destination_port == TUNNEL_PORT:
            self._signalling(tunnel, source, destination, datagram)
        elif not self._accepts(destination):
            self._drop("foreign_inner_destination", local, remote)
        else:
            routes = self._matching(destination)
            if any(route.exclusive for route in routes.values()):
                self._stay_in_realm(tunnel, routes, packet)
                return
            if not own:
                _remember(self._flows, flow, self.toward(destination) if self._relays else None)
            self._sink.deliver(packet)  # of a relay, the first; and what is too long or old, which the kernel answers

    def _stay_in_realm(self, origin: Tunnel, routes: Mapping[str, TunnelRoute], packet: bytes) -> None:
        """An address that several realms have means that of the sender's, which the kernel cannot know (spec HA-20)."""
        route = routes.get(origin.realm)
        tunnel = self._tunnels.get(route.tunnel) if route else None
        if tunnel is None:
            self.counters["other_realm"] += 1
        elif (older := inner.aged(packet)) is None:
            self.counters["too_old"] += 1
            self._departure.tell(Problem.TIME_EXCEEDED, packet, origin.local, back=origin)
        else:
            self._enter(tunnel, older, packet[1], origin)

    def _accepts(self, destination: IPv4Address) -> bool:
        """A router takes what is for its own networks, and never leads from tunnel to tunnel (spec TUN-6).

        Everything is a gateway's own but what is known to be another's.
        """
        ends = self._ends
        if ends.home_address is None or destination == ends.home_address:
            return True
        if any(destination in network for network in ends.networks):
            return True
        return ends.gateway and not any(route.prefix.prefixlen for route in self._matching(destination).values())

    def _signalling(
        self, tunnel: Tunnel, source: IPv4Address, destination: IPv4Address, datagram: inner.UdpDatagram
    ) -> None:
        """Messages to the home address come through the home agent only (spec TUN-14)."""
        if tunnel.peer != self._ends.home_agent:
            self._drop("signalling_in_peer_tunnel", tunnel.local, tunnel.remote)
        elif datagram.data[:1] == bytes((MessageType.TUNNEL_DATA,)):
            self._drop("tunnel_in_tunnel", tunnel.local, tunnel.remote)
        else:
            self._sink.notice(Datagram(datagram.data, source, datagram.source_port, destination))


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Keep what was found out, not for too many."""
    if len(known) >= TOLD:
        known.clear()
    known[key] = value
