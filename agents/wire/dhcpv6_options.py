"""DHCPv6 options of prefix delegation and of AERO's loop through the relay (spec AERO §6.9, §6.11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Union

from agents.wire.buffer import Buffer, pull_uint8, pull_uint16, push_uint8, push_uint16
from agents.wire.errors import DecodeError, DecodeErrorKind

CLIENT_ID, SERVER_ID, ORO, ELAPSED_TIME, RELAY_MESSAGE, AUTH = 1, 2, 6, 8, 9, 11
STATUS_CODE, RAPID_COMMIT, INTERFACE_ID, IA_PD, IA_PREFIX = 13, 14, 18, 25, 26
RSOO, LINK_LAYER_ADDRESS, SOL_MAX_RT, RELAY_PORT = 66, 79, 82, 135
HW_EXP2 = 256
"""Link-layer type of AERO's form of option 79."""
AUTH_PROTOCOL, AUTH_ALGORITHM, AUTH_RDM = 250, 2, 0
MAC_OCTETS = 16


@dataclass(frozen=True)
class ClientId:
    """Option 1."""

    duid: bytes


@dataclass(frozen=True)
class ServerId:
    """Option 2."""

    duid: bytes


@dataclass(frozen=True)
class OptionRequest:
    """Option 6."""

    codes: tuple[int, ...]


@dataclass(frozen=True)
class ElapsedTime:
    """Option 8."""

    hundredths: int


@dataclass(frozen=True)
class RelayMessage:
    """Option 9: the message between client and server, octet for octet."""

    payload: bytes


@dataclass(frozen=True)
class Auth:
    """Option 11 with AERO's protocol (spec §6.11); others are kept as Unknown."""

    replay: int
    """64-bit value that rises with every message."""
    mac: bytes = bytes(MAC_OCTETS)


@dataclass(frozen=True)
class StatusCode:
    """Option 13."""

    code: int
    text: str = ""


@dataclass(frozen=True)
class RapidCommit:
    """Option 14."""


@dataclass(frozen=True)
class InterfaceId:
    """Option 18."""

    value: bytes


@dataclass(frozen=True)
class IaPrefix:
    """Option 26: one delegated prefix; lifetimes in seconds, valid 0 takes it back."""

    prefix: IPv6Network
    preferred: int = 0
    valid: int = 0
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class IaPd:
    """Option 25: an association of delegated prefixes; T1 and T2 in seconds."""

    iaid: int
    t1: int = 0
    t2: int = 0
    options: tuple[Option, ...] = ()

    @property
    def prefixes(self) -> tuple[IaPrefix, ...]:
        """The delegated prefixes."""
        return tuple(option for option in self.options if isinstance(option, IaPrefix))

    @property
    def status(self) -> int:
        """Its status code, 0 when there is none."""
        return next((option.code for option in self.options if isinstance(option, StatusCode)), 0)


@dataclass(frozen=True)
class RelaySupplied:
    """Option 66: what a relay asks the server to pass on to the client (RFC 6422)."""

    options: tuple[Option, ...]


@dataclass(frozen=True)
class ClientLinkLayer:
    """Option 79 in AERO's form: the Client's link-layer address as its Server sees it (RFC 6939, spec §6.9)."""

    ip: IPv6Address
    """IPv4 as ::ffff:a.b.c.d."""
    port: int


@dataclass(frozen=True)
class RelayPort:
    """Option 135: answer to the port the relay sent from, or to this one (RFC 8357)."""

    port: int = 0


@dataclass(frozen=True)
class Unknown:
    """Any other option, and known ones in a form that is not ours."""

    code: int
    data: bytes


Option = Union[  # noqa: UP007  (a forward reference to itself)
    ClientId,
    ServerId,
    OptionRequest,
    ElapsedTime,
    RelayMessage,
    Auth,
    StatusCode,
    RapidCommit,
    InterfaceId,
    IaPrefix,
    IaPd,
    RelaySupplied,
    ClientLinkLayer,
    RelayPort,
    Unknown,
]


Readers = dict[int, Callable[[bytes], Option]]
"""By option code: from an option's content to the option."""


def push_options(options: tuple[Option, ...]) -> bytes:
    """Options as octets."""
    return b"".join(push_uint16(code) + push_uint16(len(data)) + data for code, data in map(_push, options))


def pull_options(buf: Buffer, readers: Readers | None = None) -> tuple[Option, ...]:
    """All options up to the end; DecodeError for one that overruns it or whose content is cut short.

    `readers` are those of the options that belong here: an option inside an option of the wrong kind is kept
    unread, so that no message can nest without end.
    """
    known = _READERS if readers is None else readers
    found: list[Option] = []
    while buf.remaining:
        start = buf.position
        code, length = pull_uint16(buf, "option code"), pull_uint16(buf, "option length")
        if length > buf.remaining:
            reason = f"option {code} of {length} octets, {buf.remaining} left"
            raise DecodeError(reason, start, DecodeErrorKind.OPTION_OVERRUN)
        data = buf.pull_bytes(length)
        reader = known.get(code)
        found.append(reader(data) if reader else Unknown(code, data))
    return tuple(found)


