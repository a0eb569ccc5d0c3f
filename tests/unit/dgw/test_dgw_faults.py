"""Loss, duplication, reordering, slow anchors, clocks: the domain converges by RETX-* (spec §9)."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from dgw_domain import CMD, Domain, address, cmd_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.dgw.actions import PeerRefused
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute, Dlif, Tunnel
from agents.plain import PlainError
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility
from agents.wire.mobility_options import PreviousMaar, Timestamp

NETWORKS = {1: ("2001:db8:a1:ffff::/64", "fd00:1::/64"), 2: ("fd00:1::/64",), 3: ()}


@pytest.fixture(params=["direct", "relay", "locator", "proxy"])
def domain(request):
    return Domain(request.param)


def is_ack(octets, source, destination):
    try:
        return isinstance(pull_mobility(octets, source, destination), BindingAck)
    except ValueError:
        return False


def lose_first(domain, count):
    """Drop the first `count` PBAs that D-GW2 would get."""
    left = [count]

    def rule(now, source, destination, octets):
        if destination == address(2) and is_ack(octets, source, destination) and left[0]:
            left[0] -= 1
            return []
        return None

    domain.filters.append(rule)


@pytest.mark.requirement("RETX-1", "RETX-2", "RETX-4", "RETX-11", "SC-LOSS")
def test_retransmission_times(domain):
    """RETX-1, RETX-2, RETX-4, RETX-11, SC-LOSS: sends at 0, 1, 3, 7 s with new timestamps; one entry, one tunnel"""
    domain.attach(1, 1)
    domain.run(1)
    lose_first(domain, 3)
    start = domain.now
    domain.move(1, 1, 2)
    domain.run(20)
    sent = [(t - start, m) for t, _, _, m in domain.sent(BindingUpdate, source=address(2))]
    assert [round(t, 2) for t, _ in sent] == [0.0, 1.0, 3.0, 7.0] or domain.mode == "direct"
    assert [round(b[0] - a[0], 1) for a, b in pairwise(sent)] == [1.0, 2.0, 4.0]
    stamps = [m.first(Timestamp).raw for _, m in sent]
    assert stamps == sorted(set(stamps))
    assert len({m.sequence for _, m in sent}) == 4
    assert len(domain.items(2, Tunnel)) == len(domain.items(1, Tunnel)) == 1
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("RETX-3", "HO-15")
def test_leaving_stops_retransmission(domain):
    """RETX-3, HO-15"""
    domain.attach(1, 1)
    domain.run(1)
    lose_first(domain, 99)
    domain.move(1, 1, 2)
    domain.run(1.5)
    domain.detach(1, 2)
    count = len(domain.sent(BindingUpdate, source=address(2)))
    domain.run(60)
    assert len(domain.sent(BindingUpdate, source=address(2))) == count


@pytest.mark.requirement("RETX-3", "HO-15")
def test_leaving_stops_looking_up():
    """Direct mode: what the repository would answer concerns a node that is not here"""
    domain = Domain("direct")
    asked = []

    def silent(now, source, destination, octets):
        if source == address(1) and b'"lookup"' in octets:
            asked.append(now)
        return [] if source == CMD else None

    domain.filters.append(silent)
    domain.attach(1, 1)
    domain.run(2)
    domain.detach(1, 1)
    assert len(asked) == 2
    domain.run(60)
    assert len(asked) == 2


@pytest.mark.requirement("HO-15")
@pytest.mark.parametrize("mode", ["relay", "locator"])
def test_an_answer_to_who_left_gives_nothing(mode):
    """The rest of a partial answer (CMD-RELAY-4) comes when the node is gone"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [3] if s == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(1)
    assert set(domain.ras(2)) == {"mn1dgw2"}
    domain.detach(1, 2)
    domain.run(5)
    assert not domain.items(2, Tunnel)
    assert not domain.events("anchor-active")


@pytest.mark.requirement("HO-15")
def test_leaving_before_confirmation_returns_the_prefix():
    """HO-15: what was never advertised goes back to the pool"""
    domain = Domain("relay")
    domain.filters.append(lambda *_: [])
    domain.attach(1, 2)
    domain.run(0.5)
    domain.detach(1, 2)
    assert not domain.kernel[address(2)]
    pool = domain.gateway(2)._base.state.pool
    assert (pool.allocated, pool.quarantine) == ({}, {})


