"""Spec §10, row by row, against an anchor gateway and a relaying CMD: the named reply, the state as before."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, Domain, address, mac
from hypothesis import given
from hypothesis import strategies as st

from agents.dgw.actions import MobilityDatagram, SendParameterProblem
from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute
from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_update
from agents.wire.mobility import BindingAck, BindingError, pull_mobility, push_mobility
from agents.wire.mobility_codes import AckFlag, Handoff, UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    AnchoredPrefix,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    MobileNodeIdentifier,
    PreviousMaar,
    ServingMaar,
    Timestamp,
    UnknownOption,
)

PREF_A, PREF_B = IPv6Network("2001:db8:a1:1::/64"), IPv6Network("2001:db8:b2:1::/64")
FOREIGN = IPv6Address("2001:db8:c:f::66")
D2, D1 = address(2), address(1)
ANCHOR = D1


def update(domain, **changes):
    """A PBU that D-GW2 might send about mn1, which D-GW1 anchors."""
    fields = {
        "mn_id": "mn1@dmm.example",
        "mac": mac(1),
        "prefixes": [PREF_A],
        "handoff": Handoff.SAME_INTERFACE,
        "sequence": 77,
        "timestamp": ticks(domain.now),
        "lifetime": 300,
        "extra": [AnchoredPrefix.of(PREF_B)],
    }
    return compose_update(**{**fields, **changes})


def without(message, *kinds):
    return replace(message, options=tuple(o for o in message.options if not isinstance(o, kinds)))


def plus(message, *options):
    return replace(message, options=(*message.options, *options))


class Receiver:
    """One node of a domain where mn1 is attached to D-GW1, and what it answers."""

    def __init__(self, mode, target):
        self.domain = Domain(mode)
        self.domain.attach(1, 1)
        self.domain.run(1)
        self.target = target

    def give(self, octets, source=D2):
        """Answers to one datagram, and whether anything changed."""
        core = self.domain.cores[self.target]
        before = (core.saved_state(), dict(self.domain.kernel[self.target]))
        sent = len(self.domain.wire)
        self.domain.feed(self.target, MobilityDatagram(octets, source, self.target))
        changed = (core.saved_state(), dict(self.domain.kernel[self.target])) != before
        return [m for _, s, _, m in self.domain.wire[sent:] if s == self.target], changed

    def ask(self, message, source=D2):
        return self.give(push_mobility(message, source, self.target), source)


@pytest.fixture
def anchor():
    return Receiver("direct", ANCHOR)


@pytest.fixture
def cmd():
    return Receiver("relay", CMD)


@pytest.mark.requirement("HO-4")
def test_the_good_update_is_accepted(anchor):
    """And written down: where the node is, the mark of the update, and how long it holds"""
    good = update(anchor.domain, lifetime=200)
    [ack], changed = anchor.ask(good)
    assert (ack.status, changed) == (0, True)
    assert ack.flags == AckFlag.PROXY | AckFlag.DISTRIBUTED
    node = anchor.domain.node(1)
    assert (node.own.care_of, node.own.lifetime) == (D2, 200)
    assert (node.freshness.timestamp, node.freshness.sequence) == (good.first(Timestamp).raw, good.sequence)
    assert node.expires == anchor.domain.now + 200


REJECTED = {
    "no MN-ID": (lambda m: without(m, MobileNodeIdentifier), 160),
    "unknown MN": (lambda m: plus(without(m, MobileNodeIdentifier), MobileNodeIdentifier.of("x@y")), 153),
    "second MN-ID": (lambda m: plus(m, MobileNodeIdentifier.of("x@y")), 128),
    "second HI": (lambda m: plus(m, HandoffIndicator(1)), 128),
    "second Timestamp": (lambda m: plus(m, Timestamp(5)), 128),
    "no HNP": (lambda m: without(m, HomeNetworkPrefix), 158),
    "no HI": (lambda m: without(m, HandoffIndicator), 161),
    "no ATT": (lambda m: without(m, AccessTechnology), 162),
    "HNP of length 48": (
        lambda m: plus(without(m, HomeNetworkPrefix), HomeNetworkPrefix(PREF_A.network_address, 48)),
        155,
    ),
    "HNP of length 200": (
        lambda m: plus(without(m, HomeNetworkPrefix), HomeNetworkPrefix(PREF_A.network_address, 200)),
        155,
    ),
    "HNP all-zero": (lambda m: plus(without(m, HomeNetworkPrefix), HomeNetworkPrefix.all_zero()), 155),
    "HNP not anchored here": (
        lambda m: plus(without(m, HomeNetworkPrefix), HomeNetworkPrefix.of(IPv6Network("2001:db8:a1:99::/64"))),
        155,
    ),
    "HNP set with one more": (
        lambda m: plus(m, HomeNetworkPrefix.of(IPv6Network("2001:db8:a1:99::/64"))),
        159,
    ),
    "plain home registration": (
        lambda m: replace(m, flags=UpdateFlag.ACKNOWLEDGE | UpdateFlag.HOME_REGISTRATION),
        131,
    ),
    "no D flag": (lambda m: replace(m, flags=UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY), 129),
    "option 68 from a gateway": (lambda m: plus(m, ServingMaar(D2)), 154),
}


@pytest.mark.parametrize("row", REJECTED)
def test_rejected_with_the_named_status(anchor, row):
    change, status = REJECTED[row]
    answers, changed = anchor.ask(change(update(anchor.domain)))
    [ack] = answers
    assert isinstance(ack, BindingAck)
    assert (ack.status, changed) == (status, False)
    assert ack.lifetime_units == 0
    assert ack.every(HomeNetworkPrefix), "HO-8: the request's prefixes, or one all-zero one"
    if status == 160:
        assert ack.first(MobileNodeIdentifier).identifier == b""
    if row == "no D flag":
        assert ack.flags == AckFlag.PROXY


def test_order_of_the_receive_chain(anchor):
    """Several faults at once: the first of the chain answers (160 before 154 before 153 before 157 before 158)"""
    broken = without(update(anchor.domain, timestamp=5), MobileNodeIdentifier, HomeNetworkPrefix)
    assert anchor.ask(broken, FOREIGN)[0][0].status == 160
    stranger = plus(broken, MobileNodeIdentifier.of("x@y"))
    assert anchor.ask(stranger, FOREIGN)[0][0].status == 154
    assert anchor.ask(stranger)[0][0].status == 153
    old = without(update(anchor.domain, timestamp=5), HomeNetworkPrefix)
    assert anchor.ask(old)[0][0].status == 157


def test_sender_not_allowed(anchor):
    answers, changed = anchor.ask(update(anchor.domain), FOREIGN)
    assert (answers[0].status, changed) == (154, False)


def test_service_disabled(anchor):
    core = anchor.domain.gateway(1)
    profile = core._base.profiles["mn1@dmm.example"]
    core._base.profiles["mn1@dmm.example"] = replace(profile, enabled=False)
    answers, changed = anchor.ask(update(anchor.domain))
    assert (answers[0].status, changed) == (152, False)


@pytest.mark.requirement("RETX-6", "RETX-7")
def test_timestamps(anchor):
    """RETX-6, RETX-7: 157 before 156, equality counts as old, replies carry the receiver's clock"""
    now = ticks(anchor.domain.now)
    for stamp, status in ((5, 157), (now + 65536, 156)):
        [ack], changed = anchor.ask(update(anchor.domain, timestamp=stamp))
        assert (ack.status, changed) == (status, False)
        assert ack.first(Timestamp).raw == now
    good = update(anchor.domain)
    assert anchor.ask(good)[0][0].status == 0
    [ack], changed = anchor.ask(good)
    assert (ack.status, changed) == (157, False), "a replay of the very same message"


