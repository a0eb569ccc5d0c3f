"""Mobility between operators: two chained PBU/PBA exchanges, and a home LMA that forwards between two tunnels."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, Domain, address, cmd_config, gateway_config, peer
from dgw_operators import LOCALNET, MODES, OPERATORS, PREF, assert_relays, between, hnps, lma, walk

from agents.dgw.actions import MobilityDatagram
from agents.dgw.config import CmdConfig
from agents.dgw.forwarding import AnchorRoute, Dlif, Tunnel, Uplink
from agents.plain import PlainError, build, plain
from agents.wire.mobility import BindingAck, BindingUpdate, push_mobility
from agents.wire.mobility_options import (
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HomeNetworkPrefix,
    LocalPrefix,
    PreviousMaar,
    ServingMaar,
    Timestamp,
)


@pytest.fixture(params=MODES)
def domain(request):
    return Domain(request.param, operators=OPERATORS)


@pytest.mark.requirement("INTER-1", "INTER-2", "INTER-3", "INTER-6")
def test_prefix_is_relayed_by_the_lma(domain):
    walk(domain, 1, 2)
    assert_relays(domain, PREF[1], anchor=1, serving=2)
    assert domain.items(1, Tunnel) == domain.items(2, Tunnel) == [Tunnel(CMD)]
    assert len(lma(domain, Tunnel)) == 2
    assert not between(domain, 1, 2)
    foreign = [d for d in domain.items(2, Dlif) if d.prefix == PREF[1]]
    assert [(d.name, d.mac) for d in foreign] == [("mn1lma1", "02:d6:00:01:00:01")]
    assert {ra.prefix: ra.preferred for ra in domain.ras(2).values()} == {PREF[1]: 0, PREF[2]: 300}


@pytest.mark.requirement("INTER-4", "INTER-5")
def test_two_chained_exchanges_relay():
    domain = walk(Domain("relay", operators=OPERATORS), 1)
    domain.wire.clear()
    domain.move(1, 1, 2)
    domain.run()
    assert [(type(m), s, d) for _, s, d, m in domain.wire] == [
        (BindingUpdate, address(2), CMD),
        (BindingUpdate, CMD, address(1)),
        (BindingAck, address(1), CMD),
        (BindingAck, CMD, address(2)),
    ]
    asked, passed, answered, final = (m for *_, m in domain.wire)
    assert hnps(passed) == [PREF[1]]
    assert passed.first(ServingMaar).address == CMD
    assert passed.first(AnchoredPrefix) is None, "SEC-5: operator A need not know the prefix in B"
    assert passed.first(Timestamp) != asked.first(Timestamp), "a stamp of its own"
    assert answered.sequence == passed.sequence
    [group] = [g for g in final.groups if g.previous]
    assert (group.previous.maar, group.previous.network) == (CMD, PREF[1])
    identity = domain.node(1).own.identity
    assert (group.link_layer.text, group.link_local.address) == (identity.mac, identity.link_local)


@pytest.mark.requirement("INTER-4")
def test_second_leg_has_the_lmas_own_sequence_numbers():
    domain = walk(Domain("relay", operators=OPERATORS), 1, 2, 4, 3)
    numbers = [m.sequence for *_, m in domain.sent(BindingUpdate, CMD) if m.first(ServingMaar).address == CMD]
    assert numbers == [1, 2, 3, 4]


@pytest.mark.requirement("INTER-2", "INTER-4", "INTER-5", "CMD-3")
def test_two_chained_exchanges_direct():
    domain = walk(Domain("direct", operators=OPERATORS), 1)
    domain.move(1, 1, 2)
    domain.run()
    assert [(type(m), s, d) for _, s, d, m in domain.wire] == [
        (BindingUpdate, address(2), CMD),
        (BindingUpdate, CMD, address(1)),
        (BindingAck, address(1), CMD),
        (BindingAck, CMD, address(2)),
    ]
    asked, passed, _, final = (m for *_, m in domain.wire)
    assert hnps(asked) == hnps(passed) == hnps(final) == [PREF[1]]
    assert passed.first(ServingMaar).address == CMD
    identity = domain.node(1).own.identity
    assert final.first(DlifLinkLocal).address == identity.link_local
    assert final.first(DlifLinkLayer).text == identity.mac
    assert final.first(Timestamp) == asked.first(Timestamp)


@pytest.mark.requirement("INTER-4", "CMD-PROXY-1")
def test_proxy_answers_and_forwards_at_once():
    domain = walk(Domain("proxy", operators=OPERATORS), 1)
    domain.wire.clear()
    domain.filters.append(lambda now, s, d, o: [] if s == address(1) else None)
    domain.move(1, 1, 2)
    domain.run(0.1)
    [(_, _, _, ack)] = domain.sent(BindingAck, CMD)
    assert ack.first(PreviousMaar).maar == CMD
    assert [r.peer for r in lma(domain, AnchorRoute)] == [address(2)]


@pytest.mark.requirement("INTER-7", "INTER-9")
def test_next_move_inside_the_visited_operator(domain):
    walk(domain, 1, 2)
    before = len(domain.sent(BindingUpdate, CMD, address(1)))
    kernel = dict(domain.kernel[address(1)])
    domain.move(1, 2, 3)
    domain.run(1.0)
    assert_relays(domain, PREF[1], anchor=1, serving=3)
    assert len(domain.sent(BindingUpdate, CMD, address(1))) == before, "the leg to D-GW1 is untouched"
    assert domain.kernel[address(1)] == kernel
    assert domain.items(2, AnchorRoute) == [AnchorRoute(PREF[2], address(3))], "prefB direct"
    assert {u.prefix: u.peer for u in domain.items(3, Uplink)} == {PREF[1]: CMD, PREF[2]: address(2)}
    assert [r.prefix for r in lma(domain, AnchorRoute)] == [PREF[1]]
    assert not any(between(domain, 1, other) for other in (2, 3))


@pytest.mark.requirement("INTER-10")
def test_return_to_the_first_operator_mirrors_the_relay(domain):
    walk(domain, 1, 2, 3, 1)
    assert {r.prefix for r in lma(domain, AnchorRoute)} == {PREF[2], PREF[3]}
    assert_relays(domain, PREF[2], anchor=2, serving=1)
    assert_relays(domain, PREF[3], anchor=3, serving=1)
    assert not domain.items(1, AnchorRoute)
    assert {d.prefix for d in domain.items(1, Dlif)} == {PREF[1], PREF[2], PREF[3]}
    assert len({d.name for d in domain.items(1, Dlif)}) == 3


@pytest.mark.requirement("INTER-7", "INTER-10")
def test_return_to_another_gateway_of_the_first_operator(domain):
    """prefA leaves the LMA for a direct tunnel inside operator A"""
    walk(domain, 1, 2, 4)
    assert domain.items(1, AnchorRoute) == [AnchorRoute(PREF[1], address(4))]
    assert [r.prefix for r in lma(domain, AnchorRoute)] == [PREF[2]]
    assert_relays(domain, PREF[2], anchor=2, serving=4)
    assert {u.prefix: u.peer for u in domain.items(4, Uplink)} == {PREF[1]: address(1), PREF[2]: CMD}


@pytest.mark.requirement("INTER-6")
def test_every_relayed_prefix_has_a_table_of_its_own(domain):
    for number, path in ((1, (1, 2)), (2, (4, 3)), (3, (2, 1))):
        walk(domain, *path, number=number)
    uplinks = lma(domain, Uplink)
    assert len(uplinks) == len({u.table for u in uplinks}) == 3
    assert all(r.first for r in lma(domain, AnchorRoute))


@pytest.mark.requirement("CMD-1", "INTER-7")
def test_lma_stays_out_of_the_path_inside_one_operator(domain):
    walk(domain, 1, 4)
    assert not domain.kernel[CMD]
    assert domain.items(1, Tunnel) == [Tunnel(address(4))]


@pytest.mark.requirement("INTER-11")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared", [True, False])
def test_local_prefixes_cross_only_if_policy_allows(mode, shared):
    changes = {"cmd_changes": {"share_local_prefixes": shared}, "operators": OPERATORS}
    domain = Domain(mode, gateway_changes={"local_prefixes": (LOCALNET,)}, **changes)
    walk(domain, 1, 2)
    [anchor] = [a for a in domain.node(2).anchors if a.prefix == PREF[1]]
    assert anchor.local_prefixes == ((LOCALNET,) if shared else ())
    told = [m for *_, m in domain.sent(BindingAck, CMD, address(2)) if m.every(PreviousMaar) or hnps(m) == [PREF[1]]]
    assert told
    assert all(bool(m.every(LocalPrefix)) == shared for m in told)


@pytest.mark.requirement("INTER-12", "SEC-4")
def test_unknown_gateway_is_refused(domain):
    walk(domain, 1, 2)
    stranger = IPv6Address("2001:db8:c:7::2")
    [update, *_] = [m for _, s, d, m in domain.wire if s == address(2) and d == CMD]
    kernel, count = dict(domain.kernel[CMD]), len(domain.wire)
    domain.feed(CMD, MobilityDatagram(push_mobility(update, stranger, CMD), stranger, CMD))
    assert [m.status for *_, m in domain.wire[count:]] == [154]
    assert domain.kernel[CMD] == kernel


@pytest.mark.requirement("INTER-1", "SEC-4")
@pytest.mark.parametrize("mode", ["relay", "direct"])
def test_gateway_refuses_updates_of_another_operators_gateway(mode):
    domain = walk(Domain(mode, operators=OPERATORS), 1)
    walk(domain, 2, number=2)
    [update] = [m for _, _, _, m in domain.sent(BindingUpdate)][:1] or [None]
    if update is None:
        domain.move(2, 2, 3)
        domain.run()
        [(_, _, _, update)] = domain.sent(BindingUpdate)
    count = len(domain.wire)
    domain.feed(address(1), MobilityDatagram(push_mobility(update, address(2), address(1)), address(2), address(1)))
    assert [m.status for *_, m in domain.wire[count:]] == [154]


@pytest.mark.requirement("CMD-3")
def test_lma_refuses_prefixes_it_does_not_stand_for():
    """Direct mode: a prefix that is not the node's, and one whose anchor the gateway must ask itself: 155"""
    domain = walk(Domain("direct", operators=OPERATORS), 1, 2)
    [(_, _, _, update)] = domain.sent(BindingUpdate, address(2), CMD)
    kernel = dict(domain.kernel[CMD])
    stamp = Timestamp(update.first(Timestamp).raw + 65536)
    for prefix, source in ((IPv6Network("2001:db8:a1:77::/64"), 2), (PREF[1], 4), (PREF[2], 3)):
        changed = {HomeNetworkPrefix: HomeNetworkPrefix.of(prefix), Timestamp: stamp}
        forged = replace(update, options=tuple(changed.get(type(option), option) for option in update.options))
        count = len(domain.wire)
        domain.feed(CMD, MobilityDatagram(push_mobility(forged, address(source), CMD), address(source), CMD))
        assert [m.status for *_, m in domain.wire[count:]] == [155]
    assert domain.kernel[CMD] == kernel