@pytest.mark.requirement("RETX-5", "CMD-6")
def test_rate_limit_holds_with_many_moves(domain):
    """RETX-5, CMD-6: never more than three PBUs a second to one node"""
    domain = Domain(domain.mode)
    for number in (1, 2, 3):
        domain.attach(number, 1)
    domain.run(3)
    for here, there in ((1, 2), (2, 3), (3, 1), (1, 2)):
        for number in (1, 2, 3):
            domain.move(number, here, there)
        domain.run(0.2)
    domain.run(30)
    for destination in domain.cores:
        for source in domain.cores:
            times = [t for t, *_ in domain.sent(BindingUpdate, source, destination)]
            assert all(times[i + 3] - times[i] >= 1.0 - 1e-6 for i in range(len(times) - 3))
    for number in (1, 2, 3):
        names = {d.name for d in domain.items(2, Dlif) if d.name.startswith(f"mn{number}")}
        anchored = [i for i in (1, 2, 3) if (node := domain.node(i, number)) and node.own]
        assert names == {f"mn{number}dgw{i}" for i in anchored}
        assert {1, 2} <= set(anchored)


@pytest.mark.requirement("HO-11", "RETX-2")
def test_unreachable_anchor_is_reported_and_does_not_block(domain):
    """HO-11, RETX-2: reported after five tries, tried on; the own prefix works"""
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(1)
    promised = {"mn1dgw1"} if domain.mode == "proxy" else set()  # CMD-PROXY-1: the CMD vouches for the anchor
    assert set(domain.ras(2)) == {"mn1dgw2"} | promised
    domain.run(40)
    assert domain.events("peer-unreachable")
    domain.filters.clear()
    domain.run(40)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("CMD-RELAY-4")
def test_slow_anchor_gives_partial_answer():
    """CMD-RELAY-4: what is there after T_agg, the rest later"""
    domain = Domain("relay")
    for index in (1, 2):
        domain.attach(1, index)
        domain.run(1)
        domain.detach(1, index)
    slow = [True]
    domain.filters.append(lambda now, s, d, o: [0.8] if s == address(1) and slow[0] else None)
    domain.attach(1, 3)
    domain.run(0.4)
    assert not domain.ras(3)
    domain.run(0.3)
    assert set(domain.ras(3)) == {"mn1dgw3", "mn1dgw2"}
    domain.run(1)
    assert set(domain.ras(3)) == {"mn1dgw3", "mn1dgw2", "mn1dgw1"}


@pytest.mark.requirement("CMD-9")
def test_newer_registration_supersedes():
    """CMD-9: late answers of an older transaction update nothing"""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [0.3] if s == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    domain.move(1, 2, 3)
    domain.run(3)
    assert {t.peer for t in domain.items(1, Tunnel)} == {address(3)}
    assert {d.name for d in domain.items(3, Dlif)} >= {"mn1dgw1", "mn1dgw3"}
    assert not domain.items(2, Dlif)


def test_cmd_restarted_in_the_middle_of_a_handover():
    """The anchors that were not told yet are told when the serving gateway repeats itself"""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    saved = domain.cmd.saved_state()
    domain.cores[CMD] = CmdCore(cmd_config("relay"))
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)
    domain.filters.clear()
    domain.run(4)
    assert domain.items(1, AnchorRoute)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("CMD-RELAY-5")
def test_refreshed_registration_does_not_name_a_silent_anchor():
    """CMD-RELAY-5: an anchor that never agreed is in no answer"""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(400)
    assert not [m for *_, m in domain.sent(BindingAck, CMD, address(2)) if m.every(PreviousMaar)]
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw2"}


