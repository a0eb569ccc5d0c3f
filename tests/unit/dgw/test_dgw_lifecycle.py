"""Life and death of bindings: expiry, hold, release of anchors, refusals (spec §5.2, §5.7, §9)."""

from dataclasses import replace
from ipaddress import IPv6Network

import pytest
from dgw_domain import CMD, POOLS, Domain, address, cmd_config, gateway_config, mac

from agents.dgw.actions import MobilityDatagram, NeighborSeen, RouterSolicited, Stations
from agents.dgw.cmd.core import CmdCore
from agents.dgw.config import Timing
from agents.dgw.forwarding import AnchorRoute, Dlif, Tunnel
from agents.dgw.freshness import ticks
from agents.dgw.gateway.core import GatewayCore
from agents.dgw.gateway.state import BindingState
from agents.timers import Timers
from agents.wire.mobility import BindingAck, BindingUpdate, pull_mobility
from agents.wire.mobility_codes import Handoff, Status
from agents.wire.mobility_options import HandoffIndicator, HomeNetworkPrefix, ServingMaar, Timestamp

MODES = ["direct", "relay", "locator", "proxy"]
CMD_MODES = MODES[1:]
PREF = {i: IPv6Network(POOLS[i].replace("::/48", ":1::/64")) for i in (1, 2, 3)}
MN = "mn1@dmm.example"


@pytest.fixture(params=MODES)
def domain(request):
    return Domain(request.param)


@pytest.fixture(params=CMD_MODES)
def mode(request):
    return request.param


def walk(domain, *path):
    """mn1 along these gateways, one second at each."""
    here = None
    for index in path:
        if here:
            domain.detach(1, here)
        domain.attach(1, index)
        domain.run(1)
        here = index
    return domain


def about(message):
    return [option.network for option in message.every(HomeNetworkPrefix)]


def zero(domain, source=None, destination=None):
    return [(t, m) for t, _, _, m in domain.sent(BindingUpdate, source, destination) if not m.lifetime_units]


def unreachable(*nodes):
    return lambda now, source, destination, octets: [] if source in nodes or destination in nodes else None


# --- anchors: too many, idle, outlived


@pytest.mark.requirement("HO-16", "DEREG-11")
def test_oldest_anchor_goes_when_there_are_too_many():
    for mode in MODES:
        domain = walk(Domain(mode, gateway_changes={"max_anchors": 1}), 1, 2)
        assert not zero(domain), "one anchor is allowed"
        walk_on(domain, 2, 3)
        assert {d.name for d in domain.items(3, Dlif)} == {"mn1dgw3", "mn1dgw2"}, mode
        assert {t.peer for t in domain.items(3, Tunnel)} == {address(2)}
        [event] = domain.events("anchor-released", address(3))
        assert event.fields["prefix"] == PREF[1]
        assert about(zero(domain, address(3))[0][1]) == [PREF[1]]
        domain.run(30)
        assert not domain.kernel[address(1)]
        assert domain.node(1) is None
        assert domain.items(2, AnchorRoute) == [AnchorRoute(PREF[2], address(3))]


def walk_on(domain, old, new):
    domain.move(1, old, new)
    domain.run(1)


@pytest.mark.requirement("DEREG-11", "HO-17")
def test_idle_anchor_is_released_while_the_node_stays(domain):
    """RAs with lifetime 0 on its DLIF, PBU with lifetime 0 for its prefix alone; the rest is untouched"""
    walk(domain, 1, 2, 3)
    domain.idle[PREF[1]] = 7
    domain.wire.clear()
    start = domain.now
    while not domain.events("anchor-released", address(3)):
        domain.run(1)
        assert domain.now < start + 1000
    assert 600 <= domain.now - start <= 901, "T_idle, looked at four times in that time"
    said = next(ra for t, _, ras in domain.orders for ra in ras if ra.dlif == "mn1dgw1" and t > start)
    assert (said.router_lifetime, said.preference, said.valid, said.preferred) == (0, "medium", 0, 0)
    [(_, update)] = zero(domain, address(3))
    assert about(update) == [PREF[1]]
    assert update.first(HandoffIndicator).value == Handoff.UNKNOWN
    domain.run(30)
    assert {d.name for d in domain.items(3, Dlif)} == {"mn1dgw3", "mn1dgw2"}
    assert {t.peer for t in domain.items(3, Tunnel)} == {address(2)}
    assert set(domain.ras(3)) == {"mn1dgw3", "mn1dgw2"}
    assert not domain.kernel[address(1)]
    assert list(domain.gateway(1)._base.state.pool.quarantine) == [1], "the prefix rests"
    domain.run(1000)
    assert {d.name for d in domain.items(3, Dlif)} == {"mn1dgw3", "mn1dgw2"}, "no refresh brings it back"
    assert domain.items(2, AnchorRoute), "the busy one stays"


