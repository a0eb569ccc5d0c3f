"""`python -m topologies.tools.mobility_sender SOURCE DESTINATION`: send Mobility Header messages of one's own making.

Reads lines of hexadecimal octets from standard input, each a whole Mobility Header; sends it from SOURCE (an address
of this node) to DESTINATION and prints `sent N` for N octets. The kernel fills in the checksum (RFC 3542 §3.1).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable

MOBILITY_HEADER = 135


def main(source: str, destination: str, lines: Iterable[str]) -> None:
    """Send every line."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER) as sender:
        sender.bind((source, 0))
        for line in lines:
            octets = bytes.fromhex(line.strip())
            sender.sendto(octets, (destination, 0))
            print(f"sent {len(octets)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin)
