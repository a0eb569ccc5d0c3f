"""Codec of Mobile IPv4 and HAARO on UDP port 434 (spec §2.1-2.3): `decode` and `encode`.

Octets in, frozen dataclasses out. A registration keeps the octets as they came up to its authorising extension, since
authenticators are computed over what was received; what follows that extension is unprotected and ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address

from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mip4_codes import MessageType, NextHeader, RequestFlag
from agents.wire.mip4_extension_lists import AnyExtension, walk
from agents.wire.mip4_extensions import Auth, MobileCorrespondentAuth, MobileHomeAuth
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    Message,
    RegistrationReply,
    RegistrationRequest,
    TunnelData,
)

_REQUEST = struct.Struct("!BBHIIIQ")
_REPLY = struct.Struct("!BBHIIQ")
_INIT = struct.Struct("!BB8s")
_TEST = struct.Struct("!BBH8s8s")
_TUNNEL = struct.Struct("!BBH")

TUNNEL_IP = _TUNNEL.pack(MessageType.TUNNEL_DATA, NextHeader.IP, 0)
"""The header before every IP packet in a UDP tunnel."""


def encode(message: Message) -> bytes:
    """Octets of a message; ValueError when a value does not fit its field."""
    match message:
        case RegistrationRequest() | RegistrationReply():
            return prior_octets(message) + (message.auth.push() if message.auth else b"")
        case HomeTestInit() | CareofTestInit():
            return _INIT.pack(message.message_type, 0, _exactly(message.cookie))
        case HomeTest() | CareofTest():
            cookie, token = _exactly(message.cookie), _exactly(message.token)
            return _pack(_TEST, message.message_type, 0, message.index, cookie, token)
        case TunnelData():
            return _pack(_TUNNEL, message.message_type, message.next_header, 0) + message.packet


def prior_octets(message: RegistrationRequest | RegistrationReply) -> bytes:
    """What stands before the authorising extension: as it was received or, of a message made here, as it is sent."""
    if message.prior:
        return message.prior
    extensions = b"".join([extension.push() for extension in message.extensions])
    return _fixed(message) + extensions


def decode(data: bytes) -> Message:
    """The message in a UDP payload; DecodeError for anything else, its kind UNKNOWN_TYPE for an unknown first octet."""
    reader = _READERS.get(data[0]) if data else None
    if reader is None:
        reason = f"message type {data[0]}" if data else "empty datagram"
        raise DecodeError(reason, 0, DecodeErrorKind.UNKNOWN_TYPE if data else DecodeErrorKind.TRUNCATED)
    layout, pull = reader
    if len(data) < layout.size:
        reason = f"{len(data)} octets where a message of type {data[0]} has {layout.size}"
        raise DecodeError(reason, len(data), DecodeErrorKind.TRUNCATED)
    return pull(data)


def _fixed(message: RegistrationRequest | RegistrationReply) -> bytes:
    home, agent = int(message.home_address), int(message.home_agent)
    if isinstance(message, RegistrationRequest):
        careof = int(message.careof_address)
        head = (message.message_type, message.flags, message.lifetime, home, agent, careof, message.identification)
        return _pack(_REQUEST, *head)
    return _pack(_REPLY, message.message_type, message.code, message.lifetime, home, agent, message.identification)


def _pack(layout: struct.Struct, *values: int | bytes) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise ValueError(str(error)) from None


def _exactly(octets: bytes) -> bytes:
    if len(octets) != 8:
        raise ValueError(f"{len(octets)} octets where 8 are needed")
    return octets


def _pull_request(data: bytes) -> RegistrationRequest:
    _type, flags, lifetime, home, agent, careof, identification = _REQUEST.unpack_from(data)
    extensions, auths, prior = _pull_extensions(data, _REQUEST.size)
    return RegistrationRequest(
        flags=RequestFlag(flags),
        lifetime=lifetime,
        home_address=IPv4Address(home),
        home_agent=IPv4Address(agent),
        careof_address=IPv4Address(careof),
        identification=identification,
        extensions=extensions,
        auth=auths[0] if auths else None,
        surplus=auths[1:],
        prior=prior,
    )


def _pull_reply(data: bytes) -> RegistrationReply:
    _type, code, lifetime, home, agent, identification = _REPLY.unpack_from(data)
    extensions, auths, prior = _pull_extensions(data, _REPLY.size)
    return RegistrationReply(
        code=code,
        lifetime=lifetime,
        home_address=IPv4Address(home),
        home_agent=IPv4Address(agent),
        identification=identification,
        extensions=extensions,
        auth=auths[0] if auths else None,
        surplus=auths[1:],
        prior=prior,
    )


def _pull_extensions(data: bytes, start: int) -> tuple[tuple[AnyExtension, ...], tuple[Auth, ...], bytes]:
    """What counts, the authorising extensions, and the octets before the first of these."""
    extensions: list[AnyExtension] = []
    auths: list[Auth] = []
    prior = data
    try:
        for placed in walk(data, start):
            if isinstance(placed.extension, MobileHomeAuth | MobileCorrespondentAuth):
                if not auths:
                    prior = data[: placed.start]
                auths.append(placed.extension)
            elif not auths:
                extensions.append(placed.extension)
    except DecodeError:
        if not auths:
            raise
    return tuple(extensions), tuple(auths), prior


def _pull_tunnel_data(data: bytes) -> TunnelData:
    return TunnelData(data[_TUNNEL.size :], data[1])


_READERS: dict[int, tuple[struct.Struct, Callable[[bytes], Message]]] = {
    MessageType.REGISTRATION_REQUEST: (_REQUEST, _pull_request),
    MessageType.REGISTRATION_REPLY: (_REPLY, _pull_reply),
    MessageType.TUNNEL_DATA: (_TUNNEL, _pull_tunnel_data),
    MessageType.HOME_TEST_INIT: (_INIT, lambda data: HomeTestInit(data[2:10])),
    MessageType.CAREOF_TEST_INIT: (_INIT, lambda data: CareofTestInit(data[2:10])),
    MessageType.HOME_TEST: (_TEST, lambda data: HomeTest(*_TEST.unpack_from(data)[2:])),
    MessageType.CAREOF_TEST: (_TEST, lambda data: CareofTest(*_TEST.unpack_from(data)[2:])),
}
