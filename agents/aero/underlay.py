"""The sockets of an AERO node on its underlay: UDP 8060 and 6080, raw 4, 41 and 44, over IPv4 and IPv6 (spec §2).

Data packets go straight to the forwarder.  What the underlay answers about packets of ours is heard by sockets of
its own (agents.aero.underlay_errors): the error queue of an IPv4 UDP socket misses a Fragmentation Needed that comes
while the socket is set to send without DF.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import AERO_PORT, GUE_PORT, OUTER_TTL
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sink import Octets
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.kernel.batches import ONE_MESSAGE, Arrivals, Departures, can_run, pull_name
from agents.kernel.netlink import KernelError
from agents.kernel.watch import attach_filter

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
_TOS = {4: (socket.IPPROTO_IP, socket.IP_TOS), 6: (socket.IPPROTO_IPV6, _IPV6_TCLASS)}
SOURCES = 16384
"""Underlay addresses kept in the form the packet path wants."""

FromUnderlay = Callable[[Carrier, SocketAddress, memoryview, int, float], None]


@dataclass(slots=True, eq=False)
class _Port:
    """One socket."""

    carrier: Carrier
    version: int
    socket: socket.socket
    departures: Departures
    may_run: bool = False
    """Whether the kernel may be given many datagrams as one: over IPv4 with DF only.  Linux numbers what it cuts as if
    it were one packet, and the next one takes up a number that was used: what may be fragmented on the way must not
    share an identification (RFC 6864 §4.3, spec §2.6)."""
    df: bool | None = None
    """How the socket is set now."""
    collecting: bool = False
    """Whether what is sent is collected."""


class Underlay:
    """All sockets of a node; the sending half of a data plane's sink."""

    def __init__(
        self,
        own: Sequence[IPv4Address | IPv6Address],
        mark: int = 0,
        *,
        bound: IPv4Address | IPv6Address | None = None,
        device: str | None = None,
        runs: bool = True,
    ) -> None:
        """`own` are the node's underlay addresses: only their IP versions are opened, and packets from ourselves
        are dropped as loops.  `mark` keeps outer packets off the AERO interface (spec CLI-14).  `bound`: the one
        address to send and receive at, and `device` the one interface; None: all.  `runs` lets the kernel make many UDP
        datagrams of one, if it can."""
        self._own = {str(address) for address in own}
        self._ports: dict[tuple[Carrier, int], _Port] = {}
        """By carrier and length of socket addresses."""
        self._guards: list[socket.socket] = []
        self._arrivals = Arrivals(BUFFER)
        self._sources: dict[bytes, SocketAddress] = {}
        self._together = False
        """Whether what is sent is collected."""
        self._collecting: list[_Port] = []
        """Sockets with something collected."""
        self.too_long: Callable[[SocketAddress], None] = lambda _destination: None
        """Told of a packet with DF that is longer than the MTU of the interface it would have left by."""
        self.loops = 0
        self.send_failures = 0
        try:
            for version in sorted({address.version for address in ([bound] if bound else own)}):
                for carrier in Carrier:
                    made = _open(carrier, version, mark, bound, device)
                    may_run = runs and carrier in _PORTS and can_run(made)
                    departures = Departures(made.fileno(), *_TOS[version])
                    departures.runs = may_run and version == 6
                    self._ports[carrier, 2 if version == 4 else 4] = _Port(carrier, version, made, departures, may_run)
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
        self._sources.clear()

    def readers(self, deliver: FromUnderlay, now: Callable[[], float]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        for port in self._ports.values():
            yield port.socket.fileno(), lambda port=port: self._read(port, deliver, now)  # type: ignore[misc]

    def descriptors(self) -> list[int]:
        """Of all sockets that are read."""
        return [port.socket.fileno() for port in self._ports.values()]

    # --- receiving

    def _read(self, port: _Port, deliver: FromUnderlay, now: Callable[[], float]) -> None:
        count = self._arrivals.receive(port.socket.fileno())
        with self.together():
            self._take(port, count, deliver, now())

    def _take(self, port: _Port, count: int, deliver: FromUnderlay, at: float) -> None:
        carrier, sources = port.carrier, self._sources
        raw4 = port.version == 4 and carrier not in _PORTS
        raw6 = port.version == 6 and carrier in (Carrier.PROTOCOL_4, Carrier.PROTOCOL_41)
        for name, data, ancillary, tos in self._arrivals.first(count):
            source = sources.get(name) or self._learn_source(name)
            if source is None:
                self.loops += 1
            elif raw4:
                deliver(carrier, source, data[(data[0] & 0x0F) * 4 :], data[1], at)
            elif not raw6 or ancillary <= ONE_MESSAGE:
                deliver(carrier, source, data, tos, at)
            # else it came in fragments: the socket of protocol 44 had them one by one (spec Annex A2)

    def _learn_source(self, name: bytes) -> SocketAddress | None:
        """Where a packet came from; None: from ourselves."""
        source = pull_name(name)
        if source[0] in self._own:
            return None
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        self._sources[name] = source
        return source

    # --- sending

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is sent inside goes out at its end, in as few system calls as can be."""
        if self._together:
            yield
            return
        self._together = True
        try:
            yield
        finally:
            self._together = False
            self._send_collected()

    def transmit(
        self, through: Carrier, destination: SocketAddress, octets: Sequence[Octets], df: bool, tos: int
    ) -> None:
        """Send one payload; what cannot be sent is lost like any packet, and counted."""
        port = self._ports.get((through, len(destination)))
        if port is None:
            self.send_failures += 1
            return
        departures = port.departures
        if port.df is not df and port.version == 4:
            self._flush(port)
            _set_df(port, df)
        elif departures.full:
            self._flush(port)
        if not port.collecting:
            port.collecting = True
            self._collecting.append(port)
        departures.add(destination, octets, tos)
        if not self._together:
            self._send_collected()

    def _send_collected(self) -> None:
        for port in self._collecting:
            self._flush(port)
            port.collecting = False
        self._collecting.clear()

    def _flush(self, port: _Port) -> None:
        for destination, number in port.departures.flush():
            self.send_failures += 1
            if number == errno.EMSGSIZE:
                self.too_long(destination)


def _open(
    carrier: Carrier,
    version: int,
    mark: int,
    bound: IPv4Address | IPv6Address | None = None,
    device: str | None = None,
) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    port = _PORTS.get(carrier)
    kind = socket.SOCK_DGRAM if port else socket.SOCK_RAW
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0 if port else int(carrier))
    try:
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
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
        if port or bound:
            made.bind((str(bound) if bound else "" if version == 4 else "::", port or 0))
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
    port.departures.runs = port.may_run and df
