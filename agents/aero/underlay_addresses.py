"""A node with several underlay addresses of one IP version: answers leave with the address that was asked.

A Client believes a Reply only from where its message went (spec CLI-3), and a NAT lets in its one peer (spec §2.9).
So each address gets sockets of its own, bound to it, and what arrived last from a neighbor tells which ones reach it.
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
from agents.kernel.netlink import KernelError

Address = IPv4Address | IPv6Address
KEPT = 16384
"""Neighbors whose way in is remembered; with more than that, all are learnt anew."""


def open_underlay(own: Sequence[Address], mark: int = 0, *, runs: bool = True) -> Underlay | SeveralAddresses:
    """The sockets of a node (KernelError)."""
    versions = [address.version for address in own]
    kind = SeveralAddresses if len(set(versions)) < len(versions) else Underlay
    return kind(own, mark, runs=runs)


class SeveralAddresses:
    """As Underlay, for all addresses of a node."""

    def __init__(self, own: Sequence[Address], mark: int, *, runs: bool = True) -> None:
        self._mark = mark
        self._by_address: dict[str, Underlay] = {}
        self._ways: dict[SocketAddress, Underlay] = {}
        """Where a neighbor's packets last came in, by its address and port."""
        self._hosts: dict[str, Underlay] = {}
        """The same by its address alone: for an encapsulation it was not heard in yet."""
        try:
            for address in own:
                self._by_address[str(address)] = Underlay(own, mark, bound=address, runs=runs)
        except KernelError:
            self.close()
            raise

    def close(self) -> None:
        """Close all sockets."""
        for each in self._by_address.values():
            each.close()

    def learn_own(self, addresses: Sequence[Address]) -> None:
        """As Underlay's; a socket stays bound to the address that it was opened for."""
        for each in self._by_address.values():
            each.learn_own(addresses)

    @property
    def loops(self) -> int:
        """Packets from ourselves that were dropped."""
        return sum(each.loops for each in self._by_address.values())

    @property
    def send_failures(self) -> int:
        """Packets the kernel did not take."""
        return sum(each.send_failures for each in self._by_address.values())

    @property
    def too_long(self) -> Callable[[SocketAddress], None]:
        """As Underlay's."""
        return next(iter(self._by_address.values())).too_long

    @too_long.setter
    def too_long(self, told: Callable[[SocketAddress], None]) -> None:
        for each in self._by_address.values():
            each.too_long = told

    def readers(self, deliver: FromUnderlay, now: Callable[[], float]) -> Iterator[tuple[int, Callable[[], None]]]:
        """(file descriptor, what to call when it is readable) of every socket."""
        for each in self._by_address.values():
            yield from each.readers(self._noting(each, deliver), now)

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

    def transmit(
        self, through: Carrier, destination: SocketAddress, octets: Sequence[Octets], df: bool, tos: int
    ) -> None:
        """Send one payload from the address that its receiver knows us by."""
        way = self._ways.get(destination) or self._hosts.get(destination[0]) or self._first_way(destination)
        way.transmit(through, destination, octets, df, tos)

    def _first_way(self, destination: SocketAddress) -> Underlay:
        """From the address that the kernel would choose."""
        family = socket.AF_INET if len(destination) == 2 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            try:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
                asking.connect((destination[0], AERO_PORT))
                way = self._by_address.get(asking.getsockname()[0])
            except OSError:  # no route: whichever is asked will count it
                way = None
        four = len(destination) == 2
        way = way or next((each for address, each in self._by_address.items() if (":" in address) != four), None)
        way = way or next(iter(self._by_address.values()))
        self._hosts[destination[0]] = way
        return way
