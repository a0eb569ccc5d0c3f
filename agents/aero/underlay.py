"""The sockets of an AERO node on its underlay: UDP 8060 and 6080, raw 4, 41 and 44, over IPv4 and IPv6 (spec §2).

Data packets go straight to the forwarder.  What the underlay answers about packets of ours is heard by sockets of
its own (agents.aero.underlay_errors): the error queue of an IPv4 UDP socket misses a Fragmentation Needed that comes
while the socket is set to send without DF.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import AERO_PORT, GUE_PORT, OUTER_TTL
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sink import Octets
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.kernel.netlink import KernelError
from agents.kernel.watch import attach_filter

BATCH = 64
"""Packets read from one socket before the others get their turn."""
BUFFER = 9216 + 512
RECEIVE_BUFFER = 4 << 20
"""Octets the kernel keeps for us while we are busy (SO_RCVBUFFORCE where allowed)."""
_PORTS = {Carrier.UDP: AERO_PORT, Carrier.GUE: GUE_PORT}
_IP_RECVTOS, _IP_MTU_DISCOVER = 13, 10
_IPV6_RECVTCLASS, _IPV6_TCLASS, _IPV6_MTU_DISCOVER = 66, 67, 23
_IPV6_AUTOFLOWLABEL, _IPV6_RECVFRAGSIZE = 70, 77
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SO_RCVBUFFORCE = 33
_RETURN = 0x06
_ANCILLARY = socket.CMSG_SPACE(4) * 2
_TOS_AT = 0 if sys.byteorder == "little" else -1
"""Where the octet is in its ancillary data: one octet from IPv4, an int from IPv6."""

FromUnderlay = Callable[[Carrier, SocketAddress, memoryview, int, float], None]


@dataclass(slots=True, eq=False)
class _Port:
    """One socket."""

    carrier: Carrier
    version: int
    socket: socket.socket
    df: bool | None = None
    """How the socket is set now."""


class Underlay:
    """All sockets of a node; the sending half of a data plane's sink."""

    def __init__(self, own: Sequence[IPv4Address | IPv6Address], mark: int = 0) -> None:
        """`own` are the node's underlay addresses: only their IP versions are opened, and packets from ourselves
        are dropped as loops.  `mark` keeps outer packets off the AERO interface (spec CLI-14)."""
        self._own = {str(address) for address in own}
        self._ports: dict[tuple[Carrier, int], _Port] = {}
        self._guards: list[socket.socket] = []
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self.too_long: Callable[[SocketAddress], None] = lambda _destination: None
        """Told of a packet with DF that is longer than the MTU of the interface it would have left by."""
        self.loops = 0
        self.send_failures = 0
        try:
            for version in sorted({address.version for address in own}):
                for carrier in Carrier:
                    self._ports[carrier, version] = _Port(carrier, version, _open(carrier, version, mark))
                    if carrier not in _PORTS:
                        self._guards.append(_guard(carrier, version))
        except OSError as error:
            self.close()
            raise KernelError(f"cannot open the underlay's sockets: {error.strerror}", error.errno or 0) from error

    def close(self) -> None:
        """Close all sockets."""
        for each in (*(port.socket for port in self._ports.values()), *self._guards):
            each.close()

    def learn_own(self, addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        """The node's underlay addresses are these now."""
        self._own = {str(address) for address in addresses}

    def readers(self, deliver: FromUnderlay, now: Callable[[], float]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        for port in self._ports.values():
            yield port.socket.fileno(), lambda port=port: self._read(port, deliver, now)  # type: ignore[misc]

    # --- receiving

    def _read(self, port: _Port, deliver: FromUnderlay, now: Callable[[], float]) -> None:
        at = now()
        carrier, receive, view, own = port.carrier, port.socket.recvmsg_into, self._view, self._own
        buffers = [self._buffer]
        raw4 = port.version == 4 and carrier not in _PORTS
        raw6 = port.version == 6 and carrier in (Carrier.PROTOCOL_4, Carrier.PROTOCOL_41)
        for _packet in range(BATCH):
            try:
                length, ancillary, _flags, source = receive(buffers, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue  # a pending error of the socket, e.g. the interface went down: cleared by having been told
            if source[0] in own:
                self.loops += 1
                continue
            start, tos = 0, 0
            if raw4:
                start, tos = (self._buffer[0] & 0x0F) * 4, self._buffer[1]
            elif ancillary:
                if raw6 and any(kind == _IPV6_RECVFRAGSIZE for _level, kind, _data in ancillary):
                    continue  # came in fragments: the socket of protocol 44 had them one by one (spec Annex A2)
                tos = ancillary[0][2][_TOS_AT]
            deliver(carrier, source, view[start:length], tos, at)

    # --- sending

    def transmit(
        self, through: Carrier, destination: SocketAddress, octets: Sequence[Octets], df: bool, tos: int
    ) -> None:
        """Send one payload; what cannot be sent is lost like any packet, and counted."""
        port = self._ports.get((through, 4 if len(destination) == 2 else 6))
        if port is None:
            self.send_failures += 1
            return
        if port.df is not df and port.version == 4:
            _set_df(port, df)
        try:
            if tos:
                port.socket.sendmsg(octets, [_tos_message(port.version, tos)], 0, destination)
            else:  # cheaper than sendmsg with parts, though it copies
                port.socket.sendto(octets[0] if len(octets) == 1 else b"".join(octets), destination)
        except OSError as error:
            self.send_failures += 1
            if error.errno == errno.EMSGSIZE:
                self.too_long(destination)


def _open(carrier: Carrier, version: int, mark: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    port = _PORTS.get(carrier)
    kind = socket.SOCK_DGRAM if port else socket.SOCK_RAW
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0 if port else int(carrier))
    try:
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if version == 4:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, OUTER_TTL)
            if port:  # a raw socket gets the whole IPv4 header
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        else:
            if port:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            else:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVFRAGSIZE, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, OUTER_TTL)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVTCLASS, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_AUTOFLOWLABEL, 0)  # spec §2.5
            # The kernel must not fragment in our place (spec §2.6).
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        if port:
            made.bind(("", port) if version == 4 else ("::", port))
    except OSError:
        made.close()
        raise
    return made


def _guard(carrier: Carrier, version: int) -> socket.socket:
    """A raw socket that takes nothing and therefore never is full.

    Where no socket of a protocol has room, Linux answers Protocol Unreachable: a moment of overload would drive all
    neighbors to another encapsulation for ten minutes (spec ENC-9).
    """
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, int(carrier))
    attach_filter(made, ((_RETURN, 0, 0, 0),))
    return made


def _set_df(port: _Port, df: bool) -> None:
    mode = _PMTUDISC_PROBE if df else _PMTUDISC_DONT
    port.socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
    port.df = df


def _tos_message(version: int, tos: int) -> tuple[int, int, bytes]:
    if version == 4:
        return socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)
    return socket.IPPROTO_IPV6, _IPV6_TCLASS, struct.pack("i", tos)
