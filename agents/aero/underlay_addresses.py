"""A node with several underlay addresses of one IP version: each has sockets of its own, bound to it.

A Server or Relay answers with the address that was asked: a Client believes a Reply only from where its message went
(spec CLI-3), and a NAT lets in its one peer (spec §2.9).  What arrived last from a neighbor tells how to
reach it.

A Client chooses itself: it sends from its preferred line (`UnderlayLinks`), by that line's interface, whatever else
arrives.  When its addresses change, so do its sockets (spec MOB-1).

Nodes with one address of a version, nearly all, do not pay for that: they have a plain Underlay.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from agents.aero.constants import AERO_PORT
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sink import Octets
from agents.aero.dataplane.sockaddr import SocketAddress
from agents.aero.underlay import FromUnderlay, Underlay
from agents.aero.underlay_links import UnderlayLinks
from agents.kernel.netlink import KernelError

Address = IPv4Address | IPv6Address
KEPT = 16384
"""Neighbors whose way in is remembered; with more than that, all are learnt anew."""


def open_underlay(
    own: Sequence[Address], mark: int = 0, *, runs: bool = True, lines: UnderlayLinks | None = None
) -> Underlay | SeveralAddresses:
    """The sockets of a node (KernelError); `lines` are a Client's, if it may have several."""
    versions = [address.version for address in own]
    if lines or len(set(versions)) < len(versions):
        return SeveralAddresses(own, mark, runs=runs, lines=lines)
    return Underlay(own, mark, runs=runs)


class SeveralAddresses:
    """As Underlay, for all addresses of a node."""

    def __init__(
        self, own: Sequence[Address], mark: int, *, runs: bool = True, lines: UnderlayLinks | None = None
    ) -> None:
        """`lines`: of a Client; who changes them calls `learn_own`."""
        self._mark = mark
        self._runs = runs
        self._lines = lines
        self._by_address: dict[str, Underlay] = {}
        self._ways: dict[SocketAddress, Underlay] = {}
        """Where a neighbor's packets last came in, by its address and port; a Client's: the way to it."""
        self._hosts: dict[str, Underlay] = {}
        """The same by its address alone: for an encapsulation it was not heard in yet."""
        self._deliver: tuple[FromUnderlay, Callable[[], float]] | None = None
        self._too_long: Callable[[SocketAddress], None] = lambda _destination: None
        self._counted = {"loops": 0, "send_failures": 0}
        """By sockets that are closed, or where there were none."""
        self.listen: Callable[[int, Callable[[], None]], None] = lambda _fd, _read: None
        """Told of a new socket, and what to call when it is readable."""
        self.ignore: Callable[[int], None] = lambda _fd: None
        """Told of a socket that is about to be closed."""
        try:
            for address in own:
                self._open(address, own)
        except KernelError:
            self.close()
            raise

    def close(self) -> None:
        """Close all sockets."""
        for each in self._by_address.values():
            each.close()

    # --- addresses

    def learn_own(self, addresses: Sequence[Address]) -> None:
        """As Underlay's; a Client gets sockets for the addresses that are new (KernelError), and loses the others'."""
        for each in self._by_address.values():
            each.learn_own(addresses)
        if self._lines is None:
            return
        self._ways.clear()
        self._hosts.clear()
        for text in self._by_address.keys() - set(map(str, addresses)):
            self._shut(text)
        failed: KernelError | None = None
        for address in addresses:
            try:
                if str(address) not in self._by_address:
                    self._announce(self._open(address, addresses))
            except KernelError as error:  # the others may work
                failed = error
        if failed:
            raise failed

    def _open(self, address: Address, own: Sequence[Address]) -> Underlay:
        device = self._lines.interface_of(address) if self._lines else None
        made = Underlay(own, self._mark, bound=address, device=device, runs=self._runs)
        made.too_long = self._too_long
        self._by_address[str(address)] = made
        return made

    def _shut(self, text: str) -> None:
        gone = self._by_address.pop(text)
        self._counted["loops"] += gone.loops
        self._counted["send_failures"] += gone.send_failures
        for fd in gone.descriptors():
            self.ignore(fd)
        gone.close()

    def _announce(self, made: Underlay) -> None:
        for fd, read in self._readers(made):
            self.listen(fd, read)

    # --- as Underlay's

    @property
    def loops(self) -> int:
        """Packets from ourselves that were dropped."""
        return self._counted["loops"] + sum(each.loops for each in self._by_address.values())

    @property
    def send_failures(self) -> int:
        """Packets the kernel did not take."""
        return self._counted["send_failures"] + sum(each.send_failures for each in self._by_address.values())

    @property
    def too_long(self) -> Callable[[SocketAddress], None]:
        """As Underlay's."""
        return self._too_long

    @too_long.setter
    def too_long(self, told: Callable[[SocketAddress], None]) -> None:
        self._too_long = told
        for each in self._by_address.values():
            each.too_long = told

    def readers(self, deliver: FromUnderlay, now: Callable[[], float]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        self._deliver = deliver, now
        for each in self._by_address.values():
            yield from self._readers(each)

    def _readers(self, way: Underlay) -> Iterator[tuple[int, Callable[[], None]]]:
        if self._deliver:
            deliver, now = self._deliver
            yield from way.readers(deliver if self._lines else self._noting(way, deliver), now)

    def _noting(self, way: Underlay, deliver: FromUnderlay) -> FromUnderlay:
        def take(through: Carrier, source: SocketAddress, data: memoryview, tos: int, at: float) -> None:
            if self._ways.get(source) is not way:
                if len(self._ways) >= KEPT:
                    self._ways.clear()
                    self._hosts.clear()
                self._ways[source] = self._hosts[source[0]] = way
            deliver(through, source, data, tos, at)

        return take

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """As Underlay's, whichever sockets it goes out by."""
        with contextlib.ExitStack() as stack:
            for each in self._by_address.values():
                stack.enter_context(each.together())
            yield

    # --- ways

    def transmit(
        self, through: Carrier, destination: SocketAddress, octets: Sequence[Octets], df: bool, tos: int
    ) -> None:
        """Send one payload from the address that its receiver knows us by."""
        way = self._ways.get(destination) or self._hosts.get(destination[0]) or self._first_way(destination)
        if way is None:
            self._counted["send_failures"] += 1
            return
        way.transmit(through, destination, octets, df, tos)

    def _first_way(self, destination: SocketAddress) -> Underlay | None:
        """A Client's preferred line; else from the address that the kernel would choose."""
        version = 4 if len(destination) == 2 else 6
        found = self._lines.of_version(version) if self._lines else None
        way = self._by_address.get(str(found[1]) if found else self._source(version, destination[0]))
        if way is None:
            fitting = [each for address, each in self._by_address.items() if (":" in address) == (version == 6)]
            way = next(iter(fitting or self._by_address.values()), None)
        if way:
            self._hosts[destination[0]] = way
        return way

    def _source(self, version: int, destination: str) -> str:
        """What the kernel would choose; empty where it has no route: whichever is asked then will count it."""
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as asking:
            try:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
                asking.connect((destination, AERO_PORT))
                return str(asking.getsockname()[0])
            except OSError:
                return ""
