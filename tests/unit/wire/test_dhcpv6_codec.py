"""DHCPv6 for prefix delegation: vectors, round trips, bad input (spec AERO §6.9, §11)."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp6 import DHCP6_RelayForward, DHCP6_Solicit, DHCP6OptIA_PD, DHCP6OptRelayMsg

from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import (
    Auth,
    ClientId,
    ClientLinkLayer,
    ElapsedTime,
    IaPd,
    IaPrefix,
    InterfaceId,
    Option,
    OptionRequest,
    RapidCommit,
    RelayMessage,
    RelayPort,
    RelaySupplied,
    ServerId,
    StatusCode,
    Unknown,
    push_options,
)
from agents.wire.errors import DecodeError

SEEN = ClientLinkLayer(IPv6Address("::ffff:198.51.100.5"), 40001)
SOLICIT = Message(
    MessageType.SOLICIT,
    0xABCDEF,
    (
        ClientId(bytes.fromhex("00030001020000000099")),
        ElapsedTime(0),
        RapidCommit(),
        IaPd(1, options=(IaPrefix(IPv6Network("2001:db8:1000:9900::/56")),)),
        OptionRequest((79, 82)),
    ),
)


def test_link_layer_address_vector():
    octets = "004f001401009c4100000000000000000000ffffc6336405"
    assert push_options((SEEN,)).hex() == octets
    assert push_options((RelaySupplied((SEEN,)),)).hex() == "00420018" + octets


def test_solicit_is_what_an_independent_decoder_reads():
    read = DHCP6_Solicit(push_dhcpv6(SOLICIT))
    assert read.trid == 0xABCDEF
    delegated = read[DHCP6OptIA_PD]
    assert delegated.iaid == 1
    assert delegated.iapdopt[0].prefix == "2001:db8:1000:9900::"
    assert delegated.iapdopt[0].plen == 56


def test_relay_forward_is_what_an_independent_decoder_reads():
    options = (InterfaceId(bytes(28)), RelaySupplied((SEEN,)), RelayPort(), RelayMessage(push_dhcpv6(SOLICIT)))
    peer = IPv6Address("fe80::ffff:ffff:ffff:ffff")
    message = RelayedMessage(MessageType.RELAY_FORWARD, 0, IPv6Address("::"), peer, options)
    octets = push_dhcpv6(message)
    read = DHCP6_RelayForward(octets)
    assert (read.hopcount, read.linkaddr, IPv6Address(read.peeraddr)) == (0, "::", peer)
    assert bytes(read[DHCP6OptRelayMsg].message) == push_dhcpv6(SOLICIT)
    assert pull_dhcpv6(octets) == message


uint8, uint16, uint32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
addresses = st.ip_addresses(v=6)
networks = st.builds(lambda a, n: IPv6Network((int(a), n), strict=False), addresses, st.integers(0, 128))
octets = st.binary(max_size=40)
leaves = st.one_of(
    st.builds(ClientId, octets),
    st.builds(ServerId, octets),
    st.builds(OptionRequest, st.lists(uint16, max_size=4).map(tuple)),
    st.builds(ElapsedTime, uint16),
    st.builds(RelayMessage, octets),
    st.builds(Auth, st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16)),
    st.builds(StatusCode, uint16, st.text(max_size=8)),
    st.just(RapidCommit()),
    st.builds(InterfaceId, octets),
    st.builds(ClientLinkLayer, addresses, uint16),
    st.builds(RelayPort, uint16),
    st.builds(Unknown, st.integers(200, 65535), octets),
)


unknown = st.builds(Unknown, st.integers(200, 65535), octets)
status = st.builds(StatusCode, uint16, st.text(max_size=8))


def several(*kinds: st.SearchStrategy[Option]) -> st.SearchStrategy[tuple[Option, ...]]:
    return st.lists(st.one_of(*kinds), max_size=3).map(tuple)


prefixes = st.builds(IaPrefix, networks, uint32, uint32, several(status, unknown))
delegations = st.builds(IaPd, uint32, uint32, uint32, several(prefixes, status, unknown))
supplied = st.builds(RelaySupplied, several(st.builds(ClientLinkLayer, addresses, uint16), unknown))
options = st.lists(st.one_of(leaves, delegations, supplied), max_size=5).map(tuple)
messages = st.one_of(
    st.builds(Message, st.sampled_from([1, 2, 3, 5, 6, 7, 8, 9]), st.integers(0, 2**24 - 1), options),
    st.builds(RelayedMessage, st.sampled_from([12, 13]), uint8, addresses, addresses, options),
)


@given(messages)
def test_round_trip(message):
    assert pull_dhcpv6(push_dhcpv6(message)) == message


@given(st.binary(max_size=200))
def test_what_can_be_read_is_written_the_same(data):
    with contextlib.suppress(DecodeError):
        assert push_dhcpv6(pull_dhcpv6(data)) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "message type"),
        ("01abcd", "transaction id"),
        ("0c00" + "00" * 31, "peer address"),
        ("01abcdef0001", "option length"),
        ("01abcdef0001000affff", "option 1 of 10 octets, 2 left"),
        ("01abcdef0019000400000001", "T1"),
        ("01abcdef00190029" + "00" * 12 + "001a0019" + "00" * 8 + "81" + "00" * 16, "length 129"),
        ("01abcdef000d000100", "status code"),
        ("01abcdef00420003004f00", "option length"),
    ],
)
def test_bad_input(data, reason):
    with pytest.raises(DecodeError, match=reason):
        pull_dhcpv6(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["0100" + "0000" + "00" * 15, "0001" + "9c41" + "00" * 16])
def test_link_layer_address_of_others_is_kept_as_it_is(data):
    message = Message(MessageType.REPLY, 1, (Unknown(79, bytes.fromhex(data)),))
    assert pull_dhcpv6(push_dhcpv6(message)) == message


def test_options_nested_without_end_are_kept_unread():
    data = b""
    for _level in range(3000):
        data = (66).to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
    message = pull_dhcpv6(b"\x01abc" + data)
    assert push_dhcpv6(message) == b"\x01abc" + data
