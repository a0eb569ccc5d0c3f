"""Peers without D flag, D-GW support switched off, D flags in two places (spec §10, AMB-5, AMB-6, AMB-10, AMB-12)."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, Domain, address, gateway_config, mac, peer
from test_dgw_bad_input import PREF_A, PREF_B, handover_with_answer, plus, spoil_answers, update, without

from agents.dgw.actions import MobilityDatagram, PeerRefused
from agents.dgw.config import CmdConfig, GatewayConfig
from agents.dgw.forwarding import AnchorRoute
from agents.dgw.freshness import ticks
from agents.dgw.gateway.state import BindingState
from agents.plain import build, plain
from agents.wire.mobility import BindingAck, BindingRefreshRequest, BindingUpdate, push_mobility
from agents.wire.mobility_codes import PBA_FLAGS, PBU_FLAGS, AckFlag, Handoff, UpdateFlag
from agents.wire.mobility_options import (
    AnchoredPrefix,
    DlifLinkLayer,
    DlifLinkLocal,
    HomeNetworkPrefix,
    LinkLocalAddress,
    LocalPrefix,
    MobileNodeIdentifier,
    PreviousMaar,
    ServingMaar,
    Timestamp,
)

LEGACY = {"accept_legacy": True}
OFF = {"dgw_support": False}
D0_UPDATE, D0_ACK = UpdateFlag.ACKNOWLEDGE | UpdateFlag.PROXY, AckFlag.PROXY
OF_DGWS = (AnchoredPrefix, LocalPrefix, PreviousMaar, ServingMaar, DlifLinkLocal, DlifLinkLayer)
D1, D2 = address(1), address(2)


def ask(domain, message, source, target):
    """What the target answers, whoever it tells."""
    sent = len(domain.wire)
    domain.feed(target, MobilityDatagram(push_mobility(message, source, target), source, target))
    return [m for _, s, _, m in domain.wire[sent:] if s == target and isinstance(m, BindingAck)]


def plain_update(domain, **changes):
    return replace(update(domain, **changes), flags=D0_UPDATE)


# --- plain updates


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
def test_anchor_takes_a_plain_update_and_ignores_options_65_to_70():
    domain = Domain("direct", gateway_changes=LEGACY)
    domain.attach(1, 1)
    domain.run()
    odd = plus(plain_update(domain), ServingMaar(IPv6Address("ff02::1")), ServingMaar(D2), AnchoredPrefix(D1, 0))
    [ack] = ask(domain, odd, D2, D1)
    assert (ack.status, ack.flags) == (0, D0_ACK)
    assert not [option for option in ack.options if isinstance(option, OF_DGWS)]
    assert ack.every(HomeNetworkPrefix) == (HomeNetworkPrefix.of(PREF_A),)
    [route] = domain.items(1, AnchorRoute)
    assert (route.prefix, route.peer) == (PREF_A, D2)


@pytest.mark.requirement("SC-BADINPUT")
@pytest.mark.parametrize(("change", "status"), [(lambda m: without(m, MobileNodeIdentifier), 160), (None, 157)])
def test_rejected_plain_updates_are_answered_without_d(change, status):
    domain = Domain("direct", gateway_changes=LEGACY)
    domain.attach(1, 1)
    domain.run()
    message = change(plain_update(domain)) if change else plain_update(domain, timestamp=5)
    [ack] = ask(domain, message, D2, D1)
    assert (ack.status, ack.flags) == (status, D0_ACK)


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
@pytest.mark.parametrize("mode", ["relay", "locator", "proxy"])
def test_cmd_registers_a_plain_gateway_and_tells_the_anchors(mode):
    """Answered at once, without groups; the anchors learn where the node went; its return works as ever"""
    domain = Domain(mode, cmd_changes=LEGACY)
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    sent = len(domain.wire)
    answers = ask(domain, plain_update(domain, prefixes=[PREF_B], handoff=Handoff.UNKNOWN), D2, CMD)
    assert [(a.status, a.flags) for a in answers] == [(0, D0_ACK)]
    assert not [option for option in answers[0].options if isinstance(option, OF_DGWS)]
    domain.run()
    from_cmd = [m for _, s, d, m in domain.wire[sent:] if s == CMD and d == D2 and isinstance(m, BindingAck)]
    assert len(from_cmd) == 1
    assert domain.session().serving.address == D2
    assert domain.node(1).own.state is BindingState.REMOTE
    again = ask(domain, plain_update(domain, prefixes=[PREF_B], handoff=Handoff.REREGISTRATION), D2, CMD)
    assert [(a.status, a.flags) for a in again] == [(0, D0_ACK)]
    domain.attach(1, 1)
    domain.run()
    assert domain.node(1).own.state is BindingState.LOCAL
    assert list(domain.ras(1)) == ["mn1dgw1"]


# --- D-GW support switched off


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
def test_distributed_updates_are_refused_where_support_is_off():
    """129, P=1, D=0: at a gateway and at a CMD; nothing changes"""
    domain = Domain("relay", cmd_changes={**OFF, **LEGACY}, gateway_changes={**OFF, **LEGACY})
    domain.attach(1, 1)
    domain.run()
    before = [core.saved_state() for core in domain.cores.values()]
    for target, prefix in ((D1, PREF_A), (CMD, PREF_B)):
        for lifetime in (300, 0):
            [ack] = ask(domain, update(domain, prefixes=[prefix], lifetime=lifetime), D2, target)
            assert (ack.status, ack.flags) == (129, D0_ACK)
    assert [core.saved_state() for core in domain.cores.values()] == before


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
def test_a_gateway_without_support_is_a_plain_one():
    """Its updates carry neither D nor options 65-70, and a CMD that takes plain ones serves its nodes"""
    domain = Domain("relay", cmd_changes=LEGACY, only={1: OFF})
    domain.attach(1, 1)
    domain.run()
    [(_, _, _, sent)] = domain.sent(BindingUpdate, D1)
    assert sent.flags == D0_UPDATE
    assert not [option for option in sent.options if isinstance(option, OF_DGWS)]
    assert list(domain.ras(1)) == ["mn1dgw1"]
    assert domain.gateway(1).inspect()["legacy_peers"] == []


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
def test_distributed_answers_are_ignored_where_support_is_off():
    """Ignored on the wire, an error here; the update goes on being repeated"""
    domain = Domain("relay", cmd_changes=LEGACY, only={1: OFF})
    spoil_answers(domain, CMD, lambda ack: replace(ack, flags=PBA_FLAGS))
    domain.attach(1, 1)
    domain.run()
    assert domain.ras(1) == {}
    assert len(domain.events("unsupported-answer", D1)) == 1
    assert domain.gateway(1).inspect()["counters"] == {"unsupported": 1}
    assert [e.peer for e in domain.gateway(1)._base.exchanges] == [CMD]


@pytest.mark.requirement("SC-BADINPUT", "AMB-6")
def test_distributed_answers_are_ignored_by_a_cmd_without_support():
    domain = Domain("relay")
    domain.attach(1, 1)
    domain.run()
    domain.cmd._base.config = replace(domain.cmd._base.config, dgw_support=False)
    domain.move(1, 1, 2)
    domain.run(0.4)
    assert domain.events("unsupported-answer", CMD)
    assert domain.session().untold == {D1}


# --- plain answers to our updates


@pytest.mark.requirement("SC-BADINPUT", "HO-11")
def test_a_plain_anchor_gives_no_tunnel_and_the_rest_works():
    """Marked, saved, shown; the own prefix is served; asked again at the next refresh; a D clears the mark"""
    receiver = handover_with_answer(lambda ack: replace(ack, flags=D0_ACK))
    domain, gateway = receiver.domain, receiver.domain.gateway(2)
    assert gateway.inspect()["legacy_peers"] == [str(D1)]
    assert gateway.saved_state()["legacy_peers"] == [str(D1)]
    assert sorted(kind for kind, _ in domain.kernel[D2]) == ["dlif", "source-gate"]
    assert list(domain.ras(2)) == ["mn1dgw2"]
    assert list(gateway._base.exchanges) == []
    asked = len(domain.sent(BindingUpdate, D2, D1))
    domain.filters.clear()
    domain.run(160)
    assert len(domain.sent(BindingUpdate, D2, D1)) == asked + 1
    assert gateway.inspect()["legacy_peers"] == []
    assert sorted(domain.ras(2)) == ["mn1dgw1", "mn1dgw2"]


@pytest.mark.requirement("SC-BADINPUT")
def test_a_plain_rejection_is_a_rejection():
    receiver = handover_with_answer(lambda ack: replace(ack, status=130, flags=D0_ACK))
    assert receiver.domain.gateway(2).inspect()["legacy_peers"] == []
    assert receiver.domain.node(2).anchors == []


@pytest.mark.requirement("SC-BADINPUT")
@pytest.mark.parametrize("mode", ["relay", "locator", "proxy"])
def test_a_plain_cmd_confirms_the_own_prefix_and_names_no_anchors(mode):
    """A plain LMA in the CMD's place: the node is served with its own prefix, groups without D are ignored"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run()
    spoil_answers(domain, CMD, lambda ack: replace(ack, flags=D0_ACK))
    domain.move(1, 1, 2)
    domain.run()
    gateway = domain.gateway(2)
    assert gateway.inspect()["legacy_peers"] == ([] if mode == "locator" else [str(CMD)])
    assert "mn1dgw2" in domain.ras(2)
    assert ("mn1dgw1" in domain.ras(2)) == (mode == "locator")  # there the anchor answers for itself


