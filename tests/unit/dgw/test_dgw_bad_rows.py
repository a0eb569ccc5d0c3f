"""Every row of spec §10 (topologies.dgw.bad_messages) against every role and mode: the reply, the count, the state."""

import itertools
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, HOME_POOL, Domain, address, mac, profiles

from agents.dgw.actions import MobilityDatagram, SendParameterProblem
from agents.dgw.freshness import ticks
from agents.wire.mobility import BindingAck, BindingError, push_mobility
from agents.wire.mobility_codes import UpdateFlag
from agents.wire.mobility_options import (
    AccessTechnology,
    AnchoredPrefix,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLayerIdentifier,
    MobileNodeIdentifier,
    Timestamp,
)
from topologies.dgw.bad_messages import REFUSED, TOLERATED, Ground, instead, plus, rows_for, without

OUTSIDER = IPv6Address("2001:db8:f::2")
DISABLED = "mn3@dmm.example"
PREF_A, PREF_C = IPv6Network("2001:db8:a1:1::/64"), IPv6Network("2001:db8:c3:1::/64")
HOME = IPv6Network((HOME_POOL.network_address + (1 << 64), 64))
PLACES = [
    ("gateway", "direct"),
    ("gateway", "relay"),
    ("gateway", "locator"),
    ("anchor", "direct"),
    ("anchor", "relay"),
    ("cmd", "relay"),
    ("cmd", "locator"),
    ("cmd", "proxy"),
    ("lma", "classic"),
]


class Place:
    """A role in a domain where mn1 is at D-GW1 (roles gateway, cmd) or went on to D-GW2 (role anchor)."""

    def __init__(self, role, mode, **options):
        known = tuple(replace(p, enabled=p.mn_id != DISABLED) for p in profiles())
        changes = {"gateway_changes": {"profiles": known}, "cmd_changes": {"profiles": known}}
        self.role, self.domain = role, Domain(mode, **changes, **options)
        self.domain.attach(1, 1)
        self.domain.run(1)
        if role == "anchor":
            self.domain.move(1, 1, 2)
            self.domain.run(1)
        self.target = CMD if role in ("cmd", "lma") else address(1)
        self.serving = address(2) if role == "anchor" else address(1)
        self._numbers = itertools.count(70)

    @property
    def core(self):
        return self.domain.cores[self.target]

    def ground(self, row):
        sources = {"peer": address(3), "serving": self.serving, "cmd": CMD, "outsider": OUTSIDER}
        prefix = PREF_C if self.role == "cmd" and row.sender != "serving" else PREF_A
        prefix = HOME if self.role == "lma" else prefix
        return Ground(
            self.role,
            self.target,
            sources[row.sender],
            "mn1@dmm.example",
            mac(1),
            prefix,
            DISABLED,
            self.domain.now,
            next(self._numbers),
        )

    def state(self):
        dump = self.core.inspect()
        return {k: v for k, v in dump.items() if k != "counters"}, dict(self.domain.kernel[self.target])

    def give(self, octets, source):
        sent = len(self.domain.wire)
        self.domain.feed(self.target, MobilityDatagram(octets, source, self.target))
        return [message for _, sender, _, message in self.domain.wire[sent:] if sender == self.target]

    def play(self, row):
        """The answers, what was counted, and the request."""
        self.domain.run(0.2)  # error answers are rate-limited
        ground = self.ground(row)
        before = dict(self.core.inspect()["counters"])
        answers = self.give(row.octets(ground), ground.source)
        after = self.core.inspect()["counters"]
        counted = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
        return answers, counted, ground


def check_reply(row, answers, ground):
    reply = row.reply_at(ground.role)
    if reply is None:
        assert answers == []
        return
    [answer] = answers
    if reply.kind == "problem":
        assert isinstance(answer, SendParameterProblem)
        assert answer.field + 40 == reply.pointer
    elif reply.kind == "error":
        assert isinstance(answer, BindingError)
        assert (answer.status, answer.home_address) == (reply.status, IPv6Address("::"))
    else:
        check_ack(reply, answer, row.change(ground.good(), ground), ground)


