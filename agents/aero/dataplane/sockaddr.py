"""Underlay addresses as the kernel writes them, which is the form the packet path compares and sends to."""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv4Address, IPv6Address

from agents.aero.lladdr import Underlay

_FAMILY = {4: socket.AF_INET.to_bytes(2, sys.byteorder), 6: socket.AF_INET6.to_bytes(2, sys.byteorder)}


def push_sockaddr(ip: Underlay, port: int) -> bytes:
    """A struct sockaddr_in (16 octets) or sockaddr_in6 (28 octets)."""
    head = _FAMILY[ip.version] + port.to_bytes(2, "big")
    return head + ip.packed + bytes(8) if ip.version == 4 else head + bytes(4) + ip.packed + bytes(4)


def pull_sockaddr(data: bytes) -> tuple[Underlay, int]:
    """Underlay address and port."""
    port = int.from_bytes(data[2:4], "big")
    if len(data) < 28:
        return IPv4Address(data[4:8]), port
    return IPv6Address(data[8:24]), port
