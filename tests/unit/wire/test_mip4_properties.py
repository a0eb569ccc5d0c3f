"""Messages of any content come back as they were; any octets are a message or a DecodeError (spec HAARO §2, §10)."""

from __future__ import annotations

import random
import time
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.haaro import keys
from agents.wire.errors import DecodeError
from agents.wire.mip4 import decode, encode
from agents.wire.mip4_codes import RequestFlag
from agents.wire.mip4_extension_bases import UnknownExtension
from agents.wire.mip4_extension_lists import KNOWN_TYPES, decode_extensions
from agents.wire.mip4_extensions import (
    CareofAddresses,
    ImplicitNetworkAck,
    MobileCorrespondentAuth,
    MobileHomeAuth,
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import (
    CareofTest,
    CareofTestInit,
    HomeTest,
    HomeTestInit,
    RegistrationReply,
    RegistrationRequest,
    TunnelData,
)

QUICK = settings(max_examples=150, deadline=None)

octet = st.integers(0, 255)
word = st.integers(0, 0xFFFF)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
eight = st.binary(min_size=8, max_size=8)
sixteen = st.binary(min_size=16, max_size=16)
extensions = st.one_of(
    st.builds(UdpTunnelRequest, st.booleans(), octet, st.booleans(), word),
    st.builds(UdpTunnelReply, octet, st.booleans(), word),
    st.builds(MobileNetworkRequest, addresses, octet),
    st.builds(MobileNetworkAck, addresses, octet, octet),
    st.builds(ImplicitNetworkAck, addresses, octet, octet),
    st.builds(RoCapability, st.booleans(), st.booleans(), st.booleans(), st.none() | addresses),
    st.builds(RoReply, st.integers(0, 31), st.booleans(), st.booleans(), st.booleans()),
    st.builds(CareofAddresses, st.lists(addresses, min_size=1, max_size=63).map(tuple)),
    st.builds(PrefixAdvertisement, st.binary(max_size=600)),
    st.builds(UnknownExtension, octet.filter(lambda n: n >= 128 and n not in KNOWN_TYPES), st.binary(max_size=255)),
)
auths = st.none() | st.one_of(
    st.builds(MobileHomeAuth, st.integers(0, 2**32 - 1), st.binary(max_size=32)),
    st.builds(MobileCorrespondentAuth, word, word, sixteen),
)
common = {
    "lifetime": word,
    "home_address": addresses,
    "home_agent": addresses,
    "identification": st.integers(0, 2**64 - 1),
    "extensions": st.lists(extensions, max_size=10).map(tuple),
    "auth": auths,
}
registrations = st.one_of(
    st.builds(RegistrationRequest, flags=octet.map(RequestFlag), careof_address=addresses, **common),
    st.builds(RegistrationReply, code=octet, **common),
)
messages = st.one_of(
    registrations,
    st.builds(HomeTestInit, eight),
    st.builds(CareofTestInit, eight),
    st.builds(HomeTest, word, eight, eight),
    st.builds(CareofTest, word, eight, eight),
    st.builds(TunnelData, st.binary(max_size=100), octet),
)


def decoded(octets):
    """The message, None where there is none; no other error than that of the codec."""
    try:
        return decode(octets)
    except DecodeError as error:
        if not 0 <= error.offset <= len(octets):
            raise AssertionError(f"offset {error.offset} in {len(octets)} octets") from error
        return None


@given(st.lists(extensions, max_size=20).map(tuple))
@QUICK
def test_extension_lists_come_back(given_extensions):
    assert decode_extensions(b"".join(each.push() for each in given_extensions)) == given_extensions


@given(messages)
@QUICK
def test_messages_come_back(message):
    octets = encode(message)
    assert decode(octets) == message
    assert encode(decode(octets)) == octets


@given(messages, st.randoms(use_true_random=False))
@QUICK
def test_mutated_messages_are_messages_or_decode_errors(message, chance: random.Random):
    octets = bytearray(encode(message))
    for _ in range(chance.randint(1, 4)):
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    cut = bytes(octets[: chance.randint(0, len(octets))])
    for each in (bytes(octets), cut):
        found = decoded(each)
        assert found is None or decode(encode(found)) == found


@given(st.sampled_from([1, 3, 4, 24, 25, 26, 27]), st.binary(max_size=200))
@QUICK
def test_any_octets(number, rest):
    decoded(bytes((number,)) + rest)


@given(registrations, sixteen, word, word)
@QUICK
def test_what_is_signed_is_genuine_when_received(message, key, home, careof):
    assert keys.genuine_home(decode(encode(keys.sign_home(message, 256, key))), key)
    assert keys.genuine_correspondent(decode(encode(keys.sign_correspondent(message, home, careof, key))), key)


def test_requests_are_read_and_written_by_the_thousand():
    """Some 50 us for all of it on the machine this was written on; the bound only catches another order of growth."""
    message = RegistrationRequest(
        lifetime=600,
        home_address=IPv4Address(1),
        home_agent=IPv4Address(2),
        careof_address=IPv4Address(3),
        identification=4,
        extensions=(RoCapability(True, True), MobileNetworkRequest(IPv4Address(5), 24), UdpTunnelRequest()),
    )
    octets = encode(keys.sign_home(message, 256, bytes(16)))
    start = time.perf_counter()
    for _ in range(500):
        assert keys.genuine_home(decode(octets), bytes(16))
        keys.sign_home(message, 256, bytes(16))
    assert (time.perf_counter() - start) / 500 < 0.002
