"""Extensions of Mobile IPv4 registrations that HAARO uses (spec §2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, Self

from agents.wire.buffer import push_uint8, push_uint16
from agents.wire.mip4_extension_bases import Extension, PrefixExtension


@dataclass(frozen=True, slots=True)
class MobileHomeAuth(Extension):
    """MHAE, the authorising extension between router and home agent (RFC 5944 §3.5.2)."""

    spi: int
    """32 bits; 0-255 are reserved."""
    authenticator: bytes = bytes(16)

    type: ClassVar[int] = 32

    @classmethod
    def head(cls, spi: int, octets: int) -> bytes:
        """What stands before an authenticator of so many octets: type, length and SPI."""
        return bytes((cls.type, 4 + octets)) + spi.to_bytes(4, "big")

    def push_data(self) -> bytes:
        """SPI and authenticator."""
        return self.spi.to_bytes(4, "big") + self.authenticator

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """At least the SPI; how long the authenticator must be is the algorithm's affair."""
        return cls(int.from_bytes(data[:4], "big"), data[4:]) if len(data) >= 4 else None


@dataclass(frozen=True, slots=True)
class UdpTunnelRequest(Extension):
    """Request for a tunnel in UDP (RFC 3519 §3.1)."""

    force: bool = False
    """F: in UDP even though no NAT is seen."""
    encapsulation: int = 4
    """4 IP, 47 GRE, 55 minimal; 0 leaves it to the flags M and G."""
    relay: bool = False
    """R: for foreign agents only."""
    reserved: int = 0
    """Octets 6-7, which must be 0: 134 otherwise."""

    type: ClassVar[int] = 144
    subtype: ClassVar[int] = 0

    def push_data(self) -> bytes:
        """Flags, encapsulation, reserved octets."""
        head = bytes((0, self.force << 7 | self.relay << 6)) + push_uint8(self.encapsulation, "encapsulation")
        return head + push_uint16(self.reserved, "reserved")

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """Five octets."""
        if len(data) != 5:
            return None
        return cls(bool(data[1] & 0x80), data[2], bool(data[1] & 0x40), int.from_bytes(data[3:], "big"))


@dataclass(frozen=True, slots=True)
class UdpTunnelReply(Extension):
    """Answer to a UdpTunnelRequest (RFC 3519 §3.2)."""

    code: int = 0
    """0-63 accepted, 64-255 declined."""
    forced: bool = False
    """F of the request, echoed."""
    keepalive: int = 0
    """Seconds; 0 lets the receiver use its own default."""

    type: ClassVar[int] = 44
    subtype: ClassVar[int] = 0

    @property
    def accepted(self) -> bool:
        """Code below 64."""
        return self.code < 64

    def push_data(self) -> bytes:
        """Code, flags, interval."""
        return push_uint8(self.code, "code") + bytes((self.forced << 7, 0)) + push_uint16(self.keepalive, "keepalive")

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """Five octets."""
        if len(data) != 5:
            return None
        return cls(data[0], bool(data[1] & 0x80), int.from_bytes(data[3:], "big"))


@dataclass(frozen=True, slots=True)
class MobileNetworkRequest(PrefixExtension):
    """MNR: one prefix behind the router, explicit mode (RFC 5177 §4.1)."""

    type: ClassVar[int] = 148
    subtype: ClassVar[int] = 0

    @classmethod
    def of(cls, network: IPv4Network) -> Self:
        """The request for this prefix."""
        return cls(network.network_address, network.prefixlen)

    def push_data(self) -> bytes:
        """Prefix length and prefix."""
        return push_uint8(self.length, "prefix length") + self.address.packed

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """Five octets."""
        return cls(IPv4Address(data[1:]), data[0]) if len(data) == 5 else None


@dataclass(frozen=True, slots=True)
class MobileNetworkAck(PrefixExtension):
    """MNA: what became of one prefix the router listed (RFC 5177 §4.2)."""

    code: int = 0
    """0 ok, 1 invalid prefix length, 2 unauthorised, 3 forwarding set-up failed."""

    type: ClassVar[int] = 148
    subtype: ClassVar[int] = 1

    def push_data(self) -> bytes:
        """Code, prefix length, reserved octet, prefix."""
        return push_uint8(self.code, "code") + push_uint8(self.length, "prefix length") + b"\0" + self.address.packed

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """Seven octets."""
        return cls(IPv4Address(data[3:]), data[1], data[0]) if len(data) == 7 else None


