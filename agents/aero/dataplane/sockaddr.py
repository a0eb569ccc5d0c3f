"""Underlay addresses as sockets give and take them: (host, port), followed by flow label and scope for IPv6."""

from __future__ import annotations

from ipaddress import ip_address

from agents.aero.lladdr import Underlay

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def push_sockaddr(ip: Underlay, port: int) -> SocketAddress:
    """Where to send to."""
    return (str(ip), port) if ip.version == 4 else (str(ip), port, 0, 0)


def pull_sockaddr(address: SocketAddress) -> tuple[Underlay, int]:
    """Underlay address and port."""
    return ip_address(address[0].partition("%")[0]), address[1]
