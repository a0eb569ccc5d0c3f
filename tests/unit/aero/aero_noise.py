"""Random and mutated payloads for AERO nodes, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from agents.aero.dataplane.encapsulation import Carrier, Fragment, push_fragment

Payload = tuple[Carrier, bytes]
PRESENT = (Carrier.UDP, Carrier.GUE, Carrier.PROTOCOL_4, Carrier.PROTOCOL_41, Carrier.PROTOCOL_44)
INTERESTING = (0, 1, 0x04, 0x29, 0x3F, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFE, 0xFF)


def noise(seeds: Sequence[bytes], count: int, seed: int = 1) -> Iterator[Payload]:
    """`count` payloads: octets by chance, and mutations of `seeds` (inner packets) in every encapsulation."""
    chance = random.Random(seed)
    for _number in range(count):
        through = chance.choice(PRESENT)
        if chance.random() < 0.2:
            yield through, chance.randbytes(chance.choice((0, 1, 3, 8, 20, 40, 41, 100, 1400)))
        else:
            yield through, _wrapped(through, _mutated(chance.choice(seeds), chance), chance)


def _mutated(packet: bytes, chance: random.Random) -> bytes:
    octets = bytearray(packet)
    for _change in range(chance.choice((0, 1, 1, 2, 8))):
        kind, at = chance.randrange(4), chance.randrange(len(octets) or 1)
        if kind == 0 and octets:
            octets[at] = chance.choice(INTERESTING)
        elif kind == 1 and octets:
            octets[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del octets[at:]
        else:
            octets[at:at] = chance.randbytes(chance.choice((1, 8, 64)))
    return bytes(octets)


def _wrapped(through: Carrier, packet: bytes, chance: random.Random) -> bytes:
    if through is Carrier.PROTOCOL_44 or chance.random() < 0.3:
        offset = chance.choice((0, 0, 8, 1024, 9208))
        fragment = Fragment(chance.choice((4, 41)), offset, chance.random() < 0.5, chance.randrange(256))
        packet = push_fragment(fragment) + packet
    if through is Carrier.GUE and chance.random() < 0.7:
        packet = bytes((chance.choice((0, 0, 0, 1, 0x20)), chance.choice((4, 41, 44)), 0, 0)) + packet
    return packet