@dataclass(frozen=True, slots=True)
class ImplicitNetworkAck(MobileNetworkAck):
    """MNA of a prefix that the home agent has in its own configuration."""

    type: ClassVar[int] = 148
    subtype: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class RoCapability(Extension):
    """Mobile router Route Optimization Capability, to the home agent (RFC 6521 §5.1)."""

    advertise: bool = False
    """A: others may learn my networks, and I accept their requests."""
    receive: bool = False
    """R: send me prefix information."""
    outbound_only: bool = False
    """O: no interface of mine takes connections from outside."""
    solicited: IPv4Address | None = None
    """S: send me the data of the router with this home address."""

    type: ClassVar[int] = 153
    subtype: ClassVar[int] = 1

    def push_data(self) -> bytes:
        """Bits, and the home address only with S (spec MR-2)."""
        bits = self.advertise << 7 | self.receive << 6 | (self.solicited is not None) << 5 | self.outbound_only << 4
        return bytes((bits,)) + (self.solicited.packed if self.solicited is not None else b"")

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """One octet, five with S; an address without S is ignored (spec §10)."""
        if len(data) not in (1, 5) or (data[0] & 0x20 and len(data) == 1):
            return None
        solicited = IPv4Address(data[1:]) if data[0] & 0x20 else None
        return cls(bool(data[0] & 0x80), bool(data[0] & 0x40), bool(data[0] & 0x10), solicited)


@dataclass(frozen=True, slots=True)
class RoReply(Extension):
    """Route Optimization Reply, to the mobile router (RFC 6521 §5.2)."""

    code: int = 0
    """0-15 will optimise, 16-31 declined."""
    outbound_only: bool = False
    """O, echoed."""
    nat: bool = False
    """N: the request came from another address than its care-of address."""
    solicited: bool = False
    """S, echoed."""

    type: ClassVar[int] = 49
    subtype: ClassVar[int] = 1

    @property
    def accepted(self) -> bool:
        """Code below 16."""
        return self.code < 16

    def push_data(self) -> bytes:
        """Bits and code."""
        if not 0 <= self.code <= 0x1F:
            raise ValueError(f"code {self.code} does not fit into 5 bits")
        return bytes((self.outbound_only << 7 | self.nat << 6 | self.solicited << 5 | self.code,))

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """One octet."""
        if len(data) != 1:
            return None
        return cls(data[0] & 0x1F, bool(data[0] & 0x80), bool(data[0] & 0x40), bool(data[0] & 0x20))


@dataclass(frozen=True, slots=True)
class MobileCorrespondentAuth(Extension):
    """MCAE, the authorising extension between two mobile routers (RFC 6521 §5.3)."""

    home_index: int
    """Home Nonce Index."""
    careof_index: int
    """Care-of Nonce Index."""
    authenticator: bytes = bytes(16)

    type: ClassVar[int] = 49
    subtype: ClassVar[int] = 2

    def push_data(self) -> bytes:
        """Reserved octet, indexes, authenticator."""
        indexes = push_uint16(self.home_index, "home nonce index") + push_uint16(self.careof_index, "care-of index")
        return b"\0" + indexes + self.authenticator

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """21 octets."""
        if len(data) != 21:
            return None
        return cls(int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big"), data[5:])


@dataclass(frozen=True, slots=True)
class CareofAddresses(Extension):
    """Care-of addresses of a correspondent, best first (RFC 6521 §5.4)."""

    addresses: tuple[IPv4Address, ...]
    """1-63."""

    type: ClassVar[int] = 49
    subtype: ClassVar[int] = 3

    def push_data(self) -> bytes:
        """Reserved octet and addresses."""
        if not 1 <= len(self.addresses) <= 63:
            raise ValueError(f"{len(self.addresses)} care-of addresses in one extension")
        return b"\0" + b"".join(address.packed for address in self.addresses)

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """One octet and whole addresses, at least one."""
        if len(data) < 5 or len(data) % 4 != 1:
            return None
        return cls(tuple(IPv4Address(data[at : at + 4]) for at in range(1, len(data), 4)))


@dataclass(frozen=True, slots=True)
class PrefixAdvertisement(Extension):
    """ADV, who owns which networks (RFC 6521 §5.5); its compressed content is read by agents.haaro.compression."""

    data: bytes

    type: ClassVar[int] = 50
    subtype: ClassVar[int] = 1

    def push_data(self) -> bytes:
        """The structures."""
        return self.data

    @classmethod
    def pull_data(cls, data: bytes) -> Self | None:
        """Any octets: an error inside costs only what follows it (spec §10)."""
        return cls(data)


Auth = MobileHomeAuth | MobileCorrespondentAuth