@pytest.mark.requirement("DEREG-11")
def test_the_repositorys_older_answer_does_not_bring_a_released_anchor_back():
    """A look-up is under way, for whatever reason, when the anchor is released"""
    domain = walk(Domain("direct", timing=Timing(idle=200)), 1, 2, 3)
    domain.idle[PREF[1]] = 7
    domain.run(100)
    domain.filters.append(lambda now, s, d, o: [120] if (s, d) == (CMD, address(3)) else None)
    while not domain.events("anchor-released", address(3)):
        domain.run(1)
    domain.wire.clear()
    domain.run(200)
    assert [a.prefix for a in domain.node(3).anchors] == [PREF[2]]
    assert not [m for *_, m in domain.sent(BindingUpdate, address(3), address(1)) if m.lifetime_units]


@pytest.mark.requirement("DEREG-11", "RETX-6")
def test_a_copy_of_a_release_is_stale(mode):
    domain = walk(Domain(mode), 1, 2)
    domain.idle[PREF[1]] = 0
    copies = []
    domain.filters.append(lambda now, s, d, o: copies.append(o) if (s, d) == (address(2), CMD) else None)
    while not domain.events("anchor-released", address(2)):
        domain.run(1)
    domain.run(0.1)
    assert domain.sent(BindingAck, CMD, address(2))[-1][3].status == 0
    domain.feed(CMD, MobilityDatagram(copies[-1], address(2), CMD))
    assert domain.sent(BindingAck, CMD, address(2))[-1][3].status == Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED


@pytest.mark.requirement("DEREG-11")
def test_cmd_tells_the_released_anchor_and_forgets_it(mode):
    domain = walk(Domain(mode), 1, 2)
    domain.idle[PREF[1]] = 0
    domain.wire.clear()
    domain.run(1000)
    [(_, update)] = zero(domain, CMD, address(1))
    assert about(update) == [PREF[1]]
    assert update.first(ServingMaar).address == address(2)
    assert not domain.session().anchors
    assert not domain.session().released
    assert domain.session().serving.address == address(2)


@pytest.mark.requirement("DEREG-11")
def test_released_anchor_is_told_until_it_hears(mode):
    """Also over a restart of the CMD: the anchor's own timer does not run (DEREG-4)"""
    domain = walk(Domain(mode), 1, 2)
    domain.idle[PREF[1]] = 0
    domain.filters.append(unreachable(address(1)))
    domain.run(1000)
    assert domain.session().released
    restart_cmd(domain)
    domain.run(300)
    assert domain.node(1)
    domain.filters.clear()
    domain.run(40)
    assert domain.node(1) is None
    assert not domain.session().released


def restart_cmd(domain, saved=None):
    saved = saved or domain.cmd.saved_state()
    domain.cores[CMD] = CmdCore(cmd_config(domain.mode))
    domain.cmd.restore(saved, domain.now)
    domain.perform(CMD)


@pytest.mark.requirement("DEREG-11", "HO-13")
def test_return_to_a_gateway_that_is_being_told_to_let_go(mode):
    """The node's new registration is the newer word: the release must not take the prefix from under it"""
    domain = walk(Domain(mode), 1, 2)
    domain.idle[PREF[1]] = 0
    domain.filters.append(unreachable(address(1)))
    domain.run(1000)
    domain.filters.clear()
    domain.idle.clear()
    walk_on(domain, 2, 1)
    domain.run(60)
    assert domain.node(1).own.prefix == PREF[1]
    assert {d.name for d in domain.items(1, Dlif)} == {"mn1dgw1", "mn1dgw2"}
    assert not domain.session().released


