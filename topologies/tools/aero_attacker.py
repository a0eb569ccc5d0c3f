"""`python -m topologies.tools.aero_attacker [INTERFACE]`: sends what it is told, in anybody's name; overhears AERO.

Reads one JSON request a line, answers one JSON object a line:
  {"do": "send", "packets": [{"source": IPv4, "destination": IPv4, "protocol": N, "payload": HEX}, ...]}  `sent`
  {"do": "heard"}                                payloads of UDP 8060 that passed INTERFACE, as `packets`
  {"do": "talk", "target": IPv4, "port": N, "octets": HEX}   what the other end says until it hangs up, as `answer`
Protocol 17 is sent from and to port 8060 without a checksum (RFC 768): nobody else on the link leaves it out, so that
captures tell what an attacker sent.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Any

ETH_P_IP, UDP, AERO = 0x0800, 17, 8060
PATIENCE = 3.0
"""Seconds that the other end of a connection may take to hang up."""
Object = dict[str, Any]


class Attacker:
    """A raw socket, and a tap where it may listen."""

    def __init__(self, interface: str | None) -> None:
        self._out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._tap = _tap(interface) if interface else None
        self._heard: list[Object] = []

    def do(self, request: Object) -> Object:
        """Carry out a request; its answer."""
        match request["do"]:
            case "send":
                return {"sent": self._send(request["packets"])}
            case "heard":
                self._heard += self._read()
                return {"packets": self._heard}
            case _:
                return talk(request["target"], int(request["port"]), bytes.fromhex(request["octets"]))

    def _send(self, packets: Iterable[Object]) -> int:
        count = 0
        for one in packets:
            packet = outer(one["source"], one["destination"], one["protocol"], bytes.fromhex(one["payload"]))
            self._out.sendto(packet, (one["destination"], 0))
            count += 1
        return count

    def _read(self) -> Iterator[Object]:
        while self._tap:
            try:
                packet = self._tap.recv(65535)
            except BlockingIOError:
                return
            if found := overheard(packet):
                yield found


def _tap(interface: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    made.bind((interface, ETH_P_IP))
    made.setblocking(False)
    return made


def outer(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """The IPv4 packet; the kernel fills in length, identification and checksum."""
    if protocol == UDP:
        payload = struct.pack("!4H", AERO, AERO, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, protocol, 0) + ends + payload


def overheard(packet: bytes) -> Object | None:
    """Ends and payload of a packet to port 8060."""
    begin = (packet[0] & 0x0F) * 4
    if packet[9] != UDP or struct.unpack_from("!H", packet, begin + 2) != (AERO,):
        return None
    length = struct.unpack_from("!H", packet, begin + 4)[0]
    ends = {"source": socket.inet_ntoa(packet[12:16]), "destination": socket.inet_ntoa(packet[16:20])}
    return {**ends, "payload": packet[begin + 8 : begin + length].hex()}


def talk(target: str, port: int, octets: bytes) -> Object:
    """Connect, say it all, listen until the other end hangs up or says nothing more."""
    answer = b""
    try:
        with socket.create_connection((target, port), PATIENCE) as connection:
            connection.sendall(octets)
            while part := connection.recv(65535):
                answer += part
    except OSError as error:
        return {"answer": answer.hex(), "ended": str(error)}
    return {"answer": answer.hex(), "ended": "closed"}


def main(interface: str | None) -> None:
    """Serve standard input."""
    attacker = Attacker(interface)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(attacker.do(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
