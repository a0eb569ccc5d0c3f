"""A prefix that ends while its node stays is withdrawn in RAs before its DLIF goes (spec RA-11, RA-15, §6 S5)."""

from ipaddress import IPv6Network

import pytest
from dgw_domain import CMD, Domain, address, mac

from agents.dgw.actions import Associated
from agents.dgw.config import Timing
from agents.dgw.forwarding import Dlif, SourceGate, Tunnel, Uplink
from agents.dgw.gateway.anchors import drop_anchor
from agents.wire.mobility import BindingUpdate

PREF = {i: IPv6Network(f"2001:db8:{net}:1::/64") for i, net in ((1, "a1"), (2, "b2"))}
LOCALNET = "2001:db8:a1:ffff::/64"


@pytest.fixture(params=["direct", "relay", "locator", "proxy"])
def domain(request):
    """The node is at dgw2, its first prefix anchored at dgw1, which has a local network."""
    made = Domain(request.param, networks={1: (LOCALNET,)})
    made.attach(1, 1)
    made.run(1)
    made.move(1, 1, 2)
    made.run(1)
    return made


def release(domain):
    base = domain.gateway(2)._base
    node = domain.node(2)
    drop_anchor(base, node, node.anchors[0], "idle")
    base.reconcile(domain.now)
    domain.perform(address(2))
    return base


def names(domain):
    return {dlif.name for dlif in domain.items(2, Dlif)}


@pytest.mark.requirement("RA-15", "RA-11", "RA-6", "LIPA-9", "DEREG-11")
def test_two_final_advertisements_then_the_dlif_goes(domain):
    start = domain.now
    base = release(domain)
    parted = []
    base.when_parted.append(lambda farewell, now: parted.append((farewell.dlif.name, farewell.mn_id)))
    assert names(domain) == {"mn1dgw1", "mn1dgw2"}, "the DLIF speaks once more"
    assert not domain.items(2, Uplink) + domain.items(2, Tunnel), "its forwarding ended at once"
    assert {gate.prefix for gate in domain.items(2, SourceGate)} == {PREF[2]}
    domain.run(1)
    said = [ra for _, ra in domain.heard("mn1dgw1", start)]
    assert 1 <= len(said) <= 3
    for ra in said:
        assert (ra.router_lifetime, ra.preference, ra.prefix, ra.valid, ra.preferred) == (0, "medium", PREF[1], 0, 0)
        assert [(str(route.prefix), route.lifetime) for route in ra.routes] == [(LOCALNET, 0)]
    assert parted == [("mn1dgw1", "mn1@dmm.example")]
    assert names(domain) == {"mn1dgw2"}
    assert set(domain.ras(2)) == {"mn1dgw2"}
    assert domain.events("prefix-withdrawn")


@pytest.mark.requirement("RA-11")
def test_lost_advertisements_are_ordered_again_and_at_last_given_up(domain):
    domain.radio_loses_ras = True
    release(domain)
    domain.run(0.35)
    assert domain.events("advertisement-repeated")
    domain.radio_loses_ras = False
    domain.run(1)
    assert names(domain) == {"mn1dgw2"}
    assert not domain.events("advertisement-missing")


def test_an_advertisement_that_never_leaves_does_not_keep_the_dlif_for_ever(domain):
    domain.radio_loses_ras = True
    release(domain)
    domain.run(5)
    assert domain.events("advertisement-missing")
    assert names(domain) == {"mn1dgw2"}


@pytest.mark.requirement("RA-11")
@pytest.mark.parametrize("networks", [{}, {1: (LOCALNET,)}], ids=["prefix", "prefix and routes"])
def test_a_dlif_whose_ra_was_given_up_says_farewell_all_the_same(networks):
    """radvd was kept from its work for a second, and does it again"""
    domain = Domain("relay", networks=networks)
    domain.attach(1, 1)
    domain.run(1)
    domain.radio_loses_ras = True
    domain.move(1, 1, 2)
    domain.run(2)
    assert domain.events("advertisement-missing")
    domain.radio_loses_ras = False
    start = domain.now
    release(domain)
    domain.run(1)
    assert [ra.router_lifetime for _, ra in domain.heard("mn1dgw1", start)] == [0, 0]
    assert names(domain) == {"mn1dgw2"}


