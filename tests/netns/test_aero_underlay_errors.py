"""What the underlay says about packets of an AERO node: real routers and hosts answer, real sockets hear it."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from aero_plane import FAR, LEFT, NEAR, RIGHT, Net, packet, pairs

from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import TooBig, Unreachable
from agents.aero.underlay_errors import heard
from agents.wire.buffer import internet_checksum
from testbed.features import refusal

pytestmark = [pytest.mark.netns, pytest.mark.stock]

KINDS = list(Encapsulation)
VERSIONS = (4, 6)


def kernels_tunnels(word):
    """What a kernel says whose own tunnel drivers are loaded: they know the protocols, and no tunnel of this kind.

    They say so of every packet, even of those that a raw socket takes: it must not be believed to be the end.
    """
    return (
        isinstance(word, Unreachable) and word.lladdr.encapsulation is Encapsulation.MINIMAL and not word.protocol
    ) and not refusal("ip6tnl")


@pytest.fixture(scope="module")
def net():
    made = Net()
    # The answers are rate-limited by default: one a second to one address.
    made.router.run(
        "sh", "-c", "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"
    )
    made.right.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit")
    yield made
    made.close()


@pytest.fixture
def pair(net):
    with pairs(net) as make:
        yield make


@pytest.mark.requirement("FRAG-3")
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, VERSIONS)))
def test_a_smaller_link_on_the_way_is_too_big(net, pair, kind, version):
    net.router.batch("link set to2 mtu 1400")
    try:
        both = pair(kind, version)
        both.prove(1500)
        # The notice counts even if a packet without DF went through the same socket in between.
        both.left.send(packet(NEAR[6], FAR[6], 1440))
        both.to_right.size.proven = 0
        both.left.cache.changed()
        both.left.send(packet(NEAR[6], FAR[6], 900))
        both.until("Too Big", lambda: both.left.words)
        too_big = {word for word in both.left.words if isinstance(word, TooBig)}
        assert {(word.ip, word.mtu) for word in too_big} == {(ip_address(RIGHT[version]), 1400)}
        assert all(any(lladdr.encapsulation is kind for lladdr in word.about) for word in too_big)
        assert all(kernels_tunnels(word) for word in set(both.left.words) - too_big)
        both.until("the small packet", lambda: both.right.delivered)
        assert len(both.right.delivered) == 1
    finally:
        net.router.batch("link set to2 mtu 1500")


@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, VERSIONS)))
def test_a_packet_longer_than_the_own_link_is_noticed_when_it_is_sent(pair, kind, version):
    both = pair(kind, version)
    both.prove(9000)
    both.left.send(packet(NEAR[6], FAR[6], 1490))
    assert [where[0] for where in both.left.too_long] == [RIGHT[version]]
    assert both.left.underlay.send_failures == 1


@pytest.mark.requirement("ENC-9")
@pytest.mark.parametrize(("kind", "version"), list(itertools.product(KINDS, VERSIONS)))
def test_nobody_there_is_unreachable(net, pair, kind, version):
    both = pair(kind, version)
    both.right.underlay.close()
    both.left.send(packet(NEAR[6], FAR[6], 100))
    left = both.left
    both.right.readers = {}
    both.until("an answer", lambda: left.words)
    lladdr = LinkLayerAddress(kind, ip_address(RIGHT[version]), kind.port)
    certain = kind is Encapsulation.MINIMAL
    assert Unreachable(lladdr, protocol=certain) in left.words or (certain and all(map(kernels_tunnels, left.words)))
    assert {word.lladdr.ip for word in left.words} == {lladdr.ip}
    assert not left.delivered


# --- what is believed

OWN = frozenset(ip_address(address) for address in LEFT.values())


def icmp4(quoted: bytes, kind: int = 3, code: int = 4, mtu: int = 1400) -> bytes:
    body = bytes((kind, code, 0, 0, 0, 0)) + mtu.to_bytes(2, "big") + quoted
    body = body[:2] + internet_checksum(body).to_bytes(2, "big") + body[4:]
    return b"\x45" + bytes(19) + body


def quoted4(source: str, destination: str, protocol: int = 17, ports: tuple[int, int] = (8060, 8060)) -> bytes:
    head = bytearray(b"\x45" + bytes(8) + bytes((protocol, 0, 0)))
    return bytes(head + IPv4Address(source).packed + IPv4Address(destination).packed) + b"".join(
        port.to_bytes(2, "big") for port in ports
    )


def icmp6(quoted: bytes, kind: int = 2, code: int = 0, info: int = 1400) -> bytes:
    return bytes((kind, code, 0, 0)) + info.to_bytes(4, "big") + quoted


def quoted6(source: str, destination: str, protocol: int = 17, ports: tuple[int, int] = (8060, 8060)) -> bytes:
    head = b"\x60" + bytes(5) + bytes((protocol, 64)) + IPv6Address(source).packed + IPv6Address(destination).packed
    return head + b"".join(port.to_bytes(2, "big") for port in ports)


def test_only_packets_of_ours_are_believed_about():
    good4, good6 = quoted4(LEFT[4], RIGHT[4]), quoted6(LEFT[6], RIGHT[6])
    about = {version: (LinkLayerAddress(Encapsulation.UDP, ip_address(RIGHT[version]), 8060),) for version in (4, 6)}
    assert heard(4, icmp4(good4), OWN) == [TooBig(IPv4Address(RIGHT[4]), 1400, about[4])]
    assert heard(6, icmp6(good6), OWN) == [TooBig(IPv6Address(RIGHT[6]), 1400, about[6])]
    damaged = bytearray(icmp4(good4))
    damaged[30] ^= 1
    assert heard(4, bytes(damaged), OWN) == []
    for quoted in (
        quoted4("10.9.9.9", RIGHT[4]),
        quoted4(LEFT[4], RIGHT[4], 6),
        quoted4(LEFT[4], RIGHT[4], 17, (53, 53)),
    ):
        assert heard(4, icmp4(quoted), OWN) == []
    for quoted in (
        quoted6("2001:db8::9", RIGHT[6]),
        quoted6(LEFT[6], RIGHT[6], 6),
        quoted6(LEFT[6], RIGHT[6], 17, (53, 53)),
    ):
        assert heard(6, icmp6(quoted), OWN) == []
    for version, whole in ((4, icmp4(good4)), (6, icmp6(good6))):
        for length in range(len(whole) - 1):
            heard(version, whole[:length], OWN)  # cut short anywhere: nothing is raised


def test_sizes_that_no_link_has_are_lies():
    assert heard(4, icmp4(quoted4(LEFT[4], RIGHT[4]), mtu=60), OWN) == []
    assert heard(6, icmp6(quoted6(LEFT[6], RIGHT[6]), info=1279), OWN) == []
    (word,) = heard(4, icmp4(quoted4(LEFT[4], RIGHT[4]), mtu=0), OWN)
    assert word.mtu == 0


def test_gue_is_both_variants():
    words = heard(4, icmp4(quoted4(LEFT[4], RIGHT[4], 17, (6080, 6080)), code=3), OWN)
    assert [word.lladdr.encapsulation for word in words] == [Encapsulation.GUE, Encapsulation.GUE1]


def test_parameter_problems_other_than_next_header_say_nothing():
    quoted = quoted6(LEFT[6], RIGHT[6], 41)
    assert heard(6, icmp6(quoted, kind=4, code=0), OWN) == []
    lladdr = LinkLayerAddress(Encapsulation.MINIMAL, IPv6Address(RIGHT[6]), 0)
    assert heard(6, icmp6(quoted, kind=4, code=1), OWN) == [Unreachable(lladdr, protocol=True)]
