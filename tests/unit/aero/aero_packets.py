"""Inner packets and a recording sink for tests of the data plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network

from agents.aero.addresses import aero_address
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.dataplane.sockaddr import pull_sockaddr
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborType, Path
from agents.wire.buffer import internet_checksum


@cache
def _packed(address: str) -> bytes:
    return ip_address(address).packed


def ipv6(
    source: str, destination: str, size: int = 60, *, hops: int = 64, tclass: int = 0, proto: int = 17
) -> bytearray:
    """An IPv6 packet of `size` octets."""
    head = (6 << 28 | tclass << 20).to_bytes(4, "big") + (size - 40).to_bytes(2, "big") + bytes((proto, hops))
    return bytearray(head + _packed(source) + _packed(destination) + bytes(size - 40))


def ipv4(source: str, destination: str, size: int = 40, *, ttl: int = 64, tos: int = 0, df: bool = True) -> bytearray:
    """An IPv4 packet of `size` octets."""
    head = bytearray(b"\x45" + bytes((tos,)) + size.to_bytes(2, "big") + bytes((0, 1, df << 6, 0, ttl, 17, 0, 0)))
    head += _packed(source) + _packed(destination)
    head[10:12] = internet_checksum(bytes(head)).to_bytes(2, "big")
    return head + bytes(size - 20)


@dataclass
class Sent:
    """One payload on the underlay."""

    through: Carrier
    ip: str
    port: int
    payload: bytes
    df: bool
    tos: int


@dataclass
class Recorder:
    """A sink that keeps everything."""

    sent: list[Sent] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    controls: list = field(default_factory=list)
    strangers: list = field(default_factory=list)

    def transmit(self, through, destination, octets, df, tos):
        ip, port = pull_sockaddr(destination)
        self.sent.append(Sent(through, str(ip), port, b"".join(map(bytes, octets)), df, tos))

    def deliver(self, packet):
        self.delivered.append(bytes(packet))

    def control(self, control):
        self.controls.append(control)

    def unknown_origin(self, lladdr, source, size):
        self.strangers.append((lladdr, source, size))


def neighbor(
    prefix: str | None,
    host: str,
    *,
    encapsulation: Encapsulation = Encapsulation.UDP,
    address: str = "fe80::1",
    type_: NeighborType = NeighborType.STATIC,
    mtu: int = 1500,
    router: bool = False,
) -> Neighbor:
    """A neighbor with one path; without a prefix it is a Server or Relay."""
    lladdr = LinkLayerAddress(encapsulation, ip_address(host), encapsulation.port)
    prefixes = {ip_network(prefix): 1e12} if prefix else {}
    own = aero_address(ip_network(prefix)) if prefix else IPv6Address(address)
    return Neighbor(own, type_, router, prefixes, [Path.to(lladdr, mtu)])
