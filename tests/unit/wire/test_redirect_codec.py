"""Predirect and Redirect in both framings, tokens: vectors, round trips, what routers change (§6.5, §6.6)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_nd_codec import KEY, PREDIRECT, SERVER, A, B, addresses, several

from agents.wire.buffer import ipv6_checksum
from agents.wire.errors import DecodeError
from agents.wire.nd import ICMPV6, NeighborAdvertisement, NeighborSolicitation, Redirect, push_nd
from agents.wire.nd_auth import genuine, seal
from agents.wire.nd_options import LinkLayerOption, Nonce, RedirectedHeader, Token
from agents.wire.redirects import (
    UDP,
    Framing,
    message_octets,
    pull_redirect,
    push_redirect,
    readdress,
    replace_lladdrs,
)

C = IPv6Address("fe80::2")
PAYLOAD = PREDIRECT[40:]
SENT = LinkLayerOption(True, 0, IPv6Address("::ffff:203.0.113.7"), 8060)
redirects = st.builds(Redirect, addresses, addresses, st.booleans(), several)
framings = st.sampled_from(Framing)


def test_both_framings_of_the_predirect_vector():
    message, framing = pull_redirect(PAYLOAD, ICMPV6, SERVER, B)
    assert framing is Framing.ND
    assert push_redirect(message, Framing.ND, SERVER, B) == PAYLOAD
    published = push_redirect(message, Framing.RFC6706, SERVER, B)
    assert 40 + len(published) == 200
    assert published.hex().startswith("1f7c1f7c00a0cc4d0000000080000000fe80")
    assert pull_redirect(published, UDP, SERVER, B) == (message, Framing.RFC6706)


@given(redirects, framings, addresses, addresses)
def test_round_trip(message, framing, source, destination):
    payload = push_redirect(message, framing, source, destination)
    assert pull_redirect(payload, framing.value, source, destination) == (message, framing)


@given(redirects, framings, addresses, addresses, addresses, addresses)
@pytest.mark.requirement("RO-9", "RO-10")
def test_readdressed_is_the_same_message_between_others(message, framing, old, older, source, destination):
    payload = push_redirect(message, framing, old, older)
    moved = readdress(payload, framing, source, destination)
    assert moved == push_redirect(message, framing, source, destination)


@pytest.mark.requirement("RO-8")
@given(redirects, framings)
def test_only_link_layer_addresses_are_replaced(message, framing):
    payload = readdress(replace_lladdrs(push_redirect(message, framing, A, B), framing, [SENT]), framing, A, C)
    found, _framing = pull_redirect(payload, framing.value, A, C)
    kept = [option for option in message.options if not (isinstance(option, LinkLayerOption) and option.target)]
    assert list(found.options) == [SENT, *kept]
    assert replace(found, options=()) == replace(message, options=())


@pytest.mark.requirement("RO-9")
def test_options_nobody_knows_stay_where_they_are():
    foreign = bytes((77, 1, *range(6)))
    payload = readdress(PAYLOAD + foreign, Framing.ND, SERVER, C)
    changed = readdress(replace_lladdrs(payload, Framing.ND, [SENT]), Framing.ND, SERVER, C)
    assert changed.endswith(foreign)
    assert pull_redirect(changed, ICMPV6, SERVER, C)


@given(st.binary(max_size=120), framings)
def test_garbage_is_a_decode_error_or_nothing(octets, framing):
    for payload in (octets, PAYLOAD[:1] + octets, bytes.fromhex("1f7c1f7c") + octets):
        with contextlib.suppress(DecodeError):
            pull_redirect(payload, framing.value, A, B)


def _udp(message: bytes, ports: str = "1f7c1f7c") -> bytes:
    head = bytes.fromhex(ports) + (8 + len(message)).to_bytes(2, "big")
    return head + ipv6_checksum(SERVER, B, UDP, head + b"\0\0" + message).to_bytes(2, "big") + message


BODY = message_octets(push_redirect(Redirect(A, A, True), Framing.RFC6706, SERVER, B), Framing.RFC6706)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (_udp(BODY)[:6] + b"\0\0" + BODY, "checksum"),
        (_udp(b"\x89" + BODY[1:]), "type"),
        (_udp(BODY[:1] + b"\1" + BODY[2:]), "type"),
        (_udp(BODY)[:-1], "length"),
        (_udp(BODY[:30]), "octets wanted"),
        (_udp(BODY + b"\2\0abcdef"), "length 0"),
    ],
)
def test_bad_input_in_udp(payload, reason):
    with pytest.raises(DecodeError, match=reason):
        pull_redirect(payload, UDP, SERVER, B)


def test_other_messages_are_no_redirects():
    assert pull_redirect(push_nd(NeighborSolicitation(B), A, B), ICMPV6, A, B) is None
    assert pull_redirect(_udp(BODY, "02220223"), UDP, SERVER, B) is None


def test_seal_of_the_advertisement_vector():
    moved = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.9"), 41000)
    octets = [
        push_nd(seal(NeighborAdvertisement(A, router, False, True, (moved,)), A, B, 1, KEY, 1700000000 << 16), A, B)
        for router in (True, False)
    ]
    assert "719b5a0ac068db982c30548328961311" in {each[-16:].hex() for each in octets}


@given(several, addresses, addresses, st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1))
def test_sealed_is_genuine_and_nothing_else(options, source, destination, token, at):
    message = seal(NeighborSolicitation(B, options), source, destination, 7, token, at)
    octets = push_nd(message, source, destination)
    assert genuine(octets, source, destination, token)
    assert not genuine(octets, source, destination, bytes(b ^ 1 for b in token))
    assert not genuine(octets[:-1] + bytes((octets[-1] ^ 1,)), source, destination, token)
    assert not genuine(octets[:-40] + octets[-32:], source, destination, token) or not options
    if source != destination:
        assert not genuine(octets, destination, source, token)


def test_unsealed_is_not_genuine():
    assert not genuine(push_nd(NeighborSolicitation(B, (Nonce(b"abcdef"),)), A, B), A, B, KEY)
    inside = seal(NeighborSolicitation(B), A, B, 1, KEY, 5)
    followed = replace(inside, options=(*inside.options, Token(1, KEY), RedirectedHeader(bytes(40))))
    assert not genuine(push_nd(followed, A, B), A, B, KEY)