@pytest.mark.requirement("SC-BADINPUT", "CMD-RELAY-5", "CMD-PROXY-2")
@pytest.mark.parametrize("mode", ["relay", "proxy"])
def test_a_plain_anchor_at_the_cmd(mode):
    """No group for it, or in proxy mode a correction with an error status; marked and saved"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run()
    spoil_answers(domain, D1, lambda ack: replace(ack, flags=D0_ACK) if ack.every(ServingMaar) else ack)
    domain.move(1, 1, 2)
    domain.run(2)
    assert domain.cmd.inspect()["legacy_peers"] == [str(D1)]
    assert domain.cmd.saved_state()["state"]["legacy_peers"] == [str(D1)]
    assert list(domain.ras(2)) == ["mn1dgw2"]
    corrections = [m.status for _, _, _, m in domain.sent(BindingAck, CMD, D2) if not m.accepted]
    assert corrections == ([129] if mode == "proxy" else [])


@pytest.mark.requirement("CMD-PROXY-2", "DEREG-10")
def test_an_acceptance_for_no_time_is_a_rejection_and_more_than_asked_is_not_taken():
    for units, active in ((0, False), (65535, True)):
        receiver = handover_with_answer(lambda ack, units=units: replace(ack, lifetime_units=units))
        assert ("mn1dgw1" in receiver.domain.ras(2)) == active
        assert receiver.domain.node(2).expires <= receiver.domain.now + 300
    domain = Domain("relay")
    spoil_answers(domain, CMD, lambda ack: replace(ack, lifetime_units=65535))
    domain.attach(1, 1)
    domain.run()
    assert domain.node(1).expires <= domain.now + 300


# --- where the D flag is


@pytest.mark.requirement("AMB-5", "SC-BADINPUT")
@pytest.mark.parametrize("mode", ["direct", "relay", "locator", "proxy"])
@pytest.mark.parametrize("draft03", [(3,), (1, 2, 3)])
def test_mixed_domain(mode, draft03):
    """A walk through a domain in which one gateway, or all, put D where the draft had it"""
    domain = Domain(mode, draft03=draft03)
    octets = []
    domain.filters.append(lambda now, source, destination, data: octets.append((source, destination, data)))
    for cell in (1, 2, 3, 1):
        for other in (1, 2, 3):
            domain.detach(1, other)
        domain.attach(1, cell)
        domain.run()
    assert sorted(domain.ras(1)) == ["mn1dgw1", "mn1dgw2", "mn1dgw3"]
    seen = set()
    for source, destination, data in octets:
        if data[:1] != b"\x3b":
            continue  # a look-up
        draft = bool({source, destination} & domain.draft03)
        if data[2] == 5:
            assert int.from_bytes(data[8:10], "big") == (0x8300 if draft else 0x8210)
        else:
            assert data[7] == (0x30 if draft else 0x22)
        seen.add((draft, data[2]))
    wanted = {True, False} if len(draft03) == 1 else {True}
    assert seen == {(draft, kind) for draft in wanted for kind in (5, 6)}


@pytest.mark.requirement("AMB-5")
@pytest.mark.parametrize("draft03", [(), (2,)])
def test_a_flag_in_the_other_place_is_no_d_flag(draft03):
    domain = Domain("direct", draft03=draft03)
    domain.attach(1, 1)
    domain.run()
    for word, status in ((0x8210, 129 if draft03 else 0), (0x8300, 0 if draft03 else 129)):
        data = bytearray(push_mobility(update(domain, timestamp=int(domain.now * 65536)), D2, D1))
        data[8:10] = word.to_bytes(2, "big")
        sent = len(domain.wire)
        domain.feed(D1, MobilityDatagram(bytes(data), D2, D1))
        [ack] = [m for _, s, _, m in domain.wire[sent:] if s == D1]
        assert (ack.status, ack.distributed) == (status, status == 0)
        domain.run()


def test_configurations_tell_of_peers_and_support():
    for kind, config in ((GatewayConfig, gateway_config(1, "relay")), (CmdConfig, Domain("relay").cmd.config)):
        data = {**plain(config), "dgw_support": False, "accept_legacy": True}
        built = build(kind, data)
        assert (built.dgw_support, built.accept_legacy) == (False, True)


# --- what answers say of prefixes and identities


@pytest.mark.requirement("AMB-12")
def test_prefixes_of_options_22_and_65_are_united_and_a_difference_is_logged():
    other = AnchoredPrefix.of(IPv6Network("2001:db8:a1:99::/64"))
    for change, active in (
        (lambda ack: plus(ack, other), True),
        (lambda ack: plus(without(ack, HomeNetworkPrefix), HomeNetworkPrefix.of(other.network)), True),
        (lambda ack: plus(without(ack, HomeNetworkPrefix, AnchoredPrefix), HomeNetworkPrefix.of(other.network)), False),
    ):
        receiver = handover_with_answer(change)
        assert ("mn1dgw1" in receiver.domain.ras(2)) == active
        assert bool(receiver.domain.events("prefixes-differ", D2)) == active


@pytest.mark.requirement("AMB-10", "DLIF-7")
def test_option_26_does_not_change_the_dlif():
    receiver = handover_with_answer(lambda ack: plus(ack, LinkLocalAddress(IPv6Address("fe80::bad"))))
    dlif = receiver.domain.kernel[D2]["dlif", "mn1dgw1"]
    assert str(dlif.link_local) == "fe80::d6:ff:fe01:1"


IDENTITIES = {
    "69 not link-local": ((DlifLinkLocal(IPv6Address("2001:db8::1")),), DlifLinkLocal, True),
    "70 multicast": ((DlifLinkLayer(b"\x03\xd6\0\1\0\1"),), DlifLinkLayer, True),
    "70 zero": ((DlifLinkLayer(bytes(6)),), DlifLinkLayer, True),
    "70 of Length 10": ((DlifLinkLayer(bytes(range(1, 9))),), DlifLinkLayer, True),
    "only 70": ((), DlifLinkLocal, True),
    "only 69, EUI-64": ((), DlifLinkLayer, True),
}


@pytest.mark.requirement("DLIF-7", "SC-BADINPUT")
@pytest.mark.parametrize("row", IDENTITIES)
@pytest.mark.parametrize(("mode", "teller"), [("direct", D1), ("locator", D1), ("relay", CMD)])
def test_half_an_identity_is_completed(row, mode, teller):
    """What of 69 and 70 is unusable counts as absent; the other one tells both"""
    options, kind, _ = IDENTITIES[row]
    domain = Domain(mode)
    spoil_answers(domain, teller, lambda ack: plus(without(ack, kind), *(options if ack.groups else ())))
    domain.move(1, 1, 2)
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    dlif = domain.kernel[D2]["dlif", "mn1dgw1"]
    assert (dlif.mac, str(dlif.link_local)) == ("02:d6:00:01:00:01", "fe80::d6:ff:fe01:1")
    assert bool(domain.events("identity-ignored", D2)) == bool(options)


@pytest.mark.requirement("HO-7", "CMD-RELAY-3")
@pytest.mark.parametrize("mode", ["direct", "relay", "locator"])
def test_the_anchors_answer_wins_over_what_was_registered(mode):
    """Its identity replaces the one that the CMD or the repository had; networks it does not repeat stay known"""
    network = IPv6Network("2001:db8:a1:ffff::/64")
    domain = Domain(mode, networks={1: [str(network)]})
    told = (DlifLinkLocal(IPv6Address("fe80::77")), DlifLinkLayer(b"\x02\xd6\0\7\0\7"))
    spoil_answers(domain, D1, lambda ack: plus(without(ack, DlifLinkLocal, DlifLinkLayer, LocalPrefix), *told))
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    dlif = domain.kernel[D2]["dlif", "mn1dgw1"]
    assert (dlif.mac, str(dlif.link_local)) == ("02:d6:00:07:00:07", "fe80::77")
    routes = [route.prefix for route in domain.ras(2)["mn1dgw1"].routes]
    assert routes == ([] if mode == "locator" else [network]), "in locator mode nobody else tells of it"


TAKEN = {"another node's DLIF": "02:d6:00:02:00:01", "a station": mac(2)}


@pytest.mark.requirement("DLIF-7", "SC-BADINPUT", "DLIF-9")
@pytest.mark.parametrize("row", TAKEN)
def test_a_link_layer_address_that_is_taken_is_not_taken_again(row):
    """mn2 is here with the DLIF 02:d6:00:02:00:01: mn1's anchor may not tell the same, nor a station's own address"""
    taken = DlifLinkLayer(bytes.fromhex(TAKEN[row].replace(":", "")))
    domain = Domain("relay")
    domain.attach(2, 2)
    domain.attach(1, 1)
    domain.run()
    spoil_answers(
        domain,
        CMD,
        lambda ack: plus(without(ack, DlifLinkLocal, DlifLinkLayer), taken) if ack.every(PreviousMaar) else ack,
    )
    domain.move(1, 1, 2)
    domain.run()
    dlif = domain.kernel[D2]["dlif", "mn1dgw1"]
    assert dlif.mac not in TAKEN.values()
    assert domain.events("identity-ignored", D2)
    assert domain.events("router-identity-changed", D2)


# --- stopping and asking again


@pytest.mark.requirement("SC-BADINPUT", "RETX-10")
@pytest.mark.parametrize("mode", ["relay", "proxy"])
def test_service_off_stops_a_gateway_until_an_administrator_acts(mode):
    domain = Domain(mode)
    cmd = domain.cmd._base
    good = cmd.profiles["mn1@dmm.example"]
    cmd.profiles["mn1@dmm.example"] = replace(good, enabled=False)
    domain.attach(1, 1)
    domain.run()
    assert domain.gateway(1).inspect()["halted"] == [f"{CMD} mn1@dmm.example"]
    cmd.profiles["mn1@dmm.example"] = good
    sent = len(domain.sent(BindingUpdate, D1))
    domain.detach(1, 1)
    domain.attach(1, 1)
    domain.run(20)
    assert len(domain.sent(BindingUpdate, D1)) == sent
    assert domain.ras(1) == {}
    assert domain.gateway(1).resume() == 1
    domain.detach(1, 1)
    domain.attach(1, 1)
    domain.run()
    assert list(domain.ras(1)) == ["mn1dgw1"]


@pytest.mark.requirement("RETX-10")
def test_a_refused_prefix_is_not_asked_for_again():
    narrow = replace(peer(1), pool=IPv6Network("2001:db8:a1:2::/63"))
    domain = Domain("relay", cmd_changes={"gateways": (narrow,)})
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    domain.attach(1, 1)
    domain.run()
    asked = [m.first(HomeNetworkPrefix).network for _, _, _, m in domain.sent(BindingUpdate, D1)]
    assert asked == [PREF_A, IPv6Network("2001:db8:a1:2::/64")]
    assert list(domain.ras(1)) == ["mn1dgw1"]


@pytest.mark.requirement("RETX-10")
def test_a_clock_that_is_off_is_never_set_from_an_answer():
    """156: wait; the next update carries the own clock's time"""
    domain = Domain("relay")
    off = Timestamp(ticks(domain.now + 3600))
    spoil_answers(domain, CMD, lambda ack: replace(plus(without(ack, Timestamp), off), status=156))
    domain.attach(1, 1)
    domain.run(10)
    assert len(domain.sent(BindingUpdate, D1)) == 1
    domain.filters.clear()
    domain.run(30)
    assert list(domain.ras(1)) == ["mn1dgw1"]


