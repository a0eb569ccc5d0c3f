"""Raw sockets of a gateway: the Mobility Header (protocol 135) and ICMPv6 Parameter Problem (spec §2.5, §10)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.kernel.netlink import KernelError

MOBILITY_HEADER = 135
PARAMETER_PROBLEM = 4
ERRONEOUS_FIELD, UNRECOGNISED_NEXT_HEADER = 0, 1
IPV6_HEADER = 40
MIN_MTU = 1280
ICMPV6_FILTER = 1
SO_EE_ORIGIN_ICMP6 = 3
IPV6_RECVERR = 25
_LARGEST = 65535
_EXTENSIONS = {socket.IPV6_HOPOPTS: 0, socket.IPV6_DSTOPTS: 60, socket.IPV6_RTHDR: 43}
"""Ancillary data type -> next header value of that extension header."""


@dataclass(frozen=True, slots=True)
class Received:
    """One Mobility Header message, or ESP packet, as it arrived."""

    data: bytes
    """From the first octet of the Mobility Header (whose checksum the kernel verified) or ESP header on."""
    source: IPv6Address
    destination: IPv6Address
    hop_limit: int
    extensions: tuple[tuple[int, bytes], ...] = ()
    """Extension headers in front of it, in order: (header type, whole header)."""

    @property
    def offset(self) -> int:
        """Where the Mobility Header started in the packet: 40 without extension headers."""
        return IPV6_HEADER + sum(len(header) for _kind, header in self.extensions)

    @property
    def packet(self) -> bytes:
        """The packet again, for quoting (traffic class and flow label are not known and 0)."""
        headers = b"".join(header for _kind, header in self.extensions)
        first = self.extensions[0][0] if self.extensions else MOBILITY_HEADER
        size = len(headers) + len(self.data)
        fixed = struct.pack("!IHBB", 6 << 28, size, first, self.hop_limit)
        return fixed + self.source.packed + self.destination.packed + headers + self.data


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ICMPv6 error about a Mobility Header message we sent."""

    peer: IPv6Address
    """Whom the message was for."""
    type: int
    code: int
    pointer: int

    @property
    def no_mobility(self) -> bool:
        """The peer knows no Mobility Header, or no ESP: type 4 code 1 (RFC 6275 §11.3.5)."""
        return (self.type, self.code) == (PARAMETER_PROBLEM, UNRECOGNISED_NEXT_HEADER)


class MobilitySocket:
    """Non-blocking socket for Mobility Header messages, or for ESP packets that hold them, bound to the P-CoA."""

    def __init__(self, local: IPv6Address, protocol: int = MOBILITY_HEADER) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_INET6, kind, protocol)
        for option in (
            socket.IPV6_RECVPKTINFO,
            socket.IPV6_RECVHOPLIMIT,
            socket.IPV6_RECVHOPOPTS,
            socket.IPV6_RECVDSTOPTS,
            socket.IPV6_RECVRTHDR,
            IPV6_RECVERR,
        ):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, 1)
        try:
            self._socket.bind((str(local), 0))
        except OSError as error:
            self._socket.close()
            raise KernelError(f"cannot bind to {local}: {error.strerror}", error.errno or 0) from error

    def fileno(self) -> int:
        """File descriptor, for the event loop; readable for messages and for refusals."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, data: bytes, destination: IPv6Address) -> None:
        """Send a message; the kernel fills in a Mobility Header's checksum."""
        for attempt in (1, 2):
            try:
                self._socket.sendto(data, (str(destination), 0))
            except OSError as error:
                # An ICMPv6 error about an earlier message is reported by the next call, whatever it is.
                if attempt == 2:
                    raise KernelError(f"cannot send to {destination}: {error.strerror}", error.errno or 0) from error
            else:
                return

    def receive(self) -> Received | None:
        """Next message, None if there is none now."""
        while True:
            try:
                data, ancillary, _flags, address = self._socket.recvmsg(_LARGEST, 4096)
            except BlockingIOError:
                return None
            except OSError:
                continue  # an ICMPv6 error is pending; it is read by `refusals`
            return parse(data, ancillary, address[0])

    def refusals(self) -> list[Refusal]:
        """ICMPv6 errors about messages sent, since the last call."""
        found: list[Refusal] = []
        while True:
            try:
                flags = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                _data, ancillary, _flags, address = self._socket.recvmsg(MIN_MTU, 512, flags)
            except BlockingIOError:
                return found
            refusal = parse_error(ancillary, address[0])
            if refusal is not None:
                found.append(refusal)


def parse(data: bytes, ancillary: list[tuple[int, int, bytes]], source: str) -> Received:
    """Put one received message and its ancillary data together."""
    destination = IPv6Address("::")
    hop_limit = 0
    extensions: list[tuple[int, bytes]] = []
    for level, kind, value in ancillary:
        if level != socket.IPPROTO_IPV6:
            continue
        if kind == socket.IPV6_PKTINFO:
            destination = IPv6Address(value[:16])
        elif kind == socket.IPV6_HOPLIMIT:
            hop_limit = int(struct.unpack_from("=i", value)[0])
        elif kind in _EXTENSIONS:
            extensions.append((_EXTENSIONS[kind], value))
    plain = IPv6Address(source.partition("%")[0])
    return Received(data, plain, destination, hop_limit, tuple(extensions))


def parse_error(ancillary: list[tuple[int, int, bytes]], peer: str) -> Refusal | None:
    """Read an entry of the error queue (struct sock_extended_err); None if it is not an ICMPv6 error."""
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == IPV6_RECVERR and len(value) >= 16:
            _errno, origin, icmp_type, code, info = struct.unpack_from("=IBBBxI", value)
            if origin == SO_EE_ORIGIN_ICMP6:
                return Refusal(IPv6Address(peer.partition("%")[0]), icmp_type, code, info)
    return None


class ParameterProblems:
    """Sends ICMPv6 Parameter Problem from the P-CoA (RFC 4443 §3.4)."""

    def __init__(self, local: IPv6Address) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
        # All types blocked: this socket only sends.
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, b"\xff" * 32)
        self._socket.bind((str(local), 0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, offending: Received, field: int) -> None:
        """Report an erroneous field at this offset of the Mobility Header: code 0, pointer from the IPv6 header."""
        message = parameter_problem(offending, field)
        try:
            self._socket.sendto(message, (str(offending.source), 0))
        except OSError as error:
            where = offending.source
            raise KernelError(
                f"cannot send Parameter Problem to {where}: {error.strerror}", error.errno or 0
            ) from error


def parameter_problem(offending: Received, field: int) -> bytes:
    """ICMPv6 message type 4 code 0, checksum left to the kernel, with as much of the packet as fits 1280 octets."""
    head = struct.pack("!BBHI", PARAMETER_PROBLEM, ERRONEOUS_FIELD, 0, offending.offset + field)
    return head + offending.packet[: MIN_MTU - IPV6_HEADER - len(head)]