@pytest.mark.requirement("RETX-8")
def test_sequence_scheme(anchor):
    """RETX-8: without Timestamp the 16-bit modular rule, 135 with the last accepted number"""
    assert anchor.ask(without(update(anchor.domain, sequence=15), Timestamp))[0][0].status == 0
    last = 15
    for sequence, fits in ((16, True), (16, False), (15, False), (32783, True), ((32783 + 32768) % 65536, False)):
        answers, _ = anchor.ask(without(update(anchor.domain, sequence=sequence), Timestamp))
        [ack] = answers
        assert ack.status == (0 if fits else 135), sequence
        assert ack.first(Timestamp) is None
        if not fits:
            assert ack.sequence == last
        last = sequence if fits else last


def test_ignored_without_answer(anchor):
    for message in (
        replace(update(anchor.domain), flags=UpdateFlag.ACKNOWLEDGE),
        update(anchor.domain, lifetime=0),
        update(anchor.domain, lifetime=0, mn_id="nobody@dmm.example"),
    ):
        answers, changed = anchor.ask(message)
        assert (answers, changed) == ([], False)


def test_unknown_option_is_skipped(anchor):
    [ack], _ = anchor.ask(plus(update(anchor.domain), UnknownOption(200, b"what")))
    assert ack.status == 0


