"""The kernel's tunnels in IP over a path that narrows: what forbids to be divided is answered, all else arrives.

src --- entry --- middle --- exit       the last link takes 1400 octets
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from kernel_namespaces import Capture, Namespace, wait_until, wire

from agents.kernel import routing, sysctl
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.reaper import Reaper
from agents.kernel.tunnels import ipip
from agents.kernel.tunnels.ipip import Ipip

pytestmark = [pytest.mark.netns, pytest.mark.stock]
NARROW = 1400
ENTRY, EXIT = IPv4Address("198.18.0.2"), IPv4Address("198.18.1.2")
SOURCE, FAR = "10.1.0.2", "10.2.0.2"
ROUTES = {
    "src": ["default via 10.1.0.1"],
    "entry": ["198.18.1.0/30 via 198.18.0.1"],
    "middle": [],
    "exit": ["198.18.0.0/30 via 198.18.1.1"],
}
LINKS = [
    ("src", "eth0", "10.1.0.2/24", "entry", "lan", "10.1.0.1/24", 1500),
    ("entry", "eth0", "198.18.0.2/30", "middle", "left", "198.18.0.1/30", 1500),
    ("middle", "right", "198.18.1.1/30", "exit", "eth0", "198.18.1.2/30", NARROW),
]
IN_IP, PLACE, DF = 4, 0x1FFF, 0x4000


class Path:
    """The four nodes, with a tunnel from the second to the last."""

    def __init__(self):
        self.nodes = {name: Namespace(name) for name in ROUTES}
        for one, name, address, other, other_name, other_address, mtu in LINKS:
            wire(self.nodes[one], name, self.nodes[other], other_name, mtu)
            for node, interface, own in ((one, name, address), (other, other_name, other_address)):
                self.nodes[node].run("ip", "address", "add", own, "dev", interface)
        for node, routes in ROUTES.items():
            self.nodes[node].run("sysctl", "-q", "net.ipv4.ip_forward=1")
            for route in routes:
                self.nodes[node].run("ip", "route", "add", *route.split())
        with self.nodes["entry"].entered():
            netlink = Netlink()
            if lacking := ipip.missing(netlink):
                pytest.skip(f"this kernel has no ipip: {lacking}")
            self.tunnels = Ipip(1468, netlink, Reaper(netlink, lambda error: pytest.fail(str(error))))
            self.tunnels.open((ENTRY, EXIT))
            hop = self.tunnels.hop((ENTRY, EXIT))
            sysctl.write(ipip.FORWARD_BY_PATH, 1)
            netlink.run(routing.put_route(routing.Route(IPv4Network("10.2.0.0/24"), hop, routing.MAIN)))

    def ping(self, size: int, how: str) -> str:
        """So long a packet, without hope for an answer; what ping says of errors."""
        try:
            return self.nodes["src"].run("ping", "-n", "-c1", "-W1", f"-M{how}", "-s", str(size - 28), FAR)
        except AssertionError as nothing:
            return str(nothing)

    def mtu(self) -> str:
        """What the source knows of the way."""
        return self.nodes["src"].run("ip", "route", "get", FAR)


@pytest.fixture
def path():
    try:
        made = Path()
    except KernelError as error:
        pytest.skip(str(error))
    yield made
    for node in made.nodes.values():
        node.close()


@pytest.mark.requirement("TUN-13")
def test_what_must_not_be_divided_is_answered(path):
    """RFC 2003 §5.1: the tunnel's MTU, less the outer header."""

    def known():
        path.ping(1450, "do")
        return f"mtu {NARROW - 20}" in path.mtu()

    wait_until("the source to know the way's MTU", known)


@pytest.mark.requirement("TUN-13")
def test_what_may_be_divided_is_divided_before_the_tunnel(path):
    """Once the path is known to be narrow (RFC 2003 §5.1); no part of it is divided again."""
    capture = Capture(path.nodes["exit"], "eth0")
    got: dict[int, int] = {}

    def whole(frame: bytes) -> bool:
        if frame[12:14] != b"\x08\x00" or frame[23] != IN_IP:
            return False
        assert frame[20:22] == DF.to_bytes(2, "big"), "nothing is divided outside"
        size, _number, place = struct.unpack_from("!HHH", frame, 36)
        got[(place & PLACE) * 8] = size - 20
        return sum(got.values()) == 1430

    for _packet in range(3):  # the first finds out about the path, the second about the way through the tunnel
        path.ping(1450, "dont")
    capture.until("all of the packet", whole)
    capture.close()


@pytest.mark.requirement("TUN-13")
@pytest.mark.parametrize("how", ["do", "dont"])
def test_nothing_is_divided_outside(path, how):
    """RFC 2003 §3.1: what forbids it inside must not be, and the rest need not; the peer's gate lets no part in."""
    capture = Capture(path.nodes["exit"], "eth0")
    path.ping(500, how)
    frame = capture.until("the packet in IP", lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == IN_IP)
    (place,) = struct.unpack_from("!H", frame, 20)
    assert place == DF
    assert frame[22] == ipip.TTL - 1
    capture.close()
