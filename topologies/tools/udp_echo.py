"""`python -m topologies.tools.udp_echo PORT`: an ordinary UDP echo server (RFC 862) on all IPv6 addresses."""

from __future__ import annotations

import socket
import sys


def main(port: int) -> None:
    """Echo for ever, from the address that was asked; prints `listening` first."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    server.bind(("::", port))
    print("listening", flush=True)
    while True:
        data, asked, _flags, peer = server.recvmsg(65535, 64)
        address = [(level, kind, value[:16] + bytes(4)) for level, kind, value in asked]  # whatever interface
        server.sendmsg([data], address, 0, peer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
