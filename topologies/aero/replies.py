"""Echo replies as they come to a node, whoever waits for them there.

iputils' ping waits for the last replies no longer than its interval, or twice the longest round trip so far: what is a
little later than all before it, on a busy machine, finds a script that has gone on, and perhaps stopped somebody.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.waiting import NotYet, WaitTimeout, wait_until

if TYPE_CHECKING:
    from topologies.runner import Run

SO_RCVBUFFORCE = 33
ROOM = 8 << 20
"""Octets that may wait to be read: some thousand packets, each with what the kernel holds beside it."""
FAMILIES = {4: (socket.AF_INET, socket.IPPROTO_ICMP, 0), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 129)}
"""IP version -> address family, protocol, type of an echo reply."""
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1


class Replies:
    """Those of one series of echo requests."""

    def __init__(self, socket_: socket.socket, version: int, identifier: int) -> None:
        self._socket = socket_
        self._version = version
        self._identifier = identifier
        self._last = 0

    def until(self, number: int, patience: float) -> None:
        """Wait until the reply to this request has come, or as long as one may wait for a reply."""

        def heard() -> bool:
            self._read()
            if self._last < number:
                raise NotYet(f"{self._last}")
            return True

        try:
            wait_until("the last reply", heard, timeout=patience)
        except WaitTimeout:
            return  # the captures tell what is missing

    def _read(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65535)
            except BlockingIOError:
                return
            message = packet[(packet[0] & 0x0F) * 4 :] if self._version == 4 else packet
            kind, identifier, number = struct.unpack_from("!BxxxHH", message)
            if (kind, identifier) == (FAMILIES[self._version][2], self._identifier):
                self._last = max(self._last, number)


@contextmanager
def replies(run: Run, node: str, version: int, identifier: int) -> Iterator[Replies]:
    """Listen to the replies that a node gets to a series from now on."""
    family, protocol, kind = FAMILIES[version]
    with run.net[node].entered():
        made = socket.socket(family, socket.SOCK_RAW, protocol)
    with made:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        if version == 6:
            wanted = [0xFFFFFFFF] * 8  # a bit set: that type is not passed on (RFC 3542 §3.2)
            wanted[kind >> 5] &= ~(1 << (kind & 31))
            made.setsockopt(protocol, ICMPV6_FILTER, struct.pack("=8I", *wanted))
        else:
            made.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << kind)))
        yield Replies(made, version, identifier)