def test_ack_flag_is_not_needed(anchor):
    """A=0 with P=1: processed and answered all the same"""
    [ack], _ = anchor.ask(replace(update(anchor.domain), flags=UpdateFlag.PROXY | UpdateFlag.DISTRIBUTED))
    assert ack.status == 0


def test_bad_serving_maar_from_the_cmd():
    """174: option 68 multicast, link-local, unspecified, or no gateway of the domain"""
    receiver = Receiver("relay", ANCHOR)
    for care_of in ("ff02::1", "fe80::1", "::", "2001:db8:dead::1"):
        message = plus(update(receiver.domain), ServingMaar(IPv6Address(care_of)))
        [ack], changed = receiver.ask(message, CMD)
        assert (ack.status, changed) == (174, False), care_of


def test_undecodable_headers(anchor):
    """BE status 2, Parameter Problem with pointer 40 and 41, silence for overruns; never for a multicast source"""
    good = push_mobility(update(anchor.domain), D2, ANCHOR)
    steps = iter(range(1, 100))

    def give(octets, source=D2):
        anchor.domain.now += next(steps)  # error answers are rate-limited
        answers, changed = anchor.give(octets, source)
        assert not changed
        return answers

    [error] = give(good[:2] + b"\x40" + good[3:])
    assert isinstance(error, BindingError)
    assert error.status == 2
    [problem] = give(b"\x06" + good[1:])
    assert isinstance(problem, SendParameterProblem)
    assert problem.field == 0
    [problem] = give(good[:1] + b"\x00" + good[2:])
    assert problem.field == 1
    assert give(good[:1] + b"\xf0" + good[2:]) == []
    assert give(good[:13] + b"\xff" + good[14:]) == []
    assert give(good[:2] + b"\x40" + good[3:], IPv6Address("ff02::1")) == []
    assert give(good[:5]) == []


def test_error_answers_are_rate_limited(anchor):
    good = push_mobility(update(anchor.domain), D2, ANCHOR)
    rates = Timing().errors
    bad = good[:2] + b"\x40" + good[3:]

    def answered(times, source=D2):
        return sum(len(anchor.give(bad, source)[0]) for _ in range(times))

    assert answered(50) == rates.source.burst
    assert anchor.domain.gateway(1)._base.reception.counters["error-limited"] == 50 - rates.source.burst
    anchor.domain.now += 1.0
    assert answered(50) == rates.source.average
    invented = [IPv6Address(f"2001:db8:dead::{number:x}") for number in range(1, 500)]
    assert sum(answered(1, source) for source in invented) <= rates.total.burst


def test_acknowledgements_that_match_nothing(anchor):
    """PBA matching no PBU; PBA whose MN-ID, HI, ATT or LL-ID differ"""
    ack = BindingAck(status=0, flags=AckFlag.PROXY | AckFlag.DISTRIBUTED, sequence=1, lifetime_units=75)
    assert anchor.ask(plus(ack, MobileNodeIdentifier.of("mn1@dmm.example"))) == ([], False)
    assert anchor.ask(ack) == ([], False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ack: plus(without(ack, HandoffIndicator), HandoffIndicator(1)),
        lambda ack: plus(without(ack, AccessTechnology), AccessTechnology(1)),
        lambda ack: plus(without(ack, LinkLayerIdentifier), LinkLayerIdentifier(b"\2\0\0\0\0\x99")),
    ],
)
def test_mismatched_acknowledgement_stops_retransmission(spoil):
    receiver = handover_with_answer(spoil)
    assert not receiver.domain.items(2, AnchorRoute)
    assert list(receiver.domain.gateway(2)._base.exchanges) == []
    assert receiver.domain.gateway(2)._base.reception.counters["mismatch"] == 1


