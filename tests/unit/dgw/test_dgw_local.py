"""Local networks between cores in virtual time: who routes, who lets in, what is advertised how long (spec §5.5)."""

from dataclasses import replace
from ipaddress import IPv6Network
from itertools import pairwise

import pytest
from dgw_domain import CMD, Domain, address, gateway_config

from agents.dgw.actions import LocalAccessChanged
from agents.dgw.config import GatewayConfig, Timing
from agents.dgw.forwarding import LocalAccess, LocalBar, LocalGate, LocalReturn, ReturnPath, RouteInformation
from agents.dgw.gateway.local import anchor_table, next_change, offered, route_lifetime
from agents.dgw.gateway.shell import _fitting
from agents.dgw.gateway.state import AnchorBinding, MobileNode
from agents.plain import PlainError, build, plain
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_options import AnchoredPrefix, LocalPrefix

PREF = {i: IPv6Network(f"2001:db8:{net}:1::/64") for i, net in ((1, "a1"), (2, "b2"), (3, "c3"))}
LOCALNET, SHARED = IPv6Network("2001:db8:a1:ffff::/64"), IPv6Network("fd00:10ca:1::/64")
NETWORKS = {1: (str(LOCALNET), str(SHARED)), 2: (str(SHARED),)}
MN_ID = "mn1@dmm.example"


@pytest.fixture(params=["direct", "relay", "locator", "proxy"])
def domain(request):
    return Domain(request.param, networks=NETWORKS)


def walk(domain, *path):
    here = None
    for index in path:
        if here:
            domain.detach(1, here)
        domain.attach(1, index)
        domain.run(1)
        here = index


@pytest.mark.requirement("LIPA-1", "LIPA-3")
def test_at_home_there_is_nothing_but_plain_routing(domain):
    walk(domain, 1)
    assert not domain.items(1, LocalAccess) + domain.items(1, LocalGate) + domain.items(1, LocalReturn)
    assert not domain.ras(1)["mn1dgw1"].routes


@pytest.mark.requirement("LIPA-2", "LIPA-4", "LIPA-6")
def test_elsewhere_the_owners_networks_are_behind_its_dlif_and_it_answers_the_new_prefix(domain):
    walk(domain, 1, 2)
    table = anchor_table(domain.node(2).anchors[0].slot)
    assert set(domain.items(2, LocalAccess)) == {
        LocalAccess("mn1dgw1", LOCALNET, table),
        LocalAccess("mn1dgw1", SHARED, table),
        LocalAccess("mn1dgw1", SHARED, None),
        LocalAccess("mn1dgw2", SHARED, None),
    }
    gates = {LocalGate(address(1), network, PREF[2]) for network in (LOCALNET, SHARED)}
    assert set(domain.items(2, LocalGate)) == gates
    assert domain.items(1, ReturnPath) == [ReturnPath(address(2), 2002)]
    assert domain.items(1, LocalReturn) == [LocalReturn("loc", PREF[2], 2002)]
    assert set(domain.items(1, LocalGate)) == {LocalGate(address(2), PREF[2], n) for n in (LOCALNET, SHARED)}


@pytest.mark.requirement("LIPA-3", "LIPA-9", "RA-7", "AMB-13")
@pytest.mark.parametrize("profile", ["deprecate", "lowpref"])
def test_routes_are_offered_on_the_owners_dlif_alone(domain, profile):
    policy = replace(gateway_config(1, "direct").advertisements, profile=profile)
    domain = Domain(domain.mode, networks=NETWORKS, gateway_changes={"advertisements": policy})
    walk(domain, 1, 2)
    ras = domain.ras(2)
    assert ras["mn1dgw1"].routes == tuple(RouteInformation(n, "high", 60) for n in (LOCALNET, SHARED))
    assert ras["mn1dgw1"].preferred == (0 if profile == "deprecate" else 300)
    assert not ras["mn1dgw2"].routes
    assert not domain.advertised[address(1)]


@pytest.mark.requirement("LIPA-6")
def test_owner_learns_all_prefixes_of_the_node(domain):
    """Sessions begun at dgw2 go on at dgw3: dgw1 must know prefix B as well as C"""
    walk(domain, 1, 2, 3)
    assert domain.node(1).own.elsewhere == (PREF[3], PREF[2])
    assert domain.node(2).own.elsewhere == (PREF[3], PREF[1])
    assert {r.prefix for r in domain.items(1, LocalReturn)} == {PREF[2], PREF[3]}
    assert domain.items(1, ReturnPath) == [ReturnPath(address(3), 2003)]
    updates = [m for _, _, to, m in domain.sent(BindingUpdate) if to in (address(1), address(2))]
    told = [option.network for option in updates[-1].every(AnchoredPrefix)]
    assert told[0] == PREF[3]
    assert len(told) == 2