@pytest.mark.requirement("INTER-1", "INTER-2")
def test_gateway_ignores_anchors_that_are_neither_its_operators_nor_the_lma():
    """A prefix of a foreign pool only through the LMA, one of the own operator only at its gateway"""
    from agents.dgw.gateway.anchors import expect_anchor
    from agents.dgw.records import AnchorRecord

    domain = walk(Domain("relay", operators=OPERATORS), 2)
    base, node = domain.gateway(2)._base, domain.node(2)
    for where, prefix in ((address(1), PREF[1]), (CMD, PREF[3]), (address(3), PREF[1]), (CMD, PREF[2])):
        assert expect_anchor(base, node, AnchorRecord(where, prefix)) is None
    base.config = replace(base.config, roaming=False)
    assert expect_anchor(base, node, AnchorRecord(CMD, PREF[1])) is None
    assert not node.anchors


@pytest.mark.requirement("INTER-1")
def test_configuration_keeps_operators_apart():
    with pytest.raises(ValueError, match="INTER-1"):
        replace(gateway_config(1, "relay", OPERATORS), peers=(peer(2, "B"),))
    lma_config = cmd_config("relay", OPERATORS)
    with pytest.raises(PlainError, match="wan is missing"):
        build(CmdConfig, {**plain(lma_config), "wan": None})