def _push(option: Option) -> tuple[int, bytes]:
    match option:
        case ClientId():
            return CLIENT_ID, option.duid
        case ServerId():
            return SERVER_ID, option.duid
        case OptionRequest():
            return ORO, b"".join(push_uint16(code) for code in option.codes)
        case ElapsedTime():
            return ELAPSED_TIME, push_uint16(option.hundredths)
        case RelayMessage():
            return RELAY_MESSAGE, option.payload
        case Auth():
            head = bytes((AUTH_PROTOCOL, AUTH_ALGORITHM, AUTH_RDM))
            return AUTH, head + option.replay.to_bytes(8, "big") + option.mac
        case StatusCode():
            return STATUS_CODE, push_uint16(option.code) + option.text.encode()
        case RapidCommit():
            return RAPID_COMMIT, b""
        case InterfaceId():
            return INTERFACE_ID, option.value
        case IaPrefix():
            head = option.preferred.to_bytes(4, "big") + option.valid.to_bytes(4, "big")
            prefix = push_uint8(option.prefix.prefixlen) + option.prefix.network_address.packed
            return IA_PREFIX, head + prefix + push_options(option.options)
        case IaPd():
            head = b"".join(number.to_bytes(4, "big") for number in (option.iaid, option.t1, option.t2))
            return IA_PD, head + push_options(option.options)
        case RelaySupplied():
            return RSOO, push_options(option.options)
        case ClientLinkLayer():
            return LINK_LAYER_ADDRESS, push_uint16(HW_EXP2) + push_uint16(option.port) + option.ip.packed
        case RelayPort():
            return RELAY_PORT, push_uint16(option.port)
        case Unknown():
            return option.code, option.data


def _pull_oro(data: bytes) -> Option:
    if len(data) % 2:
        return Unknown(ORO, data)
    return OptionRequest(tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)))


def _pull_elapsed(data: bytes) -> Option:
    return ElapsedTime(int.from_bytes(data, "big")) if len(data) == 2 else Unknown(ELAPSED_TIME, data)


def _pull_auth(data: bytes) -> Option:
    if len(data) != 11 + MAC_OCTETS or data[:3] != bytes((AUTH_PROTOCOL, AUTH_ALGORITHM, AUTH_RDM)):
        return Unknown(AUTH, data)
    return Auth(int.from_bytes(data[3:11], "big"), data[11:])


def _pull_status(data: bytes) -> Option:
    buf = Buffer(data)
    code = pull_uint16(buf, "status code")
    try:
        return StatusCode(code, buf.pull_bytes(buf.remaining).decode())
    except UnicodeDecodeError:
        return Unknown(STATUS_CODE, data)


def _pull_rapid_commit(data: bytes) -> Option:
    return Unknown(RAPID_COMMIT, data) if data else RapidCommit()


def _pull_ia_prefix(data: bytes) -> Option:
    buf = Buffer(data)
    preferred = int.from_bytes(buf.pull_bytes(4, "preferred lifetime"), "big")
    valid = int.from_bytes(buf.pull_bytes(4, "valid lifetime"), "big")
    length, base = pull_uint8(buf, "prefix length"), buf.pull_bytes(16, "prefix")
    if length > 128:
        raise DecodeError(f"delegated prefix of length {length}", 8)
    prefix = IPv6Network((base, length), strict=False)
    if prefix.network_address.packed != base:
        return Unknown(IA_PREFIX, data)
    return IaPrefix(prefix, preferred, valid, pull_options(buf, _IN_IA_PREFIX))


def _pull_ia_pd(data: bytes) -> Option:
    buf = Buffer(data)
    iaid, t1, t2 = (int.from_bytes(buf.pull_bytes(4, what), "big") for what in ("IAID", "T1", "T2"))
    return IaPd(iaid, t1, t2, pull_options(buf, _IN_IA_PD))


def _pull_rsoo(data: bytes) -> Option:
    return RelaySupplied(pull_options(Buffer(data), _IN_RSOO))


def _pull_link_layer(data: bytes) -> Option:
    if len(data) != 20 or data[:2] != push_uint16(HW_EXP2):
        return Unknown(LINK_LAYER_ADDRESS, data)
    return ClientLinkLayer(IPv6Address(data[4:]), int.from_bytes(data[2:4], "big"))


def _pull_relay_port(data: bytes) -> Option:
    return RelayPort(int.from_bytes(data, "big")) if len(data) == 2 else Unknown(RELAY_PORT, data)


_READERS: Readers = {
    CLIENT_ID: ClientId,
    SERVER_ID: ServerId,
    ORO: _pull_oro,
    ELAPSED_TIME: _pull_elapsed,
    RELAY_MESSAGE: RelayMessage,
    AUTH: _pull_auth,
    STATUS_CODE: _pull_status,
    RAPID_COMMIT: _pull_rapid_commit,
    INTERFACE_ID: InterfaceId,
    IA_PD: _pull_ia_pd,
    RSOO: _pull_rsoo,
    LINK_LAYER_ADDRESS: _pull_link_layer,
    RELAY_PORT: _pull_relay_port,
}
_IN_IA_PREFIX: Readers = {STATUS_CODE: _pull_status}
_IN_IA_PD: Readers = {STATUS_CODE: _pull_status, IA_PREFIX: _pull_ia_prefix}
_IN_RSOO: Readers = {LINK_LAYER_ADDRESS: _pull_link_layer}
