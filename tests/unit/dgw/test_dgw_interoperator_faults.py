"""Between operators when things go wrong: loss, silence, refusals, expiry, restarts, replays; and random walks."""

from dataclasses import replace

import pytest
from dgw_domain import CMD, Domain, address, cmd_config, gateway_config, mac
from dgw_operators import MODES, OPERATORS, PREF, assert_relays, lma, walk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.dgw.actions import MobilityDatagram, Stations
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute, Dlif, Tunnel, Uplink
from agents.wire.mobility import BindingUpdate, push_mobility
from agents.wire.mobility_options import (
    HandoffIndicator,
    ServingMaar,
)


@pytest.fixture(params=MODES)
def domain(request):
    return Domain(request.param, operators=OPERATORS)


@pytest.mark.requirement("INTER-4", "HO-11")
def test_silent_anchor_does_not_hold_up_the_rest(domain):
    """D-GW1 hears nothing for a while: its fellow's prefix is relayed all the same, and prefA when it is back"""
    walk(domain, 1, 4)
    domain.filters.append(lambda now, s, d, o: [] if address(1) in (s, d) else None)
    domain.move(1, 4, 2)
    domain.run(1)
    assert_relays(domain, PREF[4], anchor=4, serving=2)
    assert PREF[2] in {ra.prefix for ra in domain.ras(2).values() if ra.preferred}
    assert (PREF[1] in {u.prefix for u in domain.items(2, Uplink)}) == (domain.mode == "proxy"), "promised only there"
    domain.filters.clear()
    domain.run(40)
    assert_relays(domain, PREF[1], anchor=1, serving=2)


@pytest.mark.requirement("INTER-4", "RETX-1")
def test_lost_answers_on_either_leg_are_mended(domain):
    walk(domain, 1)
    lost = {(address(1), CMD): 2, (CMD, address(2)): 2}

    def rule(now, source, destination, octets):
        if lost.get((source, destination)):
            lost[source, destination] -= 1
            return []
        return None

    domain.filters.append(rule)
    domain.move(1, 1, 2)
    domain.run(20)
    assert not any(lost.values()) or domain.mode == "proxy"
    assert_relays(domain, PREF[1], anchor=1, serving=2)


@pytest.mark.requirement("INTER-4", "CMD-RELAY-5")
def test_anchor_that_refuses_is_not_relayed(domain):
    walk(domain, 1)
    domain.gateway(1)._base.state.nodes.clear()
    domain.move(1, 1, 2)
    domain.run(3)
    assert not domain.kernel[CMD]
    assert {d.prefix for d in domain.items(2, Dlif)} == {PREF[2]}
    assert not domain.items(2, Tunnel)


@pytest.mark.requirement("DEREG-2", "DEREG-6", "DEREG-7", "DEREG-9")
def test_deregistration_reaches_the_anchor_through_the_lma(domain):
    walk(domain, 1, 2, 3)
    domain.detach(1, 3)
    domain.run(20)
    assert domain.kernel[CMD], "DEREG-1: the relay lives as long as the binding"
    domain.run(310)
    for index in OPERATORS:
        assert not domain.kernel[address(index)]
        assert not domain.gateway(index)._base.state.nodes
    assert not domain.kernel[CMD]
    state = domain.cmd.inspect()
    assert (state["sessions"], state["chains"], state["repository"]) == ({}, {}, {})
    ends = [m for *_, m in domain.sent(BindingUpdate, CMD, address(1)) if m.lifetime_units == 0]
    assert ends
    assert all(m.first(ServingMaar).address == CMD for m in ends)


@pytest.mark.requirement("DEREG-6")
def test_return_within_the_hold_time_revives_the_relay(domain):
    walk(domain, 1, 2)
    domain.detach(1, 2)
    for _ in range(320):
        if not domain.kernel[CMD]:
            break
        domain.run(1)
    assert not domain.kernel[CMD], "dropped while held"
    domain.attach(1, 2)
    domain.run(30)
    assert_relays(domain, PREF[1], anchor=1, serving=2)


