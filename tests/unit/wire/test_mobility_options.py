"""What receivers ask of decoded options: values (spec DGW §10), anchor groups (AMB-7), send order (§2.2)."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from agents.wire.errors import DecodeError
from agents.wire.mobility import (
    BindingAck,
    BindingUpdate,
    pull_mobility,
    push_mobility,
)
from agents.wire.mobility_codes import PBA_FLAGS, PBU_FLAGS
from agents.wire.mobility_lists import anchor_groups, in_send_order, without_distributed
from agents.wire.mobility_options import (
    AlternateCareOfAddress,
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HandoffIndicator,
    HomeNetworkPrefix,
    LocalPrefix,
    MalformedOption,
    MobileNodeIdentifier,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

SOURCE = IPv6Address("2001:db8:c:2::2")
DESTINATION = IPv6Address("2001:db8:c:1::2")
PREF_A = IPv6Network("2001:db8:a1:1::/64")
PREF_B = IPv6Network("2001:db8:b2:1::/64")
MN1 = MobileNodeIdentifier.of("mn1@dmm.example")
HNP = HomeNetworkPrefix.of(PREF_A)


def pulled_again(*options):
    message = BindingUpdate(sequence=1, flags=PBU_FLAGS, lifetime_units=75, options=options)
    return pull_mobility(push_mobility(message, SOURCE, DESTINATION), SOURCE, DESTINATION)


def test_row_hnp_all_zero():
    message = pulled_again(HomeNetworkPrefix.all_zero(), HomeNetworkPrefix(IPv6Address(0), 64), HNP)
    assert [o.is_all_zero for o in message.every(HomeNetworkPrefix)] == [True, True, False]
    # A bad length must not turn a real prefix into a request for an allocation.
    assert not HomeNetworkPrefix(PREF_A.network_address, 0).is_all_zero


def test_row_options_65_to_70_with_d_0():
    dlif = DlifLinkLocal(IPv6Address("fe80::1"))
    message = pulled_again(
        MN1,
        HNP,
        AnchoredPrefix.of(PREF_B),
        ServingMaar(SOURCE),
        ServingMaar(SOURCE),
        PreviousMaar.of(SOURCE, PREF_A),
        dlif,
        MalformedOption(70, b""),
        UnknownOption(71, b""),
    )
    assert message.duplicates == (68,)
    legacy = message.without_distributed()
    assert legacy.options == without_distributed(message.options) == (MN1, HNP, UnknownOption(71, b""))
    assert (legacy.duplicates, legacy.malformed, legacy.groups) == ((), (), ())


@pytest.mark.parametrize(
    ("address", "usable"),
    [("2001:db8::1", True), ("::", False), ("ff02::1", False), ("fe80::1", False), ("::1", False)],
)
def test_row_option_68_or_3_with_an_invalid_care_of_address(address, usable):
    assert ServingMaar(IPv6Address(address)).usable is usable
    assert AlternateCareOfAddress(IPv6Address(address)).usable is usable


def test_row_unusable_dlif_identity():
    assert DlifLinkLocal(IPv6Address("fe80::1")).usable
    assert not DlifLinkLocal(IPv6Address("fec0::1")).usable
    assert DlifLinkLayer(bytes.fromhex("001122330101")).usable
    for bad in ("000000000000", "011122330101", "0011223301", "0011223301010203", ""):
        option = DlifLinkLayer(bytes.fromhex(bad))
        assert pulled_again(option).options == (option,)
        assert not option.usable


def test_names_for_people():
    assert MobileNodeIdentifier(b"mn1\xff@x").text == "mn1\\xff@x"
    assert DlifLinkLayer(bytes.fromhex("001122330101")).text == "00:11:22:33:01:01"
    with pytest.raises(DecodeError) as caught:
        pull_mobility(b"", SOURCE, DESTINATION)
    assert str(caught.value) == "octet 0: 0 octets are no Mobility Header"


def test_retx_6_timestamps_compare_exactly():
    base = Timestamp.from_seconds(1760000000.5)
    assert base.raw == 0x68E778008000
    assert base.seconds == 1760000000.5
    later = Timestamp(base.raw + 1)
    assert base < later
    assert base != later
    assert Timestamp.from_seconds(later.seconds) == later
    highest = Timestamp((1 << 64) - 1)
    assert Timestamp((1 << 64) - 2) < highest  # equal as floats
    assert pulled_again(highest).options == (highest,)
    assert highest.seconds == 2.0**48
    for bad in (-0.1, 2.0**48, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timestamp"):
            Timestamp.from_seconds(bad)


MAAR_1 = PreviousMaar.of(IPv6Address("2001:db8:c:1::2"), PREF_A)
MAAR_2 = PreviousMaar.of(IPv6Address("2001:db8:c:2::2"), PREF_B)
LL_1, LL_2 = DlifLinkLocal(IPv6Address("fe80::1")), DlifLinkLocal(IPv6Address("fe80::2"))
MAC_1, MAC_2 = DlifLinkLayer(b"\0\0\0\0\0\1"), DlifLinkLayer(b"\0\0\0\0\0\2")
ANCHORED = AnchoredPrefix.of(PREF_A)
LOCAL = LocalPrefix.of(PREF_B)


def test_amb_7_options_belong_to_the_67_before_them():
    options = (MN1, MAAR_1, LL_1, MAC_1, HNP, LOCAL, MAAR_2, MAC_2, LL_2, ANCHORED, ServingMaar(SOURCE))
    one, two = anchor_groups(options)
    assert (one.previous, one.link_local, one.link_layer) == (MAAR_1, LL_1, MAC_1)
    assert (one.anchored, one.local) == ((), (LOCAL,))
    assert (two.previous, two.link_local, two.link_layer) == (MAAR_2, LL_2, MAC_2)
    assert (two.anchored, two.local) == ((ANCHORED,), ())


def test_amb_7_without_67_they_belong_to_the_source():
    (group,) = anchor_groups((MN1, ANCHORED, LOCAL, LL_1, MAC_1))
    assert group.previous is None
    assert (group.anchored, group.local, group.link_local, group.link_layer) == (
        (ANCHORED,),
        (LOCAL,),
        LL_1,
        MAC_1,
    )
    assert anchor_groups((MN1, HNP)) == ()


def test_amb_7_before_the_first_67_they_belong_to_the_source():
    groups = anchor_groups((ANCHORED, MAAR_1, LL_1))
    assert [(g.previous, g.options) for g in groups] == [(None, (ANCHORED,)), (MAAR_1, (LL_1,))]


def test_amb_7_followers_of_a_malformed_67_are_nobody_s():
    broken = MalformedOption(67, b"\0")
    message = pulled_again(MAAR_1, LL_1, broken, LL_2, MAC_2)
    assert [(g.previous, g.options) for g in message.groups] == [(MAAR_1, (LL_1,))]
    assert message.duplicates == ()
    assert anchor_groups((broken, LL_2)) == ()


def test_send_order_of_2_2():
    shuffled = (
        UnknownOption(200, b""),
        MAC_1,
        LL_1,
        ServingMaar(SOURCE),
        LOCAL,
        ANCHORED,
        Timestamp(5),
        HandoffIndicator(3),
        HNP,
        MN1,
    )
    types = [o.type for o in in_send_order(shuffled)]
    assert types == [8, 22, 23, 27, 65, 66, 68, 69, 70, 200]


def test_send_order_keeps_groups():
    options = (ANCHORED, LL_2, MAAR_1, LOCAL, MAC_1, MN1, LL_1, ServingMaar(SOURCE), MAAR_2, MAC_2)
    ordered = in_send_order(options)
    assert ordered == (
        MN1,
        ANCHORED,
        LL_2,
        MAAR_1,
        LL_1,
        MAC_1,
        LOCAL,
        MAAR_2,
        MAC_2,
        ServingMaar(SOURCE),
    )


def test_a_decoded_message_answers_for_acks_too():
    ack = BindingAck(
        status=0,
        flags=PBA_FLAGS,
        sequence=1,
        lifetime_units=75,
        options=(MN1, HandoffIndicator(77), MAAR_1, LL_1),
    )
    message = pull_mobility(push_mobility(ack, SOURCE, DESTINATION), SOURCE, DESTINATION)
    assert message == ack
    assert message.accepted
    assert message.lifetime_seconds == 300
    assert message.first(HandoffIndicator) == HandoffIndicator(77)
    assert message.groups == anchor_groups(ack.options)
