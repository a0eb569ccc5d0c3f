"""Send one marker frame: `python -I -S marker.py INTERFACE TOKEN`, run inside the captured node's namespace.

Exits with NO_CARRIER when the interface has none: then the kernel drops what is sent before any capture sees it.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys

ETHERTYPE = 0x88B5
"""Local experimental EtherType 1 (IEEE 802, annex on local experimental use)."""
DESTINATION = bytes.fromhex("0180c200000e")
"""Nearest-bridge group address: no bridge forwards it (IEEE 802.1Q table 8-1)."""
NO_CARRIER = 3
SIOCGIFFLAGS = 0x8913
RUNNING = 0x40


def main(interface: str, token: str) -> int:
    """Send the token in one frame out of the interface; NO_CARRIER where nobody may see it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        sock.send(DESTINATION + bytes.fromhex("02526f616d00") + ETHERTYPE.to_bytes(2, "big") + token.encode())
        request = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH14x", interface.encode(), 0))
    return 0 if struct.unpack_from("16xH", request)[0] & RUNNING else NO_CARRIER


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