def test_idle_release_can_be_off(domain):
    domain = walk(Domain(domain.mode, timing=Timing(idle=0)), 1, 2)
    domain.idle[PREF[1]] = 0
    domain.run(3000)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("HO-17")
@pytest.mark.parametrize("mode", ["relay", "locator"])
def test_prefix_that_no_host_uses_any_more_is_not_kept(mode):
    """Its anchor was out of reach for longer than its last valid lifetime (in proxy mode it is advertised all along)"""
    domain = walk(Domain(mode), 1)
    domain.filters.append(unreachable(address(1)))
    walk_on(domain, 1, 2)
    domain.run(290)
    assert domain.session().anchors
    domain.run(20)
    assert not domain.session().anchors
    assert not domain.session().untold
    domain.filters.clear()
    domain.run(40)
    assert domain.node(1) is None, "it is told once it is back"
    domain.run(300)
    assert not domain.items(2, Tunnel)


@pytest.mark.requirement("HO-17")
def test_refreshes_prolong_the_prefixes_of_all_anchors(mode):
    """Hosts hear the valid lifetime anew all the time: it counts from the last refresh, not from the last move"""
    domain = walk(Domain(mode), 1, 2)
    domain.run(1000)
    domain.filters.append(unreachable(address(1)))
    walk_on(domain, 2, 3)
    domain.run(100)
    assert PREF[1] in {record.prefix for record in domain.session().anchors}


# --- DEREG-5: anchors that keep their timers


def running(mode, **timing):
    both = {"anchor_timers": "run"}
    return Domain(mode, timing=Timing(**timing), gateway_changes=both, cmd_changes=both)


@pytest.mark.requirement("DEREG-5")
def test_anchor_asks_before_its_binding_ends_and_goes_on(mode):
    domain = walk(running(mode, lifetime=40), 1, 2)
    assert domain.node(1).expires is not None
    domain.wire.clear()
    domain.run(200)
    asked = zero(domain, address(1), CMD)
    assert 4 <= len(asked) <= 8
    assert all(m.first(HandoffIndicator).value == Handoff.UNKNOWN and about(m) == [PREF[1]] for _, m in asked)
    answers = [m for *_, m in domain.sent(BindingAck, CMD, address(1))]
    assert all(m.status == 0 and m.lifetime_units > 0 for m in answers)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]
    assert not domain.events("session-deregistered")


@pytest.mark.requirement("DEREG-4", "AMB-15")
def test_anchor_timer_stands_still_by_default(mode):
    """Refreshes go to the CMD alone, and the anchor neither asks nor expires"""
    domain = walk(Domain(mode, timing=Timing(lifetime=40)), 1, 2)
    assert domain.node(1).expires is None
    domain.wire.clear()
    domain.run(200)
    assert {d for _, _, d, _ in domain.sent(BindingUpdate)} == {CMD}
    assert domain.items(1, AnchorRoute)


@pytest.mark.requirement("DEREG-5", "DEREG-7")
def test_anchor_ends_by_itself_when_the_session_is_gone(mode):
    """Nobody answers for the node any more: after five questions the anchor lets go without being told"""
    domain = walk(running(mode, lifetime=40), 1, 2)
    domain.filters.append(lambda now, s, d, o: [] if s == CMD and d == address(1) else None)
    domain.detach(1, 2)
    domain.run(120)
    assert domain.node(1) is None
    assert not domain.kernel[address(1)]


@pytest.mark.requirement("DEREG-3", "DEREG-4")
def test_anchor_may_not_ask_where_timers_stand_still(mode):
    """Exactly one of DEREG-4 and DEREG-5: lifetime 0 from who does not serve the node is ignored"""
    domain = Domain(mode, timing=Timing(lifetime=40), gateway_changes={"anchor_timers": "run"})
    walk(domain, 1, 2)
    domain.wire.clear()
    domain.run(41)
    assert zero(domain, address(1), CMD)
    assert not domain.sent(BindingAck, CMD, address(1))
    assert domain.session().serving.address == address(2)


