"""The walk 1 -> 2 -> 3 and back, in both modes, between cores in virtual time."""

from ipaddress import IPv6Network

import pytest
from dgw_domain import CMD, Domain, address

from agents.dgw.forwarding import AnchorRoute, Dlif, SourceGate, Tunnel, TunnelGate, Uplink
from agents.dgw.gateway.state import BindingState
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import Handoff, UpdateFlag
from agents.wire.mobility_options import AnchoredPrefix, HandoffIndicator, HomeNetworkPrefix, PreviousMaar, ServingMaar

PREF = {
    1: IPv6Network("2001:db8:a1:1::/64"),
    2: IPv6Network("2001:db8:b2:1::/64"),
    3: IPv6Network("2001:db8:c3:1::/64"),
}


@pytest.fixture(params=["direct", "relay", "locator", "proxy"])
def domain(request):
    return Domain(request.param)


def hnps(message):
    return [option.network for option in message.every(HomeNetworkPrefix)]


@pytest.mark.requirement("ATT-3", "ATT-4", "ATT-8", "ATT-10", "RA-2")
def test_first_attach_gives_prefix_dlif_and_ra(domain):
    """ATT-3, ATT-4, ATT-8, ATT-10, RA-2"""
    domain.attach(1, 1)
    domain.run()
    assert domain.node(1).own.prefix == PREF[1]
    assert [d.name for d in domain.items(1, Dlif)] == ["mn1dgw1"]
    assert domain.items(1, Dlif)[0].mac == "02:d6:00:01:00:01"
    assert not domain.items(1, Tunnel)
    ra = domain.ras(1)["mn1dgw1"]
    assert (ra.preferred, ra.valid, ra.preference) == (300, 300, "medium")
    assert domain.items(1, SourceGate) == [SourceGate("mn1dgw1", PREF[1])]


@pytest.mark.requirement("ATT-5", "ATT-7", "ATT-8")
def test_first_attach_signalling_relay():
    """ATT-5, ATT-7: PBU with D to the CMD, PBA without option 67, RA only after it (ATT-8)"""
    domain = Domain("relay")
    domain.attach(1, 1)
    assert domain.items(1, Dlif)
    assert not domain.ras(1)
    assert not domain.items(1, SourceGate)
    domain.run()
    [(_, _, to, update)] = domain.sent(BindingUpdate)
    assert to == CMD
    assert update.flags == UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY | UpdateFlag.DISTRIBUTED
    assert update.first(HandoffIndicator).value in (Handoff.NEW_INTERFACE, Handoff.UNKNOWN)
    assert hnps(update) == [PREF[1]]
    [(_, _, _, ack)] = domain.sent(BindingAck)
    assert ack.status == 0
    assert not ack.every(PreviousMaar)
    assert domain.ras(1)


@pytest.mark.requirement("ATT-6")
def test_first_attach_direct_sends_no_update():
    """ATT-6"""
    domain = Domain("direct")
    domain.attach(1, 1)
    assert domain.ras(1), "AMB-4: the own prefix is advertised at once"
    domain.run()
    assert not domain.wire
    assert domain.cmd.inspect()["repository"]["mn1@dmm.example"]["serving"] == str(address(1))


@pytest.mark.requirement("HO-1", "HO-9", "HO-12", "DLIF-2", "RA-2", "RA-5")
def test_handover_turns_prefix_into_tunnel(domain):
    """HO-1 to HO-9, HO-12, DLIF-2, RA-2, RA-5"""
    domain.attach(1, 1)
    domain.run()
    old = domain.items(1, Dlif)[0]
    domain.move(1, 1, 2)
    domain.run()
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}
    moved = next(d for d in domain.items(2, Dlif) if d.name == "mn1dgw1")
    assert (moved.mac, moved.link_local, moved.prefix) == (old.mac, old.link_local, old.prefix)
    assert not domain.items(1, Dlif)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]
    assert domain.items(1, Tunnel) == [Tunnel(address(2))]
    assert domain.items(1, TunnelGate) == [TunnelGate(address(2), PREF[1], "source")]
    [uplink] = domain.items(2, Uplink)
    assert (uplink.prefix, uplink.peer) == (PREF[1], address(1))
    assert set(uplink.direct) == {(PREF[1], "mn1dgw1"), (PREF[2], "mn1dgw2")}
    assert domain.items(2, TunnelGate) == [TunnelGate(address(1), PREF[1], "destination")]
    assert len(domain.items(2, SourceGate)) == 4
    ras = domain.ras(2)
    assert (ras["mn1dgw2"].preferred, ras["mn1dgw2"].preference) == (300, "medium")
    assert (ras["mn1dgw1"].preferred, ras["mn1dgw1"].valid, ras["mn1dgw1"].preference) == (0, 300, "low")
    assert not domain.advertised[address(1)], "RA-10: nothing is said where the node left"


