"""Neighbor Discovery options of AERO (spec AERO §6.1-6.5): S/TLLAO, Redirected Header, Nonce, RIO, experimental 253."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agents.wire.buffer import Buffer, push_uint8, push_uint16
from agents.wire.errors import DecodeError, DecodeErrorKind

SOURCE, TARGET, REDIRECTED_HEADER, NONCE, ROUTE_INFORMATION, EXPERIMENTAL = 1, 2, 4, 14, 24, 253
EXPERIMENT = 0xAE60
"""Octets 2-3 of our experimental option."""
TOKEN, AUTH, OBSERVED = 1, 2, 3
"""Its subtypes."""
HMAC_SHA256_128 = 1
MAC_OCTETS = 16
QUOTED = 128
"""Octets of the triggering packet that a Redirected Header carries at most (spec §6.4)."""


@dataclass(frozen=True)
class LinkLayerOption:
    """S/TLLAO: one link-layer address of an AERO neighbor (spec §6.2)."""

    target: bool
    """True: TLLAO, False: SLLAO."""
    encapsulation: int
    ip: IPv6Address
    """IPv4 as ::ffff:a.b.c.d."""
    port: int
    link_id: int = 1
    preference: int = 128
    nat: bool = False


@dataclass(frozen=True)
class RedirectedHeader:
    """The start of the packet that triggered a Redirect, possibly followed by padding (RFC 4861 §4.6.3)."""

    packet: bytes


@dataclass(frozen=True)
class Nonce:
    """RFC 3971 §5.3.2."""

    value: bytes
    """6 octets."""


@dataclass(frozen=True)
class RouteInformation:
    """RIO (RFC 4191 §2.3): a prefix and its remaining life."""

    prefix: IPv6Network
    """IPv4 as ::ffff:a.b.c.d/96+n; bits beyond the length are ignored."""
    lifetime: int
    """Seconds."""


@dataclass(frozen=True)
class Token:
    """A key that lets two Clients authenticate their Neighbor Discovery."""

    key_id: int
    value: bytes
    """16 octets."""


@dataclass(frozen=True)
class Auth:
    """Proof that the sender holds the token `key_id`; last option of its message."""

    key_id: int
    timestamp: int
    """Unix time in units of 1/65536 s."""
    mac: bytes = bytes(MAC_OCTETS)


@dataclass(frozen=True)
class Observed:
    """What the receiver of a solicitation saw of it (spec §6.5)."""

    encapsulation: int
    ip: IPv6Address
    port: int
    size: int
    """Octets of the inner part, padding included."""


Option = LinkLayerOption | RedirectedHeader | Nonce | RouteInformation | Token | Auth | Observed


def push_options(options: tuple[Option, ...]) -> bytes:
    """Options as octets; ValueError when a value does not fit its field."""
    return b"".join(_push(option) for option in options)


def pull_options(buf: Buffer) -> tuple[Option, ...]:
    """All known options up to the end; DecodeError for length 0, an overrun, or a malformed known option."""
    found = []
    while buf.remaining:
        start = buf.position
        head = buf.pull_bytes(2, "option type and length")
        if head[1] == 0:
            raise DecodeError(f"option {head[0]} of length 0", start)
        if 8 * head[1] - 2 > buf.remaining:
            reason = f"option {head[0]} of {8 * head[1]} octets, {buf.remaining + 2} left"
            raise DecodeError(reason, start, DecodeErrorKind.OPTION_OVERRUN)
        data = head + buf.pull_bytes(8 * head[1] - 2)
        reader = _READERS.get(head[0])
        option = reader(data, start) if reader else None
        if option is not None:
            found.append(option)
    return tuple(found)


def _push(option: Option) -> bytes:
    match option:
        case LinkLayerOption():
            flags = option.encapsulation << 12 | option.nat << 11
            ends = push_uint8(option.link_id, "link id") + push_uint8(option.preference, "preference")
            head = bytes((TARGET if option.target else SOURCE, 3)) + push_uint16(flags, "encapsulation")
            return head + ends + push_uint16(option.port, "port") + option.ip.packed
        case RedirectedHeader():
            padded = option.packet[:QUOTED] + bytes(-len(option.packet[:QUOTED]) % 8)
            return bytes((REDIRECTED_HEADER, 1 + len(padded) // 8)) + bytes(6) + padded
        case Nonce():
            return bytes((NONCE, 1)) + _exactly(option.value, 6, "nonce")
        case RouteInformation():
            octets = 8 if option.prefix.prefixlen <= 64 else 16
            head = bytes((ROUTE_INFORMATION, 1 + octets // 8, option.prefix.prefixlen, 0))
            return head + option.lifetime.to_bytes(4, "big") + option.prefix.network_address.packed[:octets]
        case Token():
            return _experimental(TOKEN, 0, option.key_id) + _exactly(option.value, 16, "token")
        case Auth():
            stamp = option.timestamp.to_bytes(8, "big")
            return _experimental(AUTH, HMAC_SHA256_128, option.key_id) + stamp + _exactly(option.mac, 16, "MAC")
        case Observed():
            seen = option.ip.packed + push_uint16(option.size, "size") + bytes(6)
            return _experimental(OBSERVED, option.encapsulation, option.port) + seen


_UNITS = {TOKEN: 3, AUTH: 4, OBSERVED: 4}


def _experimental(subtype: int, aux: int, number: int) -> bytes:
    head = bytes((EXPERIMENTAL, _UNITS[subtype])) + push_uint16(EXPERIMENT)
    return head + bytes((subtype,)) + push_uint8(aux, "aux") + push_uint16(number, "id")


def _exactly(value: bytes, octets: int, what: str) -> bytes:
    if len(value) != octets:
        raise ValueError(f"{what}: {len(value)} octets, {octets} wanted")
    return value


def _pull_link_layer(data: bytes, offset: int) -> LinkLayerOption | None:
    if len(data) != 24:
        return None  # an option of another length is not ours: ignored (spec §11)
    flags = int.from_bytes(data[2:4], "big")
    return LinkLayerOption(
        target=data[0] == TARGET,
        encapsulation=flags >> 12,
        ip=IPv6Address(data[8:24]),
        port=int.from_bytes(data[6:8], "big"),
        link_id=data[4],
        preference=data[5],
        nat=bool(flags & 0x0800),
    )


def _pull_redirected(data: bytes, offset: int) -> RedirectedHeader:
    return RedirectedHeader(data[8:])


def _pull_nonce(data: bytes, offset: int) -> Nonce:
    if len(data) != 8:
        raise DecodeError(f"nonce of {len(data) - 2} octets", offset)
    return Nonce(data[2:])


def _pull_route(data: bytes, offset: int) -> RouteInformation:
    length, octets = data[2], len(data) - 8
    if length > 128 or octets not in (0, 8, 16) or length > 8 * octets:
        raise DecodeError(f"route information for /{length} in {octets} octets", offset)
    if data[3] & 0x18 == 0x10:
        raise DecodeError("route information with reserved preference", offset)
    prefix = IPv6Network((data[8:].ljust(16, b"\0"), length), strict=False)
    return RouteInformation(prefix, int.from_bytes(data[4:8], "big"))


def _pull_experimental(data: bytes, offset: int) -> Option | None:
    if int.from_bytes(data[2:4], "big") != EXPERIMENT or len(data) < 8:
        return None
    subtype, aux, number = data[4], data[5], int.from_bytes(data[6:8], "big")
    if _UNITS.get(subtype, 0) * 8 != len(data):
        return None
    if subtype == TOKEN:
        return Token(number, data[8:24])
    if subtype == AUTH:
        return Auth(number, int.from_bytes(data[8:16], "big"), data[16:32]) if aux == HMAC_SHA256_128 else None
    return Observed(aux, IPv6Address(data[8:24]), number, int.from_bytes(data[24:26], "big"))


_READERS: dict[int, Callable[[bytes, int], Option | None]] = {
    SOURCE: _pull_link_layer,
    TARGET: _pull_link_layer,
    REDIRECTED_HEADER: _pull_redirected,
    NONCE: _pull_nonce,
    ROUTE_INFORMATION: _pull_route,
    EXPERIMENTAL: _pull_experimental,
}