# --- the end of a session


@pytest.mark.requirement("DEREG-1", "DEREG-2", "DEREG-6", "DEREG-7", "DEREG-8")
def test_times_of_the_end(mode):
    domain = walk(Domain(mode), 1, 2)
    domain.wire.clear()
    left = domain.now
    domain.detach(1, 2)
    domain.run(400)
    [(asked, update)] = zero(domain, address(2), CMD)
    assert 299 <= asked - left + 1 <= 301, "when its last registration ends, not before"
    assert about(update) == [PREF[2]]
    [(told, relayed)] = zero(domain, CMD, address(1))
    assert 10 <= told - asked <= 10.1, "MinDelayBeforeBCEDelete"
    assert relayed.first(ServingMaar).address == address(2)
    answers = [(s, d, m.status, m.lifetime_units) for _, s, d, m in domain.sent(BindingAck)]
    assert answers == [(CMD, address(2), 0, 0), (address(1), CMD, 0, 0)]


@pytest.mark.requirement("DEREG-8")
def test_end_without_an_answer(domain):
    """Routes and DLIFs go after INITIAL_BINDACK_TIMEOUT even if nobody answers"""
    walk(domain, 1, 2)
    domain.detach(1, 2)
    domain.filters.append(lambda *_: [])
    while not domain.events("binding-expired"):
        domain.run(1)
    assert domain.items(2, Dlif)
    domain.run(1)
    assert not domain.kernel[address(2)]


@pytest.mark.requirement("DEREG-6")
def test_no_data_during_the_hold(domain):
    walk(domain, 1, 2)
    domain.detach(1, 2)
    while domain.node(2).own.state is not BindingState.DELETING:
        domain.run(0.5)
    assert not domain.kernel[address(2)]


@pytest.mark.requirement("DEREG-7", "RETX-2")
def test_silent_anchor_is_told_of_the_end_when_it_is_back(mode):
    domain = walk(Domain(mode), 1, 2)
    domain.filters.append(unreachable(address(1)))
    domain.detach(1, 2)
    domain.run(800)
    assert domain.session().released
    domain.filters.clear()
    domain.run(40)
    assert domain.node(1) is None
    assert domain.session() is None


@pytest.mark.requirement("DEREG-10")
def test_binding_lasts_no_longer_than_asked_nor_than_its_prefix():
    domain = Domain("direct")
    walk(domain, 1, 2)
    [update] = [m for *_, m in domain.sent(BindingUpdate, address(2), address(1))]
    assert domain.node(1).own.lifetime == update.lifetime_seconds == 300
    assert domain.node(1).expires <= domain.now + domain.ras(2)["mn1dgw1"].valid
    short = Domain("direct")
    short.gateway(1)._base.config = replace(short.configs[address(1)], timing=Timing(lifetime=100))
    walk(short, 1, 2)
    assert short.node(1).own.lifetime == 100
    assert [m.lifetime_seconds for *_, m in short.sent(BindingAck, address(1))] == [100]


@pytest.mark.requirement("DEREG-9")
def test_direct_mode_refreshes_and_ends_each_anchor_itself():
    domain = walk(Domain("direct"), 1, 2, 3)
    domain.wire.clear()
    domain.run(200)
    refreshed = [m for *_, m in domain.sent(BindingUpdate, address(3))]
    assert all(m.first(HandoffIndicator).value == Handoff.REREGISTRATION for m in refreshed)
    assert sorted(map(about, refreshed)) == [[PREF[1]], [PREF[2]]]
    domain.detach(1, 3)
    domain.run(320)
    assert sorted(about(m) for _, m in zero(domain, address(3))) == [[PREF[1]], [PREF[2]]]
    assert domain.node(1) is None
    assert domain.node(2) is None


@pytest.mark.requirement("ATT-14", "RETX-3")
def test_no_refresh_for_a_node_that_is_not_there(domain):
    walk(domain, 1, 2)
    domain.wire.clear()
    domain.run(100)
    domain.detach(1, 2)
    domain.run(180)
    assert not domain.sent(BindingUpdate)


