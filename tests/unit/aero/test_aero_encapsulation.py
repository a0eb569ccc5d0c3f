"""Formats between the outer IP header and the inner packet, and how they are told apart (spec §2)."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.dataplane.encapsulation import (
    IPV4,
    IPV6,
    Carrier,
    Fragment,
    carrier,
    classify,
    header,
    pull_fragment,
    push_fragment,
)
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.wire.errors import DecodeError

V4, V6 = b"\x45" + bytes(19), b"\x60" + bytes(39)
INNER = {IPV4: V4, IPV6: V6}


@pytest.mark.parametrize(
    ("octets", "fragment"),
    [
        ("29000001deadbeef", Fragment(IPV6, 0, True, 0xDEADBEEF)),
        ("29000400deadbeef", Fragment(IPV6, 1024, False, 0xDEADBEEF)),
        ("0400000000000007", Fragment(IPV4, 0, False, 7)),
    ],
)
def test_fragment_header_vectors(octets, fragment):
    assert push_fragment(fragment).hex() == octets
    assert pull_fragment(bytes.fromhex(octets), 0) == fragment


@pytest.mark.parametrize(
    ("encapsulation", "protocol", "fragment", "octets"),
    [
        (Encapsulation.GUE, IPV6, None, "00290000"),
        (Encapsulation.GUE, IPV4, None, "00040000"),
        (Encapsulation.GUE, IPV6, Fragment(IPV6, 0, True, 1), "002c00002900000100000001"),
        (Encapsulation.GUE1, IPV6, None, ""),
        (Encapsulation.GUE1, IPV4, Fragment(IPV4, 0, True, 1), "002c00000400000100000001"),
        (Encapsulation.UDP, IPV6, None, ""),
        (Encapsulation.MINIMAL, IPV4, None, ""),
    ],
)
def test_header_vectors(encapsulation, protocol, fragment, octets):
    assert header(encapsulation, protocol, fragment).hex() == octets


@pytest.mark.requirement("ENC-2")
@pytest.mark.parametrize("encapsulation", list(Encapsulation))
@pytest.mark.parametrize("protocol", [IPV4, IPV6])
@pytest.mark.parametrize("fragment", [None, (0, True), (1024, False), (0, False)])
def test_every_format_is_told_apart_without_configuration(encapsulation, protocol, fragment):
    cut = Fragment(protocol, *fragment, 7) if fragment else None
    through = carrier(encapsulation, protocol, fragmented=cut is not None)
    packet = header(encapsulation, protocol, cut) + INNER[protocol]
    payload = classify(through, packet)
    as_gue = encapsulation is Encapsulation.GUE1 and cut
    assert payload.encapsulation is (Encapsulation.GUE if as_gue else encapsulation)
    assert (payload.protocol, payload.fragment) == (protocol, cut)
    assert packet[payload.start :] == INNER[protocol]


@pytest.mark.requirement("ENC-4")
@pytest.mark.parametrize("protocol", [IPV4, IPV6])
def test_minimal_fragments_are_protocol_44_whatever_is_outside(protocol):
    assert carrier(Encapsulation.MINIMAL, protocol, fragmented=True) == 44
    assert carrier(Encapsulation.MINIMAL, protocol, fragmented=False) == protocol


@pytest.mark.requirement("ENC-12")
@pytest.mark.parametrize(
    ("through", "octets", "reason"),
    [
        (Carrier.UDP, b"", "empty"),
        (Carrier.UDP, b"\x05" + bytes(40), "first octet 0x05"),
        (Carrier.UDP, b"\x2c" + bytes(40), "first octet 0x2c"),
        (Carrier.UDP, b"\x00" + bytes(40), "first octet 0x00"),
        (Carrier.UDP, b"\x29\0\0\0", "cut short"),
        (Carrier.GUE, b"\x80" + bytes(40), "variant 2"),
        (Carrier.GUE, b"\xc0" + bytes(40), "variant 3"),
        (Carrier.GUE, b"\x20\x29\0\0" + V6, "control"),
        (Carrier.GUE, b"\x00\x29\x80\0" + V6, "flags"),
        (Carrier.GUE, b"\x0f\x29\0\0" + V6[:40], "beyond"),
        (Carrier.GUE, b"\x00\x11\0\0" + V6, "protocol 17"),
        (Carrier.GUE, b"\x00\x04\0\0" + V6, "protocol 4 with an inner version 6"),
        (Carrier.GUE, b"\x00\x29", "cut short"),
        (Carrier.GUE, b"\x50" + bytes(40), "inner version 5"),
        (Carrier.PROTOCOL_4, V6, "protocol 4"),
        (Carrier.PROTOCOL_41, V4, "protocol 41"),
        (Carrier.PROTOCOL_44, b"\x06" + bytes(20), "protocol 6"),
    ],
)
def test_bad_payloads(through, octets, reason):
    with pytest.raises(DecodeError, match=reason):
        classify(through, octets)


def test_extra_gue_words_are_skipped():
    packet = b"\x02\x29\0\0" + bytes(8) + V6
    assert classify(Carrier.GUE, packet).start == 12


def test_reserved_bits_of_a_fragment_header_are_ignored():
    assert pull_fragment(bytes.fromhex("29ff0006deadbeef"), 0) == Fragment(IPV6, 0, False, 0xDEADBEEF)


@given(st.sampled_from(list(Carrier)), st.binary(max_size=60))
def test_garbage_is_a_decode_error_or_a_payload(through, octets):
    with contextlib.suppress(DecodeError):
        assert classify(through, octets).start <= len(octets)


OVERHEAD = [
    (Encapsulation.UDP, "192.0.2.1", 28),
    (Encapsulation.UDP, "2001:db8::1", 48),
    (Encapsulation.GUE1, "192.0.2.1", 28),
    (Encapsulation.MINIMAL, "192.0.2.1", 20),
    (Encapsulation.MINIMAL, "2001:db8::1", 40),
    (Encapsulation.GUE, "192.0.2.1", 32),
    (Encapsulation.GUE, "2001:db8::1", 52),
]


@pytest.mark.parametrize(("encapsulation", "host", "octets"), OVERHEAD)
def test_overhead(encapsulation, host, octets):
    assert LinkLayerAddress(encapsulation, ip_address(host), encapsulation.port).overhead == octets