def check_ack(reply, ack, request, ground):
    """HO-8, RETX-7, RETX-8: what a rejection repeats"""
    assert isinstance(ack, BindingAck)
    assert (ack.status, int(ack.flags)) == (reply.status, reply.flags)
    assert ack.sequence == (request.sequence if reply.sequence is None else reply.sequence)
    for kind in (HandoffIndicator, AccessTechnology, LinkLayerIdentifier):
        assert ack.first(kind) == request.first(kind)
    if ack.status == 160:
        assert ack.every(MobileNodeIdentifier) == (MobileNodeIdentifier(b""),)
    else:
        assert ack.every(MobileNodeIdentifier) == (request.first(MobileNodeIdentifier),)
    if ack.status >= 128:
        assert ack.lifetime_units == 0
        assert ack.every(HomeNetworkPrefix) == (request.every(HomeNetworkPrefix) or (HomeNetworkPrefix.all_zero(),))
    stamp = ack.first(Timestamp)
    if ack.status in (156, 157):
        assert stamp.raw == ticks(ground.now)
    elif ack.status == 135:
        assert stamp is None
    else:
        assert stamp == request.first(Timestamp)


def every_row():
    for role, mode in PLACES:
        for row in rows_for(role):
            if row.good_checksum:
                yield pytest.param(role, mode, row, id=f"{role}-{mode}-{row.name}")


@pytest.fixture(scope="module")
def places():
    return {}


@pytest.mark.requirement("BAD-INPUT")
@pytest.mark.requirement("SC-BADINPUT", "HO-8", "RETX-6", "RETX-7", "SEC-4", "DEREG-3", "AMB-5", "AMB-6")
@pytest.mark.parametrize(("role", "mode", "row"), list(every_row()))
def test_refused_row(places, role, mode, row):
    """The named reply, one count, nothing changed; all rows of a role one after another at one receiver"""
    place = places.setdefault((role, mode), Place(role, mode))
    before = place.state()
    answers, counted, ground = place.play(row)
    check_reply(row, answers, ground)
    assert counted == {row.counter: 1}
    assert place.state() == before


@pytest.mark.requirement("SC-BADINPUT", "RETX-8", "RETX-11")
@pytest.mark.parametrize("mode", ["direct", "relay"])
def test_tolerated_rows(mode):
    """Odd but right updates are answered 0 and add nothing; sequence numbers order those without Timestamp"""
    place = Place("anchor", mode)
    for row in rows_for("anchor", TOLERATED):
        kernel = place.state()[1]
        answers, counted, ground = place.play(row)
        check_reply(row, answers, ground)
        assert counted == ({row.counter: 1} if row.counter else {}), row.name
        assert place.state()[1] == kernel, row.name


def test_the_unspoilt_update_is_accepted_everywhere():
    """Else the rows would prove nothing"""
    for role, mode in PLACES:
        place = Place(role, mode)
        ground = place.ground(REFUSED[0])
        place.give(push_mobility(ground.good(), ground.source, ground.target), ground.source)
        place.domain.run(1)
        acks = [m for _, _, d, m in place.domain.sent(BindingAck) if d == ground.source]
        assert [ack.status for ack in acks] == [0] * len(acks), (role, mode)
        assert acks, (role, mode)


# --- the order of the chain


def alter(change):
    return lambda update, ground: change(update)


def same(update, ground):
    return update


