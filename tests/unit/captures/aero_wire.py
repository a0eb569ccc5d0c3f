"""A small AERO link made of octets: one Server, one Client, frames by scapy, so that checks can be shown to fail."""

from __future__ import annotations

import json
from types import SimpleNamespace

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from captures.aero.decode import read_frame
from captures.aero.link import AeroLink

C1, S1, G = "198.51.100.7", "203.0.113.1", "2001:db8:9::2"
INNER, IDENTIFIER = "2001:db8:1000:a000::1", 77
CLIENT, SERVER = "fe80::2001:db8:1000:a000", "fe80::1"
LAB = {
    "nodes": {
        "c1": {"interfaces": {"wan": {"addresses": [f"{C1}/31"]}}},
        "s1": {"interfaces": {"wan": {"addresses": [f"{S1}/31"]}}},
        "g": {"interfaces": {"eth0": {"addresses": [f"{G}/64"]}}},
    },
    "domain": {
        "family": "aero",
        "servers": {"s1": {"address": SERVER, "underlay": [S1], "interface": "wan"}},
        "clients": {
            "c1": {
                "underlay": [C1],
                "interface": "wan",
                "prefixes": ["2001:db8:1000:a000::/56"],
                "duid": "00030001020000000011",
                "nats": [],
                "host": None,
                "model": "host",
            }
        },
        "nats": {},
    },
}
PINGS = {
    "event": "pings", "name": "some", "node": "c1", "peer": "g", "source": INNER, "destination": G,
    "icmp_id": IDENTIFIER, "count": 1, "size": 1400, "t": 0.0, "end": 9.0, "agent": "lab",
}  # fmt: skip


def echo(size: int, sequence: int = 1) -> bytes:
    """An inner echo request of `size` octets."""
    return bytes(
        IPv6(src=INNER, dst=G, hlim=64) / ICMPv6EchoRequest(id=IDENTIFIER, seq=sequence, data=bytes(size - 48))
    )


def discovery(kind: int, nonce: bytes, *, pad: int = 0, reply: bool = False) -> bytes:
    """An NS or NA with a nonce, `pad` octets behind it."""
    source, destination = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
    body = bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + bytes.fromhex("fe800000000000000000000000000001")
    packet = bytes(IPv6(src=source, dst=destination, nh=58, hlim=255) / Raw(body + b"\x0e\x01" + nonce))
    return packet + bytes(pad)


def fragment(place: int, identification: int, next_header: int = 41) -> bytes:
    """A Fragment Header; `place` is offset and M as on the wire."""
    return bytes([next_header, 0]) + place.to_bytes(2, "big") + identification.to_bytes(4, "big")


def carried(payload: bytes, *, df: bool = False, ttl: int = 64, back: bool = False, tos: int = 0) -> bytes:
    """An outer packet UDP 8060 around a payload."""
    source, destination = (S1, C1) if back else (C1, S1)
    outer = IP(src=source, dst=destination, ttl=ttl, tos=tos, flags="DF" if df else 0)
    return bytes(outer / UDP(sport=8060, dport=8060) / Raw(payload))


def split(inner: bytes, identification: int, at: int = 1024) -> list[bytes]:
    """Two outer packets with the parts of an inner one."""
    return [
        carried(fragment(1, identification) + inner[:at]),
        carried(fragment(at, identification) + inner[at:]),
    ]


class Wire:
    """Collects what was on c1's interface, in order."""

    def __init__(self) -> None:
        self._frames = []

    def put(self, *packets: bytes, after: float = 0.1) -> Wire:
        """Packets on the wire, the first of them `after` seconds later than what was there before."""
        time = (self._frames[-1].time if self._frames else 100.0) + after
        for packet in packets:
            kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
            octets = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind)) + packet
            number = len(self._frames) + 1
            self._frames.append(read_frame(octets, "pcap/c1-wan.pcapng", number, time, "c1", "wan"))
        return self

    @property
    def last(self):
        """The latest frame."""
        return self._frames[-1]

    def run(self, *events: dict) -> SimpleNamespace:
        """What a check is given."""
        link = AeroLink(json.loads(json.dumps(LAB)), [PINGS, *events], None)
        link.__dict__["captures"] = {("c1", "wan"): self._frames}
        return SimpleNamespace(slowness=1.0, aero=link)