@pytest.mark.requirement("RA-10")
def test_a_node_that_leaves_meanwhile_is_told_nothing_more(domain):
    release(domain)
    domain.run(0.01)
    start = domain.now
    domain.detach(1, 2)
    assert names(domain) == {"mn1dgw2"}
    domain.run(2)
    assert not domain.heard("mn1dgw1", start)


@pytest.mark.requirement("DLIF-2")
def test_an_anchor_taken_up_again_speaks_as_usual(domain):
    """DLIF-2: the same DLIF, whose farewell is overtaken"""
    node = domain.node(2)
    anchor = node.anchors[0]
    base = release(domain)
    node.anchors.append(anchor)
    base.reconcile(domain.now)
    domain.perform(address(2))
    domain.run(1)
    assert names(domain) == {"mn1dgw1", "mn1dgw2"}
    assert domain.ras(2)["mn1dgw1"].router_lifetime == 60
    assert not base.farewells


def test_what_the_node_never_heard_of_needs_no_farewell(domain):
    start = domain.now
    base = domain.gateway(2)._base
    node = domain.node(2)
    node.anchors[0].active = False
    base.reconcile(domain.now)
    domain.perform(address(2))
    drop_anchor(base, node, node.anchors[0], "status 155")
    base.reconcile(domain.now)
    domain.perform(address(2))
    domain.run(1)
    assert not domain.heard("mn1dgw1", start)
    assert names(domain) == {"mn1dgw2"}


@pytest.mark.requirement("RA-15", "ATT-9")
@pytest.mark.parametrize("mode", ["relay", "locator", "proxy"])
def test_a_rejected_node_hears_that_all_its_prefixes_ended(mode):
    """The CMD takes the service back at a refresh: the node is still here and must not keep dead routers"""
    domain = Domain(mode, timing=Timing(lifetime=40))
    domain.attach(1, 1)
    domain.run(1)
    domain.move(1, 1, 2)
    domain.run(1)
    start = domain.now
    domain.cmd._base.profiles.clear()
    domain.run(25)
    assert domain.events("update-rejected")
    for dlif in ("mn1dgw1", "mn1dgw2"):
        final = [ra for _, ra in domain.heard(dlif, start) if not ra.router_lifetime]
        assert 1 <= len(final) <= 3
        assert all(ra.valid == 0 for ra in final)
    assert not domain.items(2, Dlif)
    assert not domain.gateway(2)._base.farewells


def test_a_station_that_comes_back_during_a_farewell_gets_a_new_prefix():
    """Its own DLIF has the same name: the new one replaces the parting one"""
    domain = Domain("relay", timing=Timing(lifetime=40))
    domain.attach(1, 2)
    domain.run(1)
    profiles = dict(domain.cmd._base.profiles)
    domain.cmd._base.profiles.clear()
    domain.radio_loses_ras = True
    domain.run(19.3)
    assert domain.gateway(2)._base.farewells
    domain.radio_loses_ras = False
    domain.cmd._base.profiles.update(profiles)
    domain.cmd._base.state.sessions.clear()
    domain.feed(address(2), Associated(mac(1)))
    domain.run(2)
    [dlif] = domain.items(2, Dlif)
    assert dlif.prefix == domain.node(2).own.prefix != PREF[2]
    assert domain.ras(2)["mn1dgw2"].prefix == dlif.prefix
    assert domain.sent(BindingUpdate, address(2), CMD)


def test_a_refused_station_that_leaves_during_its_farewell_leaves_nothing():
    domain = Domain("relay", timing=Timing(lifetime=40))
    domain.attach(1, 2)
    domain.run(1)
    domain.cmd._base.profiles.clear()
    domain.radio_loses_ras = True
    domain.run(19.3)
    assert domain.items(2, Dlif)
    domain.detach(1, 2)
    assert not domain.kernel[address(2)]
