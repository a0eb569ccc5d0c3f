"""Control messages inside the tunnel and on the Server's loopback, by scapy layers (spec §6)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from scapy.error import Scapy_Exception
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo

from captures.aero import layers
from captures.aero.records import Advertisement, Delegated, Dhcp, Discovery, LinkLayer, Mediation, OfferedPrefix, Seen
from captures.ip import Address, read_ip

RELAYED = (12, 13)
CLIENT_ID, SERVER_ID, ORO, RELAY_MESSAGE, INTERFACE_ID, IA_PD, IA_PREFIX = 1, 2, 6, 9, 18, 25, 26
RSOO, LINK_LAYER, RELAY_PORT = 66, 79, 135
OPTION_79_OCTETS, INTERFACE_ID_OCTETS = 20, 28


def unmapped(text: str | bytes) -> Address:
    """An IPv4 address where IPv6's form of one is written."""
    found = IPv6Address(text)
    return found.ipv4_mapped or found


def read_discovery(content: bytes, checksum_good: bool) -> Discovery | None:
    """A Neighbor Solicitation or Advertisement; None when it is too short."""
    if len(content) < 24:
        return None
    message = layers.NeighborMessage(content)
    lladdrs, nonce, observed, auth = [], None, None, None
    for option in message.options:
        match option:
            case layers.LinkLayerOption():
                lladdrs.append(_link_layer(option))
            case layers.ObservedOption():
                observed = Seen(option.encapsulation, option.port, unmapped(option.ip), option.size)
            case layers.AuthOption():
                auth = int(option.key_id)
            case layers.NonceOption():
                nonce = bytes(option.value)
    return Discovery(
        message.type,
        IPv6Address(message.target),
        nonce,
        tuple(lladdrs),
        observed,
        bool(message.solicited),
        bool(message.override),
        bool(message.router),
        checksum_good,
        message.code,
        auth,
    )


def read_mediation(content: bytes, framing: str, checksum_good: bool) -> Mediation | None:
    """A Predirect or Redirect from its type on; None when it is too short."""
    if len(content) < 40:
        return None
    message = layers.RedirectMessage(content)
    lladdrs, kept = [], [content[4:40]]
    token: tuple[int, bytes] | None = None
    route: layers.RouteOption | None = None
    quoted, auth = b"", None
    for option in message.options:
        if isinstance(option, layers.LinkLayerOption) and option.type == layers.TLLAO:
            lladdrs.append(_link_layer(option))
            continue
        kept.append(bytes(option))
        match option:
            case layers.TokenOption():
                token = int(option.key_id), bytes(option.value)
            case layers.AuthOption():
                auth = int(option.key_id)
            case layers.RouteOption():
                route = option
            case layers.RedirectedOption():
                quoted = bytes(option.packet)
    return Mediation(
        predirect=bool(message.predirect),
        framing=framing,
        target=IPv6Address(message.target),
        destination=IPv6Address(message.destination),
        prefix=_prefix(route) if route else None,
        lifetime=int(route.lifetime) if route else 0,
        lladdrs=tuple(lladdrs),
        token=token,
        quoted=read_ip(quoted),
        rest=b"".join(kept),
        checksum_good=checksum_good,
        auth=auth,
    )


def _prefix(route: layers.RouteOption) -> IPv4Network | IPv6Network | None:
    """The prefix of a route information option."""
    if route.prefix_length > 128 or len(route.prefix) > 16:
        return None
    prefix = IPv6Network((bytes(route.prefix).ljust(16, b"\0"), route.prefix_length), strict=False)
    mapped = prefix.network_address.ipv4_mapped
    return IPv4Network((mapped, prefix.prefixlen - 96)) if mapped and prefix.prefixlen >= 96 else prefix