@pytest.mark.requirement("ATT-14", "INTER-6")
def test_refreshes_keep_the_relay(domain):
    walk(domain, 1, 2)
    before = dict(domain.kernel[CMD]), dict(domain.kernel[address(1)]), dict(domain.kernel[address(2)])
    domain.run(2000)
    assert (domain.kernel[CMD], domain.kernel[address(1)], domain.kernel[address(2)]) == before


def restart(domain):
    saved = domain.cmd.saved_state()
    domain.cores[CMD] = CmdCore(cmd_config(domain.mode, OPERATORS))
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)


@pytest.mark.requirement("INTER-6", "INTER-9")
def test_lma_restart_keeps_forwarding(domain):
    """Adopted as it was, tables included; the next moves go on from there"""
    walk(domain, 1, 2)
    before = dict(domain.kernel[CMD])
    restart(domain)
    assert domain.kernel[CMD] == before
    walk_on = len(domain.sent(BindingUpdate, CMD, address(1)))
    domain.move(1, 2, 3)
    domain.run(1)
    assert_relays(domain, PREF[1], anchor=1, serving=3)
    assert len(domain.sent(BindingUpdate, CMD, address(1))) == walk_on
    domain.move(1, 3, 1)
    domain.run(1)
    assert {r.prefix for r in lma(domain, AnchorRoute)} == {PREF[2], PREF[3]}


@pytest.mark.requirement("INTER-6", "DEREG-7")
def test_a_relay_ends_although_the_lma_restarted(domain):
    """How long it lasts is saved with it: the serving gateway is never heard of again"""
    walk(domain, 1, 2)
    domain.run(200)
    domain.filters.append(lambda now, s, d, o: [] if address(2) in (s, d) else None)
    restart(domain)
    domain.run(340)
    assert not domain.kernel[CMD]
    assert domain.node(1) is None


@pytest.mark.requirement("INTER-4")
def test_lma_restarted_between_the_two_legs(domain):
    walk(domain, 1)
    domain.filters.append(lambda now, s, d, o: [] if d == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    restart(domain)
    domain.filters.clear()
    domain.run(8)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], CMD)] or domain.mode == "proxy"
    assert {d.prefix for d in domain.items(2, Dlif)} == {PREF[1], PREF[2]}


@pytest.mark.requirement("HO-13", "INTER-10")
def test_stale_update_of_the_visited_operator_loses(domain):
    walk(domain, 1, 2)
    [*_, (_, _, _, stale)] = domain.sent(BindingUpdate, address(2), CMD)
    domain.move(1, 2, 1)
    domain.run(1)
    kernels = {node: dict(items) for node, items in domain.kernel.items()}
    count = len(domain.wire)
    domain.feed(CMD, MobilityDatagram(push_mobility(stale, address(2), CMD), address(2), CMD))
    domain.run(1)
    assert [m.status for *_, m in domain.wire[count:]] == [157]
    zero = replace(stale, lifetime_units=0)
    domain.feed(CMD, MobilityDatagram(push_mobility(zero, address(2), CMD), address(2), CMD))
    domain.run(15)
    assert domain.kernel == kernels


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    mode=st.sampled_from(MODES),
    fates=st.lists(st.sampled_from(["ok", "ok", "lose", "twice", "late"]), max_size=60),
    path=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    operators=st.lists(st.sampled_from("AB"), min_size=4, max_size=4),
    crash=st.integers(0, 6),
)
def test_converges_across_operators_whatever_the_network_does(mode, fates, path, operators, crash):
    """Any walk, loss, duplication, reordering, and a restart of the LMA: one path per prefix, never across operators"""
    mapped = dict(enumerate(operators, 1))
    domain = Domain(mode, timing=Timing(lifetime=200), operators=mapped)
    remaining = list(fates)

    def rule(now, source, destination, octets):
        fate = remaining.pop(0) if remaining else "ok"
        return {"ok": None, "lose": [], "twice": [0.001, 0.004], "late": [0.15]}[fate]

    domain.filters.append(rule)
    here = None
    for step, index in enumerate(path):
        if here:
            domain.detach(1, here)
        domain.attach(1, index)
        here = index
        if step == crash:
            domain.run(0.3)
            saved = domain.cmd.saved_state()
            domain.cores[CMD] = CmdCore(cmd_config(mode, mapped, timing=Timing(lifetime=200)))
            domain.cmd.restore(saved, domain.now)
            domain.perform(CMD)
        domain.run(1.2)
    remaining.clear()
    domain.run(150)
    assert_converged(domain, here, mapped)


