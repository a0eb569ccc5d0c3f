"""Messages on UDP port 434 as records, by scapy layers (spec §2)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from scapy.packet import Packet, Raw

from captures.haaro import layers
from captures.haaro.advertisement import read_advertisement
from captures.haaro.records import (
    NAMES,
    Capability,
    CorrespondentAuth,
    HomeAuth,
    Message,
    NetworkState,
    RoReply,
    UdpTunnel,
)


def read_message(payload: bytes) -> Message | None:
    """The message in a UDP payload; None for tunnel data and whatever else is none."""
    layout, least = layers.MESSAGES.get(payload[0] if payload else -1, (None, 0))
    if layout is None or len(payload) < least:
        return None
    packet = layout(payload)
    kind = NAMES[payload[0]]
    if layout is layers.Init:
        return Message(kind, payload, cookie=packet.cookie)
    if layout is layers.Test:
        return Message(kind, payload, cookie=packet.cookie, index=packet.index, token=packet.token)
    fixed = {
        "lifetime": packet.lifetime,
        "home_address": IPv4Address(packet.home_address),
        "home_agent": IPv4Address(packet.home_agent),
        "identification": packet.identification,
    }
    if layout is layers.Request:
        fixed |= {"flags": packet.flags, "careof_address": IPv4Address(packet.careof_address)}
    else:
        fixed |= {"code": packet.code}
    return Message(kind, payload, **fixed, **_Reading(payload, packet.extensions).facts())


class _Reading:
    """What the extensions of one registration say."""

    def __init__(self, payload: bytes, extensions: list[Packet]) -> None:
        self._requested: list[NetworkState] = []
        self._acknowledged: list[NetworkState] = []
        self._auths: list[HomeAuth | CorrespondentAuth] = []
        self._order: list[tuple[int, int | None]] = []
        self._faults: list[str] = []
        self._single: dict[str, Any] = {}
        for extension in extensions:
            octets = extension.original  # all that was left when it was read
            at = len(payload) - len(octets)
            if isinstance(extension, Raw):
                self._faults.append(f"octet {at}: extension {octets[0]} does not fit")
            elif not isinstance(extension, layers.Pad):
                self._order.append((extension.type, getattr(extension, "subtype", _subtype(octets))))
                self._take(extension, payload, at)

    def facts(self) -> dict[str, Any]:
        """By the names of Message's fields."""
        return self._single | {
            "requested": tuple(self._requested),
            "acknowledged": tuple(self._acknowledged),
            "auths": tuple(self._auths),
            "order": tuple(self._order),
            "faults": tuple(self._faults),
        }

    def _take(self, extension: Packet, payload: bytes, at: int) -> None:
        match extension:
            case layers.NetworkRequest():
                self._requested.append(NetworkState(_network(extension), extension.plen))
            case layers.NetworkAck():
                implicit = extension.subtype == 2
                state = NetworkState(_network(extension), extension.plen, extension.code, implicit)
                self._acknowledged.append(state)
            case layers.UdpTunnelRequest():
                reserved = extension.reserved3
                self._set("udp_request", UdpTunnel(bool(extension.force), extension.encapsulation, reserved=reserved))
            case layers.UdpTunnelReply():
                reply = UdpTunnel(bool(extension.force), code=extension.code, keepalive=extension.keepalive)
                self._set("udp_reply", reply)
            case layers.Capability():
                self._set("capability", _capability(extension))
            case layers.RoReply():
                bits = (bool(extension.outbound), bool(extension.nat), bool(extension.solicited))
                self._set("ro_reply", RoReply(extension.code, *bits))
            case layers.CareofAddresses():
                self._set("careof_addresses", tuple(map(IPv4Address, extension.addresses)))
            case layers.Advertisement():
                owners, fault = read_advertisement(extension.data)
                self._set("advertised", owners)
                if fault:
                    self._faults.append(f"advertisement at octet {at}: {fault}")
            case layers.HomeAuth():
                self._auths.append(HomeAuth(extension.spi, extension.authenticator, payload[: at + 6]))
            case layers.CorrespondentAuth():
                covered = payload[: at + 2] + payload[at + 4 : at + 8]
                indexes = extension.home_index, extension.careof_index
                self._auths.append(CorrespondentAuth(*indexes, extension.authenticator, covered))
            case _ if extension.type == layers.MHAE or self._order[-1] in layers.LAYOUTS:
                self._faults.append(f"octet {at}: extension {extension.type} of length {extension.length}")

    def _set(self, name: str, value: Any) -> None:
        if name in self._single:
            self._faults.append(f"{name} twice")
        self._single.setdefault(name, value)


def _subtype(octets: bytes) -> int | None:
    """Of an extension that was not read: what stands where the short form has its subtype."""
    return octets[2] if octets[0] != layers.MHAE and len(octets) > 2 else None


def _network(extension: Packet) -> IPv4Network | None:
    return IPv4Network((extension.prefix, extension.plen), strict=False) if extension.plen <= 32 else None


def _capability(extension: Packet) -> Capability:
    rest = bytes(extension.rest)
    solicited = IPv4Address(rest) if extension.solicit and len(rest) == 4 else None
    bits = bool(extension.advertise), bool(extension.receive), bool(extension.outbound)
    return Capability(*bits, solicited, extension.reserved)
