"""`python -m topologies.tools.blast KIND PORT DESTINATION`: sends one payload as fast as it can.

KIND is `udp`, or the number of an IP protocol; PORT is bound and sent to (0 for a protocol).  Reads orders, one a
line: `blast HEX SECONDS` answers with the number of packets sent, `send HEX` sends one.  What arrives is dropped.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import time

SO_ATTACH_FILTER = 26
ROUND = 64
"""Packets between two looks at the clock."""


def main(kind: str, port: int, destination: str) -> None:
    """Carry out orders until standard input ends; prints `ready` first."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    if kind == "udp":
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.bind(("", port))
    else:
        sender = socket.socket(family, socket.SOCK_RAW, int(kind))
    _drop_all(sender)
    sender.connect((destination, port))
    print("ready", flush=True)
    for line in sys.stdin:
        order, payload, *seconds = line.split()
        if order == "send":
            _send(sender, bytes.fromhex(payload))
        else:
            print(_blast(sender, bytes.fromhex(payload), float(seconds[0])), flush=True)


def _drop_all(sender: socket.socket) -> None:
    """A filter, since a raw socket without room makes the kernel answer Protocol Unreachable."""
    drop = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    sender.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(drop)))


def _blast(sender: socket.socket, payload: bytes, seconds: float) -> int:
    """Packets sent."""
    sent, end, send = 0, time.monotonic() + seconds, sender.send
    while time.monotonic() < end:
        for _packet in range(ROUND):
            try:
                send(payload)
            except OSError:
                continue  # an ICMP error about an earlier packet, or no room
            sent += 1
    return sent


def _send(sender: socket.socket, payload: bytes) -> None:
    for _attempt in (1, 2):  # the first call may report an ICMP error about an earlier packet
        try:
            sender.send(payload)
        except OSError:
            continue
        return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
