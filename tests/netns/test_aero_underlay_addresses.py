"""A node with several underlay addresses answers with the one that was asked, in every encapsulation."""

from __future__ import annotations

import itertools
import select
import socket
import time
from ipaddress import ip_address

import pytest
from aero_plane import LEFT, RIGHT, Net, outer
from kernel_namespaces import Capture

from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.underlay import Underlay
from agents.aero.underlay_addresses import SeveralAddresses, open_underlay

pytestmark = [pytest.mark.netns, pytest.mark.stock]

OTHERS = {4: ["10.9.2.3", "10.9.2.4"], 6: ["2001:db8:9:2::3", "2001:db8:9:2::4"]}
PORTS = {Carrier.UDP: 8060, Carrier.GUE: 6080}


@pytest.fixture(scope="module")
def net():
    made = Net()
    for four, six in zip(OTHERS[4], OTHERS[6], strict=True):
        made.right.run("ip", "addr", "add", f"{four}/24", "dev", "eth0")
        made.right.batch(f"addr add {six}/64 dev eth0 nodad")
    yield made
    made.close()


@pytest.fixture
def echoing(net):
    """The right node sends back what it gets."""
    own = [ip_address(text) for version in (4, 6) for text in (RIGHT[version], *OTHERS[version])]
    with net.right.entered():
        made = open_underlay(own)
    assert isinstance(made, SeveralAddresses)

    def back(through, source, data, tos, at):
        made.transmit(through, source, (bytes(data),), False, tos)

    made.feeds = dict(made.readers(back, time.time))
    yield made
    made.close()


@pytest.fixture
def capture(net):
    made = Capture(net.router, "to2")
    yield made
    made.close()


def asking(net, carrier, version):
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    port = PORTS.get(carrier)
    with net.left.entered():
        made = socket.socket(family, socket.SOCK_DGRAM if port else socket.SOCK_RAW, 0 if port else int(carrier))
        made.bind((LEFT[version], port or 0))
    made.setblocking(False)
    return made


def turn(underlay, ready, seconds=2.0):
    """Let the node read until the other end has something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for fd in select.select([*underlay.feeds, ready], [], [], 0.1)[0]:
            if fd is ready:
                return ready.recvfrom(2048)
            underlay.feeds[fd]()
    raise AssertionError("no answer")


@pytest.mark.requirement("CLI-3", "SRV-8")
@pytest.mark.parametrize(("carrier", "version"), list(itertools.product(Carrier, (4, 6))))
def test_answers_leave_with_the_address_that_was_asked(net, echoing, carrier, version):
    payload = bytes((0x60 if carrier is not Carrier.PROTOCOL_4 else 0x45,)) + bytes(59)
    if carrier is Carrier.PROTOCOL_44:
        payload = bytes((41, 0, 0, 0, 0, 0, 0, 7)) + bytes(52)
    with asking(net, carrier, version) as client:
        for address in (*reversed(OTHERS[version]), RIGHT[version], OTHERS[version][0]):
            client.sendto(payload, (address, PORTS.get(carrier, 0)))
            _data, source = turn(echoing, client)
            assert source[0] == address


def test_an_encapsulation_it_was_not_heard_in_goes_the_same_way(net, echoing, capture):
    """A solicitation by another encapsulation must come from an address the neighbor knows (spec §2.10)."""
    with asking(net, Carrier.UDP, 4) as client:
        client.sendto(b"\x60" + bytes(59), (OTHERS[4][1], 8060))
        turn(echoing, client)
    echoing.transmit(Carrier.PROTOCOL_41, (LEFT[4], 0), (b"\x60" + bytes(59),), False, 0)
    assert sent_by(capture, 41) == OTHERS[4][1]


def test_who_was_not_heard_of_gets_the_address_that_the_kernel_chooses(net, echoing, capture):
    echoing.transmit(Carrier.GUE, (LEFT[4], 6080), (b"\x60" + bytes(59),), True, 0)
    assert sent_by(capture, 17) == RIGHT[4]
    assert (echoing.send_failures, echoing.loops) == (0, 0)


def sent_by(capture, protocol):
    """Source of the first IPv4 packet of a protocol toward the left node."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        if select.select([capture], [], [], 0.1)[0]:
            frame = capture._socket.recv(65535)
            if outer(frame)[:2] == (4, protocol) and socket.inet_ntoa(frame[30:34]) == LEFT[4]:
                return socket.inet_ntoa(frame[26:30])
    raise AssertionError("nothing was sent")


def test_one_address_of_a_version_needs_none_of_this(net):
    with net.right.entered():
        made = open_underlay([ip_address(RIGHT[4]), ip_address(RIGHT[6])])
    assert isinstance(made, Underlay)
    made.close()