CHAIN = [
    ("payload proto", same, lambda o: b"\x06" + o[1:], "problem 40"),
    ("MH type", same, lambda o: o[:2] + b"\x40" + o[3:], "error 2"),
    ("Header Len", same, lambda o: o[:1] + b"\0" + o[2:], "problem 41"),
    ("TLV", same, lambda o: o[:13] + b"\xff" + o[14:], "silence option-overrun"),
    ("source", same, bytes, "silence source"),
    ("P flag", alter(lambda u: replace(u, flags=u.flags & ~UpdateFlag.PROXY)), bytes, "silence ignored"),
    ("D flag", alter(lambda u: replace(u, flags=u.flags & ~UpdateFlag.DISTRIBUTED)), bytes, "ack 129"),
    ("second option", alter(lambda u: plus(u, Timestamp(1), Timestamp(2))), bytes, "ack 128"),
    ("no MN-ID", alter(lambda u: without(u, MobileNodeIdentifier)), bytes, "ack 160"),
    ("sender", same, bytes, "ack 154"),
    ("unknown", alter(lambda u: instead(u, MobileNodeIdentifier.of("x@y"))), bytes, "ack 153"),
    ("disabled", same, bytes, "ack 152"),
    ("old", alter(lambda u: instead(u, Timestamp(1))), bytes, "ack 157"),
    ("no HNP", alter(lambda u: without(u, HomeNetworkPrefix)), bytes, "ack 158"),
    ("no HI", alter(lambda u: without(u, HandoffIndicator)), bytes, "ack 161"),
    ("no ATT", alter(lambda u: without(u, AccessTechnology)), bytes, "ack 162"),
    ("prefix", alter(lambda u: plus(u, AnchoredPrefix(PREF_A.network_address, 0))), bytes, "ack 155"),
]
"""Faults in the order of spec §10, and what each alone is met with."""


def outcome(place, faults):
    """What a message with all these faults is met with."""
    place.domain.run(0.2)
    names = {fault[0] for fault in faults}
    ground = place.ground(REFUSED[0])
    if "source" in names:
        ground = replace(ground, source=IPv6Address("ff02::1"))
    elif "sender" in names:
        ground = replace(ground, source=OUTSIDER)
    base = place.core._base
    base.profiles["mn1@dmm.example"] = replace(base.profiles["mn1@dmm.example"], enabled="disabled" not in names)
    message = ground.good()
    for _, change, _, _ in reversed(faults):
        message = change(message, ground)
    octets = push_mobility(message, ground.source, ground.target)
    for _, _, spoil, _ in faults:
        octets = spoil(octets)
    before = dict(place.core.inspect()["counters"])
    answers = place.give(octets, ground.source)
    after = place.core.inspect()["counters"]
    if not answers:
        [counter] = [name for name in after if after[name] != before.get(name, 0)]
        return f"silence {counter}"
    [answer] = answers
    if isinstance(answer, SendParameterProblem):
        return f"problem {answer.field + 40}"
    return f"{'ack' if isinstance(answer, BindingAck) else 'error'} {answer.status}"


@pytest.mark.requirement("BAD-ORDER")
@pytest.mark.requirement("SC-BADINPUT", "RETX-7")
@pytest.mark.parametrize(("role", "mode"), [("gateway", "direct"), ("anchor", "relay"), ("cmd", "relay")])
def test_of_two_faults_the_earlier_one_is_answered(role, mode):
    """Every pair of faults, in the order that RFC 5213 §5.3 insists on"""
    place = Place(role, mode)
    before = place.state()
    for fault in CHAIN:
        assert outcome(place, [fault]) == fault[3]
    for earlier, later in itertools.combinations(CHAIN, 2):
        if (earlier[0], later[0]) == ("TLV", "source"):
            expected = "silence option-overrun"  # both silent: the count tells
        elif later[0] == "source" and earlier[3].startswith(("problem", "error")):
            expected = f"silence {COUNTED[earlier[0]]}"  # found first, but nobody answers a multicast address
        else:
            expected = earlier[3]
        assert outcome(place, [earlier, later]) == expected, (earlier[0], later[0])
    assert place.state() == before


COUNTED = {"payload proto": "payload-proto", "MH type": "unknown-type", "Header Len": "header-too-short"}
