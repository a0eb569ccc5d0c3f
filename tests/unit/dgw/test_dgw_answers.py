"""What answers may do, and how long an update is repeated without one, in virtual time (spec §2.2, §5.6, §9, §10)."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, Domain, address
from dgw_operators import OPERATORS, assert_relays, walk
from test_dgw_bad_input import PREF_A, PREF_B, Receiver, plus, spoil_answers, update

from agents.dgw.actions import MobilityDatagram
from agents.dgw.config import Timing
from agents.dgw.forwarding import Tunnel, Uplink
from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_rejection
from agents.wire.mobility import BindingAck, BindingUpdate, push_mobility
from agents.wire.mobility_codes import AckFlag, Status, UpdateFlag
from agents.wire.mobility_options import (
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    ServingMaar,
)

D1, D2, D3 = address(1), address(2), address(3)
CENTRAL = ["relay", "locator", "proxy"]


def silence(*addresses):
    """No message from or to these arrives."""
    return lambda now, source, destination, octets: [] if {source, destination} & set(addresses) else None


# --- no answer


@pytest.mark.requirement("RETX-2")
@pytest.mark.parametrize("mode", ["direct", "relay"])
def test_a_peer_that_is_silent_for_days_is_asked_every_32_seconds_all_the_same(mode):
    """Beyond 1023 doublings a number would not fit a float: an update, and a question to the repository"""
    domain = Domain(mode, timing=Timing(lifetime=262140))
    domain.filters.append(silence(CMD))
    domain.attach(1, 1)
    domain.run(12 * 3600)
    own = domain.gateway(1)
    waiting = list(own._base.exchanges) if mode == "relay" else list(own._repository._queries.values())
    assert waiting
    assert all(one.sends > 1200 for one in waiting)
    assert all(domain.now < one.due <= domain.now + 32 for one in waiting)
    domain.filters.clear()
    domain.run(33)
    assert "mn1dgw1" in domain.ras(1)
    assert domain.session() if mode == "relay" else domain.cmd._repository.entries


# --- answers to something older


@pytest.mark.requirement("CMD-9")
@pytest.mark.parametrize("echoes", [True, False])
def test_a_late_answer_with_the_same_sequence_number_updates_nothing(echoes):
    """Two gateways count each for itself: option 68, or where it is not echoed the Timestamp, tells them apart"""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    held = []

    def hold(now, source, destination, octets):
        if (source, destination) == (D1, CMD):
            held.append(octets)
            return []
        return None

    domain.filters.append(hold)
    domain.move(1, 1, 2)
    domain.run(0.1)
    domain.move(1, 2, 3)
    domain.run(0.05)
    first, second = (domain.sent(BindingUpdate, source, CMD)[-1][3] for source in (D2, D3))
    assert first.sequence == second.sequence
    late = domain.pull(held[0], D1, CMD)
    if not echoes:
        late = replace(late, options=tuple(o for o in late.options if not isinstance(o, ServingMaar)))
    domain.feed(CMD, MobilityDatagram(push_mobility(late, D1, CMD), D1, CMD))
    assert D1 in domain.session().untold
    assert domain.events("dropped", CMD)
    domain.filters.clear()
    domain.run(3)
    assert domain.session().untold == set()


# --- answers about the clock


@pytest.mark.requirement("DEREG-7", "RETX-7", "RETX-10")
@pytest.mark.parametrize("mode", CENTRAL)
@pytest.mark.parametrize(
    ("status", "ahead", "pause"),
    [
        (Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, 10, (0.3, 1)),
        (Status.TIMESTAMP_MISMATCH, 10, (32, 33)),
        (Status.TIMESTAMP_MISMATCH, 0, (0.3, 1)),
    ],
)
def test_an_end_whose_stamp_was_refused_is_told_again(mode, status, ahead, pause):
    """Nothing else would end the anchor's binding: its timer stands still (DEREG-4)"""
    domain = walk(Domain(mode), 1, 2)
    answered = []

    def refuse_ends(now, source, destination, octets):
        if source != CMD or destination != D1 or len(answered) > 1:
            return None
        asked = domain.pull(octets, source, destination)
        if not isinstance(asked, BindingUpdate) or asked.lifetime_units:
            return None
        answered.append(now)
        if len(answered) == 1:
            ack = compose_rejection(asked, status, now_ticks=ticks(now + ahead))
            octets = push_mobility(ack, D1, CMD)
            domain._deliver(D1, CMD, octets, MobilityDatagram(octets, D1, CMD))
            return []
        return None

    domain.filters.append(refuse_ends)
    domain.detach(1, 2)
    domain.run(400)
    assert len(answered) == 2
    assert pause[0] - 0.3 <= answered[1] - answered[0] <= pause[1]
    assert domain.node(1) is None
    assert domain.session() is None


# --- answers to something else


