"""From a capture file to records: tunnels in UDP 434 and IP-in-IP, and the message inside (spec §1.5, §2.2)."""

from __future__ import annotations

import struct
from typing import Any

from captures.aero.records import ICMP, IPIP, UDP
from captures.haaro.layers import TUNNEL
from captures.haaro.messages import read_message
from captures.haaro.records import PORT, Frame
from captures.ip import Ip, read_ip

ETHERNET = 14
IPV4 = 0x0800
TCP = 6
DEPTH = 4
"""Tunnels in each other that are followed."""
ECHOES = {8: "request", 0: "reply"}
ICMP_ERRORS = (3, 4, 5, 11, 12)


def read_frame(octets: bytes, file: str, number: int, time: float, node: str, interface: str) -> Frame | None:
    """One frame; None when it holds no IPv4 packet."""
    if len(octets) < ETHERNET or int.from_bytes(octets[12:14], "big") != IPV4:
        return None
    ip = read_ip(octets[ETHERNET:])
    if ip is None or ip.version != 4:
        return None
    packet = octets[ETHERNET : ETHERNET + ip.size]
    layers, carriers = [ip], []
    facts: dict[str, Any] = {}
    while len(layers) < DEPTH:
        carried = _carried(ip, packet[ip.header :])
        within = read_ip(carried[2]) if carried else None
        if carried is None or within is None:
            break
        carrier, seen, packet = carried
        ip, packet = within, packet[: within.size]
        layers.append(ip)
        carriers.append(carrier)
        facts = seen | facts
    facts |= _upper(ip, packet[ip.header :])
    return Frame(file, number, time, node, interface, tuple(layers), tuple(carriers), **facts)


def _carried(ip: Ip, content: bytes) -> tuple[str, dict[str, Any], bytes] | None:
    """(carrier, facts of the tunnel, inner packet)."""
    if ip.cut:
        return None
    if ip.protocol == IPIP:
        return "ipip", {}, content
    if ip.protocol != UDP or len(content) < 12 or content[8] != TUNNEL:
        return None
    ports = struct.unpack_from("!HH", content)
    return ("udp", {"tunnel_ports": ports, "next_header": content[9]}, content[12:]) if PORT in ports else None


def _upper(ip: Ip, content: bytes) -> dict[str, Any]:
    """What is on top of the innermost packet."""
    if ip.cut or len(content) < 8:
        return {}
    if ip.protocol == UDP:
        source, destination, _length, checksum = struct.unpack_from("!HHHH", content)
        facts = {"ports": (source, destination), "udp_checksum": checksum}
        return facts | ({"message": read_message(content[8:])} if PORT in (source, destination) else {})
    if ip.protocol == TCP:
        return {"ports": struct.unpack_from("!HH", content)}
    if ip.protocol == ICMP:
        kind, code, ident, sequence = struct.unpack_from("!BBxxHH", content)
        if kind in ECHOES:
            return {"echo": (ECHOES[kind], ident, sequence)}
        if kind in ICMP_ERRORS:
            return {"icmp": (kind, code, sequence), "quoted": read_ip(content[8:])}
    return {}
