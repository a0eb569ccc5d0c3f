"""DF inside is DF outside, and what a path takes is learned from those who complain (RFC 2003 §3.1, §4, §5.1)."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.haaro import inner
from agents.haaro.items import EVERYTHING, Tunnel, TunnelRoute
from agents.haaro.path_errors import heard
from agents.haaro.path_sizes import LIFETIME, SMALLEST
from agents.haaro.plane import Plane
from agents.haaro.sink import Ends
from agents.limits import ErrorRates, Rate
from agents.wire.buffer import internet_checksum
from agents.wire.mip4 import TUNNEL_IP

HOME, PEER_HOME, HA = (IPv4Address(text) for text in ("203.0.113.11", "203.0.113.12", "203.0.113.1"))
LOCAL, REMOTE = IPv4Address("198.51.100.2"), IPv4Address("198.51.100.34")
NEAR, FAR = IPv4Network("10.10.1.0/24"), IPv4Network("10.10.2.0/24")
ROUTER = IPv4Address("198.51.100.33")
OVERHEAD = {"udp": 32, "ipip": 20}
DF = 0x40


class Sink:
    """Records; `line` is the MTU of the line that everything leaves by."""

    def __init__(self, line=1500):
        self.line = line
        self.sent, self.delivered = [], []

    def send_udp(self, local, remote, port, data, tos, df=False):
        assert data[:4] == TUNNEL_IP
        return self._leave("udp", local, remote, data[4:], df)

    def send_ip(self, local, remote, packet, tos, df=False):
        return self._leave("ipip", local, remote, packet, df)

    def _leave(self, how, local, remote, packet, df):
        if df and len(packet) + OVERHEAD[how] > self.line:
            return self.line
        self.sent.append((how, packet, df))
        return None

    def deliver(self, packet):
        self.delivered.append(packet)

    def notice(self, _notice):
        pass


class Router:
    """A mobile router with one peer."""

    def __init__(self, how="ipip", line=1500, **options):
        self.how, self.now, self.sink = how, 1000.0, Sink(line)
        self.plane = Plane(self.sink, Ends(HOME, (NEAR,), HA), clock=lambda: self.now, **options)
        self.tunnel = Tunnel(PEER_HOME, LOCAL, REMOTE, how, sources=(FAR,))
        self.plane.install(self.tunnel)
        self.plane.install(TunnelRoute(FAR, self.tunnel.name))

    def leave(self, octets):
        self.plane.from_kernel(octets, self.now)

    def complain(self, octets, mtu, **changes):
        error = heard(complaint(outer(self.how, octets), mtu, **changes))
        if error:
            self.plane.path_error(error)
        return error

    def told(self):
        """(addresses, MTU, quoted) of the last Fragmentation Needed delivered."""
        answer = self.sink.delivered.pop()
        assert answer[20:22] == b"\x03\x04"
        assert not internet_checksum(answer[20:])
        return IPv4Address(answer[12:16]), IPv4Address(answer[16:20]), int.from_bytes(answer[26:28], "big"), answer[28:]


def packet(size, *, df=True, source=NEAR[2], destination=FAR[2], number=7):
    made = bytearray(inner.push_ipv4(source, destination, 17, bytes(range(256)) * 8)[:size])
    made[2:8] = struct.pack("!HHH", size, number, DF << 8 if df else 0)
    made[10:12] = b"\0\0"
    made[10:12] = internet_checksum(bytes(made[:20])).to_bytes(2, "big")
    return bytes(made)


def outer(how, octets, local=LOCAL, remote=REMOTE):
    if how == "udp":
        return inner.push_udp(local, remote, (434, 434), TUNNEL_IP + octets)
    return inner.push_ipv4(local, remote, 4, octets)


def complaint(about, mtu, *, kind=3, code=4, quoted=548, spoilt=False):
    """An ICMP error, with the IP header in front of it."""
    rest = struct.pack("!HH", 0, mtu) + about[:quoted]
    head = struct.pack("!BBH", kind, code, 0) + rest
    message = head[:2] + (internet_checksum(head) ^ spoilt).to_bytes(2, "big") + rest
    return inner.push_ipv4(ROUTER, LOCAL, 1, message)


def joined(pieces):
    """What the fragments are fragments of."""
    whole = {}
    for piece in pieces:
        assert not internet_checksum(piece[:20])
        assert int.from_bytes(piece[2:4], "big") == len(piece)
        whole[(int.from_bytes(piece[6:8], "big") & 0x1FFF) * 8] = piece[20:]
    octets = b""
    for place in sorted(whole):
        assert place == len(octets)
        octets += whole[place]
    assert not int.from_bytes(pieces[-1][6:8], "big") & 0x2000
    return octets


@pytest.mark.requirement("TUN-13")
@pytest.mark.parametrize("how", ["ipip", "udp"])
def test_what_must_not_be_divided_inside_is_not_divided_outside(how):
    router = Router(how)
    router.leave(packet(1000))
    router.leave(packet(1000, df=False))
    assert [df for _how, _packet, df in router.sink.sent] == [True, False]


@pytest.mark.requirement("TUN-13")
@pytest.mark.parametrize("how", ["ipip", "udp"])
def test_a_router_on_the_way_is_believed(how):
    """The source of the lost packet hears of it at once, that of the next one, too; shorter ones pass."""
    router = Router(how)
    lost = packet(1400)
    router.leave(lost)
    router.complain(lost, 1400)
    room = 1400 - OVERHEAD[how]
    own, source, mtu, quoted = router.told()
    assert (own, source, mtu) == (HOME, NEAR[2], room)
    assert lost.startswith(quoted[:28])
    router.leave(packet(room + 1))
    assert router.told()[2] == room
    router.leave(packet(room))
    assert [len(each) for _how, each, _df in router.sink.sent] == [1400, room]
    assert router.plane.counters["errors_sent"] == 2


@pytest.mark.requirement("TUN-13")
@pytest.mark.parametrize("how", ["ipip", "udp"])
@given(size=st.integers(21, 1468), mtu=st.integers(600, 1499))
def test_what_may_be_divided_is_divided_before_the_tunnel(how, size, mtu):
    router = Router(how)
    router.complain(packet(1468), mtu)
    router.sink.delivered.clear()
    whole = packet(size, df=False)
    router.leave(whole)
    pieces = [bytes(each) for _how, each, df in router.sink.sent if not df]
    assert all(len(piece) + OVERHEAD[how] <= mtu for piece in pieces)
    assert joined(pieces) == whole[20:]
    assert (len(pieces) == 1) == (size + OVERHEAD[how] <= mtu)
    assert not router.sink.delivered


def test_an_error_that_quotes_little_is_remembered():
    """Routers need to return no more than 8 octets behind the outer header (RFC 2003 §5): the next packet is told."""
    router = Router()
    router.complain(packet(1400), 1300, quoted=28)
    assert not router.sink.delivered
    router.leave(packet(1400))
    assert router.told()[2] == 1280


def test_after_ten_minutes_the_path_is_tried_again():
    router = Router()
    router.complain(packet(1400), 1300, quoted=28)
    router.now += LIFETIME - 1
    router.leave(packet(1400))
    assert not router.sink.sent
    router.now += 1
    router.leave(packet(1400))
    assert len(router.sink.sent) == 1


def test_a_router_that_gives_no_size():
    """RFC 1191 §5: the next of the sizes that paths have."""
    router = Router()
    for size, expected in ((1400, 1006), (980, SMALLEST), (570, SMALLEST)):
        router.complain(packet(size), 0)
        assert router.told()[2] == expected - 20


def test_nobody_makes_a_path_take_nothing():
    router = Router()
    router.complain(packet(1400), 68, quoted=28)
    router.leave(packet(SMALLEST - 20))
    assert len(router.sink.sent) == 1


@pytest.mark.parametrize("how", ["ipip", "udp"])
def test_the_own_line_may_be_the_narrow_one(how):
    router = Router(how, line=1400)
    router.leave(packet(1450))
    assert router.told()[2] == 1400 - OVERHEAD[how]
    router.leave(packet(1450, df=False, number=9))
    assert len(router.sink.sent) == 2, "in two pieces, since the line is known now"


LIES = {
    "spoilt": lambda router, lost: router.complain(lost, 1300, spoilt=True),
    "no shorter": lambda router, lost: router.complain(lost, 1420),
    "of another kind": lambda router, lost: router.complain(lost, 1300, code=1),
    "port unreachable": lambda router, lost: router.complain(lost, 1300, code=3),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_no_word_about_a_size(name):
    router = Router()
    assert LIES[name](router, packet(1400)) is None
    router.leave(packet(1400))
    assert len(router.sink.sent) == 1


@pytest.mark.parametrize(
    "about",
    [
        outer("ipip", packet(1400), local=IPv4Address("198.51.100.9")),
        outer("ipip", packet(1400), remote=IPv4Address("198.51.100.9")),
        outer("udp", packet(1400)),
    ],
    ids=["another source", "another end", "another encapsulation"],
)
def test_an_error_about_no_tunnel_of_ours(about):
    router = Router()
    router.plane.path_error(heard(complaint(about, 1300)))
    assert router.plane.counters["icmp_about_nothing"] == 1
    router.leave(packet(1400))
    assert len(router.sink.sent) == 1
    assert not router.sink.delivered


@pytest.mark.parametrize(
    "about",
    [
        inner.push_udp(LOCAL, REMOTE, (4000, 434), TUNNEL_IP + packet(1400)),
        inner.push_udp(LOCAL, REMOTE, (434, 434), b"\x01\x22" + bytes(1400)),
        inner.push_ipv4(LOCAL, REMOTE, 6, bytes(1400)),
        inner.push_ipv4(LOCAL, REMOTE, 4, packet(1400))[:19],
    ],
    ids=["another port", "signalling", "TCP", "cut"],
)
def test_an_error_about_something_else(about):
    assert heard(complaint(about, 1300)) is None


def test_a_quoted_packet_that_goes_elsewhere_is_not_told_of():
    """Or whoever can send us an error could have us send one to anybody."""
    router = Router()
    router.complain(packet(1400, destination=IPv4Address("192.0.2.9"), source=IPv4Address("192.0.2.66")), 1300)
    assert not router.sink.delivered


@pytest.mark.parametrize("how", ["ipip", "udp"])
def test_a_loop_in_the_tunnel_is_an_unreachable_host(how):
    """Time Exceeded from inside the tunnel (RFC 2003 §4.4)."""
    router = Router(how)
    router.complain(packet(400, df=False), 0, kind=11, code=0)
    (answer,) = router.sink.delivered
    assert answer[20:22] == b"\x03\x01"
    router.leave(packet(1400))
    assert len(router.sink.sent) == 1


@given(st.binary(max_size=80), st.binary(max_size=60))
def test_garbage_is_no_accident(start, rest):
    heard(start)
    head = struct.pack("!BBHHH", 3, 4, 0, 0, 600) + start + rest
    checksum = internet_checksum(head).to_bytes(2, "big")
    error = heard(inner.push_ipv4(ROUTER, LOCAL, 1, head[:2] + checksum + head[4:]))
    if error:
        Router().plane.path_error(error)


def test_of_very_many_errors_some_are_sent():
    router = Router(errors=ErrorRates(Rate(10, 20), Rate(100, 30)))
    router.complain(packet(1400), 1300, quoted=28)
    for _packet in range(1000):
        router.leave(packet(1400))
    assert len(router.sink.delivered) == 20
    assert router.plane.counters["errors_limited"] == 980
    router.now += 1
    for _packet in range(1000):
        router.leave(packet(1400))
    assert len(router.sink.delivered) == 30


def test_no_error_about_an_error():
    router = Router()
    router.complain(packet(1400), 1300, quoted=28)
    about = bytearray(packet(1400))
    about[9], about[20] = 1, 3
    about[10:12] = b"\0\0"
    about[10:12] = internet_checksum(bytes(about[:20])).to_bytes(2, "big")
    router.leave(bytes(about))
    assert router.plane.counters["too_big"] == 1
    assert not router.sink.delivered


class TestHomeAgent:
    """Errors go back into the tunnel that a packet came from, by the kernel or, among realms, at once."""

    @pytest.fixture
    def place(self):
        sink = Sink()
        plane = Plane(sink, relays=True)
        one = Tunnel(HOME, HA, LOCAL, "udp", sources=(NEAR,), realm="red")
        other = Tunnel(PEER_HOME, HA, REMOTE, "ipip", sources=(FAR,), realm="red")
        for tunnel, network in ((one, NEAR), (other, FAR)):
            plane.install(tunnel)
            plane.install(TunnelRoute(network, tunnel.name, "red"))
        plane.path_error(heard(complaint(outer("ipip", packet(1400), HA, REMOTE), 1300, quoted=28)))
        return plane, sink, one, other

    def test_what_is_relayed(self, place):
        plane, sink, *_tunnels = place
        for octets in (packet(100), packet(1400), packet(1400, df=False)):
            plane.from_udp(HA, LOCAL, 434, TUNNEL_IP + octets)
        first, answer = sink.delivered
        assert first == packet(100), "the first of a kind is the kernel's"
        assert (answer[12:20], answer[20:22], answer[26:28]) == (
            HA.packed + NEAR[2].packed,
            b"\x03\x04",
            (1280).to_bytes(2, "big"),
        )
        assert len(sink.sent) == 2

    def test_networks_that_several_realms_have(self, place):
        plane, sink, _one, other = place
        plane.install(replace(TunnelRoute(FAR, other.name, "red"), exclusive=True))
        plane.from_udp(HA, LOCAL, 434, TUNNEL_IP + packet(1400))
        ((how, answer, df),) = sink.sent
        assert (how, df, answer[16:22]) == ("udp", False, NEAR[2].packed + b"\x03\x04")
        old = bytearray(packet(100))
        old[8] = 1
        plane.from_udp(HA, LOCAL, 434, TUNNEL_IP + bytes(old))
        assert sink.sent[-1][1][20:22] == b"\x0b\x00"
        assert not sink.delivered


def test_signalling_and_keepalives_may_be_divided():
    """They are ours: nobody is waiting to be told."""
    router = Router()
    home = Tunnel(HA, LOCAL, HA, "udp", sources=(EVERYTHING,))
    router.plane.install(home)
    router.plane.install(TunnelRoute(EVERYTHING, home.name))
    router.leave(packet(500, df=False, source=HOME, destination=HA))
    assert not router.sink.sent[-1][2]
