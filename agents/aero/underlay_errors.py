"""What the underlay says about our packets: ICMP errors, believed only about packets we can have sent (spec §2.8)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import AERO_PORT, GUE_PORT
from agents.aero.dataplane.encapsulation import FRAGMENT, IPV4, IPV6
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, Underlay
from agents.aero.notices import TooBig, Unreachable
from agents.kernel.netlink import KernelError
from agents.wire.buffer import internet_checksum

BATCH = 64
_ROOM = 1500
_UDP, _ICMP, _ICMPV6 = 17, 1, 58
_SOL_RAW, _ICMP_FILTER = 255, 1
_UNREACHABLE4, _FRAGMENTATION_NEEDED, _PROTOCOL_UNREACHABLE = 3, 4, 2
_UNREACHABLE6, _TOO_BIG6, _PARAMETER_PROBLEM, _NEXT_HEADER = 1, 2, 4, 1
_FLOORS = {4: 68, 6: 1280}
"""No link has a smaller MTU (RFC 791, RFC 8200 §5): a smaller one is a lie."""

Word = TooBig | Unreachable


class UnderlayErrors:
    """Raw ICMP and ICMPv6 sockets that hear errors only."""

    def __init__(self, own: Sequence[IPv4Address | IPv6Address]) -> None:
        """`own` are the node's underlay addresses: errors count about packets from there."""
        self._own = frozenset(own)
        self.refused = 0
        """Errors that were damaged, lied, or were about no packet of ours."""
        self._sockets: list[tuple[int, socket.socket]] = []
        try:
            for version in sorted({address.version for address in own}):
                self._sockets.append((version, _open(version)))
        except OSError as error:
            self.close()
            raise KernelError(f"cannot listen to ICMP: {error.strerror}", error.errno or 0) from error

    def close(self) -> None:
        """Close the sockets."""
        for _version, each in self._sockets:
            each.close()

    def learn_own(self, addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        """The node's underlay addresses are these now."""
        self._own = frozenset(addresses)

    def readers(self, tell: Callable[[Word], None]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        for version, each in self._sockets:
            yield each.fileno(), lambda version=version, each=each: self._read(version, each, tell)  # type: ignore[misc]

    def _read(self, version: int, from_: socket.socket, tell: Callable[[Word], None]) -> None:
        for _message in range(BATCH):
            try:
                data = from_.recv(_ROOM)
            except OSError:
                return
            words = heard(version, data, self._own)
            self.refused += not words
            for word in words:
                tell(word)


def _open(version: int) -> socket.socket:
    family, protocol = (socket.AF_INET, _ICMP) if version == 4 else (socket.AF_INET6, _ICMPV6)
    made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    blocked = 0xFFFFFFFF
    if version == 4:
        wanted = struct.pack("=I", blocked & ~(1 << _UNREACHABLE4))
        made.setsockopt(_SOL_RAW, _ICMP_FILTER, wanted)
    else:
        first = blocked & ~(1 << _UNREACHABLE6 | 1 << _TOO_BIG6 | 1 << _PARAMETER_PROBLEM)
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP_FILTER, struct.pack("=8I", first, *(blocked,) * 7))
    return made


# A kernel whose own tunnel drivers are loaded (ip6_tunnel, sit) says "port unreachable" of every packet of protocols 4
# and 41 that no tunnel of its takes, though a raw socket does: only a protocol that is not known there is certain.


def heard(version: int, data: bytes, own: frozenset[IPv4Address | IPv6Address]) -> list[Word]:
    """What a received message says; nothing when it is damaged or about no packet of ours.

    IPv4 messages come with their IP header and an unverified checksum, ICMPv6 ones without and verified.
    """
    try:
        return _ipv4(data, own) if version == 4 else _ipv6(data, own)
    except (IndexError, ValueError, struct.error):  # cut short
        return []


def _ipv4(data: bytes, own: frozenset[IPv4Address | IPv6Address]) -> list[Word]:
    icmp = data[(data[0] & 0x0F) * 4 :]
    kind, code, _checksum, _unused, mtu = struct.unpack_from("!BBHHH", icmp)
    if kind != _UNREACHABLE4 or internet_checksum(icmp):
        return []
    quoted = icmp[8:]
    source, destination = IPv4Address(quoted[12:16]), IPv4Address(quoted[16:20])
    lladdrs = _sent(quoted[9], quoted[(quoted[0] & 0x0F) * 4 :], destination) if source in own else []
    if lladdrs and code == _FRAGMENTATION_NEEDED:
        return [TooBig(destination, mtu, tuple(lladdrs))] if not mtu or mtu >= _FLOORS[4] else []
    return [Unreachable(lladdr, code == _PROTOCOL_UNREACHABLE) for lladdr in lladdrs]


def _ipv6(icmp: bytes, own: frozenset[IPv4Address | IPv6Address]) -> list[Word]:
    kind, code, _checksum, info = struct.unpack_from("!BBHI", icmp)
    quoted = icmp[8:]
    source, destination = IPv6Address(quoted[8:24]), IPv6Address(quoted[24:40])
    lladdrs = _sent(quoted[6], quoted[40:], destination) if source in own else []
    if not lladdrs:
        return []
    if kind == _TOO_BIG6:
        return [TooBig(destination, info, tuple(lladdrs))] if info >= _FLOORS[6] else []
    if kind == _PARAMETER_PROBLEM and code != _NEXT_HEADER:
        return []
    return [Unreachable(lladdr, kind == _PARAMETER_PROBLEM) for lladdr in lladdrs]


def _sent(protocol: int, payload: bytes, destination: Underlay) -> list[LinkLayerAddress]:
    """Link-layer addresses that a packet of ours to `destination` can have been for."""
    if protocol in (IPV4, IPV6, FRAGMENT):
        return [LinkLayerAddress(Encapsulation.MINIMAL, destination, 0)]
    if protocol != _UDP:
        return []
    source_port, port = struct.unpack_from("!HH", payload)
    kinds = {AERO_PORT: [Encapsulation.UDP], GUE_PORT: [Encapsulation.GUE, Encapsulation.GUE1]}.get(source_port, [])
    return [LinkLayerAddress(kind, destination, port) for kind in kinds]