@pytest.mark.requirement("HO-3")
def test_handover_messages_direct():
    """HO-3: N -> P with HI 3, HNP prefA, own prefix in option 65"""
    domain = Domain("direct")
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    [(_, source, to, update)] = domain.sent(BindingUpdate)
    assert (source, to) == (address(2), address(1))
    assert hnps(update) == [PREF[1]]
    assert update.first(HandoffIndicator).value == Handoff.SAME_INTERFACE
    assert update.first(AnchoredPrefix).network == PREF[2]


@pytest.mark.requirement("CMD-RELAY-1", "CMD-4", "CMD-5")
def test_handover_messages_relay():
    """CMD-RELAY-1 to -3, CMD-4, CMD-5: N -> C -> P -> C -> N"""
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run()
    domain.wire.clear()
    domain.move(1, 1, 2)
    domain.run()
    route = [(type(m), s, d) for _, s, d, m in domain.wire]
    assert route == [
        (BindingUpdate, address(2), CMD),
        (BindingUpdate, CMD, address(1)),
        (BindingAck, address(1), CMD),
        (BindingAck, CMD, address(2)),
    ]
    asked, relayed, answered, final = (m for *_, m in domain.wire)
    assert hnps(relayed) == [PREF[1]]
    assert relayed.first(AnchoredPrefix).network == PREF[2]
    assert relayed.first(ServingMaar).address == address(2)
    assert relayed.sequence == asked.sequence
    assert answered.first(ServingMaar).address == address(2), "AMB-9"
    [group] = [g for g in final.groups if g.previous]
    assert (group.previous.maar, group.previous.network) == (address(1), PREF[1])
    assert group.link_layer.text == "02:d6:00:01:00:01"


@pytest.mark.requirement("CMD-LOC-1")
def test_handover_messages_locator():
    """CMD-LOC-1 to -3: N -> C, C -> P, then P -> N, who waits, and P -> C; nothing from the CMD to N"""
    domain = Domain("locator")
    domain.attach(1, 1)
    domain.run()
    domain.wire.clear()
    domain.move(1, 1, 2)
    domain.run(3)
    route = [(type(m), s, d) for _, s, d, m in domain.wire]
    assert route == [
        (BindingUpdate, address(2), CMD),
        (BindingUpdate, CMD, address(1)),
        (BindingAck, address(1), address(2)),
        (BindingAck, address(1), CMD),
    ]
    asked, _, direct, to_cmd = (m for *_, m in domain.wire)
    assert to_cmd.first(ServingMaar)
    assert not direct.first(ServingMaar)
    assert hnps(direct) == [PREF[1]]
    assert direct.sequence == asked.sequence
    assert direct.groups[0].link_layer.text == "02:d6:00:01:00:01"
    assert set(domain.ras(2)) == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("CMD-PROXY-1")
def test_handover_messages_proxy():
    """CMD-PROXY-1, -2: the CMD answers N before the anchor is told; the anchor's PBA only confirms"""
    domain = Domain("proxy")
    domain.attach(1, 1)
    domain.run()
    domain.wire.clear()
    domain.move(1, 1, 2)
    domain.run(3)
    route = [(type(m), s, d) for _, s, d, m in domain.wire]
    assert route == [
        (BindingUpdate, address(2), CMD),
        (BindingAck, CMD, address(2)),
        (BindingUpdate, CMD, address(1)),
        (BindingAck, address(1), CMD),
    ]
    [group] = [g for g in domain.wire[1][3].groups if g.previous]
    assert (group.previous.maar, group.previous.network) == (address(1), PREF[1])
    assert group.link_layer.text == "02:d6:00:01:00:01", "stored at D1's registration (ATT-5)"
    assert set(domain.ras(2)) == {"mn1dgw1", "mn1dgw2"}


