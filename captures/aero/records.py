"""Typed records of AERO's packets: the outer packet, how it carries, and what is inside (spec §2, §6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from captures.ip import Address, Ip

ICMP, IPIP, TCP, UDP, IPV6, FRAGMENT, ICMPV6 = 1, 4, 6, 17, 41, 44, 58
AERO_PORT, GUE_PORT, DHCP_CLIENT, DHCP_SERVER = 8060, 6080, 546, 547
ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 134, 135, 136, 137
DHCP_TYPES = {
    1: "Solicit",
    2: "Advertise",
    3: "Request",
    5: "Renew",
    6: "Rebind",
    7: "Reply",
    8: "Release",
    12: "Relay-forward",
    13: "Relay-reply",
}


@dataclass(frozen=True, slots=True)
class FragmentHeader:
    """The 8 octets in front of (a part of) the inner packet."""

    next_header: int
    offset: int
    """Octets."""
    more: bool
    identification: int
    reserved: int = 0

    @property
    def atomic(self) -> bool:
        """A whole packet behind a Fragment Header (spec §3.8)."""
        return self.offset == 0 and not self.more


@dataclass(frozen=True, slots=True)
class LinkLayer:
    """S/TLLAO (spec §6.2)."""

    target: bool
    encapsulation: int
    nat: bool
    link_id: int
    preference: int
    port: int
    ip: Address


@dataclass(frozen=True, slots=True)
class Seen:
    """OBSERVED, option 253 subtype 3 (spec §6.5)."""

    encapsulation: int
    port: int
    ip: Address
    size: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """A Neighbor Solicitation or Advertisement of the AERO link."""

    type: int
    target: IPv6Address
    nonce: bytes | None
    lladdrs: tuple[LinkLayer, ...] = ()
    observed: Seen | None = None
    solicited: bool = False
    override: bool = False
    router: bool = False
    checksum_good: bool = True
    code: int = 0
    auth: int | None = None
    """Key id of the AUTH option."""

    @property
    def name(self) -> str:
        """ "NS" or "NA"."""
        return "NS" if self.type == SOLICITATION else "NA"


@dataclass(frozen=True, slots=True)
class Mediation:
    """A Predirect or Redirect (spec §6.6)."""

    predirect: bool
    framing: str
    """ "nd" or "rfc6706"."""
    target: IPv6Address
    destination: IPv6Address
    prefix: IPv4Network | IPv6Network | None
    """RIO; None in a NULL Redirect."""
    lifetime: int
    lladdrs: tuple[LinkLayer, ...]
    token: tuple[int, bytes] | None
    """(key id, octets)."""
    quoted: Ip | None
    """Start of the packet that it is about."""
    rest: bytes
    """All that a router on the way must leave as it is: the message without its checksum and link-layer addresses."""
    checksum_good: bool = True
    auth: int | None = None
    """Key id of the AUTH option."""

    @property
    def name(self) -> str:
        """As the sheet calls it."""
        if self.predirect:
            return "Predirect"
        return "Redirect" if self.prefix else "NULL Redirect"


@dataclass(frozen=True, slots=True)
class OfferedPrefix:
    """Prefix Information of a Router Advertisement (RFC 4861 §4.6.2)."""

    prefix: IPv6Network
    on_link: bool
    autonomous: bool
    valid: int
    preferred: int


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A Router Advertisement on a link downstream of a Client."""

    lifetime: int
    """Of the router, seconds."""
    managed: bool
    prefixes: tuple[OfferedPrefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Delegated:
    """One prefix of an IA_PD."""

    iaid: int
    prefix: IPv6Network
    preferred: int
    valid: int


@dataclass(frozen=True, slots=True)
class Dhcp:
    """A DHCPv6 message; of a relayed one, `carried` is the message inside."""

    type: int
    transaction: int = 0
    options: tuple[int, ...] = ()
    """Codes in order."""
    client: bytes | None = None
    server: bytes | None = None
    requested: tuple[int, ...] = ()
    prefixes: tuple[Delegated, ...] = ()
    iaids: tuple[int, ...] = ()
    lladdr: tuple[Address, int] | None = None
    """Option 79: link-layer address and port."""
    hop_count: int = 0
    link_address: IPv6Address | None = None
    peer_address: IPv6Address | None = None
    interface_id: bytes | None = None
    way_back: tuple[int, int, Address, int] | None = None
    """Interface-ID as AERO makes it: version, encapsulation, address, port."""
    supplied: tuple[tuple[Address, int], ...] = ()
    """Option 79s in the RSOO (66)."""
    relay_port: int | None = None
    carried: Dhcp | None = None
    octets: bytes = b""
    """The whole message."""

    @property
    def name(self) -> str:
        """As RFC 8415 calls it."""
        return DHCP_TYPES.get(self.type, f"type {self.type}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment (RFC 9293 §3.1)."""

    ports: tuple[int, int]
    """Source and destination."""
    sequence: int
    acknowledgement: int
    flags: int
    octets: int
    """Of data."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame with an IP packet."""

    file: str
    number: int
    time: float
    node: str
    interface: str
    outer: Ip
    ports: tuple[int, int] | None = None
    """Source and destination of UDP in the outermost packet."""
    udp_checksum: int | None = None
    """As captured: on its way out of a node the kernel may have left it to the interface to complete."""
    code: str = ""
    """How it carries an inner packet: "0", "0F", "1", "1F", "2", "2F", "3"; empty: not AERO."""
    fragment: FragmentHeader | None = None
    inner: Ip | None = None
    """Of a fragment, only of the first part."""
    carried: int = 0
    """Octets of the inner packet here, padding included."""
    discovery: Discovery | None = None
    advertisement: Advertisement | None = None
    dhcp: Dhcp | None = None
    mediation: Mediation | None = None
    echo: tuple[str, int, int] | None = None
    """("request" or "reply", identifier, sequence) of the innermost packet."""
    segment: Segment | None = None
    """Of the innermost packet."""
    icmp: tuple[int, int, int] | None = None
    """(type, code, MTU or rest) of an ICMP error, innermost packet."""
    quoted: Ip | None = None
    """Packet that an ICMP error quotes."""
    head: bytes = field(default=b"", repr=False)
    """First octets behind the outer IP header."""

    @property
    def control(self) -> bool:
        """Of the AERO link itself: Neighbor Discovery, route optimisation, DHCPv6 (spec §6)."""
        return self.discovery is not None or self.mediation is not None or self.dhcp is not None

    @property
    def padding(self) -> int:
        """Octets behind the inner packet (spec §3.6)."""
        return self.carried - self.inner.size if self.inner and self.fragment is None else 0

    @property
    def innermost(self) -> Ip:
        """The inner packet, else the packet itself."""
        return self.inner or self.outer