@pytest.mark.requirement("SC-BADINPUT", "RETX-8", "RETX-9")
def test_the_last_accepted_sequence_number_is_taken_over():
    domain = Domain("relay")
    replies = iter([lambda ack: replace(ack, status=135, sequence=500)])
    spoil_answers(domain, CMD, lambda ack: next(replies, lambda a: a)(ack))
    domain.attach(1, 1)
    domain.run()
    assert [m.sequence for _, _, _, m in domain.sent(BindingUpdate, D1)] == [1, 501]
    assert list(domain.ras(1)) == ["mn1dgw1"]


@pytest.mark.requirement("SC-BADINPUT")
def test_a_peer_without_mobility_support_is_left_alone_for_a_while():
    """ICMPv6 type 4 code 1: `no_more`, an alarm, and another try later"""
    domain = Domain("relay")
    domain.filters.append(lambda now, source, destination, data: [] if destination == CMD else None)
    domain.attach(1, 1)
    domain.run(0.1)
    domain.feed(D1, PeerRefused(CMD))
    assert domain.gateway(1)._base.exchanges.paused(domain.now) == [CMD]
    assert len(domain.events("peer-without-mobility", D1)) == 1
    domain.run(3)
    assert len(domain.sent(BindingUpdate, D1)) == 1
    domain.filters.clear()
    domain.run(2)
    assert list(domain.ras(1)) == ["mn1dgw1"]


