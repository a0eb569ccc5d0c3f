"""A narrow link in the middle of a tunnel, on the real kernel: sources learn its size, nothing is cut on the way.

RFC 2003 §3.1 and §5.1, RFC 3519 §4.8, spec TUN-13.
"""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from haaro_net import HOMES, HOSTS, SITES, Running, Sites, line

from testbed.features import refusal
from testbed.waiting import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.stock]
NARROW = 1400
IPV4, PIECE, DF = 0x0800, 0x3FFF, 0x4000
WAYS = [("udp", "tun", 32), ("ipip", "tun", 20), ("ipip", "ipip", 20)]


@pytest.fixture(params=WAYS, ids=["UDP", "IP, by the program", "IP, by the kernel"])
def way(request):
    how, tunnel, overhead = request.param
    if tunnel == "ipip" and refusal("ipip"):
        pytest.skip(f"this kernel has no ipip: {refusal('ipip')}")
    return how, tunnel, overhead


@pytest.fixture
def start(network, tmp_path, way):
    made = Running(network(Sites()), tmp_path)

    def start(**changes):
        made.start_ha(tunnel=way[1])
        for site in SITES:
            made.start_mr(site, lines=1, encapsulation=way[0], force_udp=way[0] == "udp", tunnel=way[1], **changes)
            wait_until("the registration", lambda site=site: made.state(site)["registered"])
        return made

    yield start
    made.stop()


def optimise(sites):
    def both():
        sites.ping("a", "b")
        return all(f"{HOMES[other]} dev" in sites.routes(one) for one, other in (("a", "b"), ("b", "a")))

    wait_until("direct routes at both ends", both, timeout=30)


def narrow(sites):
    """What the backbone sends to B's line must be short; B's own packets may be long."""
    own, backbone = line("b", 1)
    prefix = f"{own.rsplit('.', 1)[0]}.{int(backbone.rsplit('.', 1)[1]) - 1}/28"
    route = ["ip", "route", "change", prefix, "dev", "tob1", "proto", "kernel", "scope", "link", "src", backbone]
    sites.net["core"].run([*route, "mtu", str(NARROW)], check=True)


@contextlib.contextmanager
def seen(sites, node, interface):
    """IPv4 packets that come in by an interface: (flags and offset, total length), and the protocol."""
    found = []
    with sites.net[node].entered():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        sniffer.bind((interface, IPV4))
    with sniffer:
        yield found
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (_name, _protocol, kind, *_rest) = sniffer.recvfrom(2000)
                if kind != socket.PACKET_OUTGOING:
                    size, _number, place = struct.unpack_from("!HHH", data, 2)
                    found.append((place, size, data[9]))


def ping(sites, size, *, df, count=1):
    """From A's host to B's, so long an inner packet; what ping says."""
    how = ["-Mdo"] if df else ["-Mdont"]
    options = ["-n", "-W1", "-i0.05", f"-c{count}", "-s", str(size - 28), *how]
    done = sites.net["na"].run(["ping", *options, HOSTS["b"]])
    return done.out + done.err


def told(sites):
    """What a long ping that may not be divided is answered, as soon as it is."""
    said = []

    def answered():
        said.append(ping(sites, 1450, df=True))
        return "mtu" in said[-1]

    wait_until("the source to hear of the narrow link", answered, timeout=10)
    return said[-1]


def play(sites, way):
    """The first long packet is lost and tells of it; later ones fit, or are divided before they enter the tunnel."""
    _how, by, overhead = way
    assert "1 received" in ping(sites, 1450, df=True)
    narrow(sites)
    room = NARROW - overhead
    assert f"mtu = {room}" in told(sites)
    with seen(sites, "b", "isp1") as packets:
        assert "3 received" in ping(sites, room, df=True, count=3)
        # The source forgets: what it may divide is divided by the router, the kernel's after it has found out again.
        sites.net["na"].run(["ip", "route", "flush", "cache"], check=True)
        least = 5 if by == "tun" else 3
        said = ping(sites, 1450, df=False, count=5)
        assert int(said.split(" received")[0].rsplit(None, 1)[-1]) >= least, said
    tunnel = [(place, size) for place, size, protocol in packets if protocol == (17 if way[0] == "udp" else 4)]
    whole = [place for place, size in tunnel if size == NARROW]
    assert whole[:3] == [DF] * 3, "DF inside is DF outside"
    assert all(size <= NARROW for _place, size in tunnel)
    assert not [place for place, _size in tunnel if place & PIECE], "no fragments outside"


@pytest.mark.requirement("TUN-13")
def test_between_peers(start, way):
    sites = start()
    optimise(sites)
    play(sites, way)


@pytest.mark.requirement("TUN-13", "HA-16")
def test_over_the_home_agent(start, way):
    """It relays, and answers into the tunnel that the packet came from."""
    play(start(capability=False), way)


FLOOD, PROBE, IP_MTU_DISCOVER = 400, 3, 10


@pytest.mark.parametrize("way", WAYS[:1], indirect=True, ids=["UDP"])
def test_a_source_that_does_not_listen(start, way):
    """It gets as many errors as one that begins many flows at once needs, and no more (RFC 4443 §2.4(f))."""
    sites = start()
    optimise(sites)
    narrow(sites)
    told(sites)

    def counted(name):
        return sites.state("a")["dataplane"].get(name, 0)

    before = counted("errors_sent")
    with seen(sites, "na", "eth0") as packets, sites.net["na"].entered():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PROBE)
            for number in range(FLOOD):
                deaf.sendto(bytes(1400), (HOSTS["b"], 9000 + number))
        wait_until("all to be judged", lambda: counted("too_big") == FLOOD)
    sent = counted("errors_sent") - before
    assert counted("errors_limited") == FLOOD - sent
    assert 40 <= sent <= FLOOD / 2
    assert len([protocol for _place, _size, protocol in packets if protocol == socket.IPPROTO_ICMP]) == sent
