"""Spec DGW §2.4's worked examples byte for byte in both directions; alignment and padding of §2.2, §2.3."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from agents.wire.mobility import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    checksum,
    encoded_length,
    pull_mobility,
    push_mobility,
)
from agents.wire.mobility_codes import (
    PBA_FLAGS,
    PBU_FLAGS,
    AccessType,
    AckFlag,
    BindingErrorStatus,
    DFlagProfile,
    Handoff,
    Status,
    UpdateFlag,
    push_ack_flags,
    push_update_flags,
)
from agents.wire.mobility_lists import in_send_order
from agents.wire.mobility_messages import lifetime_units
from agents.wire.mobility_options import (
    AccessTechnology,
    AlternateCareOfAddress,
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    LinkLocalAddress,
    LocalPrefix,
    MobileNodeIdentifier,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

DGW1 = IPv6Address("2001:db8:c:1::2")
DGW2 = IPv6Address("2001:db8:c:2::2")
CMD = IPv6Address("2001:db8:c:9::2")
PREF_A = IPv6Network("2001:db8:a1:1::/64")
PREF_B = IPv6Network("2001:db8:b2:1::/64")
LOCALNET = IPv6Network("2001:db8:a1:ffff::/64")

MN1 = MobileNodeIdentifier.of("mn1@dmm.example")
MN1_LL = LinkLayerIdentifier(bytes.fromhex("020000000011"))
HANDOFF = HandoffIndicator(Handoff.SAME_INTERFACE)
ATT = AccessTechnology(AccessType.ETHERNET)
SENT = Timestamp.from_seconds(1760000000.5)
DLIF_LL = DlifLinkLocal(IPv6Address("fe80::211:22ff:fe33:101"))
DLIF_MAC = DlifLinkLayer(bytes.fromhex("001122330101"))
LOCAL = LocalPrefix.of(LOCALNET)


def update(*options):
    return BindingUpdate(sequence=0x0101, flags=PBU_FLAGS, lifetime_units=75, options=options)


def ack(*options):
    return BindingAck(status=Status.ACCEPTED, flags=PBA_FLAGS, sequence=0x0101, lifetime_units=75, options=options)


PBU_DIRECT = update(MN1, HomeNetworkPrefix.of(PREF_A), HANDOFF, ATT, MN1_LL, SENT, AnchoredPrefix.of(PREF_B))
PBU_DIRECT_HEX = """
3b0c0500be7601018210004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040
20010db800a1000100000000000000001702000318020003190800000200000000111b08000068e7
780080004112004020010db800b200010000000000000000"""

PBA_DIRECT = ack(
    MN1,
    HomeNetworkPrefix.of(PREF_A),
    HANDOFF,
    ATT,
    MN1_LL,
    SENT,
    AnchoredPrefix.of(PREF_A),
    LOCAL,
    DLIF_LL,
    DLIF_MAC,
)
PBA_DIRECT_HEX = """
3b140600fa5300220101004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040
20010db800a1000100000000000000001702000318020003190800000200000000111b08000068e7
780080004112004020010db800a100010000000000000000010200004212004020010db800a1ffff
00000000000000000104000000004510fe80000000000000021122fffe3301014608000000112233
0101010400000000"""

PBU_RELAYED = update(
    MN1, HomeNetworkPrefix.of(PREF_A), HANDOFF, ATT, SENT, AnchoredPrefix.of(PREF_B), ServingMaar(DGW2)
)
PBU_RELAYED_HEX = """
3b0e0500659901018210004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040
20010db800a10001000000000000000017020003180200030100 1b08000068e778008000
4112004020010db800b200010000000000000000 010400000000 441020010db8000c00020000000000000002"""

PBA_AGGREGATED = ack(
    MN1,
    HomeNetworkPrefix.of(PREF_B),
    HANDOFF,
    ATT,
    SENT,
    PreviousMaar.of(DGW1, PREF_A),
    DLIF_LL,
    DLIF_MAC,
    LOCAL,
)
PBA_AGGREGATED_HEX = """
3b140600e58100220101004b0810016d6e3140646d6d2e6578616d706c6501040000000016120040
20010db800b20001000000000000000017020003180200030100 1b08000068e778008000
4322004020010db8000c0001000000000000000220010db800a100010000000000000000 010400000000
4510fe80000000000000021122fffe330101 46080000001122330101 0100 4212004020010db800a1ffff0000000000000000"""

VECTORS = [
    pytest.param(PBU_DIRECT, DGW2, DGW1, PBU_DIRECT_HEX, 104, 0xBE76, id="pbu-direct"),
    pytest.param(PBA_DIRECT, DGW1, DGW2, PBA_DIRECT_HEX, 168, 0xFA53, id="pba-direct"),
    pytest.param(PBU_RELAYED, CMD, DGW1, PBU_RELAYED_HEX, 120, 0x6599, id="pbu-relayed"),
    pytest.param(PBA_AGGREGATED, CMD, DGW2, PBA_AGGREGATED_HEX, 168, 0xE581, id="pba-aggregated"),
]


@pytest.mark.parametrize(("message", "source", "destination", "text", "length", "sum_"), VECTORS)
def test_vector_of_2_4(message, source, destination, text, length, sum_):
    octets = bytes.fromhex(text)
    assert len(octets) == length == encoded_length(message)
    assert push_mobility(message, source, destination) == octets
    assert pull_mobility(octets, source, destination) == message
    assert int.from_bytes(octets[4:6], "big") == sum_
    assert checksum(source, destination, octets[:4] + b"\0\0" + octets[6:]) == sum_
    assert checksum(source, destination, octets) == 0
    assert in_send_order(message.options) == message.options


ADDRESS = IPv6Address("2001:db8::1")
# (option, its offset when it comes first in a PBU, its offset behind MN1, which takes octets 12..29)
ALIGNMENTS = [
    (AlternateCareOfAddress(ADDRESS), 14, 30),
    (MobileNodeIdentifier(b"x"), 12, 30),
    (HomeNetworkPrefix.of(PREF_A), 12, 36),
    (HandoffIndicator(1), 12, 30),
    (AccessTechnology(3), 12, 30),
    (MN1_LL, 12, 30),
    (LinkLayerIdentifier(bytes(8)), 12, 36),
    (LinkLocalAddress(ADDRESS), 14, 30),
    (SENT, 18, 34),
    (AnchoredPrefix.of(PREF_A), 12, 36),
    (LOCAL, 12, 36),
    (PreviousMaar.of(ADDRESS, PREF_A), 12, 36),
    (ServingMaar(ADDRESS), 14, 30),
    (DLIF_LL, 14, 30),
    (DLIF_MAC, 12, 30),
    (DlifLinkLayer(bytes(8)), 12, 36),
    (UnknownOption(200, b"abc"), 12, 30),
]


def starts(octets, offset):
    """Offsets of all options, padding excluded, read without the codec."""
    found = []
    while offset < len(octets):
        if octets[offset] == 0:
            offset += 1
            continue
        if octets[offset] != 1:
            found.append(offset)
        offset += 2 + octets[offset + 1]
    return found


@pytest.mark.parametrize(("option", "alone", "behind"), ALIGNMENTS)
def test_alignment_of_2_2(option, alone, behind):
    octets = push_mobility(update(option), DGW1, DGW2)
    assert starts(octets, 12) == [alone]
    assert len(octets) % 8 == 0
    assert starts(push_mobility(update(MN1, option), DGW1, DGW2), 12) == [12, behind]


def test_odd_offset_gets_one_pad1_or_one_padn():
    odd = UnknownOption(200, b"abc")  # 12..16
    octets = push_mobility(update(odd, MN1_LL), DGW1, DGW2)
    assert octets[17:20] == bytes((0, 25, 8))
    octets = push_mobility(update(odd, LOCAL), DGW1, DGW2)
    assert octets[17:20] == bytes((1, 1, 0))
    assert octets[20] == 66


@pytest.mark.parametrize(
    ("message", "octets"),
    [
        (update(), "3b010500 0000 0101 8210 004b 0102 0000"),
        (ack(), "3b010600 0000 0022 0101 004b 0102 0000"),
        (BindingRefreshRequest(), "3b000000 0000 0000"),
        (
            BindingError(status=BindingErrorStatus.UNKNOWN_MH_TYPE),
            "3b020700 0000 0200" + "00" * 16,
        ),
        (
            BindingError(status=1, home_address=ADDRESS, options=(HANDOFF,)),
            "3b030700 0000 0100 20010db8000000000000000000000001 17020003 0102 0000",
        ),
    ],
)
def test_smallest_messages(message, octets):
    wanted = bytes.fromhex(octets)
    got = push_mobility(message, DGW1, DGW2)
    assert got[:4] + b"\0\0" + got[6:] == wanted
    assert pull_mobility(got, DGW1, DGW2) == message


PROFILES = [
    (DFlagProfile.RFC8885, 0x8210, 0x22),
    (DFlagProfile.DRAFT03, 0x8300, 0x30),
]


@pytest.mark.parametrize(("profile", "word", "octet"), PROFILES)
def test_amb_5_d_flag_profiles(profile, word, octet):
    pbu = push_mobility(update(), DGW1, DGW2, profile=profile)
    pba = push_mobility(ack(), DGW1, DGW2, profile=profile)
    assert int.from_bytes(pbu[8:10], "big") == word
    assert pba[7] == octet
    assert pull_mobility(pbu, DGW1, DGW2, profile=profile).flags == PBU_FLAGS
    assert pull_mobility(pba, DGW1, DGW2, profile=profile).flags == PBA_FLAGS


def test_amb_5_a_draft_peer_is_not_understood_under_the_other_profile():
    pbu = push_mobility(update(), DGW1, DGW2, profile=DFlagProfile.DRAFT03)
    flags = pull_mobility(pbu, DGW1, DGW2).flags
    assert flags == UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY | UpdateFlag.FORCE_UDP
    pba = push_mobility(ack(), DGW1, DGW2)
    assert pull_mobility(pba, DGW1, DGW2, profile=DFlagProfile.DRAFT03).flags == AckFlag.PROXY


@pytest.mark.parametrize("profile", DFlagProfile)
def test_amb_5_both_d_positions_are_never_sent(profile):
    both = BindingUpdate(sequence=1, flags=PBU_FLAGS | UpdateFlag.FORCE_UDP, lifetime_units=1)
    with pytest.raises(ValueError, match="draft-03"):
        push_mobility(both, DGW1, DGW2, profile=profile)
    both_acked = BindingAck(status=0, flags=PBA_FLAGS | AckFlag.TLV_HEADER, sequence=1, lifetime_units=1)
    with pytest.raises(ValueError, match="draft-03"):
        push_mobility(both_acked, DGW1, DGW2, profile=profile)


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        (UpdateFlag.ACKNOWLEDGE, 0x8000),
        (UpdateFlag.HOME_REGISTRATION, 0x4000),
        (UpdateFlag.LINK_LOCAL_COMPATIBILITY, 0x2000),
        (UpdateFlag.KEY_MANAGEMENT, 0x1000),
        (UpdateFlag.MAP_REGISTRATION, 0x0800),
        (UpdateFlag.MOBILE_ROUTER, 0x0400),
        (UpdateFlag.PROXY, 0x0200),
        (UpdateFlag.FORCE_UDP, 0x0100),
        (UpdateFlag.TLV_HEADER, 0x0080),
        (UpdateFlag.BULK, 0x0040),
        (UpdateFlag.MULTICAST_SIGNALING, 0x0020),
        (UpdateFlag.DISTRIBUTED, 0x0010),
    ],
)
def test_every_update_flag_has_its_bit_of_2_1(flag, word):
    octets = push_mobility(BindingUpdate(sequence=1, flags=flag, lifetime_units=1), DGW1, DGW2)
    assert int.from_bytes(octets[8:10], "big") == word
    assert pull_mobility(octets, DGW1, DGW2).flags == flag


@pytest.mark.parametrize(
    ("flag", "octet"),
    [
        (AckFlag.KEY_MANAGEMENT, 0x80),
        (AckFlag.MOBILE_ROUTER, 0x40),
        (AckFlag.PROXY, 0x20),
        (AckFlag.TLV_HEADER, 0x10),
        (AckFlag.BULK, 0x08),
        (AckFlag.MULTICAST_SIGNALING, 0x04),
        (AckFlag.DISTRIBUTED, 0x02),
    ],
)
def test_every_ack_flag_has_its_bit_of_2_1(flag, octet):
    octets = push_mobility(BindingAck(status=0, flags=flag, sequence=1, lifetime_units=1), DGW1, DGW2)
    assert octets[7] == octet
    assert pull_mobility(octets, DGW1, DGW2).flags == flag


def test_lifetime_is_in_units_of_4_seconds():
    assert update().lifetime_seconds == 300
    rows = [
        (0, 0),
        (0.5, 1),
        (4, 1),
        (7.9, 1),
        (300, 75),
        (262140, 65535),
        (1e12, 65535),
        (float("inf"), 65535),
    ]
    assert [lifetime_units(seconds) for seconds, _ in rows] == [units for _, units in rows]
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="lifetime"):
            lifetime_units(bad)


@pytest.mark.parametrize(("status", "accepted"), [(0, True), (1, True), (127, True), (128, False), (255, False)])
def test_statuses_below_128_accept(status, accepted):
    assert BindingAck(status=status, flags=PBA_FLAGS, sequence=9, lifetime_units=0).accepted is accepted


def test_amb_5_a_draft_peer_would_read_f_and_t_as_d():
    draft = DFlagProfile.DRAFT03
    with pytest.raises(ValueError, match="draft-03"):
        push_update_flags(UpdateFlag.PROXY | UpdateFlag.FORCE_UDP, draft)
    with pytest.raises(ValueError, match="draft-03"):
        push_ack_flags(AckFlag.PROXY | AckFlag.TLV_HEADER, draft)


def test_a_rejection_is_sent_with_lifetime_0():
    rejected = BindingAck(status=155, flags=PBA_FLAGS, sequence=9, lifetime_units=75)
    octets = push_mobility(rejected, DGW1, DGW2)
    assert not rejected.accepted
    assert octets[10:12] == b"\0\0"


@pytest.mark.parametrize(
    "message",
    [
        BindingUpdate(sequence=65536, flags=PBU_FLAGS, lifetime_units=1),
        BindingUpdate(sequence=1, flags=PBU_FLAGS, lifetime_units=65536),
        BindingAck(status=256, flags=PBA_FLAGS, sequence=1, lifetime_units=1),
        BindingError(status=-1),
        update(MobileNodeIdentifier(bytes(255))),
        update(LinkLayerIdentifier(bytes(254))),
        update(HandoffIndicator(256)),
        update(HomeNetworkPrefix(ADDRESS, 256)),
        update(Timestamp(1 << 64)),
        update(UnknownOption(0, b"")),
        update(UnknownOption(1, b"")),
        update(UnknownOption(256, b"")),
        update(*[UnknownOption(200, bytes(255))] * 8),
    ],
)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(ValueError, match=r"fit|padding|2048"):
        push_mobility(message, DGW1, DGW2)


def test_the_largest_header_of_2048_octets():
    options = (*[UnknownOption(200, bytes(252))] * 8, UnknownOption(200, bytes(2)))
    octets = push_mobility(update(*options), DGW1, DGW2)
    assert len(octets) == 2048
    assert octets[1] == 255
    assert pull_mobility(octets, DGW1, DGW2).options == options
