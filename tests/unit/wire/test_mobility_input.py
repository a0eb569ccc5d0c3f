"""Bad input, row by row of spec DGW §10 as far as a codec sees it, and what receivers ask a message."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from agents.wire.errors import DecodeError, DecodeErrorKind
from agents.wire.mobility import (
    BindingAck,
    BindingUpdate,
    checksum,
    icmpv6_pointer,
    pull_mobility,
    push_mobility,
)
from agents.wire.mobility_codes import PBA_FLAGS, PBU_FLAGS, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
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
    UnknownOption,
)

SOURCE = IPv6Address("2001:db8:c:2::2")
DESTINATION = IPv6Address("2001:db8:c:1::2")
PREF_A = IPv6Network("2001:db8:a1:1::/64")
PREF_B = IPv6Network("2001:db8:b2:1::/64")
MN1 = MobileNodeIdentifier.of("mn1@dmm.example")
HNP = HomeNetworkPrefix.of(PREF_A)


def summed(octets):
    blank = octets[:4] + b"\0\0" + octets[6:]
    return blank[:4] + checksum(SOURCE, DESTINATION, blank).to_bytes(2, "big") + blank[6:]


def update_with(options_hex):
    """A PBU with these octets as its options, PadN behind them, checksum right."""
    body = bytes.fromhex("3b000500 0000 0101 8210 004b") + bytes.fromhex(options_hex)
    missing = -len(body) % 8
    body += b"\0" * missing
    return summed(body[:1] + bytes((len(body) // 8 - 1,)) + body[2:])


def pull(octets, **options):
    return pull_mobility(octets, SOURCE, DESTINATION, **options)


def pull_error(octets, **options):
    with pytest.raises(DecodeError) as caught:
        pull(octets, **options)
    return caught.value


def pulled_again(*options):
    message = BindingUpdate(sequence=1, flags=PBU_FLAGS, lifetime_units=75, options=options)
    return pull(push_mobility(message, SOURCE, DESTINATION))


GOOD = update_with("17020003")


def test_row_bad_checksum():
    bad = GOOD[:4] + bytes((GOOD[4] ^ 1,)) + GOOD[5:]
    error = pull_error(bad)
    assert (error.kind, error.offset, icmpv6_pointer(error)) == (DecodeErrorKind.CHECKSUM, 4, None)
    assert pull(bad, verify_checksum=False) == pull(GOOD)
    with pytest.raises(DecodeError):
        pull_mobility(GOOD, SOURCE, SOURCE)


def test_row_unknown_mh_type():
    for number in (1, 2, 3, 4, 8, 16, 255):
        error = pull_error(summed(bytes((59, 0, number)) + bytes(5)))
        assert (error.kind, error.offset) == (DecodeErrorKind.UNKNOWN_TYPE, 2)
        assert icmpv6_pointer(error) is None


def test_row_payload_proto_not_59():
    error = pull_error(summed(b"\x3a" + GOOD[1:]))
    assert (error.kind, error.offset) == (DecodeErrorKind.PAYLOAD_PROTO, 0)
    assert icmpv6_pointer(error) == 40


@pytest.mark.parametrize(("number", "too_short"), [(5, 0), (6, 0), (7, 1), (7, 0)])
def test_row_header_len_below_message_minimum(number, too_short):
    error = pull_error(summed(bytes((59, too_short, number)) + bytes(37)))
    assert (error.kind, error.offset) == (DecodeErrorKind.HEADER_TOO_SHORT, 1)
    assert icmpv6_pointer(error) == 41


@pytest.mark.parametrize("number", [0, 5, 6, 7])
def test_row_header_len_beyond_datagram(number):
    error = pull_error(summed(bytes((59, 5, number)) + bytes(37)))
    assert (error.kind, error.offset) == (DecodeErrorKind.HEADER_BEYOND_DATAGRAM, 1)
    assert icmpv6_pointer(error) is None


def test_row_header_len_beyond_datagram_shorter_than_any_header():
    for length in range(8):
        error = pull_error(GOOD[:length])
        assert (error.kind, error.offset) == (DecodeErrorKind.TRUNCATED, length)
        assert icmpv6_pointer(error) is None


@pytest.mark.parametrize(
    ("options_hex", "offset"),
    [
        ("17030003", 12),
        ("17020003 16120040", 16),
        ("c8ff0000", 12),
        ("0103 0000", 12),
        ("0000 0016", 15),
        ("0000 0001", 15),
        ("0000 00c8", 15),
    ],
)
def test_row_option_overruns_end(options_hex, offset):
    error = pull_error(update_with(options_hex))
    assert (error.kind, error.offset) == (DecodeErrorKind.OPTION_OVERRUN, offset)
    assert icmpv6_pointer(error) is None


def test_an_option_may_not_reach_into_ignored_octets():
    octets = update_with("17020003")
    octets = summed(octets[:13] + b"\x05" + octets[14:] + bytes(8))
    assert pull_error(octets).kind is DecodeErrorKind.OPTION_OVERRUN


@pytest.mark.parametrize("tail", [b"\0", b"x", b"trailing octets", bytes(9)])
def test_row_octets_after_the_header_are_ignored(tail):
    # Summed over the header (RFC 6275) and over the datagram, as kernels do.
    assert pull(GOOD + tail) == pull(GOOD)
    assert pull(summed(GOOD + tail)) == pull(GOOD)
    torn = summed(GOOD + tail)
    assert pull_error(torn[:7] + bytes((torn[7] ^ 4,)) + torn[8:]).kind is DecodeErrorKind.CHECKSUM


def test_check_order_of_section_10():
    # Each defect alone would be reported; the earlier in the chain wins.
    everything_wrong = b"\x3a\xff\x63" + bytes(5)
    kinds = [pull_error(everything_wrong).kind]
    kinds.append(pull_error(summed(everything_wrong)).kind)
    kinds.append(pull_error(summed(b"\x3b" + everything_wrong[1:])).kind)
    kinds.append(pull_error(summed(b"\x3b\x00\x05" + everything_wrong[3:])).kind)
    kinds.append(pull_error(summed(b"\x3b\xff\x05" + everything_wrong[3:])).kind)
    assert kinds == [
        DecodeErrorKind.CHECKSUM,
        DecodeErrorKind.PAYLOAD_PROTO,
        DecodeErrorKind.UNKNOWN_TYPE,
        DecodeErrorKind.HEADER_TOO_SHORT,
        DecodeErrorKind.HEADER_BEYOND_DATAGRAM,
    ]


def test_row_unknown_option_type_is_skipped():
    message = pull(update_with("c8021234 02020000 17020003"))
    assert message.options == (
        UnknownOption(200, b"\x12\x34"),
        UnknownOption(2, b"\0\0"),
        HandoffIndicator(3),
    )
    assert message.first(HandoffIndicator) == HandoffIndicator(3)
    assert not message.malformed


@pytest.mark.parametrize(
    ("options_hex", "number"),
    [
        ("0300", 3),
        ("0311" + "00" * 17, 3),
        ("0800", 8),
        ("1611" + "00" * 17, 22),
        ("1613" + "00" * 19, 22),
        ("170103", 23),
        ("1703000300", 23),
        ("1800", 24),
        ("1901aa", 25),
        ("1a0f" + "00" * 15, 26),
        ("1b07" + "00" * 7, 27),
        ("1b09" + "00" * 9, 27),
        ("4100", 65),
        ("4211" + "00" * 17, 66),
        ("4312" + "00" * 18, 67),
        ("4400", 68),
        ("4512" + "00" * 18, 69),
        ("460100", 70),
    ],
)
def test_row_known_option_with_wrong_length_is_absent(options_hex, number):
    message = pull(update_with(options_hex + "17020004"))
    data = bytes.fromhex(options_hex)[2:]
    assert message.malformed == (MalformedOption(number, data),)
    assert message.options == (MalformedOption(number, data), HandoffIndicator(4))
    assert message.every(HandoffIndicator) == (HandoffIndicator(4),)
    assert not message.duplicates
    assert not message.bad_prefixes


@pytest.mark.parametrize(
    ("options_hex", "number"),
    [
        ("080101" * 2, 8),
        ("17020003" * 2, 23),
        ("18020003" * 2, 24),
        ("1902aaaa" * 2, 25),
        (("1a10" + "00" * 16) * 2, 26),
        (("1b08" + "00" * 8) * 2, 27),
        (("4410" + "00" * 16) * 2, 68),
        (("0310" + "00" * 16) * 2, 3),
        (("4510" + "00" * 16) * 2, 69),
        ("46080000000000000001" * 2, 70),
    ],
)
def test_row_second_instance_of_single_instance_option(options_hex, number):
    message = pull(update_with(options_hex))
    assert message.duplicates == (number,)
    assert len(message.options) == 2


def test_a_malformed_instance_is_no_second_instance():
    message = pull(update_with("170103" + "17020003" + "4500" + "4510" + "00" * 16))
    assert [o.type for o in message.malformed] == [23, 69]
    assert message.duplicates == ()


def test_repeatable_options_are_no_duplicates():
    group = (PreviousMaar.of(SOURCE, PREF_A), DlifLinkLocal(IPv6Address("fe80::1")), DlifLinkLayer(b"\0" * 6))
    message = pulled_again(HNP, HNP, AnchoredPrefix.of(PREF_A), LocalPrefix.of(PREF_A), *group, *group)
    assert message.duplicates == ()
    assert pulled_again(*group, group[1]).duplicates == (69,)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128, 129, 255])
@pytest.mark.parametrize("cls", [HomeNetworkPrefix, AnchoredPrefix])
def test_row_bad_prefix_length(cls, length):
    option = cls(PREF_A.network_address, length)
    message = pulled_again(HNP, option)
    assert message.bad_prefixes == (option,)
    assert message.bad_prefixes[0].length == length
    with pytest.raises(ValueError, match="prefix length"):
        _ = option.network
    maar = PreviousMaar(PREF_A.network_address, length, SOURCE)
    assert pulled_again(maar).bad_prefixes == (maar,)


def test_row_bad_prefix_length_of_a_local_prefix():
    wide = LocalPrefix.of(IPv6Network("2001:db8::/32"))
    host = LocalPrefix.of(IPv6Network("2001:db8::1/128"))
    bad = [LocalPrefix(IPv6Address("2001:db8::"), length) for length in (0, 129, 255)]
    message = pulled_again(wide, host, *bad)
    assert message.bad_prefixes == tuple(bad)
    assert [o.network for o in message.every(LocalPrefix)[:2]] == [
        IPv6Network("2001:db8::/32"),
        IPv6Network("2001:db8::1/128"),
    ]


def test_prefix_bits_beyond_the_length_and_reserved_fields_are_ignored():
    octets = update_with("16124040" + "20010db800a10001" + "ffffffffffffffff" + "17025503" + "1904eeeeaabb")
    octets = octets[:14] + b"\xff" + octets[15:]  # the prefix option's reserved octet
    message = pull(summed(octets))
    assert message.every(HomeNetworkPrefix) == (HNP,)
    assert HNP.network == PREF_A
    again = push_mobility(message, SOURCE, DESTINATION)
    assert again[12:32] == bytes.fromhex("16120040 20010db800a10001 0000000000000000")
    assert again[32:36] == bytes.fromhex("17020003")


def test_reserved_flag_bits_and_mh_reserved_octet_are_ignored():
    octets = bytearray(GOOD)
    octets[3] = 0xFF
    octets[9] |= 0x0F
    assert pull(summed(bytes(octets))) == pull(GOOD)
    ack = BindingAck(status=0, flags=PBA_FLAGS, sequence=1, lifetime_units=1)
    octets = bytearray(push_mobility(ack, SOURCE, DESTINATION))
    octets[7] |= 0x01
    assert pull(summed(bytes(octets))) == ack


def test_row_p_0_h_1_and_a_0_are_visible():
    octets = bytearray(GOOD)
    octets[8:10] = b"\x40\x00"
    flags = pull(summed(bytes(octets))).flags
    assert flags == UpdateFlag.HOME_REGISTRATION
    assert UpdateFlag.PROXY not in flags


def test_row_no_mn_id_is_answered_with_a_zero_length_identifier():
    octets = update_with("080101")
    assert pull(octets).options == (MobileNodeIdentifier(b"", 1),)
    assert push_mobility(pull(octets), SOURCE, DESTINATION)[12:15] == b"\x08\x01\x01"


def test_the_same_octets_of_another_subtype_are_another_name():
    """RFC 4283 §3: the subtype says how the identifier is to be read"""
    nai, other = MobileNodeIdentifier(b"mn1@dmm.example"), MobileNodeIdentifier(b"mn1@dmm.example", 2)
    assert nai.text == "mn1@dmm.example"
    assert other.text == "2:6d6e3140646d6d2e6578616d706c65"
    assert pulled_again(other).first(MobileNodeIdentifier) == other


@pytest.mark.parametrize(
    "padding",
    ["00", "000000", "0100", "0103ffffff", "01c8" + "00" * 200, "0000010000010101"],
)
def test_padding_may_be_anywhere_and_of_any_kind(padding):
    """Receivers skip Pad1 and PadN, runs of them and what PadN holds included, and never check alignment"""
    hnp = "16120040" + "20010db800a10001" + "00" * 8
    for octets in (padding + "17020003" + hnp, "17020003" + padding + hnp, "17020003" + hnp + padding):
        message = pull(update_with(octets))
        assert message.options in ((HandoffIndicator(3), HNP), (HNP, HandoffIndicator(3)))
        assert not message.malformed


@pytest.mark.parametrize("offset", range(8))
def test_alignment_is_never_checked(offset):
    options = "00" * offset + "4322" + "0040" + SOURCE.packed.hex() + "20010db800a10001" + "00" * 8
    options += "00" * (offset % 3) + "4410" + SOURCE.packed.hex()
    message = pull(update_with(options))
    assert message.first(PreviousMaar) == PreviousMaar.of(SOURCE, PREF_A)
    assert message.first(ServingMaar) == ServingMaar(SOURCE)


@pytest.mark.parametrize(
    ("options_hex", "expected"),
    [
        ("4112ff40 20010db800a10001 ffffffffffffffff", AnchoredPrefix.of(PREF_A)),
        ("4212ff30 20010db800a1ffff ffffffffffffffff", LocalPrefix.of(IPv6Network("2001:db8:a1::/48"))),
        (
            "4322ff40 20010db8000c00020000000000000002 20010db800a10001 ffffffffffffffff",
            PreviousMaar.of(IPv6Address("2001:db8:c:2::2"), PREF_A),
        ),
        ("4608eeee 001122330101", DlifLinkLayer(bytes.fromhex("001122330101"))),
        ("1802ee03", AccessTechnology(3)),
    ],
)
def test_reserved_fields_and_bits_beyond_a_prefix_of_every_option(options_hex, expected):
    """Spec §2.2: sent 0, ignored on receipt"""
    assert pull(update_with(options_hex)).options == (expected,)


def test_options_may_come_in_any_order():
    options = (HandoffIndicator(3), ServingMaar(SOURCE), HNP, DlifLinkLocal(IPv6Address("fe80::1")), MN1)
    assert pulled_again(*options).options == options


def test_reserved_octet_of_a_binding_error_and_options_behind_it():
    octets = bytes.fromhex("3b030700 0000 02ff") + bytes(16) + bytes.fromhex("17020003 01020000")
    error = pull(summed(octets))
    assert (error.status, error.home_address, error.options) == (2, IPv6Address("::"), (HandoffIndicator(3),))
