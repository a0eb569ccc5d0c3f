"""The sheet's vectors K4-K13 byte for byte in both directions (spec HAARO §2, §3.6)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from haaro_vectors import (
    CAREOF_TOKEN,
    COA_A,
    COA_C,
    HA,
    HOA_C,
    HOME_TOKEN,
    IDENTIFICATION,
    K6,
    K7,
    K8,
    K8_AUTH,
    K9,
    K9_AUTH,
    K10,
    K10_AUTH,
    K11,
    K11_AUTH,
    K11_OWNERS,
)

from agents.haaro.compression import encode_advertisement
from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mip4 import TUNNEL_IP, decode, encode
from agents.wire.mip4_codes import Code, NetworkCode, RequestFlag
from agents.wire.mip4_extension_bases import MalformedExtension, UnknownExtension
from agents.wire.mip4_extension_lists import decode_extensions
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

NETWORK = IPv4Address("10.10.3.0")
SAME = {"home_address": HOA_C, "home_agent": HA, "identification": IDENTIFICATION}
REQUEST_TO_PEER = RegistrationRequest(
    **SAME,
    lifetime=120,
    careof_address=COA_C,
    extensions=(MobileNetworkRequest(NETWORK, 24), UdpTunnelRequest(force=True)),
    auth=MobileCorrespondentAuth(5, 6, K7[8:]),
)
REPLY_OF_PEER = RegistrationReply(
    **SAME,
    lifetime=120,
    code=0,
    extensions=(
        MobileNetworkAck(NETWORK, 24, NetworkCode.OK),
        UdpTunnelReply(0, forced=True, keepalive=2),
        CareofAddresses((COA_A,)),
    ),
    auth=MobileCorrespondentAuth(5, 6, K8_AUTH[8:]),
)
DEREGISTRATION = RegistrationRequest(
    **(SAME | {"identification": 0xE800003C9ABCDEF0}),
    lifetime=0,
    careof_address=COA_C,
    auth=MobileCorrespondentAuth(5, 0, K9_AUTH[8:]),
)
REQUEST_TO_HA = RegistrationRequest(
    **SAME,
    lifetime=600,
    careof_address=COA_C,
    extensions=(RoCapability(advertise=True, receive=True), MobileNetworkRequest(NETWORK, 24), UdpTunnelRequest()),
    auth=MobileHomeAuth(256, K10_AUTH[6:]),
)
REPLY_OF_HA = RegistrationReply(
    **SAME,
    lifetime=600,
    code=0,
    extensions=(
        MobileNetworkAck(NETWORK, 24),
        UdpTunnelReply(64),
        RoReply(),
        PrefixAdvertisement(encode_advertisement(K11_OWNERS)),
    ),
    auth=MobileHomeAuth(256, K11_AUTH[6:]),
)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        pytest.param(K6 + K7, REQUEST_TO_PEER, id="K6+K7"),
        pytest.param(K8 + K8_AUTH, REPLY_OF_PEER, id="K8"),
        pytest.param(K9 + K9_AUTH, DEREGISTRATION, id="K9"),
        pytest.param(K10 + K10_AUTH, REQUEST_TO_HA, id="K10"),
        pytest.param(K11 + K11_AUTH, REPLY_OF_HA, id="K11"),
        pytest.param(bytes.fromhex("18001111111111111111"), HomeTestInit(b"\x11" * 8), id="K4 HoTI"),
        pytest.param(
            bytes.fromhex("1a0000051111111111111111") + HOME_TOKEN, HomeTest(5, b"\x11" * 8, HOME_TOKEN), id="K4 HoT"
        ),
        pytest.param(bytes.fromhex("19002222222222222222"), CareofTestInit(b"\x22" * 8), id="K5 CoTI"),
        pytest.param(
            bytes.fromhex("1b0000062222222222222222") + CAREOF_TOKEN,
            CareofTest(6, b"\x22" * 8, CAREOF_TOKEN),
            id="K5 CoT",
        ),
        pytest.param(TUNNEL_IP + b"\x45", TunnelData(b"\x45"), id="tunnel data"),
    ],
)
@pytest.mark.requirement("TUN-3")
def test_message(octets, message):
    assert encode(message) == octets
    assert decode(octets) == message
    assert encode(decode(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "extension"),
    [
        ("990201c0", RoCapability(advertise=True, receive=True)),
        ("99020190", RoCapability(advertise=True, outbound_only=True)),
        ("990601e0cb00710d", RoCapability(advertise=True, receive=True, solicited=HOA_C)),
        ("31020100", RoReply()),
        ("31020140", RoReply(nat=True)),
        ("310201c0", RoReply(outbound_only=True, nat=True)),
        ("31020120", RoReply(solicited=True)),
        ("31020110", RoReply(16)),
        ("94080202180 00a0a0300".replace(" ", ""), ImplicitNetworkAck(NETWORK, 24, NetworkCode.UNAUTHORIZED)),
        ("310a0300c633640ac6336482", CareofAddresses((COA_A, COA_C))),
    ],
)
@pytest.mark.requirement("MR-2", "HA-4")
def test_extension(octets, extension):
    assert extension.push() == bytes.fromhex(octets)
    assert decode_extensions(bytes.fromhex(octets)) == (extension,)


def test_bits_that_are_reserved_are_ignored_but_those_of_a_udp_request_are_kept():
    assert decode_extensions(bytes.fromhex("990201ff cb00710d".replace(" ", "")[:8])) != ()
    assert decode_extensions(bytes.fromhex("990201cf")) == (RoCapability(advertise=True, receive=True),)
    assert decode_extensions(bytes.fromhex("2c0600407fff0000")) == (UdpTunnelReply(64),)
    assert decode_extensions(bytes.fromhex("90060000ff040001")) == (UdpTunnelRequest(True, 4, True, reserved=1),)
    everything = decode(b"\x01\xff" + K6[2:])
    assert everything.flags & RequestFlag.COLOCATED
    assert everything.flags & RequestFlag.RESERVED_X


@pytest.mark.requirement("ERR-2")
def test_padding_and_skippable_extensions_are_stepped_over():
    octets = K6[:24] + b"\0\0" + bytes.fromhex("c803abcdef") + b"\0" + K6[24:] + bytes.fromhex("94020901") + K7
    message = decode(octets)
    assert message.extensions == (
        UnknownExtension(200, b"\xab\xcd\xef"),
        *REQUEST_TO_PEER.extensions,
        UnknownExtension(148, b"\x09\x01"),
    )
    assert message.prior == octets[:-24]
    assert message.auth == REQUEST_TO_PEER.auth


@pytest.mark.parametrize("octets", ["2101ff", "31020400", "32090000", "2c020900", "7f00"])
@pytest.mark.requirement("ERR-2")
def test_what_may_not_be_skipped_makes_the_message_unreadable(octets):
    with pytest.raises(DecodeError) as caught:
        decode(K6[:24] + bytes.fromhex(octets) + K7)
    assert caught.value.kind is DecodeErrorKind.UNKNOWN_EXTENSION
    assert caught.value.offset == 24


@pytest.mark.requirement("ERR-2")
def test_what_follows_the_authorising_extension_does_not_count():
    for rest in (b"\xff", b"\x7f\x01\x00", b"\x99\x02\x01\x10", b"\x20\x14\0"):
        message = decode(K6 + K7 + rest)
        assert message == REQUEST_TO_PEER
        assert message.prior == K6
        assert not message.surplus


@pytest.mark.requirement("ERR-15", "ERR-26")
def test_further_authorising_extensions_are_seen():
    assert decode(K6 + K7 + K7).surplus == (REQUEST_TO_PEER.auth,)
    both = decode(K10 + K10_AUTH + K7)
    assert isinstance(both.auth, MobileHomeAuth)
    assert both.between_peers
    assert not decode(K10 + K10_AUTH).between_peers


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        ("990201a0", RoCapability),
        ("990501c0cb0071", RoCapability),
        ("9005000080040000"[:14], UdpTunnelRequest),
        ("94070018 0a0a030000".replace(" ", ""), MobileNetworkRequest),
        ("9407010018000a0a03", MobileNetworkAck),
        ("31020300", CareofAddresses),
        ("31050300c63364", CareofAddresses),
        ("3103010000", RoReply),
    ],
)
@pytest.mark.requirement("ERR-3", "ERR-14")
def test_a_known_extension_of_a_wrong_length_is_kept_for_the_answer(octets, kind):
    message = decode(K6[:24] + bytes.fromhex(octets) + K7)
    assert message.malformed == (MalformedExtension(kind, bytes.fromhex(octets)),)
    assert encode(message) == K6[:24] + bytes.fromhex(octets) + K7


@pytest.mark.requirement("ERR-14")
def test_an_address_without_the_bit_that_asks_for_it_is_ignored():
    assert decode_extensions(bytes.fromhex("990601c0cb00710d")) == (RoCapability(advertise=True, receive=True),)


@pytest.mark.parametrize("length", [0, 33, 255])
@pytest.mark.requirement("HA-3")
def test_bad_prefix_lengths_are_seen(length):
    (request,) = decode_extensions(bytes((148, 6, 0, length)) + NETWORK.packed)
    assert request.bad_length
    with pytest.raises(ValueError, match="prefix length"):
        _ = request.network


def test_bits_beyond_a_prefix_are_cleared():
    assert str(MobileNetworkRequest(IPv4Address("10.10.3.7"), 24).network) == "10.10.3.0/24"


@pytest.mark.parametrize("octets", [K6, K8, K11[:20], bytes.fromhex("1800" + "11" * 8), bytes.fromhex("04040000")])
@pytest.mark.requirement("ERR-3")
def test_truncated_fixed_parts(octets):
    fixed = {1: 24, 3: 20, 24: 10, 4: 4}[octets[0]]
    for length in range(1, fixed):
        with pytest.raises(DecodeError) as caught:
            decode(octets[:length])
        assert caught.value.kind is DecodeErrorKind.TRUNCATED


@pytest.mark.requirement("ERR-3")
def test_truncated_extensions():
    whole = {24, 32, 40}
    for length in range(25, len(K6)):
        if length in whole:
            assert decode(K6[:length]).auth is None
        else:
            with pytest.raises(DecodeError) as caught:
                decode(K6[:length])
            assert caught.value.kind is DecodeErrorKind.OPTION_OVERRUN


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x02" + bytes(30), b"\x1c" + bytes(30)])
def test_other_datagrams_are_no_messages(octets):
    with pytest.raises(DecodeError):
        decode(octets)


def test_octets_beyond_a_test_message_are_ignored():
    assert decode(bytes.fromhex("18001111111111111111") + b"more") == HomeTestInit(b"\x11" * 8)


def test_values_that_do_not_fit_are_the_callers_mistake():
    with pytest.raises(ValueError, match="8 are needed"):
        encode(HomeTestInit(b"short"))
    with pytest.raises(ValueError, match="5 bits"):
        RoReply(32).push()
    with pytest.raises(ValueError, match="0 care-of addresses"):
        CareofAddresses(()).push()
    with pytest.raises(ValueError, match="H"):
        encode(RegistrationReply(**SAME, code=0, lifetime=70000))


def test_codes_of_correspondents_are_no_success():
    assert not RegistrationReply(**SAME, code=Code.CONCURRENT, lifetime=1).accepted
    assert REPLY_OF_HA.accepted
