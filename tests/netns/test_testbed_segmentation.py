"""What a program gives to the kernel as one packet of 64 KB is many on every wire of the testbed."""

from __future__ import annotations

import socket
import struct

import pytest

from testbed.mininet_api import Topo
from testbed.network import Network
from testbed.nodes import Host
from testbed.segmentation import FEATURE, cut_before_the_wire

pytestmark = [pytest.mark.netns, pytest.mark.stock]

UDP, UDP_SEGMENT = 17, 103
SIZE, COUNT = 1000, 40


class Two(Topo):
    """Two hosts, a link."""

    def build(self) -> None:
        """Names and addresses."""
        for number in (1, 2):
            self.addHost(f"h{number}", cls=Host)
        self.addLink("h1", "h2", params1={"addresses": ["10.0.0.1/24"]}, params2={"addresses": ["10.0.0.2/24"]})


@pytest.fixture
def net():
    with Network(Two()) as made:
        yield made


def passed(net, cut: bool) -> list[int]:
    """Octets of the UDP packets that are seen on the wire's far end while a run is sent."""
    if cut:
        cut_before_the_wire([net["h1"]])
    with net["h2"].entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.0.0.2", 7000))
    receiver.settimeout(5)
    with net["h1"].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        ancillary = [(UDP, UDP_SEGMENT, struct.pack("=H", SIZE))]
        sender.sendmsg([bytes(SIZE * COUNT)], ancillary, 0, ("10.0.0.2", 7000))
    assert [len(receiver.recv(65535)) for _datagram in range(COUNT)] == [SIZE] * COUNT
    tap.setblocking(False)
    frames = []
    while True:
        try:
            frames.append(tap.recv(65535))
        except BlockingIOError:
            break
    receiver.close()
    tap.close()
    return [len(frame) - 14 for frame in frames if frame[12:14] == b"\x08\x00" and frame[23] == UDP]


def test_a_run_is_cut_before_the_wire(net):
    assert max(passed(net, cut=False)) > SIZE + 28, "left alone, a veth carries what no wire does"
    assert passed(net, cut=True) == [SIZE + 28] * COUNT
    assert f"{FEATURE}: off" in net["h1"].run(["ethtool", "-k", "h1-eth0"]).out
    assert f"{FEATURE}: on" in net["h2"].run(["ethtool", "-k", "h2-eth0"]).out
