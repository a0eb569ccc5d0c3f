"""The last step toward a neighbor: whole, with a Fragment Header, in parts, or not at all (spec §3.1)."""

from __future__ import annotations

from collections.abc import Callable

from agents.aero.constants import WHOLE
from agents.aero.dataplane.ecn import traffic_class
from agents.aero.dataplane.encapsulation import Fragment, carrier, header, push_fragment
from agents.aero.dataplane.exits import IDENTIFICATION_OCTETS, LARGEST_SPLIT, PROTOCOLS, Exit
from agents.aero.dataplane.fragmentation import split
from agents.aero.dataplane.sink import Sink
from agents.aero.dataplane.sockaddr import push_sockaddr
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, Path
from agents.wire.ipv4_pieces import DONT_FRAGMENT, cut_ipv4


class Departure:
    """Puts inner packets on the underlay."""

    def __init__(self, sink: Sink, too_big: Callable[[memoryview, int], None], *, dpd: bool) -> None:
        """`too_big` is told of a packet that fits no way, and the MTU its source should use; `dpd` puts a Fragment
        Header on every packet (spec §3.8)."""
        self._sink = sink
        self._too_big = too_big
        self._dpd = dpd
        self.probed: Callable[[Neighbor, Path], None] = lambda _neighbor, _path: None

    def send(self, out: Exit, packet: memoryview, now: float) -> None:
        """One inner packet to one neighbor."""
        version = packet[0] >> 4
        tos = packet[1] if version == 4 else (packet[0] & 0x0F) << 4 | packet[1] >> 4
        self.send_known(out, packet, len(packet), version, tos, now)

    def send_known(self, out: Exit, packet: memoryview, length: int, version: int, tos: int, now: float) -> None:
        """The same, for who has looked at its header already: octets, IP version, type of service."""
        out.path.last_sent = out.use.last = now
        if length > WHOLE and out.path.size.used(length, now):
            self.probed(out.neighbor, out.path)
        if length <= out.whole:
            if self._dpd:
                octets = (out.atomic_headers[version] + out.neighbor.next_identification().to_bytes(4, "big"), packet)
                self._sink.transmit(out.fragment_carriers[version], out.fragment_destination, octets, False, tos)
            else:
                octets = (out.headers[version], packet)
                self._sink.transmit(out.carriers[version], out.destination, octets, length <= out.proven, tos)
        elif length <= LARGEST_SPLIT:
            parts = split(packet, PROTOCOLS[version], out.neighbor.next_identification(), out.part)
            self._send_parts(out, parts, version, tos)
        else:
            self._send_larger(out, packet, tos, now)

    def _send_parts(self, out: Exit, parts: list[tuple[Fragment, memoryview]], version: int, tos: int) -> None:
        through, destination = out.fragment_carriers[version], out.fragment_destination
        front = out.atomic_headers[version][:-IDENTIFICATION_OCTETS]  # what stands before a Fragment Header
        for fragment, part in parts:
            self._sink.transmit(through, destination, (front + push_fragment(fragment), part), False, tos)

    def _send_larger(self, out: Exit, packet: memoryview, tos: int, now: float) -> None:
        """More than 1500 octets: whole if it fits, else the source is told (spec §3.1, FRAG-10)."""
        size = out.path.size
        version = packet[0] >> 4
        if len(packet) + size.overhead <= size.mtu:
            octets = (out.headers[version], packet)
            self._sink.transmit(out.carriers[version], out.destination, octets, True, tos)
        elif version == 4 and not packet[6] & DONT_FRAGMENT:
            for piece in cut_ipv4(packet, LARGEST_SPLIT):
                self.send(out, piece, now)
        else:
            self._too_big(packet, size.inner_mtu)

    def send_control(
        self, packet: bytes, lladdr: LinkLayerAddress, *, df: bool, pad: int, identification: int | None = None
    ) -> None:
        """A control packet, never fragmented, with `pad` zero octets behind it (spec §3.6).

        With an `identification` it goes behind a Fragment Header, whole all the same (spec FRAG-14).
        """
        kind, number = lladdr.encapsulation, PROTOCOLS[packet[0] >> 4]
        behind = None if identification is None else Fragment(number, 0, False, identification)
        through = carrier(kind, number, fragmented=behind is not None)
        octets = [header(kind, number, behind), packet, bytes(pad)]
        self._sink.transmit(through, push_sockaddr(lladdr.ip, lladdr.port), octets, df, traffic_class(packet))