@pytest.mark.requirement("AMB-16", "DEREG-6")
def test_same_gateway_again(domain):
    """Prefix and identity are kept; HI 5 while the entry is alive, 1 in the hold"""
    walk(domain, 1)
    identity = domain.node(1).own.identity
    hints = []
    domain.gateway(1)._serving._registration.attach = remember_handoff(domain, hints)
    domain.detach(1, 1)
    domain.run(5)
    domain.attach(1, 1)
    domain.run(1)
    domain.detach(1, 1)
    while domain.node(1).own.state is not BindingState.DELETING:
        domain.run(1)
    domain.attach(1, 1)
    domain.run(30)
    assert hints == [Handoff.REREGISTRATION, Handoff.NEW_INTERFACE]
    assert (domain.node(1).own.prefix, domain.node(1).own.identity) == (PREF[1], identity)
    assert domain.node(1).own.state is BindingState.LOCAL


def remember_handoff(domain, hints):
    attach = domain.gateway(1)._serving._registration.attach

    def remembered(node, handoff, now):
        hints.append(handoff)
        attach(node, handoff, now)

    return remembered


# --- refusals


def rejecting(domain, status, source, ahead=0.0):
    """Turn the next PBA from `source` into a rejection, once; its clock is that many seconds ahead of everybody's."""
    from agents.wire.mobility import push_mobility

    left = [1]

    def rule(now, s, d, octets):
        message = pull_mobility(octets, s, d) if s == source and octets[:1] == b"\x3b" else None
        if not isinstance(message, BindingAck) or not left[0]:
            return None
        left[0] = 0
        told = Timestamp(ticks(now + ahead))
        options = tuple(told if isinstance(option, Timestamp) else option for option in message.options)
        altered = push_mobility(replace(message, status=status, lifetime_units=0, options=options), s, d)
        from agents.dgw.actions import MobilityDatagram

        domain.feed(d, MobilityDatagram(altered, s, d))
        return []

    domain.filters.append(rule)


@pytest.mark.requirement("RETX-10", "ATT-9")
def test_refused_prefix_is_not_asked_for_again(mode):
    domain = Domain(mode)
    rejecting(domain, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, CMD)
    domain.attach(1, 1)
    domain.run(1)
    assert not domain.items(1, Dlif)
    domain.cmd._base.state.sessions.clear()  # it never accepted in the first place
    domain.detach(1, 1)
    domain.attach(1, 1)
    domain.run(1)
    assert domain.node(1).own.prefix == IPv6Network("2001:db8:a1:2::/64")


@pytest.mark.requirement("RETX-10")
def test_refused_service_stays_refused(mode):
    domain = Domain(mode)
    rejecting(domain, Status.PROXY_REG_NOT_ENABLED, CMD)
    domain.attach(1, 1)
    domain.run(1)
    count = len(domain.sent(BindingUpdate))
    domain.detach(1, 1)
    domain.attach(1, 1)
    domain.run(60)
    assert len(domain.sent(BindingUpdate)) == count
    assert domain.events("halted", address(1))


@pytest.mark.requirement("RETX-10")
@pytest.mark.parametrize(
    ("status", "ahead", "pause"),
    [
        (Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, 10, (0, 0.5)),
        (Status.TIMESTAMP_MISMATCH, 10, (32, 33)),
        (Status.TIMESTAMP_MISMATCH, -10, (32, 33)),
        (Status.TIMESTAMP_MISMATCH, 0, (0, 0.5)),
    ],
)
def test_clocks_that_disagree(mode, status, ahead, pause):
    """157: register again at once; 156: wait for the clocks, if they disagree at all, and never set one's own"""
    domain = Domain(mode)
    rejecting(domain, status, CMD, ahead)
    domain.attach(1, 1)
    domain.run(40)
    first, second = (t for t, *_ in domain.sent(BindingUpdate, address(1)))
    assert pause[0] <= second - first <= pause[1]
    assert domain.node(1).own.state is BindingState.LOCAL


def deaf(domain, node, seconds):
    """Mobility Headers to a node lie unread for some seconds from now on, then it reads them one after the other."""
    begin = domain.now

    def rule(now, _source, destination, octets):
        if destination != node or octets[:1] != b"\x3b" or now >= begin + seconds:
            return None
        return [begin + seconds - now]

    domain.filters.append(rule)