def assert_converged(domain, here, operators):
    anchored = {i for i in operators if domain.node(i) and domain.node(i).own}
    assert {d.prefix for d in domain.items(here, Dlif)} == {PREF[i] for i in anchored}
    foreign = {i for i in anchored if operators[i] != operators[here]}
    expected = {PREF[i]: CMD if i in foreign else address(i) for i in anchored - {here}}
    assert {u.prefix: u.peer for u in domain.items(here, Uplink)} == expected
    assert {t.peer for t in domain.items(here, Tunnel)} == set(expected.values())
    for index in set(operators) - {here}:
        towards = CMD if index in foreign else address(here)
        assert domain.items(index, AnchorRoute) == ([AnchorRoute(PREF[index], towards)] if index in anchored else [])
        assert not domain.items(index, Dlif)
    assert {r.prefix: r.peer for r in lma(domain, AnchorRoute)} == {PREF[i]: address(here) for i in foreign}
    assert {u.prefix: u.peer for u in lma(domain, Uplink)} == {PREF[i]: address(i) for i in foreign}
    assert {t.peer for t in lma(domain, Tunnel)} == {address(i) for i in foreign | ({here} if foreign else set())}
    for _, source, destination, _ in domain.wire:
        ends = [i for i in operators if address(i) in (source, destination)]
        assert len({operators[i] for i in ends}) <= 1, "INTER-1"


def test_gateway_restart_keeps_the_relayed_prefix(domain):
    """The agent of the serving gateway comes back: same items, the LMA need not notice"""
    from agents.dgw.gateway.core import GatewayCore

    walk(domain, 1, 2)
    before = dict(domain.kernel[address(2)])
    saved = domain.gateway(2).saved_state()
    domain.cores[address(2)] = GatewayCore(gateway_config(2, domain.mode, OPERATORS))
    domain.gateway(2).restore(saved, domain.now)
    domain.perform(address(2))
    domain.feed(address(2), Stations(frozenset({mac(1)})))
    domain.run()
    assert domain.kernel[address(2)] == before


@pytest.mark.requirement("INTER-4")
@pytest.mark.parametrize("mode", ["relay", "direct"])
def test_unheard_of_handoff_indicator_is_passed_on_as_it_came(mode):
    """A value that no RFC defines must not stop the LMA"""
    domain = walk(Domain(mode, operators=OPERATORS), 1)
    # A Mobility Header begins with 59; look-ups pass.
    domain.filters.append(lambda now, s, d, o: [] if (s, d, o[0]) == (address(2), CMD, 59) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    update = next(m for _, s, d, m in domain.wire if (s, d) == (address(2), CMD) and isinstance(m, BindingUpdate))
    odd = replace(update, options=tuple(HandoffIndicator(77) if o.type == 23 else o for o in update.options))
    domain.feed(CMD, MobilityDatagram(push_mobility(odd, address(2), CMD), address(2), CMD))
    [(_, _, _, passed)] = domain.sent(BindingUpdate, CMD, address(1))
    assert passed.first(HandoffIndicator).value == 77
