"""From a capture file to records: what carries what (spec §2.3), and the control messages inside."""

from __future__ import annotations

import struct
from typing import Any

from captures.aero.control import read_advertisement, read_dhcp, read_discovery, read_mediation
from captures.aero.records import (
    ADVERTISEMENT,
    AERO_PORT,
    DHCP_CLIENT,
    DHCP_SERVER,
    FRAGMENT,
    GUE_PORT,
    ICMP,
    ICMPV6,
    IPIP,
    IPV6,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    SOLICITATION,
    TCP,
    UDP,
    FragmentHeader,
    Frame,
    Segment,
)
from captures.ip import Ip, ones_complement_sum, read_ip

ETHERNET = 14
ETHERTYPES = {0x0800: 4, 0x86DD: 6}
ICMP_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}
HEAD = 32
TCP_HEADER = 20


def read_frame(octets: bytes, file: str, number: int, time: float, node: str, interface: str) -> Frame | None:
    """One frame; None when it holds no IP packet."""
    if len(octets) < ETHERNET or int.from_bytes(octets[12:14], "big") not in ETHERTYPES:
        return None
    packet = octets[ETHERNET:]
    outer = read_ip(packet)
    if outer is None:
        return None
    content = packet[outer.header : outer.size]
    facts = _udp(content) if outer.protocol == UDP and not outer.cut else {}
    carried = None if outer.cut else _carried(outer, content)
    if carried is None:
        facts |= _upper(outer, content)
    else:
        code, fragment, part = carried
        facts |= {"code": code, "fragment": fragment, "carried": len(part)}
        inner = read_ip(part) if fragment is None or fragment.offset == 0 else None
        if inner:
            facts |= {"inner": inner, **_upper(inner, part[inner.header : inner.size])}
    return Frame(file, number, time, node, interface, outer, head=content[:HEAD], **facts)


def _udp(datagram: bytes) -> dict[str, Any]:
    if len(datagram) < 8:
        return {}
    source, destination, _length, checksum = struct.unpack_from("!HHHH", datagram)
    return {"ports": (source, destination), "udp_checksum": checksum}


def _pseudo(ip: Ip, length: int) -> bytes:
    return ip.source.packed + ip.destination.packed + struct.pack("!II", length, ip.protocol)


def _carried(outer: Ip, content: bytes) -> tuple[str, FragmentHeader | None, bytes] | None:
    """(code, Fragment Header, part of the inner packet) of a packet that carries another (spec §2.3)."""
    if outer.protocol == FRAGMENT:
        return _behind_fragment("1F", content)
    if outer.protocol in (IPIP, IPV6):
        return "1", None, content
    if outer.protocol != UDP or len(content) < 9:
        return None
    port, payload = int.from_bytes(content[2:4], "big"), content[8:]
    if AERO_PORT not in (port, int.from_bytes(content[:2], "big")):
        return _gue(payload) if GUE_PORT in (port, int.from_bytes(content[:2], "big")) else None
    if payload[0] >> 4 in (4, 6):
        return "0", None, payload
    return _behind_fragment("0F", payload) if payload[0] in (IPIP, IPV6) else None


def _gue(payload: bytes) -> tuple[str, FragmentHeader | None, bytes] | None:
    if payload[0] >> 6 == 1:
        return "3", None, payload
    if payload[0] >> 5 or len(payload) < 4:
        return None
    rest = payload[4 + 4 * (payload[0] & 0x1F) :]
    if payload[1] == FRAGMENT:
        return _behind_fragment("2F", rest)
    return ("2", None, rest) if payload[1] in (IPIP, IPV6) else None


def _behind_fragment(code: str, content: bytes) -> tuple[str, FragmentHeader | None, bytes] | None:
    if len(content) < 8:
        return None
    kind, reserved, place, ident = struct.unpack_from("!BBHI", content)
    header = FragmentHeader(kind, place & 0xFFF8, bool(place & 1), ident, reserved << 2 | place >> 1 & 3)
    return code, header, content[8:]


def _upper(ip: Ip, content: bytes) -> dict[str, Any]:
    """What is on top of the innermost packet."""
    if ip.cut or not content:
        return {}
    if ip.protocol == UDP and len(content) > 8:
        ports = struct.unpack_from("!HH", content)
        if DHCP_SERVER in ports or DHCP_CLIENT in ports:
            return {"dhcp": read_dhcp(content[8:])}
        if ports == (AERO_PORT, AERO_PORT) and ip.version == 6 and ip.source.is_link_local:
            good = content[6:8] != b"\0\0" and ones_complement_sum(_pseudo(ip, len(content)) + content) == 0xFFFF
            return {"mediation": read_mediation(content[8:], "rfc6706", good)}
    elif ip.protocol == (ICMP if ip.version == 4 else ICMPV6) and len(content) >= 8:
        return _icmp(ip, content)
    elif ip.protocol == TCP and len(content) >= TCP_HEADER:
        return {"segment": _segment(ip, content)}
    return {}


def _segment(ip: Ip, content: bytes) -> Segment:
    near, far, sequence, acknowledgement, place, flags = struct.unpack_from("!HHIIBB", content)
    return Segment((near, far), sequence, acknowledgement, flags, ip.size - ip.header - (place >> 4) * 4)


def _icmp(ip: Ip, content: bytes) -> dict[str, Any]:
    kind, code, ident, sequence = struct.unpack_from("!BBxxHH", content)
    echoes = {8: "request", 0: "reply"} if ip.version == 4 else {128: "request", 129: "reply"}
    if kind in echoes:
        return {"echo": (echoes[kind], ident, sequence)}
    if kind in ICMP_ERRORS[ip.version]:
        number = sequence if ip.version == 4 else ident << 16 | sequence
        return {"icmp": (kind, code, number), "quoted": read_ip(content[8:])}
    if ip.version == 6 and kind == ROUTER_ADVERTISEMENT:
        return {"advertisement": read_advertisement(content)}
    if ip.version == 6 and kind in (SOLICITATION, ADVERTISEMENT, REDIRECT):
        good = ones_complement_sum(_pseudo(ip, len(content)) + content) == 0xFFFF
        if kind == REDIRECT:
            return {"mediation": read_mediation(content, "nd", good)}
        return {"discovery": read_discovery(content, good)}
    return {}
