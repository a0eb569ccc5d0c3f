"""Typed records of what a capture holds: frames, IP layers, mobility messages, router advertisements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Any

ESP = 50
ICMPV6 = 58
IPV6 = 41
MOBILITY = 135
TCP = 6
UDP = 17
ECHO_REQUEST = 128
ECHO_REPLY = 129
ROUTER_ADVERTISEMENT = 134
MARKER_ETHERTYPE = 0x88B5
"""Local experimental EtherType (IEEE 802): the Recorder's end marker, no part of a lab's traffic."""


@dataclass(frozen=True, slots=True)
class IpLayer:
    """One IPv6 header of a frame; a tunnelled packet has two or more."""

    source: IPv6Address
    destination: IPv6Address
    next_header: int
    hop_limit: int
    payload_length: int
    """Octets after this header."""


@dataclass(frozen=True, slots=True)
class Esp:
    """One ESP packet in transport mode (RFC 4303 §2), read as far as that goes without a key."""

    spi: int
    sequence: int
    covered: bytes = field(repr=False)
    """What the ICV is over: everything before it."""
    icv: bytes = field(repr=False)
    inside: bytes | None = field(repr=False)
    """The Mobility Header it holds; None when it is not readable (another cipher, altered)."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured frame, reduced to the fields the checks need."""

    file: str
    """Capture file, relative to the run directory: `pcap/dgw1-wan.pcapng`."""
    number: int
    """Frame number in the file, from 1, as Wireshark shows it."""
    time: float
    """Unix time, seconds."""
    length: int
    """Octets on the wire."""
    eth_source: str
    eth_destination: str
    ethertype: int
    layers: tuple[IpLayer, ...]
    """IPv6 headers from the outermost in; empty for other network protocols."""
    protocol: int
    """Upper-layer protocol inside the innermost header (6, 17, 58, 135 ...), and inside ESP where that can be read;
    -1 without IPv6."""
    source_port: int = 0
    destination_port: int = 0
    icmp_type: int = -1
    icmp_id: int = -1
    icmp_sequence: int = -1
    icmp_code: int = -1
    icmp_pointer: int = -1
    """Of a Parameter Problem (RFC 4443 §3.4)."""
    tcp_sequence: int = 0
    tcp_length: int = 0
    tcp_flags: int = 0
    udp_sequence: int = -1
    """First 8 octets of the UDP payload as a big-endian number; -1 when shorter."""
    esp: Esp | None = None

    @property
    def tunnelled(self) -> bool:
        """Whether this is IPv6-in-IPv6."""
        return len(self.layers) > 1

    @property
    def outer(self) -> IpLayer:
        """Outermost IPv6 header; IndexError when the frame is not IPv6."""
        return self.layers[0]

    @property
    def inner(self) -> IpLayer:
        """Innermost IPv6 header (the outer one of a plain packet)."""
        return self.layers[-1]


@dataclass(frozen=True, slots=True)
class Router:
    """A DLIF as the mobile node knows it: one of its routers."""

    anchor: str
    mac: str
    link_local: IPv6Address


@dataclass(frozen=True, slots=True)
class Dlif:
    """Identity of a DLIF as signalled in options 69 and 70 (RFC 8885 §4.7, §4.8)."""

    link_local: IPv6Address | None
    mac: str | None


