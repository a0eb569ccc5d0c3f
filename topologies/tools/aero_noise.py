"""`python -m topologies.tools.aero_noise DESTINATION COUNT SEED SOURCE...`: random and mutated AERO payloads.

Reads packets to mutate from standard input, hexadecimal, one a line; sends COUNT payloads over IPv4 to a node's UDP
ports 8060 and 6080 and to its protocols 4, 41 and 44, each in the name of one of the sources; prints how many went.
The same seed makes the same payloads.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Iterator, Sequence

UDP, GUE, IP4, IP6, FRAGMENT = 0, 1, 4, 41, 44
"""Where a payload goes: two UDP ports, three protocols."""
PORTS = {UDP: 8060, GUE: 6080}
LARGEST = 1440
"""Octets of a payload; IP and UDP headers are added."""
_EVERYWHERE = (UDP, GUE, IP4, IP6, FRAGMENT)
_TELLING = (0, 1, 0x04, 0x29, 0x3F, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFE, 0xFF)
_LENGTHS = (0, 1, 3, 8, 20, 40, 41, 100, 1400)


def noise(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """`count` payloads: octets by chance, and mutations of inner packets in every encapsulation."""
    chance = random.Random(seed)
    for _number in range(count):
        through = chance.choice(_EVERYWHERE)
        if chance.random() < 0.2:
            yield through, chance.randbytes(chance.choice(_LENGTHS))
        else:
            yield through, _wrapped(through, _mutated(chance.choice(seeds), chance), chance)


def _mutated(packet: bytes, chance: random.Random) -> bytes:
    octets = bytearray(packet)
    for _change in range(chance.choice((0, 1, 1, 2, 8))):
        kind, at = chance.randrange(4), chance.randrange(len(octets) or 1)
        if kind == 0 and octets:
            octets[at] = chance.choice(_TELLING)
        elif kind == 1 and octets:
            octets[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del octets[at:]
        else:
            octets[at:at] = chance.randbytes(chance.choice((1, 8, 64)))
    return bytes(octets)


def _wrapped(through: int, packet: bytes, chance: random.Random) -> bytes:
    if through == FRAGMENT or chance.random() < 0.3:
        place = chance.choice((0, 0, 8, 1024, 9208)) | chance.choice((0, 1))
        packet = struct.pack("!BBHI", chance.choice((IP4, IP6)), 0, place, chance.randrange(256)) + packet
    if through == GUE and chance.random() < 0.7:
        packet = bytes((chance.choice((0, 0, 0, 1, 0x20)), chance.choice((IP4, IP6, FRAGMENT)), 0, 0)) + packet
    return packet


def main(destination: str, count: int, seed: int, sources: Sequence[str]) -> int:
    """Send them all; the number sent."""
    seeds = [bytes.fromhex(line) for line in sys.stdin]
    chance = random.Random(seed)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        for through, payload in noise(seeds, count, seed):
            packet = _outer(through, payload[:LARGEST], chance.choice(sources), destination)
            sender.sendto(packet, (destination, 0))
            sent += 1
    return sent


def _outer(through: int, payload: bytes, source: str, destination: str) -> bytes:
    """IPv4 and UDP headers; the kernel fills in length, identification and checksum of the first."""
    port = PORTS.get(through)
    if port:
        payload = struct.pack("!4H", port, port, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 17 if port else through, 0) + ends + payload


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