@pytest.mark.requirement("INTER-11", "SEC-5")
@pytest.mark.parametrize(("shared", "told"), [(True, (PREF[3], PREF[2])), (False, ())])
def test_prefixes_are_told_across_operators_only_where_networks_are_shared(shared, told):
    """The home LMA of operator A, to which dgw1 and dgw2 belong; the node is at dgw3 of operator B"""
    changes = {"cmd_changes": {"share_local_prefixes": shared}, "operators": {1: "A", 2: "A", 3: "B"}}
    domain = Domain("relay", networks=NETWORKS, **changes)
    walk(domain, 1, 2, 3)
    [*_, update] = [m for *_, m in domain.sent(BindingUpdate, CMD, address(1))]
    assert tuple(option.network for option in update.every(AnchoredPrefix)) == told
    offers = [route.prefix for route in domain.ras(3)[domain.node(3).anchor(PREF[1]).dlif].routes]
    assert offers == ([LOCALNET, SHARED] if shared else [])


@pytest.mark.requirement("LIPA-6")
def test_prefixes_of_no_gateway_are_not_believed(domain):
    """Option 65 opens the door to a prefix: only one that some gateway of the domain anchors"""
    walk(domain, 1, 2)
    [*_, (_, source, _, update)] = domain.sent(BindingUpdate, destination=address(1))
    strange = [
        AnchoredPrefix.of(IPv6Network(text)) for text in ("2001:db8:dead::/64", "2001:db8:b2::/56", str(PREF[1]))
    ]
    anchoring = domain.gateway(1)._anchoring
    doctored = replace(update, options=(*update.options, *strange))
    assert anchoring._prefixes_elsewhere(doctored, domain.node(1).own) == (PREF[2],)
    assert source in (CMD, address(2))


@pytest.mark.requirement("HO-14", "LIPA-1")
def test_back_home_everything_for_afar_is_gone(domain):
    walk(domain, 1, 2, 1)
    assert not domain.items(1, ReturnPath) + domain.items(1, LocalReturn)
    assert {a.dlif for a in domain.items(1, LocalAccess) if a.table} == {"mn1dgw2"}
    assert not domain.ras(1)["mn1dgw1"].routes
    assert [route.prefix for route in domain.ras(1)["mn1dgw2"].routes] == [SHARED]
    assert domain.items(2, ReturnPath) == [ReturnPath(address(1), 2001)]


@pytest.mark.requirement("HO-7")
def test_local_prefixes_are_carried_in_every_acknowledgement_of_the_owner(domain):
    walk(domain, 1, 2)
    acks = [m for *_, m in domain.sent(BindingAck, source=address(1))]
    assert acks
    for ack in acks:
        assert [option.network for option in ack.every(LocalPrefix)] == [LOCALNET, SHARED]


def change(domain, index, allowed):
    domain.feed(address(index), LocalAccessChanged(MN_ID, allowed))


@pytest.mark.requirement("LIPA-9", "RA-11")
def test_closed_networks_are_withdrawn_and_stay_closed(domain):
    walk(domain, 1, 2)
    start = domain.now
    change(domain, 2, False)
    assert not [item for item in domain.items(2, LocalAccess) if item.table]
    domain.run(1)
    said = [[(r.prefix, r.lifetime) for r in ra.routes] for _, ra in domain.heard("mn1dgw1", start)]
    gone = [(LOCALNET, 0), (SHARED, 0)]
    assert said == [gone, gone, []], "lifetime 0 in one to three RAs, then no more"
    [event] = domain.events("routes-withdrawn")
    assert event.fields["prefixes"] == (LOCALNET, SHARED)
    assert domain.ras(2)["mn1dgw1"].preferred == 0, "the prefix itself stays"
    domain.run(400)
    assert not domain.ras(2)["mn1dgw1"].routes, "refreshes do not bring them back"
    change(domain, 2, True)
    domain.run(1)
    assert [route.lifetime for route in domain.ras(2)["mn1dgw1"].routes] == [60, 60]


@pytest.mark.requirement("LIPA-8")
def test_owner_bars_all_prefixes_of_a_node_and_tells_no_networks(domain):
    walk(domain, 1, 2)
    change(domain, 1, False)
    assert set(domain.items(1, LocalBar)) == {LocalBar(PREF[1]), LocalBar(PREF[2])}
    assert not domain.items(1, LocalReturn) + domain.items(1, LocalGate) + domain.items(1, ReturnPath)
    domain.wire.clear()
    walk(domain, 2, 3)
    assert not [m for *_, m in domain.sent(BindingAck, source=address(1)) if m.every(LocalPrefix)]


