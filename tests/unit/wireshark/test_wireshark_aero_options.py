"""Wireshark's dissector and the checks' scapy layers read the same in AERO's Neighbor Discovery (spec §6.1 to §6.6)."""

from __future__ import annotations

import random
from collections import defaultdict
from ipaddress import IPv6Address

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from wireshark_lua import Decode

from captures.aero import layers

NAMES = (
    "lladdr.encapsulation", "lladdr.nat", "lladdr.link_id", "lladdr.preference", "lladdr.port", "lladdr.address",
    "key_id", "token", "auth.timestamp", "auth.mac", "observed.size", "nonce", "route", "route.length",
    "route.lifetime", "redirected",
)  # fmt: skip
ADDRESSES = ("lladdr.address", "route", "nd.target", "nd.destination")
OPTIONS = (
    layers.LinkLayerOption, layers.RouteOption, layers.RedirectedOption, layers.NonceOption, layers.TokenOption,
    layers.AuthOption, layers.ObservedOption,
)  # fmt: skip
COUNT = 120


def option(some: random.Random, kind: type[Packet]) -> Packet:
    """An option with random content."""
    address = str(IPv6Address(some.randbytes(16)))
    match kind:
        case layers.LinkLayerOption:
            flags = {"encapsulation": some.randrange(16), "nat": some.randrange(2)}
            ends = {"link_id": some.randrange(256), "preference": some.randrange(256), "port": some.randrange(65536)}
            return kind(type=some.choice((1, 2)), ip=address, **flags, **ends)
        case layers.RouteOption:
            length = some.randrange(129)
            return kind(prefix_length=length, lifetime=some.getrandbits(32), prefix=some.randbytes(16))
        case layers.RedirectedOption:
            return kind(packet=some.randbytes(some.randrange(40, 60)))
        case layers.NonceOption:
            return kind(value=some.randbytes(6))
        case layers.TokenOption:
            return kind(key_id=some.randrange(65536), value=some.randbytes(16))
        case layers.AuthOption:
            return kind(key_id=some.randrange(65536), timestamp=some.getrandbits(64), mac=some.randbytes(16))
        case _:
            seen = {"encapsulation": some.randrange(256), "port": some.randrange(65536), "size": some.randrange(65536)}
            return layers.ObservedOption(ip=address, **seen)


def said_by_layers(message: Packet) -> dict[str, list[str]]:
    """Field -> texts in order, as tshark would print them."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in message.options:
        match one:
            case layers.LinkLayerOption():
                for name in ("encapsulation", "nat", "link_id", "preference", "port"):
                    found[f"lladdr.{name}"].append(str(getattr(one, name)))
                found["lladdr.address"].append(one.ip)
            case layers.RouteOption():
                found["route"].append(str(IPv6Address(one.prefix.ljust(16, b"\0"))))
                found["route.length"].append(str(one.prefix_length))
                found["route.lifetime"].append(str(one.lifetime))
            case layers.RedirectedOption():
                found["redirected"].append(one.packet.hex(" "))
            case layers.NonceOption():
                found["nonce"].append(one.value.hex(" "))
            case layers.TokenOption():
                found["key_id"].append(str(one.key_id))
                found["token"].append(one.value.hex(" "))
            case layers.AuthOption():
                found["key_id"].append(str(one.key_id))
                found["auth.timestamp"].append(str(one.timestamp))
                found["auth.mac"].append(one.mac.hex(" "))
            case layers.ObservedOption():
                found["lladdr.encapsulation"].append(str(one.encapsulation))
                found["lladdr.port"].append(str(one.port))
                found["lladdr.address"].append(one.ip)
                found["observed.size"].append(str(one.size))
    return {name: _canonical(name, texts) for name, texts in found.items()}


def _canonical(name: str, texts: list[str]) -> list[str]:
    return [str(IPv6Address(text)) for text in texts] if name in ADDRESSES else texts


def test_every_field_of_every_option(decode: Decode) -> None:
    some = random.Random(6706)
    messages, packets = [], []
    for number in range(COUNT):
        chosen = [*some.choices(OPTIONS, k=some.randrange(5)), OPTIONS[number % len(OPTIONS)]]
        options = [option(some, kind) for kind in chosen]
        target = str(IPv6Address(some.randbytes(16)))
        if number % 3:
            made = layers.NeighborMessage(type=134 + number % 3, target=target, options=options)
        else:
            made = layers.RedirectMessage(target=target, destination=target, predirect=number % 2, options=options)
        octets = bytes(made)
        messages.append((layers.NeighborMessage if number % 3 else layers.RedirectMessage)(octets))
        inner = bytes(IPv6(src="fe80::1", dst="fe80::2", nh=58, hlim=255) / Raw(octets))
        ends = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="198.51.100.5", dst="203.0.113.1")
        packets.append(ends / UDP(sport=8060, dport=8060) / Raw(inner))
    rows = decode(packets, "roamlab.aero.nd.target", *(f"roamlab.aero.{name}" for name in NAMES))
    assert len(rows) == COUNT
    seen = set()
    for message, (target, *row) in zip(messages, rows, strict=True):
        assert IPv6Address(target) == IPv6Address(message.target)
        told = {name: _canonical(name, text.split("|")) for name, text in zip(NAMES, row, strict=True) if text}
        assert told == said_by_layers(message)
        seen |= told.keys()
    assert seen == set(NAMES)