@pytest.mark.requirement("RETX-7", "RETX-10", "HO-9")
@pytest.mark.parametrize("who", ["anchor", "centre"])
@pytest.mark.parametrize("pause", [0.5, 1.5, 2.5])
def test_whoever_could_not_read_for_a_while_is_told_again_at_once(mode, who, pause):
    """Every update is too old by then (156), though no clock is off: nobody waits for clocks to be set"""
    domain = walk(Domain(mode), 1)
    deaf(domain, address(1) if who == "anchor" else CMD, pause)
    domain.move(1, 1, 2)
    domain.run(pause + 2.1)
    assert domain.events("binding-rejected")
    assert set(domain.ras(2)) == {"mn1dgw1", "mn1dgw2"}
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]


@pytest.mark.requirement("RETX-2", "RETX-10")
def test_a_way_that_is_longer_than_the_window_is_tried_as_if_nobody_answered(mode):
    """At once for the first time; then clocks that agree are no reason to try any faster"""
    domain = walk(Domain(mode), 1)
    domain.filters.append(lambda _now, _s, _d, octets: [0.4] if octets[:1] == b"\x3b" else None)
    begin = domain.now
    domain.move(1, 1, 2)
    domain.run(70)
    sent = [t for t, *_ in domain.sent(BindingUpdate, address(2)) if t >= begin]
    assert 2 < len(sent) <= 9


# --- a CMD that is not there


@pytest.mark.requirement("AMB-4")
def test_local_service_without_a_cmd_and_its_end(mode):
    domain = walk(Domain(mode, gateway_changes={"local_only_after": 5}), 1)
    domain.filters.append(unreachable(CMD))
    domain.move(1, 1, 2)
    domain.run(30)
    assert not domain.ras(2), "not before five tries"
    domain.run(2)
    assert set(domain.ras(2)) == {"mn1dgw2"}
    assert domain.node(2).own.local_only
    domain.run(60)
    domain.filters.clear()
    domain.run(35)
    assert set(domain.ras(2)) == {"mn1dgw2", "mn1dgw1"}
    assert not domain.node(2).own.local_only
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]


@pytest.mark.requirement("AMB-4", "DEREG-1")
def test_local_service_of_a_node_that_left_ends_with_a_lifetime(mode):
    """Nothing was granted that could run out: what a registration would have been granted counts"""
    domain = Domain(mode, gateway_changes={"local_only_after": 5})
    domain.filters.append(unreachable(CMD))
    domain.attach(1, 1)
    domain.run(40)
    assert set(domain.ras(1)) == {"mn1dgw1"}
    domain.detach(1, 1)
    domain.run(290)
    assert domain.node(1)
    domain.run(100)
    assert domain.node(1) is None
    assert not domain.kernel[address(1)]


@pytest.mark.requirement("AMB-4", "ATT-8")
def test_no_local_service_unless_configured(mode):
    domain = Domain(mode)
    domain.filters.append(unreachable(CMD))
    domain.attach(1, 1)
    domain.run(300)
    assert not domain.ras(1)


@pytest.mark.requirement("DEREG-10")
def test_cmd_that_was_away_for_longer_than_a_lifetime_cuts_nobody_off(mode):
    """It restarts with saved sessions that ran out meanwhile; gateways repeat their refresh"""
    domain = walk(Domain(mode), 1, 2)
    domain.filters.append(unreachable(CMD))
    saved = domain.cmd.saved_state()
    domain.cmd._base.timers = Timers()  # it is dead
    domain.run(330)
    restart_cmd(domain, saved)
    domain.filters.clear()
    domain.run(40)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


# --- a gateway that dies


def restart(domain, index, stations=()):
    saved = domain.gateway(index).saved_state()
    domain.cores[address(index)] = GatewayCore(gateway_config(index, domain.mode))
    domain.gateway(index).restore(saved, domain.now)
    domain.perform(address(index))
    domain.feed(address(index), Stations(frozenset(map(mac, stations))))


