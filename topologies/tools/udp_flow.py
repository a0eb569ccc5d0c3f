"""`python -m topologies.tools.udp_flow SOURCE PORT DESTINATION PORT INTERVAL`: numbered datagrams at a steady pace.

Each datagram starts with an 8-octet big-endian sequence number.  Prints one line per echo that comes back:
its sequence number.  Whoever was kept from sending for long does not make up for it: a burst in the moment of a move
would be lost as a whole, and so many rounds of a flow are to take so long.  Ends with its parent's pipe or SIGTERM.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import time

SIZE = 64
"""Octets of a datagram."""
LATE = 0.05
"""Seconds by which a datagram may be late without those after it being put off: the pace is right on average."""


def main(source: str, source_port: int, destination: str, port: int, interval: float) -> None:
    """Send every `interval` seconds and report echoes until ended."""
    flow = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    flow.bind((source, source_port))
    flow.connect((destination, port))
    flow.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(flow, selectors.EVENT_READ)
    sequence, due = 0, time.monotonic()
    while True:
        wait = due - time.monotonic()
        if wait <= 0:
            _send(flow, sequence)
            sequence, due = sequence + 1, following(due, time.monotonic(), interval)
        elif selector.select(wait):
            _report(flow)


def following(due: float, now: float, interval: float) -> float:
    """When the next datagram is due after the one that was due at `due` and left `now`."""
    return due + interval if now - due <= LATE else now + interval


def _send(flow: socket.socket, sequence: int) -> None:
    # No route just now, or an ICMPv6 error about an earlier one: the datagram is lost, as on any network.
    with contextlib.suppress(OSError):
        flow.send(sequence.to_bytes(8, "big") + bytes(SIZE - 8))


def _report(flow: socket.socket) -> None:
    try:
        data = flow.recv(65535)
    except OSError:
        return
    sys.stdout.write(f"{int.from_bytes(data[:8], 'big')}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
