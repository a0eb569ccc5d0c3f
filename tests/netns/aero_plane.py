"""Two AERO data planes on real sockets with a router between them, driven by the test."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from kernel_namespaces import Namespace, wire

from agents.aero.addresses import aero_address
from agents.aero.dataplane.forwarder import Forwarder
from agents.aero.dataplane.policy import ClientPolicy, ServerPolicy
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path
from agents.aero.underlay import Underlay
from agents.aero.underlay_errors import UnderlayErrors
from agents.wire.buffer import internet_checksum

LEFT = {4: "10.9.1.2", 6: "2001:db8:9:1::2"}
RIGHT = {4: "10.9.2.2", 6: "2001:db8:9:2::2"}
NEAR = {4: "192.0.2.17", 6: "2001:db8:1000:a000::10"}
"""Inner addresses behind the left node, an AERO Client."""
FAR = {4: "192.0.2.130", 6: "2001:db8:5::20"}
"""Inner addresses of the right node, its Server."""
PREFIXES = (ip_network("2001:db8:1000:a000::/56"), ip_network("192.0.2.16/28"))


def packet(
    source: str, destination: str, size: int, *, tos: int = 0, number: int = 0, df: bool = True, hops: int = 64
) -> bytearray:
    """An inner UDP-like packet of `size` octets; `number` makes it recognisable."""
    body = number.to_bytes(4, "big")
    if ":" in destination:
        head = (6 << 28 | tos << 20).to_bytes(4, "big") + (size - 40).to_bytes(2, "big") + bytes((17, hops))
        head += IPv6Address(source).packed + IPv6Address(destination).packed
        return bytearray((head + body).ljust(size, b"\xa5"))
    head4 = bytearray(b"\x45" + bytes((tos,)) + size.to_bytes(2, "big") + bytes((0, 1, df << 6, 0, hops, 17, 0, 0)))
    head4 += IPv4Address(source).packed + IPv4Address(destination).packed
    head4[10:12] = internet_checksum(bytes(head4)).to_bytes(2, "big")
    return bytearray((head4 + body).ljust(size, b"\xa5"))


@dataclass
class Plane:
    """One node: sockets, packet path, and what came out."""

    namespace: Namespace
    own: dict[int, str]
    cache: NeighborCache = field(default_factory=NeighborCache)
    delivered: list[bytes] = field(default_factory=list)
    controls: list = field(default_factory=list)
    strangers: list = field(default_factory=list)
    words: list = field(default_factory=list)
    too_long: list = field(default_factory=list)
    forwarder: Forwarder = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        addresses = [ip_address(address) for address in self.own.values()]
        with self.namespace.entered():
            self.underlay = Underlay(addresses)
            self.errors = UnderlayErrors(addresses)
        self.underlay.too_long = self.too_long.append
        self.transmit = self.underlay.transmit

    def serve(self, policy, **options) -> None:
        """Make the packet path, now that the cache is filled."""
        self.forwarder = Forwarder(self.cache, policy, self, **options)
        readers = [*self.underlay.readers(self.forwarder.from_underlay, time.time)]
        self.readers = dict([*readers, *self.errors.readers(self.words.append)])

    def deliver(self, data) -> None:
        self.delivered.append(bytes(data))

    def control(self, control) -> None:
        self.controls.append(control)

    def unknown_origin(self, lladdr, source, size) -> None:
        self.strangers.append((lladdr, source, size))

    def send(self, data: bytes) -> None:
        """As if the kernel had routed it into the AERO interface."""
        self.forwarder.from_kernel(memoryview(bytearray(data)), time.time())

    def close(self) -> None:
        self.underlay.close()
        self.errors.close()


class Pair:
    """A Client (left) and a Server (right) that know each other."""

    def __init__(self, underlay: Net, kind: Encapsulation, version: int, mtu: int = 1500, **options) -> None:
        self.left = Plane(underlay.left, LEFT)
        self.right = Plane(underlay.right, RIGHT)
        self.to_right = Path.to(LinkLayerAddress(kind, ip_address(RIGHT[version]), kind.port), mtu)
        self.to_left = Path.to(LinkLayerAddress(kind, ip_address(LEFT[version]), kind.port), mtu)
        server = Neighbor(IPv6Address("fe80::1"), NeighborType.STATIC, router=True, paths=[self.to_right])
        self.left.cache.add(server)
        self.left.cache.default = server
        client = Neighbor(aero_address(PREFIXES[0]), NeighborType.STATIC, paths=[self.to_left])
        client.prefixes = dict.fromkeys(PREFIXES, 1e12)
        self.right.cache.add(client)
        self.left.serve(ClientPolicy(self.left.cache, lambda: PREFIXES), **options)
        self.right.serve(ServerPolicy(self.right.cache, lambda address: str(address) in FAR.values()), **options)

    def prove(self, outer: int) -> None:
        """As if probes of this size had been answered both ways."""
        for path, plane in ((self.to_right, self.left), (self.to_left, self.right)):
            path.size.proven = outer
            plane.cache.changed()

    def until(self, what: str, predicate, timeout: float = 5.0) -> None:
        """Let both nodes read until something is true."""
        readers = {**self.left.readers, **self.right.readers}
        deadline = time.monotonic() + timeout
        while not predicate():
            left = deadline - time.monotonic()
            assert left > 0, f"no {what}"
            for fd in select.select(list(readers), [], [], min(left, 0.05))[0]:
                readers[fd]()

    def rest(self, seconds: float = 0.2) -> None:
        """Let them read what there is, until nothing came for a while."""
        readers = {**self.left.readers, **self.right.readers}
        while ready := select.select(list(readers), [], [], seconds)[0]:
            for fd in ready:
                readers[fd]()

    def close(self) -> None:
        self.left.close()
        self.right.close()


class Net:
    """left --- router --- right, IPv4 and IPv6."""

    def __init__(self, mtu: int = 1500) -> None:
        self.left, self.router, self.right = (Namespace(name) for name in ("left", "router", "right"))
        for number, (node, own) in enumerate(((self.left, LEFT), (self.right, RIGHT)), start=1):
            wire(self.router, f"to{number}", node, "eth0", mtu=mtu)
            far = f"10.9.{3 - number}.0/24", f"2001:db8:9:{3 - number}::/64"
            self.router.run("ip", "addr", "add", f"10.9.{number}.1/24", "dev", f"to{number}")
            self.router.batch(f"addr add 2001:db8:9:{number}::1/64 dev to{number} nodad")
            node.run("ip", "addr", "add", f"{own[4]}/24", "dev", "eth0")
            node.batch(f"addr add {own[6]}/64 dev eth0 nodad")
            node.run("ip", "route", "add", far[0], "via", f"10.9.{number}.1")
            node.batch(f"route add {far[1]} via 2001:db8:9:{number}::1")
        self.router.sysctl(all__forwarding=1)
        self.router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def close(self) -> None:
        for namespace in (self.left, self.router, self.right):
            namespace.close()


@contextmanager
def pairs(net: Net) -> Iterator[Callable[[Encapsulation, int], Pair]]:
    """Makes pairs of data planes in a network, and closes them in the end."""
    with ExitStack() as ending:

        def make(kind: Encapsulation, version: int) -> Pair:
            return ending.enter_context(closing(Pair(net, kind, version)))

        yield make


def outer(frame: bytes) -> tuple[int, int, int]:
    """(IP version, protocol, whole length of the IP packet) of an Ethernet frame; version 0 for anything else."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0800:
        return 4, frame[23], int.from_bytes(frame[16:18], "big")
    if kind == 0x86DD:
        return 6, frame[20], 40 + int.from_bytes(frame[18:20], "big")
    return 0, 0, 0