@dataclass(frozen=True, slots=True)
class AnchorGroup:
    """One Previous MAAR option (67) with the options 69, 70, 66, 65 following it (spec AMB-7)."""

    address: IPv6Address
    prefix: IPv6Network
    dlif: Dlif
    local_prefixes: tuple[IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class MobilityMessage:
    """One Mobility Header message (RFC 6275 §6.1, RFC 5213 §8, RFC 8885 §4)."""

    file: str
    number: int
    time: float
    eth_source: str
    source: IPv6Address
    destination: IPv6Address
    kind: str
    """"PBU", "PBA", "BE", "BRR", "BU", "BA" or "MH<type>"."""
    checksum_valid: bool
    payload_proto: int
    sequence: int = -1
    flags: int = 0
    """PBU: 16-bit flag word; PBA: 8-bit flag octet."""
    acknowledge: bool = False
    proxy: bool = False
    distributed: bool = False
    """D flag (RFC 8885 §4.1, §4.2)."""
    status: int = -1
    lifetime: int = 0
    """Units of 4 s."""
    options: tuple[int, ...] = ()
    """Option types in order, padding left out."""
    mn_id: str | None = None
    prefixes: tuple[IPv6Network, ...] = ()
    """Home Network Prefix options (22)."""
    handoff: int | None = None
    access_type: int | None = None
    link_layer_id: str | None = None
    timestamp: float | None = None
    """Unix time, seconds (1/65536 s steps)."""
    anchored: tuple[IPv6Network, ...] = ()
    """Anchored Prefix options (65)."""
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Local Prefix options (66) outside any anchor group."""
    anchors: tuple[AnchorGroup, ...] = ()
    """Previous MAAR options (67)."""
    serving: IPv6Address | None = None
    """Serving MAAR option (68)."""
    dlif: Dlif | None = None
    """Options 69 and 70 outside any anchor group: the sender's own DLIF."""
    link_local: IPv6Address | None = None
    """Link-local Address option (26): of the home router (RFC 5213 §6.8)."""
    malformed: str | None = None
    """Why the message could not be read to its end, else None."""
    octets: bytes = b""
    """The message as it was on the wire, from Payload Proto to the end of the packet."""
    esp: Esp | None = None
    """The ESP packet it came in; None when it was in the clear."""

    @property
    def lifetime_seconds(self) -> int:
        """Lifetime in seconds."""
        return self.lifetime * 4

    def identities(self) -> list[tuple[IPv6Address, IPv6Network | None, Dlif]]:
        """(anchor address, its prefix, DLIF): one per group, the sender's own without groups, else option 26."""
        found: list[tuple[IPv6Address, IPv6Network | None, Dlif]] = [
            (group.address, group.prefix, group.dlif) for group in self.anchors
        ]
        if self.dlif is not None:
            found.append((self.source, next(iter(self.prefixes), None), self.dlif))
        elif self.link_local is not None:
            found.append((self.source, next(iter(self.prefixes), None), Dlif(self.link_local, None)))
        return found


@dataclass(frozen=True, slots=True)
class PrefixInformation:
    """Prefix Information option (RFC 4861 §4.6.2); lifetimes in seconds."""

    prefix: IPv6Network
    on_link: bool
    autonomous: bool
    valid: int
    preferred: int


@dataclass(frozen=True, slots=True)
class RouteInformation:
    """Route Information option (RFC 4191 §2.3); lifetime in seconds."""

    prefix: IPv6Network
    preference: str
    lifetime: int


@dataclass(frozen=True, slots=True)
class RouterAdvertisement:
    """One Router Advertisement (RFC 4861 §4.2, RFC 4191 §2.2)."""

    file: str
    number: int
    time: float
    eth_source: str
    eth_destination: str
    source: IPv6Address
    destination: IPv6Address
    hop_limit: int
    current_hop_limit: int
    managed: bool
    other: bool
    preference: str
    """"low", "medium", "high" or "reserved"."""
    router_lifetime: int
    reachable_time: int
    retrans_timer: int
    source_mac: str | None
    """Source Link-Layer Address option."""
    mtu: int | None
    prefixes: tuple[PrefixInformation, ...] = ()
    routes: tuple[RouteInformation, ...] = ()


@dataclass(slots=True)
class Capture:
    """One decoded capture file."""

    file: str
    node: str
    interface: str
    packets: list[Packet] = field(default_factory=list)
    mobility: list[MobilityMessage] = field(default_factory=list)
    advertisements: list[RouterAdvertisement] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the event log; it can be evidence as a frame can."""

    file: str
    """The event log, relative to the run directory."""
    number: int
    """Line number, from 1."""
    time: float
    """Unix time, seconds."""
    node: str
    fields: dict[str, Any] = field(compare=False)
    """The whole object."""


def eui64(mac: str) -> IPv6Address:
    """Link-local address formed from a MAC address (RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def by_pair(packets: Iterable[Packet]) -> dict[tuple[IPv6Address, IPv6Address], list[Packet]]:
    """Index packets by innermost (source, destination)."""
    found: dict[tuple[IPv6Address, IPv6Address], list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.layers:
            found[packet.inner.source, packet.inner.destination].append(packet)
    return found
