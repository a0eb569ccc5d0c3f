"""Whole messages of any content come back as they were; any octets are a message or a DecodeError."""

from dataclasses import replace
from ipaddress import IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from agents.wire.errors import DecodeError
from agents.wire.mobility import (
    BindingAck,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    checksum,
    encoded_length,
    icmpv6_pointer,
    pull_mobility,
    push_mobility,
)
from agents.wire.mobility_codes import AckFlag, DFlagProfile, UpdateFlag
from agents.wire.mobility_lists import anchor_groups, in_send_order
from agents.wire.mobility_options import (
    KNOWN_OPTIONS,
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
    MalformedOption,
    MobileNodeIdentifier,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

addresses = st.integers(0, 2**128 - 1).map(IPv6Address)
octet = st.integers(0, 255)
word = st.integers(0, 65535)
lengths = st.one_of(st.just(64), octet)
options = st.one_of(
    *[st.builds(cls, addresses) for cls in (AlternateCareOfAddress, LinkLocalAddress, ServingMaar, DlifLinkLocal)],
    *[st.builds(cls, addresses, lengths) for cls in (HomeNetworkPrefix, AnchoredPrefix, LocalPrefix)],
    *[st.builds(cls, octet) for cls in (HandoffIndicator, AccessTechnology)],
    *[st.builds(cls, st.binary(max_size=12)) for cls in (LinkLayerIdentifier, DlifLinkLayer)],
    st.builds(MobileNodeIdentifier, st.binary(max_size=40), octet),
    st.builds(PreviousMaar, addresses, lengths, addresses),
    st.builds(Timestamp, st.integers(0, 2**64 - 1)),
    st.builds(
        UnknownOption,
        octet.filter(lambda n: n > 1 and n not in KNOWN_OPTIONS),
        st.binary(max_size=20),
    ),
    st.builds(MalformedOption, st.sampled_from(sorted(set(KNOWN_OPTIONS) - {8, 25, 70})), st.just(b"\0")),
)
option_lists = st.lists(options, max_size=12).map(tuple)


def flags_of(kind, rival):
    return st.integers(0, 2 ** len(kind) - 1).map(lambda n: kind(n << (4 if kind is UpdateFlag else 1)) & ~rival)


updates = st.builds(
    BindingUpdate,
    sequence=word,
    flags=flags_of(UpdateFlag, UpdateFlag.FORCE_UDP),
    lifetime_units=word,
    options=option_lists,
)
acks = st.builds(
    BindingAck,
    status=st.integers(0, 127),
    flags=flags_of(AckFlag, AckFlag.TLV_HEADER),
    sequence=word,
    lifetime_units=word,
    options=option_lists,
)
messages = st.one_of(
    updates,
    acks,
    st.builds(BindingError, status=octet, home_address=addresses, options=option_lists),
    st.builds(BindingRefreshRequest, options=option_lists),
)


@given(messages, addresses, addresses, st.sampled_from(DFlagProfile))
def test_round_trip_of_whole_messages(message, source, destination, profile):
    octets = push_mobility(message, source, destination, profile=profile)
    assert len(octets) == encoded_length(message) == 8 * (octets[1] + 1)
    assert checksum(source, destination, octets) == 0
    assert pull_mobility(octets, source, destination, profile=profile) == message


@given(option_lists)
def test_send_order_is_a_stable_permutation_that_keeps_anchor_groups(given_options):
    ordered = in_send_order(given_options)
    assert sorted(map(repr, ordered)) == sorted(map(repr, given_options))
    assert in_send_order(ordered) == ordered
    before, after = anchor_groups(given_options), anchor_groups(ordered)
    assert [(g.previous, sorted(map(repr, g.options))) for g in before] == [
        (g.previous, sorted(map(repr, g.options))) for g in after
    ]


SOURCE, DESTINATION = IPv6Address("2001:db8:c:2::2"), IPv6Address("2001:db8:c:1::2")


def pull_or_refuse(octets, *, verify_checksum):
    """Decode; a refusal is complete, a message answers every question and survives its own re-encoding."""
    try:
        message = pull_mobility(octets, SOURCE, DESTINATION, verify_checksum=verify_checksum)
    except DecodeError as refusal:
        check_refusal(refusal, octets)
        return None
    check_questions(message)
    if len(octets) <= 512 and not has_both_d_positions(message):
        again = push_mobility(message, SOURCE, DESTINATION)
        assert pull_mobility(again, SOURCE, DESTINATION) == as_sent(message)
    return message


def check_refusal(refusal, octets):
    assert 0 <= refusal.offset <= len(octets)
    assert refusal.reason
    assert icmpv6_pointer(refusal) in (None, 40, 41)


def check_questions(message):
    for group in message.groups:
        assert group.link_local is None or group.link_local in group.options
        assert set(group.anchored) | set(group.local) <= set(group.options)
    assert all(o in message.bad_prefixes or o.network for o in message.every(HomeNetworkPrefix))
    assert all(o in message.options for o in message.malformed)
    assert set(message.duplicates) <= {o.type for o in message.options}


def as_sent(message):
    rejected = isinstance(message, BindingAck) and not message.accepted
    return replace(message, lifetime_units=0) if rejected else message


def has_both_d_positions(message):
    match message:
        case BindingUpdate():
            return UpdateFlag.DISTRIBUTED | UpdateFlag.FORCE_UDP in message.flags
        case BindingAck():
            return AckFlag.DISTRIBUTED | AckFlag.TLV_HEADER in message.flags
    return False


@given(st.binary(max_size=80), st.booleans())
@example(b"", True)
@example(b"\x3b\x00\x05\x00\x00\x00\x00\x00", False)
def test_random_octets_are_a_message_or_a_decode_error(octets, verify):
    pull_or_refuse(octets, verify_checksum=verify)


@given(st.sampled_from((0, 5, 6, 7)), st.binary(min_size=5, max_size=77))
def test_random_octets_behind_a_right_header(number, tail):
    tail = tail[: len(tail) - (len(tail) + 3) % 8]
    header = bytes((59, (len(tail) + 3) // 8 - 1, number))
    pull_or_refuse(header + tail, verify_checksum=False)


mutations = st.lists(st.tuples(st.integers(0, 2**16), octet), min_size=1, max_size=4)


@given(messages, mutations, st.integers(0, 2**16), st.booleans())
def test_mutated_messages_are_a_message_or_a_decode_error(message, changes, cut, verify):
    octets = bytearray(push_mobility(message, SOURCE, DESTINATION))
    for position, value in changes:
        octets[position % len(octets)] = value
    pull_or_refuse(bytes(octets), verify_checksum=verify)
    pull_or_refuse(bytes(octets[: cut % (len(octets) + 1)]), verify_checksum=False)


@given(messages, st.integers(0, 2**16), st.integers(1, 255))
def test_one_changed_octet_never_passes_the_checksum(message, position, difference):
    octets = bytearray(push_mobility(message, SOURCE, DESTINATION))
    octets[position % len(octets)] ^= difference
    assert pull_or_refuse(bytes(octets), verify_checksum=True) is None
