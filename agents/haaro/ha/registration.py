"""A registration request, checked in the order of RFC 5944 §3.8.2.1 and answered (spec §5.1, §10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.config import Encapsulation, HaConfig, OwnedPrefix, Router
from agents.haaro.notices import Datagram
from agents.wire.mip4_codes import INFINITE, Code, NetworkCode, NextHeader, RequestFlag
from agents.wire.mip4_extensions import (
    ImplicitNetworkAck,
    MobileNetworkAck,
    MobileNetworkRequest,
    RoCapability,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import RegistrationRequest

NOBODY = (IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255"))
UDP_DECLINED = 64


class Refused(Exception):
    """The request is answered with this code."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Granted:
    """What a request gets."""

    code: Code
    lifetime: int
    encapsulation: Encapsulation
    udp_reply: UdpTunnelReply | None
    acks: tuple[MobileNetworkAck, ...] = ()
    networks: tuple[OwnedPrefix, ...] = ()
    capability: RoCapability | None = None


def judge(
    request: RegistrationRequest,
    datagram: Datagram,
    router: Router,
    config: HaConfig,
    usable: Callable[[IPv4Network], bool],
) -> Granted:
    """What an authentic and fresh request gets; Refused when it gets nothing."""
    _check_form(request)
    _check_addresses(request, config)
    code = Code.ACCEPTED  # also where simultaneous bindings are asked for, which there are none of (spec A-35)
    capability = request.first(RoCapability) if config.haaro else None
    if request.deregisters:  # honoured whatever tunnel it speaks of (spec HA-18)
        declined = UdpTunnelReply(UDP_DECLINED) if request.first(UdpTunnelRequest) else None
        return Granted(code, 0, "ipip", declined, capability=capability)
    if config.require_reverse_tunnel and not request.flags & RequestFlag.REVERSE_TUNNEL:
        raise Refused(Code.REVERSE_TUNNEL_REQUIRED, "T is not set")
    encapsulation, udp_reply = _tunnel(request, datagram.source != request.careof_address, config)
    acks, networks = _networks(request, router, usable)
    if request.every(MobileNetworkRequest) and not networks:
        refusal = Code.MOBILE_NETWORK_ERROR if router.router else Code.MOBILE_NETWORK_DISALLOWED
        raise Refused(refusal, "no prefix of the request is usable")
    longest = config.max_lifetime
    if datagram.source != request.careof_address:
        longest = min(longest, config.nat_lifetime)
    lifetime = min(request.lifetime, longest)
    return Granted(code, lifetime, encapsulation, udp_reply, acks, networks, capability)


def ends(lifetime: int, now: float) -> float | None:
    """When a binding of this lifetime ends."""
    return None if lifetime == INFINITE else now + lifetime


def _check_form(request: RegistrationRequest) -> None:
    if request.malformed:
        raise Refused(Code.POORLY_FORMED, f"{request.malformed[0].kind.__name__} of a wrong length")
    udp = request.first(UdpTunnelRequest)
    if udp and not request.flags & RequestFlag.COLOCATED:
        raise Refused(Code.POORLY_FORMED, "UDP tunnel requested without a co-located care-of address")
    if udp and udp.reserved:
        raise Refused(Code.POORLY_FORMED, "reserved octets of the UDP tunnel request are set")


def _check_addresses(request: RegistrationRequest, config: HaConfig) -> None:
    if request.home_agent != config.address:
        raise Refused(Code.UNKNOWN_HOME_AGENT, f"for home agent {request.home_agent}")
    if config.home_prefix and request.home_address not in config.home_prefix:
        raise Refused(Code.PROHIBITED, f"home address outside {config.home_prefix}")
    if request.careof_address in (*NOBODY, config.address):
        raise Refused(Code.POORLY_FORMED, f"care-of address {request.careof_address}")


def _tunnel(request: RegistrationRequest, nat: bool, config: HaConfig) -> tuple[Encapsulation, UdpTunnelReply | None]:
    """How packets travel, and what is said about it (spec HA-17)."""
    udp = request.first(UdpTunnelRequest)
    if udp is None and nat:
        raise Refused(Code.PROHIBITED, "source is not the care-of address, and no UDP tunnel is requested")
    if udp and request.inner_encapsulation != NextHeader.IP:
        raise Refused(Code.UDP_ENCAPSULATION_UNAVAILABLE, f"encapsulation {request.inner_encapsulation} in UDP")
    if udp is None or not (nat or udp.force):
        if request.flags & (RequestFlag.GRE | RequestFlag.MINIMAL):  # they count where the tunnel is not in UDP
            raise Refused(Code.ENCAPSULATION_UNAVAILABLE, "only IP in IP and UDP are spoken")
        return "ipip", UdpTunnelReply(UDP_DECLINED) if udp else None
    if not config.udp or (not nat and not config.forced_udp):
        raise Refused(Code.PROHIBITED, "tunnels in UDP are not allowed")
    return "udp", UdpTunnelReply(0, udp.force, config.keepalive)


def _networks(
    request: RegistrationRequest, router: Router, usable: Callable[[IPv4Network], bool]
) -> tuple[tuple[MobileNetworkAck, ...], tuple[OwnedPrefix, ...]]:
    """One acknowledgement for each prefix asked for, and for each that is given unasked (spec HA-3, HA-4)."""
    if not router.router:
        return (), ()
    acks: list[MobileNetworkAck] = []
    granted: list[OwnedPrefix] = []
    owned = {(int(each.prefix.network_address), each.prefix.prefixlen): each for each in router.prefixes}
    for asked in request.every(MobileNetworkRequest):
        code, found = _judge_prefix(asked, owned, usable)
        acks.append(MobileNetworkAck(asked.address, asked.length, code))
        if found and found not in granted:
            granted.append(found)
    for each in router.prefixes:
        if each.implicit and each not in granted:
            works = usable(each.prefix)
            code = NetworkCode.OK if works else NetworkCode.FORWARDING_SETUP_FAILED
            acks.append(ImplicitNetworkAck(each.prefix.network_address, each.prefix.prefixlen, code))
            granted += [each] * works
    in_order = tuple(each for each in router.prefixes if each in granted)
    return tuple(acks), in_order


def _judge_prefix(
    asked: MobileNetworkRequest, owned: dict[tuple[int, int], OwnedPrefix], usable: Callable[[IPv4Network], bool]
) -> tuple[NetworkCode, OwnedPrefix | None]:
    if asked.bad_length:
        return NetworkCode.INVALID_PREFIX_LENGTH, None
    shift = 32 - asked.length
    found = owned.get((int(asked.address) >> shift << shift, asked.length))
    if found is None:
        return NetworkCode.UNAUTHORIZED, None
    if not usable(found.prefix):
        return NetworkCode.FORWARDING_SETUP_FAILED, None
    return NetworkCode.OK, found