# --- Binding Refresh Request


def request(domain, source, target, *options):
    message = BindingRefreshRequest(options=options)
    domain.feed(target, MobilityDatagram(push_mobility(message, source, target), source, target))
    domain.run()


@pytest.mark.requirement("SC-BADINPUT", "ATT-14")
@pytest.mark.parametrize(("mode", "asker", "told"), [("relay", CMD, CMD), ("direct", D1, D1)])
def test_a_refresh_request_is_answered_with_a_refresh(mode, asker, told):
    """For the only node it can mean, or the one it names; else it is counted and that is all"""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run()
    domain.move(1, 1, 2)
    domain.run()
    sent = len(domain.sent(BindingUpdate, D2, told))
    request(domain, address(3), D2)
    request(domain, IPv6Address("2001:db8:f::2"), D2)
    request(domain, asker, D2, MobileNodeIdentifier.of("mn2@dmm.example"))
    assert len(domain.sent(BindingUpdate, D2, told)) == sent
    request(domain, asker, D2)
    request(domain, asker, D2, MobileNodeIdentifier.of("mn1@dmm.example"))
    fresh = [m for _, _, _, m in domain.sent(BindingUpdate, D2, told)[sent:]]
    assert len(fresh) == 2
    assert all(m.options and m.flags == PBU_FLAGS for m in fresh)
    assert domain.gateway(2).inspect()["counters"]["refresh-request"] == 5
    if mode == "relay":
        domain.attach(2, 2)
        domain.run()
        sent = len(domain.sent(BindingUpdate, D2, told))
        request(domain, asker, D2)  # which of the two?
        assert len(domain.sent(BindingUpdate, D2, told)) == sent


@pytest.mark.requirement("ATT-2", "SC-BADINPUT")
def test_a_solicitation_of_an_unknown_station_gets_no_advertisement():
    from agents.dgw.actions import RouterSolicited

    domain = Domain("relay")
    domain.feed(D1, RouterSolicited("02:00:00:00:00:99", IPv6Address("fe80::99")))
    domain.run()
    assert domain.wire == []
    assert domain.kernel[D1] == {}
    assert domain.advertised[D1] == ()
    assert [e.fields["reason"] for e in domain.events("not-served", D1)] == ["no profile"]