def read_advertisement(content: bytes) -> Advertisement | None:
    """A Router Advertisement; None when it is too short."""
    if len(content) < 16:
        return None
    message = ICMPv6ND_RA(content)
    prefixes = []
    option = message.getlayer(ICMPv6NDOptPrefixInfo)
    while option is not None:
        network = IPv6Network((option.prefix, option.prefixlen), strict=False)
        flags = bool(option.L), bool(option.A)
        prefixes.append(OfferedPrefix(network, *flags, option.validlifetime, option.preferredlifetime))
        option = option.payload.getlayer(ICMPv6NDOptPrefixInfo)
    return Advertisement(message.routerlifetime, bool(message.M), tuple(prefixes))


def _link_layer(option: layers.LinkLayerOption) -> LinkLayer:
    return LinkLayer(
        option.type == layers.TLLAO,
        option.encapsulation,
        bool(option.nat),
        option.link_id,
        option.preference,
        option.port,
        unmapped(option.ip),
    )


def read_dhcp(octets: bytes) -> Dhcp | None:
    """A DHCPv6 message; None when it cannot be read."""
    try:
        return _read_dhcp(octets)
    except (struct.error, ValueError, Scapy_Exception):
        return None


def _read_dhcp(octets: bytes) -> Dhcp:
    relayed = octets[0] in RELAYED
    options = _options(octets[34 if relayed else 4 :])
    first: dict[int, bytes] = {}
    for code, data in options:
        first.setdefault(code, data)
    echo = first.get(LINK_LAYER, b"")
    carried = first.get(RELAY_MESSAGE) if relayed else None
    port = first.get(RELAY_PORT)
    return Dhcp(
        type=octets[0],
        transaction=0 if relayed else int.from_bytes(octets[1:4], "big"),
        options=tuple(code for code, _data in options),
        client=first.get(CLIENT_ID),
        server=first.get(SERVER_ID),
        requested=_numbers(first.get(ORO, b"")),
        prefixes=tuple(one for code, data in options if code == IA_PD for one in _delegated(data)),
        iaids=tuple(int.from_bytes(data[:4], "big") for code, data in options if code == IA_PD),
        lladdr=_lladdr(echo),
        hop_count=octets[1] if relayed else 0,
        link_address=IPv6Address(octets[2:18]) if relayed else None,
        peer_address=IPv6Address(octets[18:34]) if relayed else None,
        interface_id=first.get(INTERFACE_ID),
        way_back=_way_back(first.get(INTERFACE_ID, b"")),
        supplied=_supplied(first.get(RSOO, b"")),
        relay_port=int.from_bytes(port, "big") if port is not None else None,
        carried=read_dhcp(carried) if carried else None,
        octets=octets,
    )


def _way_back(data: bytes) -> tuple[int, int, Address, int] | None:
    if len(data) != INTERFACE_ID_OCTETS:
        return None
    sealed = layers.InterfaceId(data)
    return sealed.version, sealed.encapsulation, unmapped(sealed.ip), sealed.port


def _options(octets: bytes) -> list[tuple[int, bytes]]:
    return [(option.code, bytes(option.data)) for option in layers.Dhcp6Options(octets).options]


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1])


def _delegated(data: bytes) -> list[Delegated]:
    found = []
    for code, one in _options(data[12:]):
        if code == IA_PREFIX:
            preferred, valid, length = struct.unpack_from("!IIB", one)
            prefix = IPv6Network((one[9:25], length), strict=False)
            found.append(Delegated(int.from_bytes(data[:4], "big"), prefix, preferred, valid))
    return found


def _supplied(data: bytes) -> tuple[tuple[Address, int], ...]:
    read = [_lladdr(one) for code, one in _options(data) if code == LINK_LAYER]
    return tuple(one for one in read if one is not None)


def _lladdr(data: bytes) -> tuple[Address, int] | None:
    if len(data) != OPTION_79_OCTETS:
        return None
    option = layers.AeroLinkLayer(data)
    return (unmapped(option.ip), option.port) if option.kind == 256 else None