@pytest.mark.requirement("SC-BADINPUT")
def test_the_lma_tells_an_anchor_nothing_more_until_an_administrator_acts():
    """Chained exchanges, too, end with an answer to something else than was asked"""
    domain = walk(Domain("direct", operators=OPERATORS), 1)
    spoil_answers(domain, D1, lambda ack: replace(ack, options=(*ack.options[:1], HandoffIndicator(2))))
    domain.move(1, 1, 2)
    domain.run(40)
    assert len(domain.sent(BindingUpdate, CMD, D1)) == 1
    assert domain.cmd.inspect()["halted"] == [f"{D1} mn1@dmm.example"]
    domain.filters.clear()
    assert domain.cmd.resume() == 1
    domain.run(40)
    assert_relays(domain, PREF_A, anchor=1, serving=2)


# --- answers without the D flag


@pytest.mark.requirement("SC-BADINPUT", "CMD-LOC-1")
def test_an_anchors_own_answer_without_the_d_flag_gives_no_tunnel():
    domain = walk(Domain("locator"), 1)
    spoil_answers(domain, D1, lambda ack: replace(ack, flags=AckFlag.PROXY))
    domain.move(1, 1, 2)
    domain.run(3)
    assert not domain.items(2, Tunnel)
    assert not domain.items(2, Uplink)
    assert list(domain.ras(2)) == ["mn1dgw2"]
    assert str(D1) in domain.gateway(2).inspect()["legacy_peers"]


# --- what answers repeat, and of whom they speak


@pytest.mark.requirement("HO-8")
@pytest.mark.parametrize(("mode", "target", "prefix"), [("direct", D1, PREF_A), ("relay", CMD, PREF_B)])
@pytest.mark.parametrize("stamp", [None, 5])
def test_a_link_local_address_is_echoed(mode, target, prefix, stamp):
    """Option 26 is optional and echoed, by an anchor and by a CMD, whether they accept or not"""
    receiver = Receiver(mode, target)
    told = LinkLocalAddress(IPv6Address("fe80::26"))
    stamp = stamp or ticks(receiver.domain.now)
    receiver.ask(plus(update(receiver.domain, prefixes=[prefix], timestamp=stamp), told))
    receiver.domain.run(0.3)
    [answer] = [m for *_, m in receiver.domain.sent(BindingAck, target, D2)]
    assert answer.accepted == (stamp > 5)
    assert answer.every(LinkLocalAddress) == (told,)


@pytest.mark.requirement("SC-BADINPUT")
def test_a_prefix_of_another_node_is_refused_as_such():
    """155 before 159, even beside the node's own"""
    domain = Domain("direct")
    for number in (1, 2):
        domain.attach(number, 1)
    domain.run(1)
    other = domain.node(1, 2).own.prefix
    for prefixes, status in cases(PREF_A, other):
        before = domain.gateway(1).saved_state()
        message = update(domain, prefixes=prefixes)
        sent = len(domain.wire)
        domain.feed(D1, MobilityDatagram(push_mobility(message, D2, D1), D2, D1))
        [ack] = [m for _, s, _, m in domain.wire[sent:] if s == D1]
        assert ack.status == status
        assert [o.network for o in ack.every(HomeNetworkPrefix)] == prefixes
        assert domain.gateway(1).saved_state() == before


@pytest.mark.requirement("SC-BADINPUT")
def test_a_home_prefix_of_another_node_is_refused_as_such():
    """At a classic anchor as well"""
    domain = Domain("classic")
    for number in (1, 2):
        domain.attach(number, 1)
        domain.run(3)
    mine, other = domain.cmd._registrar.state.bindings.values()
    for prefixes, status in cases(mine.prefix, other.prefix):
        before = domain.cmd.saved_state()
        message = update(domain, prefixes=prefixes, flags=UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY)
        sent = len(domain.wire)
        domain.feed(CMD, MobilityDatagram(push_mobility(message, D1, CMD), D1, CMD))
        [ack] = [m for _, s, _, m in domain.wire[sent:] if s == CMD]
        assert ack.status == status
        assert domain.cmd.saved_state() == before


def cases(mine, other):
    """Prefixes asked for, and the status that they get."""
    return ([other], 155), ([mine, other], 155), ([mine, beside(mine)], 159)


def beside(prefix):
    """A prefix of the same pool that nobody has."""
    return IPv6Network((int(prefix.network_address) + (0x77 << 64), 64))


# --- answers that come late


