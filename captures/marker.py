"""Send one marker frame: `python -I -S marker.py INTERFACE TOKEN`, run inside the captured node's namespace."""

from __future__ import annotations

import socket
import sys

ETHERTYPE = 0x88B5
"""Local experimental EtherType 1 (IEEE 802, annex on local experimental use)."""
DESTINATION = bytes.fromhex("0180c200000e")
"""Nearest-bridge group address: no bridge forwards it (IEEE 802.1Q table 8-1)."""


def main(interface: str, token: str) -> None:
    """Send the token in one frame out of the interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        sock.send(DESTINATION + bytes.fromhex("02526f616d00") + ETHERTYPE.to_bytes(2, "big") + token.encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
