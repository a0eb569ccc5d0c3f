"""The sockets of an AERO node on its underlay: UDP 8060 and 6080, raw 4, 41 and 44, over IPv4 and IPv6 (spec §2).

Data packets go straight to the forwarder; what the underlay's ICMP says comes out of `errors`.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from agents.aero.constants import AERO_PORT, GUE_PORT, OUTER_TTL
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sink import Octets
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import TooBig, Unreachable
from agents.kernel.netlink import KernelError

BATCH = 64
"""Packets read from one socket before the others get their turn."""
BUFFER = 9216 + 512
RECEIVE_BUFFER = 4 << 20
"""Octets the kernel keeps for us while we are busy (SO_RCVBUFFORCE where allowed)."""
_PORTS = {Carrier.UDP: AERO_PORT, Carrier.GUE: GUE_PORT}
_IP_RECVTOS, _IP_RECVERR, _IP_MTU_DISCOVER = 13, 11, 10
_IPV6_RECVTCLASS, _IPV6_TCLASS, _IPV6_RECVERR, _IPV6_MTU_DISCOVER = 66, 67, 25, 23
_IPV6_RECVFRAGSIZE = 77
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SO_RCVBUFFORCE = 33
_ANCILLARY = socket.CMSG_SPACE(4) * 2
_EE_ORIGIN_LOCAL, _EE_ORIGIN_ICMP, _EE_ORIGIN_ICMP6 = 1, 2, 3
_PROTOCOL_UNREACHABLE, _PARAMETER_PROBLEM, _NEXT_HEADER = 2, 4, 1

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
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self.loops = 0
        self.send_failures = 0
        try:
            for version in sorted({address.version for address in own}):
                for carrier in Carrier:
                    self._ports[carrier, version] = _Port(carrier, version, _open(carrier, version, mark))
        except OSError as error:
            self.close()
            raise KernelError(f"cannot open the underlay's sockets: {error.strerror}", error.errno or 0) from error

    def close(self) -> None:
        """Close all sockets."""
        for port in self._ports.values():
            port.socket.close()

    def readers(self, deliver: FromUnderlay, now: Callable[[], float]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        for port in self._ports.values():
            yield port.socket.fileno(), lambda port=port: self._read(port, deliver, now)  # type: ignore[misc]

    # --- receiving

    def _read(self, port: _Port, deliver: FromUnderlay, now: Callable[[], float]) -> None:
        at = now()
        receive, view, own = port.socket.recvmsg_into, self._view, self._own
        raw4 = port.version == 4 and port.carrier not in _PORTS
        raw6 = port.version == 6 and port.carrier in (Carrier.PROTOCOL_4, Carrier.PROTOCOL_41)
        for _packet in range(BATCH):
            try:
                length, ancillary, _flags, source = receive([self._buffer], _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier packet: it is in the error queue
            if source[0] in own:
                self.loops += 1
                continue
            start, tos = 0, 0
            if raw4:
                start, tos = (self._buffer[0] & 0x0F) * 4, self._buffer[1]
            elif ancillary:
                if raw6 and any(kind == _IPV6_RECVFRAGSIZE for _level, kind, _data in ancillary):
                    continue  # came in fragments: the socket of protocol 44 had them one by one (spec Annex A2)
                tos = ancillary[0][2][0]
            deliver(port.carrier, source, view[start:length], tos, at)

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
        ancillary = [_tos_message(port.version, tos)] if tos else ()
        for attempt in (1, 2):
            try:
                port.socket.sendmsg(octets, ancillary, 0, destination)
            except OSError as error:
                # An ICMP error about an earlier packet is reported by the next call, whatever that is.
                if attempt == 2 or error.errno in (errno.EMSGSIZE, errno.EAGAIN, errno.ENOBUFS):
                    self.send_failures += 1
                    return
            else:
                return

    # --- what the underlay says

    def errors(self) -> Iterator[TooBig | Unreachable]:
        """Everything in the sockets' error queues (spec §2.8)."""
        for port in self._ports.values():
            while (found := _error(port)) is not None:
                yield from found


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
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            if port:
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, OUTER_TTL)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVTCLASS, 1)
            # The kernel must not fragment in our place (spec §2.6).
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
            if not port:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVFRAGSIZE, 1)
        if port:
            made.bind(("", port) if version == 4 else ("::", port))
    except OSError:
        made.close()
        raise
    return made


def _set_df(port: _Port, df: bool) -> None:
    mode = _PMTUDISC_PROBE if df else _PMTUDISC_DONT
    port.socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
    port.df = df


def _tos_message(version: int, tos: int) -> tuple[int, int, bytes]:
    if version == 4:
        return socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)
    return socket.IPPROTO_IPV6, _IPV6_TCLASS, struct.pack("i", tos)


def _error(port: _Port) -> list[TooBig | Unreachable] | None:
    """The next entry of a socket's error queue, as notices; None when it is empty."""
    try:
        _data, ancillary, _flags, destination = port.socket.recvmsg(64, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for _level, kind, data in ancillary:
        if kind in (_IP_RECVERR, _IPV6_RECVERR) and len(data) >= 16:
            number, origin, icmp_type, code, _pad, info, _rest = struct.unpack_from("=IBBBBII", data)
            return list(_notices(port, destination, number, origin, (icmp_type, code), info))
    return []


def _notices(
    port: _Port, destination: SocketAddress, number: int, origin: int, icmp: tuple[int, int], info: int
) -> Iterator[TooBig | Unreachable]:
    ip = ip_address(destination[0].partition("%")[0])
    if number == errno.EMSGSIZE:
        yield TooBig(ip, info)
    elif origin in (_EE_ORIGIN_ICMP, _EE_ORIGIN_ICMP6):
        kind = {Carrier.UDP: Encapsulation.UDP, Carrier.GUE: Encapsulation.GUE}.get(port.carrier, Encapsulation.MINIMAL)
        refused = (3, _PROTOCOL_UNREACHABLE) if port.version == 4 else (_PARAMETER_PROBLEM, _NEXT_HEADER)
        yield Unreachable(LinkLayerAddress(kind, ip, destination[1] if kind.port else 0), icmp == refused)
