"""`python -m topologies.tools.size_sweep SOURCE TARGET IDENTIFIER SMALLEST LARGEST`: one echo request of every size.

Sizes are those of the IP packet; the sequence number is the size.  A request that stays unanswered is sent again, three
times at most.  Prints the sizes that never came back, one a line.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import time
from ipaddress import ip_address

HEADERS = {4: 28, 6: 48}
REQUESTS = {4: 8, 6: 128}
PROTOCOLS = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
PACE = 0.001
"""Seconds between requests: some thousand packets must not overrun anybody's socket buffer."""
WAIT, TRIES = 1.0, 3


def main(source: str, target: str, identifier: int, smallest: int, largest: int) -> None:
    """Send, collect, send again what is missing."""
    version = ip_address(target).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    sweep = socket.socket(family, socket.SOCK_RAW, PROTOCOLS[version])
    sweep.bind((source, 0))
    sweep.connect((target, 0))
    sweep.setblocking(False)
    missing = set(range(max(smallest, HEADERS[version]), largest + 1))
    for _try in range(TRIES):
        for size in sorted(missing):
            sweep.send(_request(version, identifier, size))
            _collect(sweep, version, identifier, missing, PACE)
        _collect(sweep, version, identifier, missing, WAIT)
    for size in sorted(missing):
        print(size)


def _request(version: int, identifier: int, size: int) -> bytes:
    data = bytes(size - HEADERS[version])
    head = struct.pack("!BBHHH", REQUESTS[version], 0, 0, identifier, size)
    if version == 6:
        return head + data  # the kernel fills the checksum
    total = sum(struct.unpack("!4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + struct.pack("!H", ~total & 0xFFFF) + head[4:] + data


def _collect(sweep: socket.socket, version: int, identifier: int, missing: set[int], wait: float) -> None:
    """Take replies for some time, or until none is missing."""
    deadline = time.monotonic() + wait
    with selectors.DefaultSelector() as selector:
        selector.register(sweep, selectors.EVENT_READ)
        while missing and (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                return
            packet = sweep.recv(65535)
            message = packet[(packet[0] & 0x0F) * 4 :] if version == 4 else packet
            kind, ident, sequence = struct.unpack_from("!BxxxHH", message)
            if kind == (0 if version == 4 else 129) and ident == identifier:
                missing.discard(sequence)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
