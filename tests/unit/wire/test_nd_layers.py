"""The checks' scapy layers and the agents' codec of Neighbor Discovery, written apart, mean the same (spec §6)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_nd_codec import addresses, messages

from agents.wire.nd import NeighborAdvertisement, Redirect, pull_nd, push_nd
from agents.wire.nd_auth import seal
from agents.wire.nd_options import (
    Auth,
    LinkLayerOption,
    Nonce,
    Observed,
    RedirectedHeader,
    RouteInformation,
    Token,
)
from captures.aero import layers

ONE, TWO = IPv6Address("fe80::2001:db8:1000:a000"), IPv6Address("fe80::2001:db8:1000:b000")
TOKEN = bytes(range(0x10, 0x20))
HEADER = bytes.fromhex("6000000000403a3f20010db81000a000000000000000001020010db81000b0000000000000000020")


def built(option):
    """One of the agents' options as a layer."""
    match option:
        case LinkLayerOption():
            names = ("encapsulation", "nat", "link_id", "preference", "port")
            fields = {name: getattr(option, name) for name in names}
            return layers.LinkLayerOption(type=1 + option.target, ip=str(option.ip), **fields)
        case Nonce():
            return layers.NonceOption(value=option.value)
        case RouteInformation():
            network, length = option.prefix.network_address.packed, option.prefix.prefixlen
            prefix = network[: 8 if length <= 64 else 16]
            return layers.RouteOption(prefix_length=length, lifetime=option.lifetime, prefix=prefix)
        case Token():
            return layers.TokenOption(key_id=option.key_id, value=option.value)
        case Auth():
            return layers.AuthOption(key_id=option.key_id, timestamp=option.timestamp, mac=option.mac)
        case Observed():
            seen = {"encapsulation": option.encapsulation, "port": option.port, "size": option.size}
            return layers.ObservedOption(ip=str(option.ip), **seen)
        case RedirectedHeader():
            return layers.RedirectedOption(packet=option.packet)


def read(option):
    """A layer as one of the agents' options."""
    match option:
        case layers.LinkLayerOption():
            last = option.link_id, option.preference, bool(option.nat)
            return LinkLayerOption(option.type == 2, option.encapsulation, IPv6Address(option.ip), option.port, *last)
        case layers.NonceOption():
            return Nonce(option.value)
        case layers.RouteOption():
            prefix = IPv6Network((option.prefix.ljust(16, b"\0"), option.prefix_length), strict=False)
            return RouteInformation(prefix, option.lifetime)
        case layers.TokenOption():
            return Token(option.key_id, option.value)
        case layers.AuthOption():
            return Auth(option.key_id, option.timestamp, option.mac)
        case layers.ObservedOption():
            return Observed(option.encapsulation, IPv6Address(option.ip), option.port, option.size)
        case layers.RedirectedOption():
            return RedirectedHeader(option.packet)


def message_of(octets):
    return (layers.RedirectMessage if octets[0] == 137 else layers.NeighborMessage)(octets)


def put_together(message, checksum):
    """One of the agents' messages as a layer."""
    fields = {"target": str(message.target), "options": [built(each) for each in message.options]}
    if isinstance(message, Redirect):
        ends = {"destination": str(message.destination), "predirect": message.predirect}
        return layers.RedirectMessage(checksum=checksum, **ends, **fields)
    if isinstance(message, NeighborAdvertisement):
        flags = {name: getattr(message, name) for name in ("router", "solicited", "override")}
        return layers.NeighborMessage(type=136, checksum=checksum, **flags, **fields)
    return layers.NeighborMessage(type=135, checksum=checksum, **fields)


@given(messages, addresses, addresses)
def test_what_the_codec_writes_is_what_the_layers_read(message, source, destination):
    octets = push_nd(message, source, destination)
    found = message_of(octets)
    assert [read(option) for option in found.options] == list(message.options)
    assert IPv6Address(found.target) == message.target
    assert bytes(found) == octets


@given(messages, addresses, addresses)
def test_what_the_layers_build_is_what_the_codec_reads(message, source, destination):
    octets = push_nd(message, source, destination)
    made = bytes(put_together(message, int.from_bytes(octets[2:4], "big")))
    assert made == octets
    assert pull_nd(made, source, destination) == message


@given(st.binary(max_size=120))
def test_random_options_are_read_and_written_as_they_are(octets):
    for kind, head in ((135, 24), (137, 40)):
        message = bytes((kind,)) + bytes(head - 1) + octets
        assert bytes(message_of(message)) == message


@given(st.sampled_from([1, 2, 4, 14, 24, 253]), st.integers(1, 5), st.binary(min_size=6, max_size=40))
def test_known_options_of_any_length(kind, units, octets):
    option = bytes((kind, units)) + (b"\xae\x60\2" if kind == 253 else b"") + octets
    message = bytes((136,)) + bytes(23) + option
    assert bytes(message_of(message)) == message


def test_the_sheets_predirect():
    octets = bytes.fromhex(
        "890082c480000000fe8000000000000020010db81000a000fe8000000000000020010db81000a000"
        "0203080001809c4100000000000000000000ffffc6336405180238000000012c20010db81000a000"
        "fd03ae6001000001101112131415161718191a1b1c1d1e1f0406000000000000"
    )
    where = layers.LinkLayerOption(type=2, nat=1, link_id=1, preference=128, port=40001, ip="::ffff:198.51.100.5")
    route = layers.RouteOption(prefix_length=56, lifetime=300, prefix=bytes.fromhex("20010db81000a000"))
    options = [where, route, layers.TokenOption(key_id=1, value=TOKEN), layers.RedirectedOption(packet=HEADER)]
    made = layers.RedirectMessage(checksum=0x82C4, predirect=1, target=str(ONE), destination=str(ONE), options=options)
    assert bytes(made) == octets + HEADER
    assert [type(option) for option in message_of(octets + HEADER).options] == [type(option) for option in options]


@pytest.mark.requirement("MOB-4")
def test_the_sheets_sealed_advertisement():
    """Spec §6.8: MAC and timestamp are where the layer says."""
    told = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.9"), 41000)
    found = {}
    for router in (True, False):  # the sheet leaves it open
        message = NeighborAdvertisement(ONE, router=router, override=True, options=(told,))
        octets = push_nd(seal(message, ONE, TWO, 1, TOKEN, 1_700_000_000 << 16), ONE, TWO)
        assert 40 + len(octets) == 120
        auth = message_of(octets).options[-1]
        assert isinstance(auth, layers.AuthOption)
        found[auth.mac.hex()] = auth, octets[2:4].hex()
    auth, checksum = found["719b5a0ac068db982c30548328961311"]
    assert (auth.key_id, auth.algorithm, auth.timestamp / 65536, checksum) == (1, 1, 1_700_000_000.0, "3d1d")
