"""The sockets of a HAARO node: UDP 434 for everything, and IP in IP (spec §1.6, §13, TUN-4).

The local address of every datagram counts, since it tells the roles of one node apart.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from agents.kernel.netlink import KernelError
from agents.wire.mip4_codes import PORT

BATCH = 64
"""Packets read from one socket before the other gets its turn."""
LARGEST = 65535
RECEIVE_BUFFER = 4 << 20
IP_IN_IP = 4
_IP_PKTINFO, _IP_MTU_DISCOVER, _PMTUDISC_DONT = 8, 10, 0
_SO_RCVBUFFORCE = 33
_INFO = struct.Struct("=I4s4s")
_ANCILLARY = socket.CMSG_SPACE(_INFO.size)

FromUdp = Callable[[IPv4Address, IPv4Address, int, bytes], None]
FromIp = Callable[[IPv4Address, IPv4Address, bytes], None]


class Underlay:
    """Both sockets of one node."""

    def __init__(self) -> None:
        """KernelError when one is not to be had."""
        self.send_failures = 0
        self._sockets: list[socket.socket] = []
        try:
            self._udp = self._open(socket.SOCK_DGRAM, 0)
            self._udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._udp.bind(("", PORT))
            self._ip = self._open(socket.SOCK_RAW, IP_IN_IP)
        except OSError as error:
            self.close()
            raise KernelError(f"cannot open the node's sockets: {error.strerror}", error.errno or 0) from error

    def _open(self, kind: int, protocol: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        self._sockets.append(made)
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        # Inner packets are made to fit before (spec TUN-13); an advertisement may need fragments.
        made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
        return made

    def close(self) -> None:
        """Close both."""
        for each in self._sockets:
            each.close()

    def readers(self, udp: FromUdp, ip: FromIp) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of both sockets."""
        yield self._udp.fileno(), lambda: self._read_udp(udp)
        yield self._ip.fileno(), lambda: self._read_ip(ip)

    def _read_udp(self, deliver: FromUdp) -> None:
        for _packet in range(BATCH):
            try:
                data, ancillary, _flags, source = self._udp.recvmsg(LARGEST, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error of the socket, cleared by having been told
            for _level, kind, octets in ancillary:
                if kind == _IP_PKTINFO:
                    local = IPv4Address(_INFO.unpack(octets)[2])
                    deliver(local, IPv4Address(source[0]), source[1], data)

    def _read_ip(self, deliver: FromIp) -> None:
        for _packet in range(BATCH):
            try:
                data = self._ip.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue
            start = (data[0] & 0x0F) * 4
            deliver(IPv4Address(data[16:20]), IPv4Address(data[12:16]), data[start:])

    # --- sending

    def send_udp(self, local: IPv4Address, remote: IPv4Address, port: int, data: bytes, tos: int) -> None:
        """Send a datagram from UDP 434 of one of our addresses; what cannot be sent is lost, and counted."""
        self._send(self._udp, local, (str(remote), port), data, tos)

    def send_ip(self, local: IPv4Address, remote: IPv4Address, packet: bytes, tos: int) -> None:
        """Send a packet in IP."""
        self._send(self._ip, local, (str(remote), 0), packet, tos)

    def _send(self, through: socket.socket, local: IPv4Address, to: tuple[str, int], data: bytes, tos: int) -> None:
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, _INFO.pack(0, local.packed, bytes(4)))]
        if tos:
            ancillary.append((socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)))
        try:
            through.sendmsg([data], ancillary, 0, to)
        except OSError:
            self.send_failures += 1
