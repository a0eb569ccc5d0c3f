"""Seeing neighbour discovery on the access interface: who is there, and which of our advertisements really left.

A packet socket on phy, with a classic BPF filter so that user traffic never wakes the agent.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.kernel.netlink import KernelError

ETH_P_ALL, ETH_P_IPV6 = 0x0003, 0x86DD
ICMPV6 = 58
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION = 133, 134, 135
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35
PACKET_OUTGOING = 4
_ETHERTYPE, _NEXT_HEADER, _SOURCE, _DESTINATION, _ICMP = 12, 20, 22, 38, 54
_TARGET = _ICMP + 8
_SNAPSHOT = 512

# tcpdump -dd 'ip6 and ip6[6] == 58 and ip6[40] >= 133 and ip6[40] <= 135', written out:
FILTER: tuple[tuple[int, int, int, int], ...] = (
    (0x28, 0, 0, _ETHERTYPE),  # ldh the ethertype
    (0x15, 0, 6, ETH_P_IPV6),  # jeq, else reject
    (0x30, 0, 0, _NEXT_HEADER),  # ldb the next header
    (0x15, 0, 4, ICMPV6),
    (0x30, 0, 0, _ICMP),  # ldb the ICMPv6 type
    (0x35, 0, 2, ROUTER_SOLICITATION),  # jge, else reject
    (0x25, 1, 0, NEIGHBOUR_SOLICITATION),  # jgt rejects
    (0x06, 0, 0, _SNAPSHOT),
    (0x06, 0, 0, 0),
)


@dataclass(frozen=True, slots=True)
class Solicited:
    """A mobile node asked for routers or neighbours: it is there."""

    t: float
    """Unix time, from the kernel."""
    kind: str
    """"rs" or "ns"."""
    mac: str
    link_local: IPv6Address | None
    """The node's link-local address; None if the message does not tell it."""
    destination_mac: str


@dataclass(frozen=True, slots=True)
class Advertised:
    """One of our Router Advertisements left."""

    t: float
    mac: str
    """Link-layer source: the DLIF's."""
    link_local: IPv6Address
    destination: IPv6Address
    destination_mac: str


Seen = Solicited | Advertised


def parse(frame: bytes, *, outgoing: bool, t: float) -> Seen | None:
    """Read a frame the filter let through; None for what is neither a node's solicitation nor our advertisement."""
    if len(frame) < _ICMP + 4 or frame[_ETHERTYPE : _ETHERTYPE + 2] != ETH_P_IPV6.to_bytes(2, "big"):
        return None
    if frame[_NEXT_HEADER] != ICMPV6:
        return None
    kind = frame[_ICMP]
    destination_mac, mac = frame[0:6].hex(":"), frame[6:12].hex(":")
    source = IPv6Address(frame[_SOURCE : _SOURCE + 16])
    if outgoing:
        if kind != ROUTER_ADVERTISEMENT:
            return None
        destination = IPv6Address(frame[_DESTINATION : _DESTINATION + 16])
        return Advertised(t, mac, source, destination, destination_mac)
    if kind == ROUTER_SOLICITATION:
        own = source if source.is_link_local else None
        return Solicited(t, "rs", mac, own, destination_mac)
    if kind == NEIGHBOUR_SOLICITATION:
        return Solicited(t, "ns", mac, _solicitor(frame, source), destination_mac)
    return None


def _solicitor(frame: bytes, source: IPv6Address) -> IPv6Address | None:
    """Link-local address of who sent a Neighbour Solicitation."""
    if source.is_link_local:
        return source
    if source.is_unspecified and len(frame) >= _TARGET + 16:
        # Duplicate address detection: the target is the address the node is about to take (RFC 4862 §5.4.2).
        target = IPv6Address(frame[_TARGET : _TARGET + 16])
        return target if target.is_link_local else None
    return None


class Watch:
    """Non-blocking packet socket on an interface."""

    def __init__(self, interface: str) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        # Protocol 0 takes nothing until the filter is there and the socket is bound.
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        attach_filter(self._socket, FILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        try:
            # A socket for IPv6 alone is never shown what leaves; the filter keeps the rest away.
            self._socket.bind((interface, ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise KernelError(f"cannot watch {interface}: {error.strerror}", error.errno or 0) from error

    def fileno(self) -> int:
        """File descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> list[Seen]:
        """All that was seen since the last call."""
        found: list[Seen] = []
        while True:
            try:
                frame, ancillary, _flags, address = self._socket.recvmsg(_SNAPSHOT, 64)
            except BlockingIOError:
                return found
            except OSError as error:
                raise KernelError(f"cannot watch any longer: {error.strerror}", error.errno or 0) from error
            outgoing = address[2] == PACKET_OUTGOING
            seen = parse(frame, outgoing=outgoing, t=_timestamp(ancillary))
            if seen is not None:
                found.append(seen)


def _timestamp(ancillary: Iterable[tuple[int, int, bytes]]) -> float:
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", value[:16])
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def attach_filter(sock: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    """Have a socket take only what a classic BPF program accepts."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code)
    # struct sock_fprog: a count and a pointer, with the platform's padding between them.
    header = struct.pack("@HP", len(program), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)
