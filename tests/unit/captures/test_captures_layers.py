"""The scapy layers against the sheet's hex vectors (spec §2.4), and what is malformed."""

from ipaddress import IPv6Address, IPv6Network

import pytest
import synthetic_mh as mh
import synthetic_wire as wire

from captures import layers as L
from captures import mobility
from captures.records import IpLayer, Packet, eui64

D1, D2, CMD = "2001:db8:c:1::2", "2001:db8:c:2::2", "2001:db8:c:9::2"
A, B, LOCAL = "2001:db8:a1:1::/64", "2001:db8:b2:1::/64", "2001:db8:a1:ffff::/64"
HI, ATT = L.OctetOption(otype=23, value=3), L.OctetOption(otype=24, value=3)
BASE = [mh.mn_id("mn1@dmm.example"), mh.prefix_option(22, A), HI, ATT]
BASE_B = [mh.mn_id("mn1@dmm.example"), mh.prefix_option(22, B), HI, ATT]
LLID, STAMP = mh.link_layer(25, "02:00:00:00:00:11"), mh.timestamp(1760000000.5)
DLIF = [mh.address_option(69, "fe80::211:22ff:fe33:101"), mh.link_layer(70, "00:11:22:33:01:01")]
AT = {"sequence": 0x0101}

VECTORS = {
    "direct PBU": (
        D2, D1, mh.pbu(D2, D1, [*BASE, LLID, STAMP, mh.prefix_option(65, B)], **AT), 104, 0xBE76,
        "3b0c0500be7601018210004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040"
        "20010db800a1000100000000000000001702000318020003190800000200000000111b08000068e7"
        "780080004112004020010db800b200010000000000000000",
    ),
    "direct PBA": (
        D1, D2,
        mh.pba(D1, D2, [*BASE, LLID, STAMP, mh.prefix_option(65, A), mh.prefix_option(66, LOCAL), *DLIF], **AT),
        168, 0xFA53,
        "3b140600fa5300220101004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040"
        "20010db800a1000100000000000000001702000318020003190800000200000000111b08000068e7"
        "780080004112004020010db800a100010000000000000000010200004212004020010db800a1ffff"
        "00000000000000000104000000004510fe80000000000000021122fffe3301014608000000112233"
        "0101010400000000",
    ),
    "relayed PBU": (
        CMD, D1,
        mh.pbu(CMD, D1, [*BASE, STAMP, mh.prefix_option(65, B), mh.address_option(68, D2)], **AT), 120, 0x6599,
        "3b0e0500659901018210004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040"
        "20010db800a10001000000000000000017020003180200030100" "1b08000068e778008000"
        "4112004020010db800b200010000000000000000" "010400000000" "441020010db8000c00020000000000000002",
    ),
    "aggregated PBA": (
        CMD, D2,
        mh.pba(CMD, D2, [*BASE_B, STAMP, mh.previous_maar(D1, A), *DLIF, mh.prefix_option(66, LOCAL)], **AT),
        168, 0xE581,
        "3b140600e58100220101004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040"
        "20010db800b20001000000000000000017020003180200030100" "1b08000068e778008000"
        "4322004020010db8000c0001000000000000000220010db800a100010000000000000000" "010400000000"
        "4510fe80000000000000021122fffe330101" "46080000001122330101" "0100"
        "4212004020010db800a1ffff0000000000000000",
    ),
}  # fmt: skip


def read(source, destination, octets):
    ip = IpLayer(IPv6Address(source), IPv6Address(destination), 135, 64, len(octets))
    packet = Packet("x", 1, 0.0, 0, "02:00:00:00:00:01", "02:00:00:00:00:02", 0x86DD, (ip,), 135)
    frame = wire.ether("02:00:00:00:00:01", "02:00:00:00:00:02", wire.ipv6(source, destination, 135, octets))
    return mobility.read(packet, frame)


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_are_built_and_summed_exactly(name):
    source, destination, octets, size, checksum, flat = VECTORS[name]
    assert octets.hex() == flat
    assert len(octets) == size
    assert L.checksum(IPv6Address(source).packed, IPv6Address(destination).packed, octets) == checksum


def test_direct_pba_is_read():
    message = read(*VECTORS["direct PBA"][:3])
    assert (message.kind, message.sequence, message.status, message.lifetime_seconds) == (
        "PBA",
        0x101,
        0,
        300,
    )
    assert (message.proxy, message.distributed, message.checksum_valid) == (True, True, True)
    assert message.mn_id == "mn1@dmm.example"
    assert message.prefixes == message.anchored == (IPv6Network(A),)
    assert message.local_prefixes == (IPv6Network(LOCAL),)
    assert (message.handoff, message.access_type, message.timestamp) == (3, 3, 1760000000.5)
    assert message.link_layer_id == "02:00:00:00:00:11"
    assert message.dlif.mac == "00:11:22:33:01:01"
    assert message.dlif.link_local == eui64("00:11:22:33:01:01") == IPv6Address("fe80::211:22ff:fe33:101")
    assert message.options == (8, 22, 23, 24, 25, 27, 65, 66, 69, 70)


def test_options_after_a_previous_maar_belong_to_its_group():
    message = read(*VECTORS["aggregated PBA"][:3])
    assert message.dlif is None
    assert message.local_prefixes == ()
    (group,) = message.anchors
    assert (group.address, group.prefix) == (IPv6Address(D1), IPv6Network(A))
    assert group.dlif.mac == "00:11:22:33:01:01"
    assert group.local_prefixes == (IPv6Network(LOCAL),)


def test_serving_maar_and_flags_of_a_relayed_pbu():
    message = read(*VECTORS["relayed PBU"][:3])
    assert (message.kind, message.acknowledge, message.flags) == ("PBU", True, 0x8210)
    assert message.serving == IPv6Address(D2)
    assert message.anchored == (IPv6Network(B),)


def test_a_wrong_checksum_is_seen():
    octets = mh.pbu(D2, D1, BASE, checksum=0x1234)
    assert read(D2, D1, octets).checksum_valid is False


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x3b\x05\x05\x00\0\0" + bytes(10), "Header Len says 48 octets, 16 present"),
        (b"\x3b\x01\x05\x00\0\0\0\1\x82\x10\0\0\x16\x12\0\x40", "an option overruns the message"),
        (b"\x3b\x01\x05\x00\0\0\0\1\x82\x10\0\0\x17\x01\0\0", "option 23 has length 1"),
        (b"\x3b\0\5", "3 octets are no Mobility Header"),
    ],
)
def test_malformed_messages_are_named_not_raised(octets, text):
    assert read(D2, D1, octets).malformed == text


def test_other_types_are_named():
    assert read(D2, D1, b"\x3b\x02\x07\0\0\0\2\0" + bytes(16)).kind == "BE"
    assert read(D2, D1, b"\x3b\x00\x00\0\0\0\0\0").kind == "BRR"
    assert read(D2, D1, b"\x3b\x00\x10\0\0\0\0\0").kind == "MH16"
