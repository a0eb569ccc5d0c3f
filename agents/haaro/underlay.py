"""The sockets of a HAARO node: UDP 434 for everything, and IP in IP (spec §1.6, §13, TUN-4).

The local address of every datagram counts, since it tells the roles of one node apart.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from agents.kernel.netlink import KernelError
from agents.kernel.watch import attach_filter
from agents.wire.mip4_codes import PORT

BATCH = 64
"""Packets read from one socket before the other gets its turn."""
LARGEST = 65535
RECEIVE_BUFFER = 4 << 20
IP_IN_IP = 4
NOTHING = ((0x06, 0, 0, 0),)
"""A filter that returns 0 octets of every packet."""
_IP_PKTINFO, _IP_MTU_DISCOVER, _IP_MTU = 8, 10, 14
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SO_RCVBUFFORCE = 33
_INFO = struct.Struct("=I4s4s")
_ANCILLARY = socket.CMSG_SPACE(_INFO.size)

KEPT = 4096
"""Addresses, and ways between them, kept in the form that is needed."""
_Way = tuple[int, int, int, int]
FromUdp = Callable[[IPv4Address, IPv4Address, int, bytes], None]
FromIp = Callable[[IPv4Address, IPv4Address, bytes], None]


class Underlay:
    """Both sockets of one node."""

    def __init__(self, *, deaf: bool = False) -> None:
        """`deaf`: what comes in IP is the kernel's affair.  KernelError when a socket is not to be had."""
        self.send_failures = 0
        self._addresses: dict[bytes | str, IPv4Address] = {}
        self._ways: dict[_Way, tuple[list[tuple[int, int, bytes]], tuple[str, int]]] = {}
        """How to send from one address to another."""
        self._sockets: list[socket.socket] = []
        self._undivided: dict[socket.socket, bool] = {}
        """Whether a socket sends with DF now."""
        try:
            self._udp = self._open(socket.SOCK_DGRAM, 0)
            self._udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._udp.bind(("", PORT))
            self._ip = self._open(socket.SOCK_RAW, IP_IN_IP)
            if deaf:
                attach_filter(self._ip, NOTHING)
        except OSError as error:
            self.close()
            raise KernelError(f"cannot open the node's sockets: {error.strerror}", error.errno or 0) from error

    def _open(self, kind: int, protocol: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        self._sockets.append(made)
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        # An advertisement may need fragments; where they are forbidden, we know the path's size, not the kernel.
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
        receive, known = self._udp.recvmsg, self._address
        for _packet in range(BATCH):
            try:
                data, ancillary, _flags, source = receive(LARGEST, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error of the socket, cleared by having been told
            for _level, kind, octets in ancillary:
                if kind == _IP_PKTINFO:
                    deliver(known(octets[8:12]), known(source[0]), source[1], data)

    def _address(self, spelled: bytes | str) -> IPv4Address:
        """An address as packets have it or as Python writes it; taken apart once."""
        found = self._addresses.get(spelled)
        if found is None:
            if len(self._addresses) >= KEPT:
                self._addresses.clear()
            found = self._addresses[spelled] = IPv4Address(spelled)
        return found

    def _read_ip(self, deliver: FromIp) -> None:
        for _packet in range(BATCH):
            try:
                data = self._ip.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue
            start = (data[0] & 0x0F) * 4
            deliver(self._address(data[16:20]), self._address(data[12:16]), data[start:])

    # --- sending

    def send_udp(
        self, local: IPv4Address, remote: IPv4Address, port: int, data: bytes, tos: int, df: bool = False
    ) -> int | None:
        """Send a datagram from UDP 434 of one of our addresses; what cannot be sent is lost, and counted.

        With `df`: what its line takes, if that is less than this packet.
        """
        return self._send(self._udp, local, remote, port, data, tos, df)

    def send_ip(self, local: IPv4Address, remote: IPv4Address, packet: bytes, tos: int, df: bool = False) -> int | None:
        """Send a packet in IP, likewise."""
        return self._send(self._ip, local, remote, 0, packet, tos, df)

    def _send(
        self,
        through: socket.socket,
        local: IPv4Address,
        remote: IPv4Address,
        port: int,
        data: bytes,
        tos: int,
        df: bool,
    ) -> int | None:
        if self._undivided.get(through, False) is not df:
            through.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE if df else _PMTUDISC_DONT)
            self._undivided[through] = df
        way = (int(local), int(remote), port, tos)
        known = self._ways.get(way)
        if known is None:
            if len(self._ways) >= KEPT:
                self._ways.clear()
            known = self._ways[way] = _way(local, tos), (str(remote), port)
        try:
            through.sendmsg((data,), known[0], 0, known[1])
        except OSError as error:
            self.send_failures += 1
            if error.errno == errno.EMSGSIZE and df:
                return _line_mtu(local, remote)
        return None


def _line_mtu(local: IPv4Address, remote: IPv4Address) -> int | None:
    """Octets of the longest packet from here to there by the line it would take."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, contextlib.suppress(OSError):
        asking.bind((str(local), 0))
        asking.connect((str(remote), PORT))
        return asking.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    return None


def _way(local: IPv4Address, tos: int) -> list[tuple[int, int, bytes]]:
    """Ancillary messages: from where, and with which type of service."""
    found = [(socket.IPPROTO_IP, _IP_PKTINFO, _INFO.pack(0, local.packed, bytes(4)))]
    if tos:
        found.append((socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)))
    return found
