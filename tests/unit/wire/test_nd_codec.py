"""Neighbor Discovery of AERO: the sheet's vectors, round trips, bad input (spec AERO §6.1-6.8, §11)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wire.buffer import Buffer, ipv6_checksum
from agents.wire.errors import DecodeError
from agents.wire.nd import (
    ICMPV6,
    NeighborAdvertisement,
    NeighborSolicitation,
    Redirect,
    mac_input,
    pull_nd,
    push_nd,
)
from agents.wire.nd_options import (
    Auth,
    LinkLayerOption,
    Nonce,
    Observed,
    RedirectedHeader,
    RouteInformation,
    Token,
    pull_options,
    push_options,
)

A, B = IPv6Address("fe80::2001:db8:1000:a000"), IPv6Address("fe80::2001:db8:1000:b000")
SERVER = IPv6Address("fe80::1")
KEY = bytes(range(0x10, 0x20))
SEEN = IPv6Address("::ffff:198.51.100.5")
TRIGGER = bytes.fromhex("6000000000403a3f20010db81000a000000000000000001020010db81000b0000000000000000020")
PREDIRECT = bytes.fromhex(
    "6000000000983a08fe800000000000000000000000000001fe8000000000000020010db81000b000"
    "890082c480000000fe8000000000000020010db81000a000fe8000000000000020010db81000a000"
    "0203080001809c4100000000000000000000ffffc6336405180238000000012c20010db81000a000"
    "fd03ae6001000001101112131415161718191a1b1c1d1e1f0406000000000000"
    "6000000000403a3f20010db81000a000000000000000001020010db81000b0000000000000000020"
)


def test_link_layer_option_vector():
    option = LinkLayerOption(target=True, encapsulation=0, ip=SEEN, port=40001, nat=True)
    octets = bytes.fromhex("0203080001809c4100000000000000000000ffffc6336405")
    assert push_options((option,)) == octets
    assert pull_options(Buffer(octets)) == (option,)


@pytest.mark.parametrize(
    ("prefix", "octets"),
    [
        ("2001:db8:1000:a000::/56", "180238000000012c20010db81000a000"),
        ("::ffff:192.0.2.16/124", "18037c000000012c00000000000000000000ffffc0000210"),
    ],
)
def test_route_information_vectors(prefix, octets):
    option = RouteInformation(IPv6Network(prefix), 300)
    assert push_options((option,)).hex() == octets
    assert pull_options(Buffer(bytes.fromhex(octets))) == (option,)


def test_predirect_vector():
    message = Redirect(
        target=A,
        destination=A,
        predirect=True,
        options=(
            LinkLayerOption(target=True, encapsulation=0, ip=SEEN, port=40001, nat=True),
            RouteInformation(IPv6Network("2001:db8:1000:a000::/56"), 300),
            Token(1, KEY),
            RedirectedHeader(TRIGGER),
        ),
    )
    assert len(PREDIRECT) == 192
    assert push_nd(message, SERVER, B) == PREDIRECT[40:]
    assert pull_nd(PREDIRECT[40:], SERVER, B) == message


def test_unsolicited_advertisement_vector_with_its_mac():
    moved = LinkLayerOption(target=True, encapsulation=0, ip=IPv6Address("::ffff:198.51.100.9"), port=41000)
    auth = Auth(1, 1700000000 << 16)
    unsigned = NeighborAdvertisement(A, override=True, router=True, options=(moved, auth))
    candidates = [replace(unsigned, router=router) for router in (True, False)]
    macs = [hmac.new(KEY, mac_input(each, A, B), hashlib.sha256).digest()[:16] for each in candidates]
    assert bytes.fromhex("719b5a0ac068db982c30548328961311") in macs
    index = macs.index(bytes.fromhex("719b5a0ac068db982c30548328961311"))
    signed = replace(candidates[index], options=(moved, replace(auth, mac=macs[index])))
    octets = push_nd(signed, A, B)
    assert 40 + len(octets) == 120
    assert octets[2:4].hex() == "3d1d"
    assert pull_nd(octets, A, B) == signed


addresses = st.ip_addresses(v=6)
uint8, uint16, uint32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
options = st.one_of(
    st.builds(LinkLayerOption, st.booleans(), st.integers(0, 15), addresses, uint16, uint8, uint8, st.booleans()),
    st.builds(Nonce, st.binary(min_size=6, max_size=6)),
    st.builds(
        RouteInformation,
        st.builds(lambda a, n: IPv6Network((int(a), n), strict=False), addresses, st.integers(0, 128)),
        uint32,
    ),
    st.builds(Token, uint16, st.binary(min_size=16, max_size=16)),
    st.builds(Observed, uint8, addresses, uint16, uint16),
    st.builds(RedirectedHeader, st.binary(min_size=5, max_size=16).map(lambda octets: octets.rjust(40, b"\1"))),
    st.builds(Auth, uint16, st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16)),
)
several = st.lists(options, max_size=5).map(tuple)
messages = st.one_of(
    st.builds(NeighborSolicitation, addresses, several),
    st.builds(NeighborAdvertisement, addresses, st.booleans(), st.booleans(), st.booleans(), several),
    st.builds(Redirect, addresses, addresses, st.booleans(), several),
)


@given(messages, addresses, addresses)
def test_round_trip(message, source, destination):
    octets = push_nd(message, source, destination)
    assert len(octets) % 8 == 0
    assert pull_nd(octets, source, destination) == message


@given(st.binary(max_size=200))
def test_garbage_is_a_decode_error_or_nothing(octets):
    with contextlib.suppress(DecodeError):
        pull_nd(octets, A, B)


def _summed(octets: bytes) -> bytes:
    blank = octets[:2] + b"\0\0" + octets[4:]
    return octets[:2] + ipv6_checksum(A, B, ICMPV6, blank).to_bytes(2, "big") + octets[4:]


GOOD = push_nd(NeighborSolicitation(B, (Nonce(b"123456"),)), A, B)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (GOOD[:-1] + b"x", "checksum"),
        (_summed(GOOD[:1] + b"\1" + GOOD[2:]), "code 1"),
        (_summed(GOOD[:25] + b"\0" + GOOD[26:]), "length 0"),
        (_summed(GOOD[:25] + b"\2" + GOOD[26:]), "16 octets, 8 left"),
        (_summed(GOOD[:20]), "target"),
        (_summed(GOOD + bytes.fromhex("18023a100000012c20010db81000a000")), "reserved preference"),
        (_summed(GOOD + bytes.fromhex("180281000000012c20010db81000a000")), "/129"),
        (_summed(GOOD + bytes.fromhex("18027c000000012c20010db81000a000")), "/124"),
    ],
)
def test_bad_input(octets, reason):
    with pytest.raises(DecodeError, match=reason):
        pull_nd(octets, A, B)


def test_options_of_others_are_skipped():
    foreign = bytes.fromhex("0101020000000011fd01beef00000000fd02ae60ff000000" + "00" * 8)
    assert pull_options(Buffer(foreign + push_options((Nonce(b"abcdef"),)))) == (Nonce(b"abcdef"),)


def test_host_bits_of_a_route_are_ignored():
    octets = bytes.fromhex("180238000000012c20010db81000a0ff")
    assert pull_options(Buffer(octets)) == (RouteInformation(IPv6Network("2001:db8:1000:a000::/56"), 300),)


def test_other_icmp_is_no_neighbor_discovery():
    assert pull_nd(_summed(b"\x80\0\0\0\0\1\0\1"), A, B) is None