@pytest.mark.requirement("HO-9", "AMB-16")
def test_serving_gateway_restarted_in_the_middle_of_a_handover(domain):
    walk(domain, 1)
    domain.filters.append(unreachable(CMD, address(1)))
    domain.move(1, 1, 2)
    domain.run(0.2)
    restart(domain, 2, [1])
    domain.filters.clear()
    domain.run(3)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]


@pytest.mark.requirement("RA-10")
def test_node_that_left_a_restarting_gateway_is_told_nothing(domain):
    """radvd went on with what the gateway had ordered before its end"""
    walk(domain, 1, 2)
    restart(domain, 2)
    assert domain.node(2).serving
    assert not domain.ras(2)


@pytest.mark.requirement("HO-15")
def test_node_that_left_a_restarting_gateway_leaves_nothing(mode):
    domain = Domain(mode)
    domain.filters.append(unreachable(CMD))
    domain.attach(1, 2)
    domain.run(0.2)
    restart(domain, 2)
    assert domain.node(2) is None
    assert not domain.kernel[address(2)]
    assert not domain.gateway(2)._base.state.pool.quarantine


@pytest.mark.requirement("HO-5", "HO-12")
def test_old_gateway_dead_until_later(domain):
    walk(domain, 1)
    domain.filters.append(unreachable(address(1)))
    walk_on(domain, 1, 2)
    domain.run(60)
    restart(domain, 1)
    domain.filters.clear()
    domain.run(40)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]
    assert not domain.items(1, Dlif)
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("RETX-11", "DEREG-7")
def test_an_end_whose_answer_was_lost_is_confirmed_again(mode):
    """The anchor has nothing left of the binding, yet answers the CMD's repetition; others are ignored (DEREG-3)"""
    domain = walk(Domain(mode), 1, 2)
    domain.detach(1, 2)
    lost = [2]

    def rule(now, source, destination, octets):
        if (source, destination) == (address(1), CMD) and lost[0] and domain.node(1) is None:
            lost[0] -= 1
            return []
        return None

    domain.filters.append(rule)
    domain.run(400)
    assert lost == [0]
    assert len(zero(domain, CMD, address(1))) == 3
    assert domain.session() is None


@pytest.mark.requirement("DEREG-7")
def test_an_anchor_that_never_comes_back_is_given_up(mode):
    domain = walk(Domain(mode), 1, 2)
    domain.filters.append(unreachable(address(1)))
    domain.detach(1, 2)
    domain.run(4 * 7200)
    assert domain.session() is None


# --- DLIF-6


@pytest.mark.requirement("DLIF-6")
@pytest.mark.parametrize("kind", ["ns", "rs"])
def test_own_dlif_gives_way_to_the_nodes_own_address(domain, kind):
    walk(domain, 1)
    [before] = domain.items(1, Dlif)
    domain.wire.clear()
    notice = {"ns": NeighborSeen, "rs": RouterSolicited}[kind](mac(1), before.link_local)
    domain.feed(address(1), notice)
    domain.run(1)
    [after] = domain.items(1, Dlif)
    assert after.link_local != before.link_local
    assert after.mac != before.mac
    assert after.prefix == before.prefix
    if domain.mode == "direct":
        record = domain.cmd.inspect()["repository"][MN]["anchors"][0]
        assert record["identity"]["mac"] == after.mac
    else:
        [update] = [m for *_, m in domain.sent(BindingUpdate, address(1), CMD)]
        assert update.groups[0].link_layer.text == after.mac
        assert domain.session().serving.identity.mac == after.mac
    walk_on(domain, 1, 2)
    moved = next(d for d in domain.items(2, Dlif) if d.name == "mn1dgw1")
    assert (moved.mac, moved.link_local) == (after.mac, after.link_local)


@pytest.mark.requirement("DLIF-6")
def test_anchors_dlif_gives_way_where_the_node_is(domain):
    walk(domain, 1, 2)
    before = next(d for d in domain.items(2, Dlif) if d.name == "mn1dgw1")
    domain.feed(address(2), NeighborSeen(mac(1), before.link_local))
    domain.run(200)
    after = next(d for d in domain.items(2, Dlif) if d.name == "mn1dgw1")
    assert after.link_local != before.link_local
    assert domain.events("router-identity-changed", address(2))
