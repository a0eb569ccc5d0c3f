"""The last step into a tunnel: whole, in pieces, or not at all: its source is told (spec TUN-13, RFC 2003 §3.1, §5.1).

What forbids to be divided inside forbids it outside, so that routers on the way say what they take.  What does not is
divided here if the path is known to be narrow, before it is encapsulated: a NAT has no use for the later fragments of
a UDP packet (RFC 3519 §4.8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from agents.haaro import inner
from agents.haaro.config import Encapsulation
from agents.haaro.items import Tunnel
from agents.haaro.path_errors import PathError
from agents.haaro.path_sizes import PathSizes
from agents.haaro.sink import Sink
from agents.limits import ErrorRates, Limits
from agents.wire.icmp_errors import Problem, answerable, error
from agents.wire.ipv4_pieces import DONT_FRAGMENT, cut_ipv4
from agents.wire.mip4 import TUNNEL_IP

OVERHEAD: dict[Encapsulation, int] = {"ipip": 20, "udp": 20 + 8 + len(TUNNEL_IP)}
"""Octets in front of the inner packet."""
QUOTED = 8
"""Octets behind the inner header that an error must hold to be worth anything to the inner source."""


class Departure:
    """Puts inner packets into tunnels, and answers those that do not fit."""

    def __init__(
        self,
        sink: Sink,
        own: Callable[[], IPv4Address | None],
        counters: Counter[str],
        clock: Callable[[], float],
        errors: ErrorRates,
    ) -> None:
        """`own`: source of errors; None: the tunnel's own end is."""
        self._sink = sink
        self._own = own
        self._counters = counters
        self._clock = clock
        self._errors = Limits.of_errors(errors)
        self._sizes = PathSizes()

    def enter(self, tunnel: Tunnel, packet: bytes, tos: int, back: Tunnel | None = None) -> None:
        """A packet goes into a tunnel; errors about it go `back` into the one it came from, None: the kernel knows."""
        # spec TUN-12; but behind a NAT the same address stands for others too, whose CoTI must get through (NAT-6).
        if tunnel.encapsulation == "ipip" and inner.source_of(packet) == tunnel.remote:
            self._counters["loop"] += 1
            return
        if self._sizes:
            mtu = self._sizes.of((tunnel.local, tunnel.remote), self._clock())
            room = mtu - OVERHEAD[tunnel.encapsulation] if mtu else len(packet)
            if len(packet) > room:
                self._divide(tunnel, packet, tos, room, back)
                return
        mtu = self._send(tunnel, packet, tos, df=bool(packet[6] & DONT_FRAGMENT))
        if mtu:
            sent = len(packet) + OVERHEAD[tunnel.encapsulation]
            self._sizes.learn((tunnel.local, tunnel.remote), mtu, self._clock(), sent=sent)
            self._divide(tunnel, packet, tos, mtu - OVERHEAD[tunnel.encapsulation], back)

    def _divide(self, tunnel: Tunnel, packet: bytes, tos: int, room: int, back: Tunnel | None) -> None:
        if packet[6] & DONT_FRAGMENT:
            self._counters["too_big"] += 1
            self.tell(Problem.TOO_BIG, packet, tunnel.local, room, back)
            return
        for piece in cut_ipv4(packet, room):
            self._send(tunnel, bytes(piece), tos, df=False)

    def _send(self, tunnel: Tunnel, packet: bytes, tos: int, *, df: bool) -> int | None:
        if tunnel.encapsulation == "udp":
            return self._sink.send_udp(tunnel.local, tunnel.remote, tunnel.port, TUNNEL_IP + packet, tos, df)
        return self._sink.send_ip(tunnel.local, tunnel.remote, packet, tos, df)

    def tell(
        self, problem: Problem, about: bytes, local: IPv4Address, mtu: int = 0, back: Tunnel | None = None
    ) -> None:
        """An error to the source of an inner packet; of very many, some."""
        if not answerable(about):
            return
        if not self._errors.allow(about[12:16], self._clock()):
            self._counters["errors_limited"] += 1
            return
        self._counters["errors_sent"] += 1
        answer = error(problem, about, self._own() or local, mtu)
        if back:
            self._send(back, answer, 0, df=False)
        else:
            self._sink.deliver(answer)

    def heard(
        self, said: PathError, tunnels: Collection[Tunnel], toward: Callable[[IPv4Address], Tunnel | None]
    ) -> None:
        """A router complains about a packet between the ends of these tunnels; `toward`: which one a packet takes."""
        if not tunnels:
            self._counters["icmp_about_nothing"] += 1
            return
        mtu = 0
        if said.problem is Problem.TOO_BIG:
            way = (said.local, said.remote)
            mtu = self._sizes.learn(way, said.mtu, self._clock(), sent=said.sent) - OVERHEAD[said.encapsulation]
        # The packet that was lost: its source hears of it at once if the error quotes enough of it (RFC 2003 §4, §5).
        about = said.quoted
        if len(about) < inner.HEADER or about[0] >> 4 != 4 or len(about) < (about[0] & 0x0F) * 4 + QUOTED:
            return
        if toward(inner.destination_of(about)) in tunnels and (not mtu or int.from_bytes(about[2:4], "big") > mtu):
            self.tell(said.problem, about, said.local, mtu)