@pytest.mark.requirement("CMD-PROXY-2")
def test_proxy_takes_back_what_an_anchor_refuses():
    """CMD-PROXY-2: a corrective PBA removes that anchor's DLIF, RA and forwarding, nothing else"""
    domain = Domain("proxy")
    domain.attach(1, 1)
    domain.run()
    domain.gateway(1)._base.state.nodes.clear()
    domain.move(1, 1, 2)
    domain.run(3)
    assert set(domain.ras(2)) == {"mn1dgw2"}
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw2"}
    assert not domain.items(2, Tunnel)
    assert not domain.session().anchors


@pytest.mark.parametrize("mode", ["relay", "locator", "proxy"])
@pytest.mark.requirement("HO-11")
def test_silent_anchor_does_not_hold_up_the_own_prefix(mode):
    """HO-11"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run()
    domain.filters.append(lambda now, s, d, o: [] if s == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(1)
    assert "mn1dgw2" in domain.ras(2)


@pytest.mark.requirement("SC-3ANCHORS", "DLIF-8")
def test_third_gateway_has_two_anchors(domain):
    """SC-3ANCHORS, DLIF-8"""
    for index in (1, 2, 3):
        if index > 1:
            domain.detach(1, index - 1)
        domain.attach(1, index)
        domain.run()
    assert {d.name for d in domain.items(3, Dlif)} == {"mn1dgw1", "mn1dgw2", "mn1dgw3"}
    assert {t.peer for t in domain.items(3, Tunnel)} == {address(1), address(2)}
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(3))]
    assert domain.items(2, AnchorRoute) == [AnchorRoute(PREF[2], address(3))]
    assert domain.items(2, Tunnel) == [Tunnel(address(3))], "the tunnel D2-D1 is gone"
    assert not domain.items(2, Dlif)
    assert len({u.table for u in domain.items(3, Uplink)}) == 2
    assert [ra.preference for ra in domain.ras(3).values()].count("low") == 2


@pytest.mark.requirement("HO-14", "CMD-7", "SC-PINGPONG")
def test_ping_pong_reuses_prefix_and_identity(domain):
    """HO-14, CMD-7, SC-PINGPONG"""
    domain.attach(1, 1)
    domain.run()
    first = {d.name: d for d in domain.items(1, Dlif)}
    for old, new in ((1, 2), (2, 1), (1, 2), (2, 1)):
        domain.run(1.0)
        domain.move(1, old, new)
        domain.run()
    dlifs = {d.name: d for d in domain.items(1, Dlif)}
    assert set(dlifs) == {"mn1dgw1", "mn1dgw2"}
    assert dlifs["mn1dgw1"] == first["mn1dgw1"]
    assert not domain.items(1, AnchorRoute)
    assert domain.items(2, AnchorRoute) == [AnchorRoute(PREF[2], address(1))]
    assert domain.ras(1)["mn1dgw1"].preferred == 300
    assert domain.ras(1)["mn1dgw2"].preferred == 0
    assert domain.node(1).own.prefix == PREF[1]
    assert domain.node(2).own.prefix == PREF[2]
    if domain.mode != "direct":
        assert [a.address for a in domain.session().anchors] == [address(2)]


@pytest.mark.requirement("ATT-15")
def test_repeated_trigger_changes_nothing(domain):
    """ATT-15"""
    domain.attach(1, 1)
    domain.run()
    count, kernel = len(domain.wire), dict(domain.kernel[address(1)])
    domain.attach(1, 1)
    domain.run()
    assert len(domain.wire) == count
    assert domain.kernel[address(1)] == kernel


@pytest.mark.requirement("SC-SIMUL")
def test_nodes_share_one_tunnel(domain):
    """SC-SIMUL: one tunnel per pair of gateways, removed with the last prefix"""
    for number in (1, 2):
        domain.attach(number, 1)
    domain.run()
    for number in (1, 2):
        domain.move(number, 1, 2)
    domain.run(3)
    assert len(domain.items(1, Tunnel)) == 1
    assert len(domain.items(1, AnchorRoute)) == 2
    assert len({d.mac for d in domain.items(2, Dlif)}) == 4
    domain.move(1, 2, 1)
    domain.run(3)
    assert len(domain.items(1, AnchorRoute)) == 1
    assert domain.items(1, Tunnel) == [Tunnel(address(2))]


@pytest.mark.requirement("DEREG-1", "DEREG-2", "DEREG-7", "DEREG-9", "SC-DEREG")
def test_everything_goes_when_the_node_stays_away(domain):
    """DEREG-1, DEREG-2, DEREG-7, DEREG-9, SC-DEREG"""
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    domain.wire.clear()
    domain.detach(1, 2)
    domain.run(20)
    assert not domain.wire, "DEREG-1: leaving the radio sends nothing"
    assert domain.items(2, Dlif), "the binding lives on"
    domain.run(290)
    deletes = [m for *_, m in domain.sent(BindingUpdate) if m.lifetime_units == 0]
    assert deletes
    assert all(m.first(HandoffIndicator).value == Handoff.UNKNOWN for m in deletes)
    domain.run(30)
    for index in (1, 2):
        assert not domain.kernel[address(index)]
        assert not domain.gateway(index)._base.state.nodes
        assert list(domain.gateway(index)._base.state.pool.quarantine) == [1]
    assert domain.session() is None
    assert not domain.cmd.inspect()["repository"]


@pytest.mark.requirement("DEREG-6", "SC-DEREG")
def test_return_during_hold_revives(domain):
    """DEREG-6: the node reappears inside the hold and keeps its prefixes"""
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    domain.detach(1, 2)
    while not domain.events("binding-deregistered") and domain.node(2).own.state is not BindingState.DELETING:
        domain.run(1)
    domain.attach(1, 2)
    domain.run(30)
    assert domain.node(2).own.prefix == PREF[2]
    assert {d.name for d in domain.items(2, Dlif)} == {"mn1dgw1", "mn1dgw2"}
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(2))]


@pytest.mark.requirement("ATT-14")
def test_refresh_keeps_everything(domain):
    """ATT-14: refreshed with HI 5 while present"""
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    before = dict(domain.kernel[address(1)]), dict(domain.kernel[address(2)])
    domain.run(3000)
    assert (domain.kernel[address(1)], domain.kernel[address(2)]) == before
    refreshes = [m for *_, m in domain.sent(BindingUpdate) if m.first(HandoffIndicator).value == 5]
    assert 15 <= len(refreshes) <= 25


def test_restart_recovers_bindings(domain):
    """Spec §4 persistence: the same items, the same prefixes, the station reported anew"""
    from dgw_domain import gateway_config, mac

    from agents.dgw.actions import Stations
    from agents.dgw.gateway.core import GatewayCore

    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    for index in (1, 2):
        saved = domain.gateway(index).saved_state()
        before = dict(domain.kernel[address(index)])
        domain.cores[address(index)] = GatewayCore(gateway_config(index, domain.mode))
        domain.gateway(index).restore(saved, domain.now)
        domain.perform(address(index))
        domain.feed(address(index), Stations(frozenset({mac(1)} if index == 2 else ())))
        domain.run()
        assert domain.kernel[address(index)] == before
    assert domain.ras(2).keys() == {"mn1dgw1", "mn1dgw2"}
    domain.move(1, 2, 3)
    domain.run()
    assert {d.name for d in domain.items(3, Dlif)} == {"mn1dgw1", "mn1dgw2", "mn1dgw3"}


def test_lost_ra_is_ordered_again(domain):
    """No move without an RA: what was not seen leaving is sent again"""
    domain.radio_loses_ras = True
    domain.attach(1, 1)
    domain.run(0.35)
    domain.radio_loses_ras = False
    domain.run(0.5)
    assert domain.events("advertisement-repeated")
    assert domain.events("advertised")
    assert not domain.events("advertisement-missing")
