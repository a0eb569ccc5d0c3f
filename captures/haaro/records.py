"""Typed records of HAARO's packets: tunnels around, the message inside (spec §1.5, §2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from captures.ip import Ip

PORT = 434
NAMES = {1: "RRQ", 3: "RRP", 24: "HoTI", 25: "CoTI", 26: "HoT", 27: "CoT"}


@dataclass(frozen=True, slots=True)
class NetworkState:
    """A prefix that was asked for (`code` None) or answered."""

    prefix: IPv4Network | None
    """None when its length is none."""
    length: int
    code: int | None = None
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class UdpTunnel:
    """A request (`code` None) or the answer to it."""

    forced: bool
    encapsulation: int | None = None
    code: int | None = None
    keepalive: int | None = None
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Capability:
    """What a router tells the home agent about itself."""

    advertise: bool
    receive: bool
    outbound_only: bool
    solicited: IPv4Address | None
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class RoReply:
    """What the home agent says to it."""

    code: int
    outbound_only: bool
    nat: bool
    solicited: bool


@dataclass(frozen=True, slots=True)
class Advertised:
    """One owner of an advertisement and its (prefix, realm) pairs."""

    home_address: IPv4Address
    info: int
    networks: tuple[tuple[IPv4Network, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HomeAuth:
    """MHAE: `covered` is what its authenticator was computed over."""

    spi: int
    authenticator: bytes
    covered: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class CorrespondentAuth:
    """MCAE: `covered` is what its authenticator was computed over (spec A-1)."""

    home_index: int
    careof_index: int
    authenticator: bytes
    covered: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Message:
    """A message on UDP port 434; what a kind does not have is left at its default."""

    kind: str
    """ "RRQ", "RRP", "HoTI", "CoTI", "HoT", "CoT"."""
    octets: bytes = field(repr=False)
    """The UDP payload."""
    flags: int = 0
    code: int = 0
    lifetime: int = 0
    home_address: IPv4Address | None = None
    home_agent: IPv4Address | None = None
    careof_address: IPv4Address | None = None
    identification: int = 0
    order: tuple[tuple[int, int | None], ...] = ()
    """Type and subtype of each extension, as they come; padding left out."""
    requested: tuple[NetworkState, ...] = ()
    acknowledged: tuple[NetworkState, ...] = ()
    udp_request: UdpTunnel | None = None
    udp_reply: UdpTunnel | None = None
    capability: Capability | None = None
    ro_reply: RoReply | None = None
    careof_addresses: tuple[IPv4Address, ...] = ()
    advertised: tuple[Advertised, ...] | None = None
    """None without an advertisement; () when it is empty."""
    auths: tuple[HomeAuth | CorrespondentAuth, ...] = ()
    cookie: bytes = b""
    index: int = 0
    token: bytes = b""
    faults: tuple[str, ...] = ()
    """What could not be read."""

    @property
    def to_peer(self) -> bool:
        """Between two routers: authorised by an MCAE."""
        return any(isinstance(auth, CorrespondentAuth) for auth in self.auths)

    @property
    def title(self) -> str:
        """ "RRP 133"."""
        return f"{self.kind} {self.code}" if self.kind == "RRP" else self.kind


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame with an IPv4 packet."""

    file: str
    number: int
    time: float
    node: str
    interface: str
    layers: tuple[Ip, ...]
    """IP headers, outermost first: more than one is a tunnel."""
    carriers: tuple[str, ...] = ()
    """How each layer carries the next: "ipip" or "udp"."""
    tunnel_ports: tuple[int, int] | None = None
    """Source and destination of the outermost UDP tunnel."""
    next_header: int | None = None
    """Of the header of tunnel data."""
    ports: tuple[int, int] | None = None
    """UDP or TCP ports of the innermost packet."""
    message: Message | None = None
    echo: tuple[str, int, int] | None = None
    """("request" or "reply", identifier, sequence) of the innermost packet."""
    icmp: tuple[int, int, int] | None = None
    """(type, code, MTU or rest) of an ICMP error in the innermost packet."""
    quoted: Ip | None = None
    """Packet that an ICMP error quotes."""
    udp_checksum: int | None = None

    @property
    def outer(self) -> Ip:
        """The packet as the network sees it."""
        return self.layers[0]

    @property
    def inner(self) -> Ip:
        """The innermost packet; without a tunnel the packet itself."""
        return self.layers[-1]

    @property
    def tunnelled(self) -> bool:
        """Whether it is inside a tunnel."""
        return len(self.layers) > 1

    @property
    def kind(self) -> str | None:
        """Name of the message."""
        return self.message.kind if self.message else None
