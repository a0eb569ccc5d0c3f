"""`python -m topologies.tools.udp_echo PORT`: an ordinary UDP echo server (RFC 862) on all IPv6 addresses."""

from __future__ import annotations

import socket
import sys


def main(port: int) -> None:
    """Echo for ever; prints `listening` first."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", port))
    print("listening", flush=True)
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
