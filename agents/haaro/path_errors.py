"""What routers say about packets of our tunnels: ICMP errors with the start of such a packet (RFC 2003 §4)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from agents.haaro.config import Encapsulation
from agents.haaro.items import TUNNEL_PORT
from agents.kernel.netlink import KernelError
from agents.wire.buffer import internet_checksum
from agents.wire.icmp_errors import Problem
from agents.wire.mip4 import TUNNEL_IP

BATCH = 64
_ROOM = 1500
_IP_IN_IP, _UDP = 4, 17
_UNREACHABLE, _FRAGMENTATION_NEEDED, _TIME_EXCEEDED, _IN_TRANSIT = 3, 4, 11, 0
_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP_HEADER, _UDP_HEADER = 8, 8


@dataclass(frozen=True, slots=True)
class PathError:
    """An error about a packet that we may have sent; nothing in it is believed because it is said."""

    encapsulation: Encapsulation
    local: IPv4Address
    remote: IPv4Address
    problem: Problem
    """What the inner source is to be told (RFC 2003 §4.1, §4.4)."""
    mtu: int
    """Of a Too Big; 0: the router does not say."""
    sent: int
    """Octets of the outer packet."""
    quoted: bytes
    """As much of the inner packet as the error holds."""


class PathErrors:
    """A raw socket that hears errors only."""

    def __init__(self) -> None:
        """KernelError when it is not to be had."""
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._socket = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except OSError as error:
            raise KernelError(f"cannot listen to ICMP: {error.strerror}", error.errno or 0) from error
        wanted = 0xFFFFFFFF & ~(1 << _UNREACHABLE | 1 << _TIME_EXCEEDED)
        self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", wanted))

    def fileno(self) -> int:
        """File descriptor, readable when there are errors."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, tell: Callable[[PathError], None]) -> None:
        """Hand on what has come."""
        for _message in range(BATCH):
            try:
                data = self._socket.recv(_ROOM)
            except OSError:
                return
            error = heard(data)
            if error:
                tell(error)


def heard(data: bytes) -> PathError | None:
    """What a received IPv4 packet with an ICMP message says of a tunnel; None when it is damaged or says nothing."""
    try:
        icmp = data[(data[0] & 0x0F) * 4 :]
        kind, code, _checksum, _unused, mtu = struct.unpack_from("!BBHHH", icmp)
        if (kind, code) == (_UNREACHABLE, _FRAGMENTATION_NEEDED):
            problem = Problem.TOO_BIG
        elif (kind, code) == (_TIME_EXCEEDED, _IN_TRANSIT):
            problem, mtu = Problem.ADDRESS_UNREACHABLE, 0
        else:
            return None
        return None if internet_checksum(icmp) else _quoted(problem, mtu, icmp[_ICMP_HEADER:])
    except (IndexError, struct.error):  # cut short
        return None


def _quoted(problem: Problem, mtu: int, outer: bytes) -> PathError | None:
    protocol, sent = outer[9], outer[2] << 8 | outer[3]
    payload = outer[(outer[0] & 0x0F) * 4 :]
    if outer[0] >> 4 != 4 or len(outer) < 20 or (problem is Problem.TOO_BIG and mtu >= sent):
        return None
    how: Encapsulation = "ipip"
    if protocol == _UDP:
        (port,) = struct.unpack_from("!H", payload)
        payload = payload[_UDP_HEADER:]
        tunnel, how = payload[: len(TUNNEL_IP)], "udp"
        if port != TUNNEL_PORT or not TUNNEL_IP.startswith(tunnel):
            return None
        payload = payload[len(TUNNEL_IP) :]
    elif protocol != _IP_IN_IP:
        return None
    return PathError(how, IPv4Address(outer[12:16]), IPv4Address(outer[16:20]), problem, mtu, sent, payload)