def test_ack_without_d_marks_the_peer_legacy():
    receiver = handover_with_answer(lambda ack: replace(ack, flags=AckFlag.PROXY))
    assert D1 in receiver.domain.gateway(2)._base.state.legacy_peers
    assert not [k for k in receiver.domain.kernel[D2] if k[0] == "tunnel"]


def test_rejecting_ack_leaves_the_rest_alone():
    """PBA >= 128 for an anchor: no DLIF, RA or forwarding for its prefix; the own prefix is unaffected"""
    receiver = handover_with_answer(lambda ack: replace(ack, status=130))
    assert list(receiver.domain.ras(2)) == ["mn1dgw2"]
    assert [k[0] for k in sorted(receiver.domain.kernel[D2])] == ["dlif", "source-gate"]


def test_anchor_group_naming_ourselves_is_ignored():
    """PBA 67 naming ourselves, or a prefix inside our own pool"""
    domain = Domain("relay")
    spoil_answers(
        domain,
        CMD,
        lambda ack: plus(
            ack,
            PreviousMaar.of(address(1), IPv6Network("2001:db8:c3:7::/64")),
            PreviousMaar.of(address(2), IPv6Network("2001:db8:a1:7::/64")),
        ),
    )
    domain.attach(1, 1)
    domain.run()
    domain.attach(1, 3)
    domain.run()
    assert len(domain.events("anchor-ignored", address(1))) == 2
    assert not [a for a in domain.node(3).anchors if a.prefix.subnet_of(IPv6Network("2001:db8:c3::/48"))]


def spoil_answers(domain, source, change):
    """Have every PBA from `source` altered under way."""

    def rule(now, sender, destination, octets):
        if sender != source or octets[:1] != b"\x3b":  # a look-up is no Mobility Header
            return None
        message = pull_mobility(octets, sender, destination)
        if not isinstance(message, BindingAck):
            return None
        altered = push_mobility(change(message), sender, destination)
        domain.feed(destination, MobilityDatagram(altered, sender, destination))
        return []

    domain.filters.append(rule)


def handover_with_answer(change):
    receiver = Receiver("direct", D2)
    spoil_answers(receiver.domain, D1, change)
    receiver.domain.move(1, 1, 2)
    receiver.domain.run()
    return receiver


# --- the CMD's own rows


CMD_REJECTED = {
    "HNP outside the sender's pool": ({"prefixes": [PREF_A]}, (), 155),
    "option 68 from a gateway": ({}, (ServingMaar(D2),), 154),
    "unknown node": ({"mn_id": "nobody@dmm.example"}, (), 153),
}


@pytest.mark.parametrize("row", CMD_REJECTED)
def test_cmd_rejects(cmd, row):
    changes, options, status = CMD_REJECTED[row]
    message = plus(update(cmd.domain, **{"prefixes": [PREF_B], **changes}), *options)
    [ack], changed = cmd.ask(message)
    assert (ack.status, changed) == (status, False)


@pytest.mark.requirement("CMD-2")
def test_cmd_rejects_another_prefix_from_the_serving_gateway(cmd):
    """159 applies between a gateway and its own registration (CMD-2)"""
    message = update(cmd.domain, prefixes=[IPv6Network("2001:db8:a1:5::/64")])
    [ack], changed = cmd.ask(message, ANCHOR)
    assert (ack.status, changed) == (159, False)


@pytest.mark.requirement("DEREG-3")
def test_cmd_ignores_deregistration_by_others(cmd):
    """DEREG-3"""
    assert cmd.ask(update(cmd.domain, prefixes=[PREF_B], lifetime=0)) == ([], False)


@given(data=st.data())
def test_what_is_not_accepted_changes_nothing(data):
    """Random and mutated messages: the agent lives, and its state changes only with an accepting answer"""
    receiver = Receiver(*data.draw(st.sampled_from([("direct", ANCHOR), ("relay", CMD)])))
    good = bytearray(push_mobility(update(receiver.domain, timestamp=5), D2, receiver.target))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    octets = data.draw(st.one_of(st.binary(max_size=200), st.just(bytes(good))))
    answers, changed = receiver.give(octets, data.draw(st.sampled_from([D2, FOREIGN, IPv6Address("ff02::1")])))
    accepted = [m for m in answers if isinstance(m, BindingAck) and m.accepted]
    assert not changed or accepted
