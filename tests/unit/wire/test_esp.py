"""ESP codec and anti-replay window (spec SEC-3; RFC 4303, RFC 2410, RFC 4868)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.esp import WINDOW, EspPacket, ReplayWindow, pull_esp, pull_esp_header, push_esp

KEY = bytes(range(32))
VECTORS = {
    # Made by scapy's own ESP (crypt_algo NULL, auth_algo SHA2-256-128): a second implementation.
    "Mobility Header, padding 1 2": (
        EspPacket(0x1001, 7, 135, bytes.fromhex("3b010500aabb0001c000000401020000")),
        "00001001000000073b010500aabb0001c00000040102000001020287fb58e645f09cb91c9bd567b627239415",
    ),
    "13 octets, padding 1": (
        EspPacket(0x1001, 8, 17, bytes(range(13))),
        "0000100100000008000102030405060708090a0b0c010111e6684ccb129c9bbc18deb8711fad1d57",
    ),
}


@pytest.mark.requirement("SEC-3")
@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name):
    packet, octets = VECTORS[name]
    assert push_esp(packet, KEY).hex() == octets
    assert pull_esp(bytes.fromhex(octets), KEY) == packet
    assert pull_esp_header(bytes.fromhex(octets)) == (packet.spi, packet.sequence)


packets = st.builds(
    EspPacket, st.integers(256, 2**32 - 1), st.integers(1, 2**32 - 1), st.integers(0, 255), st.binary(max_size=300)
)


@given(packets, st.binary(min_size=32, max_size=32))
def test_what_is_pushed_is_pulled(packet, key):
    octets = push_esp(packet, key)
    assert len(octets) % 4 == 0
    assert pull_esp(octets, key) == packet


@pytest.mark.requirement("SEC-1", "SEC-3")
@given(packets, st.data())
def test_any_change_is_noticed(packet, data):
    octets = bytearray(push_esp(packet, KEY))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecodeError) as refused:
        pull_esp(bytes(octets), KEY)
    assert refused.value.kind is DecodeErrorKind.INTEGRITY


def test_another_key_is_noticed():
    with pytest.raises(DecodeError) as refused:
        pull_esp(push_esp(EspPacket(256, 1, 135, bytes(16)), KEY), bytes(32))
    assert refused.value.kind is DecodeErrorKind.INTEGRITY


@given(st.binary(max_size=80))
def test_noise_is_a_decode_error(octets):
    with pytest.raises(DecodeError):
        pull_esp(octets, KEY)


@pytest.mark.requirement("SEC-1")
@given(st.lists(st.integers(1, 400), max_size=200))
def test_window_against_its_definition(numbers):
    """RFC 4303 §3.4.3: fresh is what was not seen and is not older than the window; nothing is accepted twice"""
    window, seen = ReplayWindow(), set()
    for number in numbers:
        expected = number not in seen and number > max(seen, default=0) - WINDOW
        assert window.fresh(number) == expected
        if expected:
            window.accept(number)
            seen.add(number)
    assert window.highest == max(seen, default=0)


def test_zero_is_never_fresh():
    assert not ReplayWindow().fresh(0)
