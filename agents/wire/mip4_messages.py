"""Messages of Mobile IPv4 and HAARO as frozen dataclasses (spec §2.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import ClassVar, TypeVar

from agents.wire.mip4_codes import HAARO_FLAGS, Code, MessageType, NextHeader, RequestFlag
from agents.wire.mip4_extension_bases import Extension, MalformedExtension
from agents.wire.mip4_extension_lists import AnyExtension
from agents.wire.mip4_extensions import Auth, MobileCorrespondentAuth, UdpTunnelRequest

T = TypeVar("T", bound=Extension)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What request and reply share."""

    lifetime: int
    """Seconds; 0 deregisters, 65535 is for ever. Meaningless in a denial."""
    home_address: IPv4Address
    home_agent: IPv4Address
    identification: int
    """64 bits: an NTP timestamp."""
    extensions: tuple[AnyExtension, ...] = ()
    """In the order of the wire up to the authorising one, without it and without padding."""
    auth: Auth | None = None
    """The first authorising extension (MHAE or MCAE)."""
    surplus: tuple[Auth, ...] = field(default=(), compare=False)
    """Further authorising extensions behind it."""
    prior: bytes = field(default=b"", compare=False, repr=False)
    """Octets before `auth` as they were received or signed; empty in a message made here and not signed yet.

    Whoever changes such a message (dataclasses.replace) empties it too.
    """

    message_type: ClassVar[MessageType]

    def first(self, kind: type[T]) -> T | None:
        """The first extension of exactly this kind, or None."""
        return next((each for each in self.extensions if type(each) is kind), None)

    def every(self, kind: type[T]) -> tuple[T, ...]:
        """All extensions of this kind and of kinds derived from it, in their order."""
        return tuple(each for each in self.extensions if isinstance(each, kind))

    @property
    def malformed(self) -> tuple[MalformedExtension, ...]:
        """Known extensions whose layout is wrong: 134 to who is authenticated, otherwise drop (spec §10)."""
        return tuple(each for each in self.extensions if isinstance(each, MalformedExtension))

    @property
    def between_peers(self) -> bool:
        """An MCAE, wherever it stands, marks what one router sends another (spec §1.6)."""
        return any(isinstance(each, MobileCorrespondentAuth) for each in (self.auth, *self.surplus))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRequest(Registration):
    """RRQ (RFC 5944 §3.3)."""

    flags: RequestFlag = HAARO_FLAGS
    careof_address: IPv4Address

    message_type: ClassVar[MessageType] = MessageType.REGISTRATION_REQUEST

    @property
    def deregisters(self) -> bool:
        """Lifetime 0."""
        return self.lifetime == 0

    @property
    def inner_encapsulation(self) -> int:
        """What a tunnel shall carry: of flags G and M, or of the UDP tunnel request if that names it (spec NAT-7)."""
        udp = self.first(UdpTunnelRequest)
        if udp and udp.encapsulation:
            return udp.encapsulation
        if self.flags & RequestFlag.GRE:
            return NextHeader.GRE
        return NextHeader.MINIMAL if self.flags & RequestFlag.MINIMAL else NextHeader.IP


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationReply(Registration):
    """RRP (RFC 5944 §3.4)."""

    code: int
    """See Code; may be a number without a name there."""

    message_type: ClassVar[MessageType] = MessageType.REGISTRATION_REPLY

    @property
    def accepted(self) -> bool:
        """Codes 0 and 1; 2 is a matter between correspondents (spec §2.6)."""
        return self.code in (Code.ACCEPTED, Code.ACCEPTED_NOT_SIMULTANEOUS)


@dataclass(frozen=True, slots=True)
class TestInit:
    """What HoTI and CoTI share."""

    cookie: bytes
    """8 octets."""

    message_type: ClassVar[MessageType]


@dataclass(frozen=True, slots=True)
class HomeTestInit(TestInit):
    """HoTI (RFC 6521 §5.6)."""

    message_type: ClassVar[MessageType] = MessageType.HOME_TEST_INIT


@dataclass(frozen=True, slots=True)
class CareofTestInit(TestInit):
    """CoTI (RFC 6521 §5.7)."""

    message_type: ClassVar[MessageType] = MessageType.CAREOF_TEST_INIT


@dataclass(frozen=True, slots=True)
class Test:
    """What HoT and CoT share."""

    __test__: ClassVar[bool] = False
    """Not one of pytest's."""
    index: int
    """16 bits: which nonce made the token."""
    cookie: bytes
    """8 octets, those of the request."""
    token: bytes
    """8 octets."""

    message_type: ClassVar[MessageType]


@dataclass(frozen=True, slots=True)
class HomeTest(Test):
    """HoT (RFC 6521 §5.8)."""

    message_type: ClassVar[MessageType] = MessageType.HOME_TEST


@dataclass(frozen=True, slots=True)
class CareofTest(Test):
    """CoT (RFC 6521 §5.9)."""

    message_type: ClassVar[MessageType] = MessageType.CAREOF_TEST


@dataclass(frozen=True, slots=True)
class TunnelData:
    """A packet in a UDP tunnel (RFC 3519 §3.3)."""

    packet: bytes
    next_header: int = NextHeader.IP

    message_type: ClassVar[MessageType] = MessageType.TUNNEL_DATA


Message = RegistrationRequest | RegistrationReply | HomeTestInit | CareofTestInit | HomeTest | CareofTest | TunnelData
