"""Frames and capture files for tests, byte-exact with right checksums."""

import struct
from functools import lru_cache
from ipaddress import IPv6Address

from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRouteInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

PREFERENCES = {"medium": 0, "high": 1, "low": 3}


@lru_cache(maxsize=4096)
def packed(address):
    return IPv6Address(address).packed


@lru_cache(maxsize=4096)
def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ones_complement(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksum(source, destination, protocol, body, offset):
    pseudo = packed(source) + packed(destination) + struct.pack(">IHBB", len(body), 0, 0, protocol)
    value = ones_complement(pseudo + body) or 0xFFFF
    return body[:offset] + value.to_bytes(2, "big") + body[offset + 2 :]


def ipv6(source, destination, protocol, body, hops=64):
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, hops) + packed(source) + packed(destination) + body


def tunnelled(source, destination, packet):
    return ipv6(source, destination, 41, packet)


def ether(source, destination, packet, kind=0x86DD):
    return mac(destination) + mac(source) + kind.to_bytes(2, "big") + packet


def echo(source, destination, number, ident, reply=False):
    body = struct.pack(">BBHHH", 129 if reply else 128, 0, 0, ident, number) + bytes(56)
    return ipv6(source, destination, 58, with_checksum(source, destination, 58, body, 2))


def udp(source, destination, sport, dport, number):
    payload = struct.pack(">Q", number) + bytes(56)
    body = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return ipv6(source, destination, 17, with_checksum(source, destination, 17, body, 6))


def tcp(source, destination, sport, dport, sequence, ack, size=0, flags=0x10):
    head = struct.pack(">HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 65535, 0, 0)
    return ipv6(source, destination, 6, with_checksum(source, destination, 6, head + bytes(size), 16))


def router_advertisement(*, prefixes, routes=(), **fields):
    """One RA frame; prefixes: (network, valid, preferred); routes: (network, preference, lifetime).

    sllao False: without that option.
    """
    said = {name: value for name, value in fields.items() if name not in ("t", "gateway")}
    return _router_advertisement(prefixes=tuple(map(tuple, prefixes)), routes=tuple(map(tuple, routes)), **said)


@lru_cache(maxsize=4096)
def _router_advertisement(
    *, lmac, source, dst_mac, destination, prefixes, preference="medium", lifetime=60, mtu=1460, sllao=None,
    hop_limit=255, current=64, managed=0, retrans=0, on_link=1, routes,
):  # fmt: skip
    code = PREFERENCES[preference]
    packet = (
        Ether(src=lmac, dst=dst_mac)
        / IPv6(src=source, dst=destination, hlim=hop_limit)
        / ICMPv6ND_RA(chlim=current, prf=code, routerlifetime=lifetime, M=managed, O=0, retranstimer=retrans)
    )
    if sllao is not False:
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=sllao or lmac)
    if mtu:
        packet /= ICMPv6NDOptMTU(mtu=mtu)
    for network, valid, preferred in prefixes:
        where, length = network.split("/")
        packet /= ICMPv6NDOptPrefixInfo(
            prefix=where, prefixlen=int(length), L=on_link, A=1, validlifetime=valid, preferredlifetime=preferred
        )
    for network, wanted, seconds in routes:
        where, length = network.split("/")
        packet /= ICMPv6NDOptRouteInfo(
            len=3, prefix=where, plen=int(length), prf=PREFERENCES[wanted], rtlifetime=seconds
        )
    return bytes(packet)


def pcapng(frames):
    """A pcapng file of (time, octets) with nanosecond stamps."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    resolution = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    out = [
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack("<HHI", 1, 0, 262144) + resolution),
    ]
    for when, data in frames:
        stamp = round(when * 1e9)
        head = struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data))
        out.append(block(6, head + data))
    return b"".join(out)
