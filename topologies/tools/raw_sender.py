"""`python -m topologies.tools.raw_sender`: sends datagrams with any content, as a hostile host would.

Reads JSON objects, one a line: `{"destination", "protocol", "octets"}` leaves the IPv6 header to the kernel, with
`"checksum": OFFSET` also the checksum there (else the octets go out as they are), `"hops"` and `"interface"` as
options; `{"destination", "packet"}` is a whole packet, whatever its source says, in IPv4 with `"by"`, the own address
whose way it takes; `{"frame", "interface"}` a whole Ethernet frame.  Answers each with `sent`.  Before the first it
prints `ready`.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

IPV6_CHECKSUM, IPV6_HDRINCL = 7, 36
AS_IT_IS = -1


class RawSender:
    """One raw socket a protocol; none of them takes anything in."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def send(self, order: dict[str, Any]) -> None:
        """Carry out one order (OSError when the kernel refuses)."""
        if "frame" in order:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                wire.bind((order["interface"], 0))
                wire.send(bytes.fromhex(order["frame"]))
            return
        if "by" in order:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as wire:
                wire.bind((order["by"], 0))
                wire.sendto(bytes.fromhex(order["packet"]), (order["destination"], 0))
            return
        scope = socket.if_nametoindex(order["interface"]) if "interface" in order else 0
        target = (order["destination"], 0, 0, scope)
        if "packet" in order:
            self._socket(socket.IPPROTO_RAW).sendto(bytes.fromhex(order["packet"]), target)
            return
        protocol = order["protocol"]
        sender = self._socket(protocol)
        if protocol != socket.IPPROTO_ICMPV6:  # there the kernel always sums
            sender.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, order.get("checksum", AS_IT_IS))
        for option in (socket.IPV6_UNICAST_HOPS, socket.IPV6_MULTICAST_HOPS):
            sender.setsockopt(socket.IPPROTO_IPV6, option, order.get("hops", 64))
        sender.sendto(bytes.fromhex(order["octets"]), target)

    def _socket(self, protocol: int) -> socket.socket:
        if protocol not in self._sockets:
            made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            self._sockets[protocol] = made
        return self._sockets[protocol]


def main() -> None:
    """Send what standard input says until it ends."""
    sender = RawSender()
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            sender.send(json.loads(line))
        except OSError as error:
            print(f"refused: {error.strerror}", flush=True)
        else:
            print("sent", flush=True)


if __name__ == "__main__":
    main()