@pytest.mark.requirement("DEREG-10", "CMD-RELAY-4", "ATT-14")
def test_a_further_answer_prolongs_nothing():
    """What an update asked for counts from when it was sent: the CMD's entry does not live longer either"""
    domain = walk(Domain("relay"), 1)
    domain.filters.append(silence(D1))
    domain.move(1, 1, 2)
    domain.run(100)
    [(asked, *_)] = domain.sent(BindingUpdate, D2, CMD)
    domain.filters.clear()
    domain.run(40)
    assert "mn1dgw1" in domain.ras(2)
    assert len(domain.sent(BindingUpdate, D2, CMD)) == 1
    assert domain.node(2).expires == asked + 300
    domain.run(20)
    refreshed = [t for t, *_ in domain.sent(BindingUpdate, D2, CMD)]
    assert [round(t - asked) for t in refreshed] == [0, 150]


@pytest.mark.requirement("DEREG-10", "DEREG-9")
@pytest.mark.parametrize("mode", ["direct", "relay", "locator"])
def test_a_slow_answer_counts_from_its_update(mode):
    domain = Domain(mode, timing=Timing(lifetime=20))
    domain.attach(1, 1)
    domain.run(1)
    slow = D1 if mode != "relay" else CMD
    domain.filters.append(lambda now, s, d, o: [0.9] if s == slow and d == D2 and o[:1] == b"\x3b" else None)
    domain.move(1, 1, 2)
    domain.run(1.5)
    asked = domain.sent(BindingUpdate, D2)[0][0]
    node = domain.node(2)
    ends = [anchor.expires for anchor in node.anchors] if mode == "direct" else [node.expires]
    assert ends == [pytest.approx(asked + 20, abs=0.01)]


# --- answers one after the other


@pytest.mark.requirement("RETX-5", "CMD-RELAY-4")
def test_further_answers_keep_their_distance():
    """Two slow anchors answer in one moment: what the CMD passes on of it to one gateway is spaced like its updates"""
    domain = walk(Domain("relay"), 1, 2)
    moment = domain.now + 1.0

    def together(now, source, destination, octets):
        return [moment - now] if source in (D1, D2) and destination == CMD and now < moment else None

    domain.filters.append(together)
    domain.move(1, 2, 3)
    domain.run(0.9)
    told = len(domain.sent(BindingAck, CMD, D3))
    assert told == 1, "T_agg is over"
    domain.run(1)
    times = [t for t, *_ in domain.sent(BindingAck, CMD, D3)][told:]
    assert len(times) == 2
    assert times[0] == pytest.approx(moment, abs=0.001)
    assert times[1] - times[0] >= 0.01 - 1e-6
    assert sorted(domain.ras(3)) == ["mn1dgw1", "mn1dgw2", "mn1dgw3"]


# --- answers about the number


@pytest.mark.requirement("RETX-8")
@pytest.mark.parametrize(("mode", "operators"), [("relay", None), ("proxy", None), ("direct", OPERATORS)])
def test_a_cmd_takes_over_the_last_accepted_number(mode, operators):
    """An anchor that orders by sequence number says which one was the last: the next is above it, once and at once"""
    domain = walk(Domain(mode, operators=operators), 1)
    asked = []

    def wants_more(now, source, destination, octets):
        if (source, destination) != (CMD, D1):
            return None
        update = domain.pull(octets, source, destination)
        asked.append((now, update.sequence))
        if update.sequence > 900:
            return None
        ack = compose_rejection(update, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, now_ticks=ticks(now), last_sequence=900)
        octets = push_mobility(ack, D1, CMD)
        domain._deliver(D1, CMD, octets, MobilityDatagram(octets, D1, CMD))
        return []

    domain.filters.append(wants_more)
    domain.move(1, 1, 2)
    domain.run(0.5)
    assert [number > 900 for _, number in asked] == [False, True]
    assert asked[1][1] == 901
    assert D1 not in (domain.session().untold if mode != "direct" else ())
    assert PREF_A in {uplink.prefix for uplink in domain.items(2, Uplink)}


# --- answers about somebody else


@pytest.mark.requirement("SC-BADINPUT")
@pytest.mark.parametrize("mode", ["direct", "relay", "proxy"])
@pytest.mark.parametrize("whom", [[MobileNodeIdentifier.of("mn2@dmm.example")], []])
def test_an_answer_about_another_node_ends_all_repetition(mode, whom):
    """MN-ID as well as HI, ATT and link-layer identifier must be the request's (spec §10, RFC 5213 §6.9.1.2-6)"""
    domain = walk(Domain(mode), 1)
    peer = D1 if mode == "direct" else CMD
    spoil_answers(domain, peer, lambda ack: replace(ack, options=(*whom, *ack.options[1:])))
    domain.move(1, 1, 2)
    domain.run(60)
    asked = [t for t, *_ in domain.sent(BindingUpdate, D2, peer)]
    assert len(asked) == 1
    assert domain.gateway(2).inspect()["halted"] == [f"{peer} mn1@dmm.example"]
    assert domain.gateway(2).inspect()["counters"]["mismatch"] >= 1
    assert "mn1dgw1" not in domain.ras(2)
