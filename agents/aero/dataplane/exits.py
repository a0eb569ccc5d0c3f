"""How a packet leaves toward one neighbor: everything about a path that can be worked out before the packet comes."""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.aero.constants import GUARANTEED, WHOLE
from agents.aero.dataplane.encapsulation import IPV4, IPV6, Carrier, Fragment, carrier, header
from agents.aero.dataplane.fragmentation import part_size
from agents.aero.dataplane.sockaddr import SocketAddress, push_sockaddr
from agents.aero.dataplane.usage import Use
from agents.aero.lladdr import FRAGMENT_FRONT_OCTETS, HEADER_OCTETS, Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, Path


@dataclass(slots=True, eq=False)
class Exit:
    """One path, as the packet path uses it; made anew when the neighbor cache changes."""

    neighbor: Neighbor
    path: Path
    whole: int
    """Inner packets up to this size are sent whole (spec §3.1)."""
    proven: int
    """Inner packets up to this size are sent with DF."""
    destination: SocketAddress
    """Where data is sent."""
    carriers: dict[int, Carrier]
    """By IP version of the inner packet."""
    headers: dict[int, bytes]
    """By IP version of the inner packet: octets in front of it."""
    part: int
    """Octets of the inner packet in each fragment but the last."""
    fragments: LinkLayerAddress
    """How fragments go (spec FRAG-14)."""
    fragment_destination: SocketAddress
    fragment_carriers: dict[int, Carrier]
    """By IP version of the inner packet."""
    atomic_headers: dict[int, bytes]
    """By IP version of the inner packet: octets in front of a whole one, up to its identification (spec §3.8)."""
    use: Use = field(default_factory=Use)
    """Of the flow, where somebody asks for it."""


def exit_over(neighbor: Neighbor, path: Path, use: Use | None = None, *, dpd: bool = False) -> Exit:
    """The exit of one path, for one flow; `dpd`: identifications must arrive as they were sent."""
    lladdr, size = path.lladdr, path.size
    kind = lladdr.encapsulation
    proven = size.proven - size.overhead
    fragments = _fragment_address(lladdr, path, dpd=dpd)
    cut = fragments.encapsulation
    overhead = lladdr.overhead - HEADER_OCTETS[kind] + FRAGMENT_FRONT_OCTETS[cut]
    return Exit(
        neighbor=neighbor,
        path=path,
        whole=max(proven, min(WHOLE, size.mtu - size.overhead)),
        proven=proven,
        destination=push_sockaddr(lladdr.ip, lladdr.port),
        carriers={version: carrier(kind, number, fragmented=False) for version, number in PROTOCOLS.items()},
        headers={version: header(kind, number) for version, number in PROTOCOLS.items()},
        part=part_size(overhead, size.mtu),
        fragments=fragments,
        fragment_destination=push_sockaddr(fragments.ip, fragments.port),
        fragment_carriers={version: carrier(cut, number, fragmented=True) for version, number in PROTOCOLS.items()},
        atomic_headers={version: _atomic_header(cut, number) for version, number in PROTOCOLS.items()},
        use=use or Use(),
    )


PROTOCOLS = {4: IPV4, 6: IPV6}
"""IP version to protocol number."""
LARGEST_SPLIT = GUARANTEED
"""Larger inner packets are never cut in the tunnel."""
IDENTIFICATION_OCTETS = 4


def _atomic_header(kind: Encapsulation, number: int) -> bytes:
    return header(kind, number, Fragment(number, 0, False, 0))[:-IDENTIFICATION_OCTETS]


def _fragment_address(lladdr: LinkLayerAddress, path: Path, *, dpd: bool) -> LinkLayerAddress:
    """Fragment Headers of minimal encapsulation go by UDP where a middlebox does not let them through, or gives them
    identifications of its own while the receiver judges duplicates by them (spec FRAG-14)."""
    unfit = not path.fragments or (dpd and not path.identifications)
    if lladdr.encapsulation is Encapsulation.MINIMAL and unfit:
        return LinkLayerAddress(Encapsulation.UDP, lladdr.ip, Encapsulation.UDP.port)
    return lladdr