def test_unknown_node_is_no_error(domain):
    domain.feed(address(1), LocalAccessChanged("stranger@dmm.example", False))
    assert not domain.events("local-access")


@pytest.mark.requirement("LIPA-9")
def test_no_route_outlives_an_unrefreshed_binding():
    """Direct mode, the anchor goes silent: lifetimes step down, at the end routes and prefix are withdrawn"""
    domain = Domain("direct", networks=NETWORKS, timing=Timing(lifetime=200))
    walk(domain, 1, 2)
    domain.filters.append(lambda now, s, d, o: [] if address(1) in (s, d) else None)
    [(granted, *_)] = domain.sent(BindingAck, source=address(1))
    domain.run(250)
    heard = domain.heard("mn1dgw1", granted)
    lifetimes = [(t, route.lifetime) for t, ra in heard for route in ra.routes]
    assert {60, 30, 15, 7, 3} <= {seconds for _, seconds in lifetimes}
    # radvd repeats what it was told until it is told otherwise.
    for (_, last), (until, _) in pairwise(heard):
        assert all(until + route.lifetime <= granted + 200.01 for route in last.routes if route.lifetime)
    assert not domain.node(2).anchors
    assert (heard[-1][1].router_lifetime, heard[-1][1].valid) == (0, 0)
    assert "mn1dgw1" not in domain.ras(2)
    assert domain.events("anchor-dropped")[-1].fields["reason"] == "binding expired"


@pytest.mark.requirement("LIPA-9")
@pytest.mark.parametrize("most", [60, 300, 1])
def test_lifetime_is_always_below_what_remains(most):
    for remaining in (0.0, 0.5, 1.0, 2.9, 3.0, 59.0, 60.0, 61.0, 1000.0):
        lifetime = route_lifetime(remaining, most)
        assert lifetime <= most
        assert lifetime == 0 or lifetime < remaining


def test_next_change_moves_on_although_clocks_are_coarse():
    """The difference of large times is inexact: the same moment must not come again and again"""
    anchor = AnchorBinding(PREF[1], address(1), 1, "mn1dgw1", active=True, local_prefixes=(LOCALNET,))
    now = 1_760_000_000.1
    node = MobileNode("mn1", MN_ID, "02:00:00:00:00:11", anchors=[anchor], expires=now + 200.0000001)
    seen = []
    while (due := next_change(node, 60, now)) is not None and due > now:
        seen.append(due)
        now = due
    assert len(seen) == 7
    assert now == pytest.approx(node.expires, abs=0.01)
    assert next_change(node, 60, node.expires) is None


@pytest.mark.requirement("RA-14")
def test_an_advertisement_holds_17_routes_and_none_twice():
    networks = tuple(IPv6Network(f"2001:db8:77:{n:x}::/64") for n in range(20))
    node = MobileNode("mn1", MN_ID, "02:00:00:00:00:11")
    anchor = AnchorBinding(PREF[1], address(1), 1, "mn1dgw1", local_prefixes=networks + networks)
    assert offered(node, anchor) == networks[:17]
    nested = (SHARED, IPv6Network("fd00:10ca:1:0:8000::/65"), IPv6Network("::/0"))
    assert offered(node, replace(anchor, local_prefixes=nested)) == (SHARED,)


@pytest.mark.requirement("RA-13")
@pytest.mark.parametrize(("tunnel", "expected"), [(1560, 1460), (1460, 1460), (1412, 1412), (1200, 1280)])
def test_no_mtu_is_advertised_that_a_tunnel_cannot_hold(tunnel, expected):
    assert _fitting(gateway_config(1, "direct"), tunnel).advertisements.mtu == expected


def test_tables_of_slots_and_peers_never_meet():
    returns = {2000 + index for index in range(1, 0x10000)}
    slots = {anchor_table(slot) for slot in (*range(1, 3000), 0xFFFF)}
    assert not returns & slots
    assert anchor_table(1) == 1001


def test_overlapping_local_prefixes_are_refused():
    text = plain(gateway_config(1, "direct"))
    text["local_prefixes"] = ["fd00:1::/48", "fd00:1:0:5::/64"]
    with pytest.raises(PlainError, match="fd00:1::/48 and fd00:1:0:5::/64 overlap"):
        build(GatewayConfig, text)


def test_local_access_survives_a_restart(domain):
    walk(domain, 1, 2)
    change(domain, 2, False)
    domain.run(1)
    gateway = domain.gateway(2)
    saved, items = gateway.saved_state(), set(domain.kernel[address(2)])
    gateway.restore(saved, domain.now)
    domain.perform(address(2))
    assert set(domain.kernel[address(2)]) == items
