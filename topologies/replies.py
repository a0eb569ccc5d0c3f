"""Echo replies as they come to a node, whoever waits for them there.

iputils' ping waits for the last replies no longer than its interval, or twice the longest round trip so far: what is a
little later than all before it, on a busy machine, finds a script that has gone on, and perhaps stopped somebody.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from testbed.waiting import NotYet, WaitTimeout, wait_until

if TYPE_CHECKING:
    from testbed.nodes import Host

SO_RCVBUFFORCE = 33
ROOM = 8 << 20
"""Octets that may wait to be read: some thousand packets, each with what the kernel holds beside it."""
FAMILIES = {4: (socket.AF_INET, socket.IPPROTO_ICMP, 0), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 129)}
"""IP version -> address family, protocol, type of an echo reply."""
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1


class Replies:
    """Those that a node gets to one series of echo requests, from the moment this is made until it is closed."""

    def __init__(self, node: Host, version: int, identifier: int) -> None:
        self._version = version
        self._identifier = identifier
        self._numbers: set[int] = set()
        family, protocol, kind = FAMILIES[version]
        with node.entered():
            self._socket = socket.socket(family, socket.SOCK_RAW, protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        if version == 6:
            wanted = [0xFFFFFFFF] * 8  # a bit set: that type is not passed on (RFC 3542 §3.2)
            wanted[kind >> 5] &= ~(1 << (kind & 31))
            self._socket.setsockopt(protocol, ICMPV6_FILTER, struct.pack("=8I", *wanted))
        else:
            self._socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << kind)))

    def __enter__(self) -> Replies:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def until(self, number: int, patience: float) -> int:
        """Wait until the reply to this request has come, or so many seconds; how many have come by then."""

        def heard() -> bool:
            self._read()
            if number not in self._numbers:
                raise NotYet(f"{len(self._numbers)} have come")
            return True

        with contextlib.suppress(WaitTimeout):  # the captures tell what is missing
            wait_until(f"the reply to request {number}", heard, timeout=patience)
        return len(self._numbers)

    def _read(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65535)
            except BlockingIOError:
                return
            message = packet[(packet[0] & 0x0F) * 4 :] if self._version == 4 else packet
            kind, identifier, number = struct.unpack_from("!BxxxHH", message)
            if (kind, identifier) == (FAMILIES[self._version][2], self._identifier):
                self._numbers.add(number)