def test_refused_peer_is_left_alone_for_a_while(domain):
    """ICMPv6 type 4 code 1: an alarm, a pause, then tried again"""
    domain.attach(1, 1)
    domain.run(1)
    other = CMD if domain.mode != "direct" else address(1)
    domain.filters.append(lambda now, s, d, o: [] if d == other and s == address(2) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    domain.feed(address(2), PeerRefused(other))
    count = len(domain.sent(BindingUpdate, address(2)))
    domain.run(3)
    assert len(domain.sent(BindingUpdate, address(2))) == count
    assert domain.events("peer-without-mobility")
    domain.filters.clear()
    domain.run(5)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("HO-13", "DEREG-3", "SC-PINGPONG")
def test_stale_update_of_a_former_gateway_loses(domain):
    """HO-13, SC-PINGPONG: replayed PBUs from D2 after the return to D1"""
    domain.attach(1, 1)
    domain.run(1)
    domain.move(1, 1, 2)
    domain.run(1)
    target = CMD if domain.mode != "direct" else address(1)
    [*_, (_, _, _, stale)] = domain.sent(BindingUpdate, address(2), target)
    domain.move(1, 2, 1)
    domain.run(1)
    kernel = dict(domain.kernel[address(1)])
    from agents.dgw.actions import MobilityDatagram
    from agents.wire.mobility import push_mobility

    domain.wire.clear()
    domain.feed(target, MobilityDatagram(push_mobility(stale, address(2), target), address(2), target))
    assert [m.status for *_, m in domain.sent(BindingAck)] == [157]
    zero = replace(stale, lifetime_units=0)
    domain.feed(target, MobilityDatagram(push_mobility(zero, address(2), target), address(2), target))
    domain.run(1)
    assert domain.kernel[address(1)] == kernel


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    mode=st.sampled_from(["direct", "relay", "locator", "proxy"]),
    fates=st.lists(st.sampled_from(["ok", "ok", "lose", "twice", "late"]), max_size=60),
    path=st.lists(st.integers(1, 3), min_size=1, max_size=5),
)
def test_converges_whatever_the_network_does(mode, fates, path):
    """Any loss, duplication and reordering: in the end one serving gateway, one route per anchored prefix"""
    domain = Domain(mode, timing=Timing(lifetime=200), networks=NETWORKS)
    remaining = list(fates)

    def rule(now, source, destination, octets):
        fate = remaining.pop(0) if remaining else "ok"
        return {"ok": None, "lose": [], "twice": [0.001, 0.004], "late": [0.15]}[fate]

    domain.filters.append(rule)
    here = None
    for index in path:
        if here:
            domain.detach(1, here)
        domain.attach(1, index)
        here = index
        domain.run(1.2)
    remaining.clear()
    domain.run(150)
    expected = {f"mn1dgw{here}"} | {
        f"mn1dgw{i}" for i in (1, 2, 3) if i != here and domain.node(i) and domain.node(i).own
    }
    assert {d.name for d in domain.items(here, Dlif)} == expected
    for index in (1, 2, 3):
        if index != here:
            assert not domain.items(index, Dlif)
            routes = domain.items(index, AnchorRoute)
            assert [r.peer for r in routes] == ([address(here)] if f"mn1dgw{index}" in expected else [])
            assert len(domain.items(index, Tunnel)) == len(routes)
            known = domain.node(index).own.elsewhere if routes else ()
            assert not routes or domain.node(here).own.prefix in known
            offered = [str(r.prefix) for r in domain.ras(here)[f"mn1dgw{index}"].routes] if routes else []
            assert offered == (list(NETWORKS[index]) if routes else [])
    assert not domain.ras(here)[f"mn1dgw{here}"].routes
    assert len(domain.items(here, Tunnel)) == len(expected) - 1


@pytest.mark.requirement("RETX-1", "CMD-RELAY-4")
@pytest.mark.parametrize("mode", ["relay", "locator", "proxy"])
@pytest.mark.parametrize("waited", [0.1, 3.0])
def test_cmd_restarted_goes_on_telling_silent_anchors(mode, waited):
    """The gateway has its answer, whole or in part, and will not ask again before it refreshes"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run(1)
    domain.move(1, 1, 3)
    domain.run(3)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 3, 2)
    domain.run(waited)
    saved = json.loads(json.dumps(domain.cmd.saved_state()))
    told = len(domain.sent(BindingUpdate, CMD, address(1)))
    asked = len(domain.sent(BindingUpdate, address(2), CMD))
    domain.cores[CMD] = CmdCore(cmd_config(mode))
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)
    assert len(domain.sent(BindingUpdate, CMD, address(1))) == told + 1, "at once"
    if waited > 1:
        domain.run(10)  # and again, with the usual back-off
        assert 3 <= len(domain.sent(BindingUpdate, CMD, address(1))) - told <= 4
    domain.filters.clear()
    domain.run(9)
    (route,) = domain.items(1, AnchorRoute)
    assert route.peer == address(2)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2", "mn1dgw3"}
    assert not domain.session().untold
    if mode == "relay" and waited > 1:
        assert len(domain.sent(BindingUpdate, address(2), CMD)) == asked, "nobody repeated the registration"
    stamps = [m.first(Timestamp).raw for *_, m in domain.sent(BindingUpdate, CMD, address(1))]
    assert stamps == sorted(set(stamps))
    # Nothing is left over: another restart tells nobody.
    saved, told = domain.cmd.saved_state(), len(domain.sent(BindingUpdate, CMD))
    domain.cores[CMD] = CmdCore(cmd_config(mode))
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)
    domain.run(5)
    assert len(domain.sent(BindingUpdate, CMD)) == told


def test_saved_state_without_what_was_pending_is_taken():
    """As an earlier version wrote it; what is no update is none."""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run(1)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(3)
    saved = domain.cmd.saved_state()
    (mn_id,) = saved["pending"]
    core = CmdCore(cmd_config("relay"))
    core.restore({key: value for key, value in saved.items() if key != "pending"}, domain.now)
    with pytest.raises(PlainError, match="pending"):
        CmdCore(cmd_config("relay")).restore({**saved, "pending": {mn_id: {"update": "00", "answered": True}}}, 0.0)
