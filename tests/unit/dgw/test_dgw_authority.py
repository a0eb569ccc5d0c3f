"""Who may say what: (peer, node, prefix) authorisation at anchor, CMD, serving gateway and repository (spec SEC-4)."""

import json
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from dgw_domain import CMD, POOLS, Domain, address, peer, profiles

from agents.dgw.actions import MobilityDatagram, RepositoryDatagram
from agents.dgw.authority import Authority
from agents.dgw.freshness import ticks
from agents.dgw.messages import compose_ack, compose_update
from agents.wire.mobility import BindingAck, BindingUpdate, push_mobility
from agents.wire.mobility_codes import Handoff
from agents.wire.mobility_options import AlternateCareOfAddress, AnchoredPrefix, LocalPrefix, PreviousMaar, ServingMaar

pytestmark = pytest.mark.requirement("SEC-4")

D1, D2, D3 = (address(i) for i in (1, 2, 3))
PREF_A, PREF_B = IPv6Network("2001:db8:a1:1::/64"), IPv6Network("2001:db8:b2:1::/64")
ELSEWHERE = IPv6Network("2001:db8:f::/64")
"""Where the correspondent nodes are: nobody's to announce."""


def update(domain, prefixes=(PREF_A,), extra=(), **changes):
    fields = {
        "mn_id": "mn1@dmm.example",
        "mac": "02:00:00:00:00:11",
        "prefixes": prefixes,
        "handoff": Handoff.SAME_INTERFACE,
        "sequence": 4242,
        "timestamp": ticks(domain.now),
        "lifetime": 300,
        "extra": extra,
    }
    return compose_update(**{**fields, **changes})


def attached(mode, **changes):
    domain = Domain(mode, gateway_changes=changes)
    domain.attach(1, 1)
    domain.run(1)
    return domain


def ask(domain, target, message, source):
    """Status of the answers, and whether anything changed."""
    core = domain.cores[target]
    before, sent = (core.saved_state(), dict(domain.kernel[target])), len(domain.wire)
    domain.feed(target, MobilityDatagram(push_mobility(message, source, target), source, target))
    answers = [m.status for _, s, _, m in domain.wire[sent:] if s == target and isinstance(m, BindingAck)]
    return answers, (core.saved_state(), dict(domain.kernel[target])) != before


def limited(*allowed):
    first, *others = profiles()
    return (replace(first, gateways=allowed), *others)


def test_only_gateways_of_the_profile_may_serve():
    domain = attached("direct", profiles=limited(D1, D3))
    assert ask(domain, D1, update(domain), D2) == ([154], False)
    assert ask(domain, D1, update(domain), D3) == ([0], True)


def test_the_cmd_cannot_send_a_node_where_its_profile_forbids():
    domain = attached("relay", profiles=limited(D1))
    assert ask(domain, D1, update(domain, extra=[ServingMaar(D2)]), CMD) == ([154], False)


def test_the_cmd_itself_checks_the_profile():
    domain = attached("relay")
    domain.cmd._base.profiles["mn1@dmm.example"] = limited(D1)[0]
    assert ask(domain, CMD, update(domain, [PREF_B]), D2) == ([154], False)


def test_a_gateway_does_not_serve_whom_it_may_not():
    domain = Domain("relay", gateway_changes={"profiles": limited(D2)})
    domain.attach(1, 1)
    domain.run(1)
    assert domain.events("not-served", D1)
    assert not domain.wire


@pytest.mark.parametrize(("mode", "target"), [("direct", D1), ("relay", CMD)])
@pytest.mark.requirement("LIPA-6")
def test_a_gateway_names_no_prefix_that_is_nobodys(mode, target):
    """Option 65 of a PBU holds the node's prefixes, all out of some gateway's pool (AMB-12, LIPA-6)"""
    domain = attached(mode)
    prefixes = [PREF_A] if mode == "direct" else [PREF_B]
    foreign = [AnchoredPrefix.of(PREF_B), AnchoredPrefix.of(ELSEWHERE)]
    assert ask(domain, target, update(domain, prefixes, foreign), D2) == ([155], False)
    anchors = AnchoredPrefix.of(IPv6Network("2001:db8:a1:77::/64"))
    assert ask(domain, target, update(domain, prefixes, [AnchoredPrefix.of(PREF_B), anchors]), D2)[1], "welcome"


def test_a_gateway_is_tunnel_end_for_itself_only():
    domain = attached("direct")
    assert ask(domain, D1, update(domain, extra=[AlternateCareOfAddress(D3)]), D2) == ([174], False)


def test_a_relayed_foreign_prefix_is_the_serving_gateways():
    """AMB-8 accepts the new gateway's prefix forwarded literally, and no other"""
    domain = attached("relay")
    assert ask(domain, D1, update(domain, [ELSEWHERE], [ServingMaar(D2)]), CMD) == ([155], False)
    assert ask(domain, D1, update(domain, [PREF_B], [ServingMaar(D2)]), CMD) == ([0], True)


def test_option_67_is_heard_from_the_cmd_only():
    domain = attached("locator")
    domain.move(1, 1, 2)
    domain.filters.append(lambda now, source, destination, octets: [] if source in (CMD, D1) else None)
    domain.run(0.01)
    [request] = [m for _, s, _, m in domain.sent(BindingUpdate, D2, CMD)]
    named = PreviousMaar.of(D1, PREF_A)
    for prefixes, source in (([PREF_A], D3), ([IPv6Network("2001:db8:c3:5::/64")], D3), ([PREF_A], D1)):
        ack = compose_ack(request, lifetime=300, prefixes=prefixes, extra=[named] if source == D3 else [])
        domain.feed(D2, MobilityDatagram(push_mobility(ack, source, D2), source, D2))
        anchors = {(a.address, a.prefix) for a in domain.node(2).anchors if a.active}
        assert (D1, PREF_A) not in anchors or source == D1
    assert (D1, PREF_A) in anchors


def test_an_anchor_cannot_reject_a_node_away():
    """Locator mode: a rejection by another gateway, with our sequence number, leaves our registration alone"""
    domain = attached("locator")
    domain.move(1, 1, 2)
    domain.filters.append(lambda now, source, destination, octets: [] if source in (CMD, D1) else None)
    domain.run(0.01)
    [request] = [m for _, s, _, m in domain.sent(BindingUpdate, D2, CMD)]
    own = domain.node(2).own.prefix
    for prefixes in ([own], [IPv6Network("2001:db8:c3:5::/64"), own]):
        ack = replace(compose_ack(request, lifetime=0, prefixes=prefixes), status=152)
        domain.feed(D2, MobilityDatagram(push_mobility(ack, D3, D2), D3, D2))
        assert domain.node(2).serving
        assert list(domain.gateway(2)._base.exchanges)


def test_a_rejection_after_the_acceptance_changes_nothing():
    """A copy of our update that somebody else sent is rejected, and the answer comes to us"""
    domain = attached("relay")
    [request] = [m for _, s, _, m in domain.sent(BindingUpdate, D1, CMD)]
    before = domain.gateway(1).saved_state()
    ack = replace(compose_ack(request, lifetime=0, prefixes=[domain.node(1).own.prefix]), status=157)
    domain.feed(D1, MobilityDatagram(push_mobility(replace(ack, status=158), CMD, D1), CMD, D1))
    assert domain.gateway(1).saved_state() == before


def test_an_anchor_asks_about_its_own_prefix_only():
    """Lifetime 0 from an anchor whose timer ran out (DEREG-5) would else release others' prefixes"""
    both = {"anchor_timers": "run"}
    domain = Domain("relay", gateway_changes=both, cmd_changes=both)
    for here, there in ((None, 1), (1, 2), (2, 3)):
        domain.attach(1, there) if here is None else domain.move(1, here, there)
        domain.run(1)
    about_other = update(domain, [PREF_B], lifetime=0, handoff=Handoff.UNKNOWN)
    assert ask(domain, CMD, about_other, D1) == ([155], False)
    assert ask(domain, CMD, replace(about_other, sequence=4243), D2)[0] == [0]


def test_nobody_announces_somebody_elses_network():
    """Option 66 becomes a route at hosts (RFC 4191): no global network outside the announcer's pool or configuration"""
    domain = attached("relay")
    inside, message = IPv6Network("2001:db8:b2:ffff::/64"), update(domain, [PREF_B])
    extra = [LocalPrefix.of(ELSEWHERE), LocalPrefix.of(inside)]
    assert ask(domain, CMD, replace(message, options=(*message.options, *extra)), D2)[0] == []
    assert domain.session().serving.local_prefixes == (inside,)
    configured = Authority({D2: replace(peer(2), local_prefixes=(ELSEWHERE,))}, {})
    assert configured.local_prefixes(D2, [ELSEWHERE, PREF_A, inside]) == (ELSEWHERE, inside)
    assert configured.local_prefixes(D3, [ELSEWHERE]) == ()
    site = IPv6Network("fd00:10ca:1::/64")
    assert configured.local_prefixes(D2, [site, IPv6Network("::/0")]) == (site,)


def moved_unanswered(mode, receiver):
    """mn1 moved to dgw2, which waits for the answer of `receiver`: its update."""
    domain = attached(mode)
    domain.move(1, 1, 2)
    domain.filters.append(
        lambda now, source, destination, octets: [] if source == receiver and octets[2] == 6 else None
    )
    domain.run(0.01)
    [request] = [m for _, s, _, m in domain.sent(BindingUpdate, D2, receiver)]
    return domain, request


def answer(domain, request, source, prefixes, extra):
    ack = compose_ack(request, lifetime=300, prefixes=prefixes, extra=extra)
    domain.feed(D2, MobilityDatagram(push_mobility(ack, source, D2), source, D2))


def test_an_anchor_goes_with_a_prefix_of_its_own_pool():
    domain, request = moved_unanswered("relay", CMD)
    own = domain.node(2).own.prefix
    answer(domain, request, CMD, [own], [PreviousMaar.of(D3, PREF_A)])
    assert not domain.node(2).anchors
    answer(domain, request, CMD, [own], [PreviousMaar.of(D1, PREF_A)])
    assert [(a.address, a.prefix) for a in domain.node(2).anchors] == [(D1, PREF_A)]


def test_an_anchors_answer_announces_its_own_networks_only():
    domain, request = moved_unanswered("direct", D1)
    inside = IPv6Network("2001:db8:a1:ffff::/64")
    answer(domain, request, D1, [PREF_A], [LocalPrefix.of(ELSEWHERE), LocalPrefix.of(inside)])
    [anchor] = domain.node(2).anchors
    assert (anchor.active, anchor.local_prefixes) == (True, (inside,))
    assert [event.fields["prefix"] for event in domain.events("local-prefix-ignored", D2)] == [ELSEWHERE]


def test_what_others_say_of_an_anchors_networks_is_measured_by_its_pool():
    domain = attached("direct")
    entry = domain.cmd._repository.entries["mn1@dmm.example"]
    lied = replace(entry.anchors[0], local_prefixes=(ELSEWHERE,))
    domain.cmd._repository.entries["mn1@dmm.example"] = replace(entry, anchors=(lied,))
    domain.move(1, 1, 2)
    domain.run()
    [anchor] = domain.node(2).anchors
    assert (anchor.active, anchor.local_prefixes) == (True, ())


# --- the direct mode's repository


def consult(domain, source, **request):
    request = {"id": 7, "mn_id": "mn1@dmm.example", **request}
    before = domain.cmd.saved_state()
    core = domain.cmd
    core.receive(RepositoryDatagram(json.dumps(request).encode(), source, 4000), None, domain.now)
    [answer] = [json.loads(action.message) for action in core.actions()]  # not delivered
    return answer, core.saved_state() != before


def record(gateway, prefix):
    return {"address": str(gateway), "prefix": str(prefix)}


def test_repository_takes_a_gateways_own_records_only():
    domain = attached("direct")
    stamp = ticks(domain.now)
    for wrong in (record(D1, PREF_A), record(D2, PREF_A), record(D1, PREF_B), record(D2, ELSEWHERE)):
        answer, changed = consult(domain, D2, operation="update", record=wrong, timestamp=stamp)
        assert ("not authorised" in answer["error"], changed) == (True, False)
    assert domain.cmd.inspect()["counters"]["unauthorised"] == 4
    answer, changed = consult(domain, D2, operation="update", record=record(D2, PREF_B), timestamp=stamp)
    assert (answer["entry"]["serving"], changed) == (str(D2), True)


def test_repository_takes_no_timestamp_of_the_future():
    domain = attached("direct")
    later = ticks(domain.now + 60)
    answer, changed = consult(domain, D2, operation="update", record=record(D2, PREF_B), timestamp=later)
    assert ("ahead" in answer["error"], changed) == (True, False)


def test_repository_lets_the_serving_gateway_and_the_anchor_remove():
    domain = attached("direct")
    answer, changed = consult(domain, D2, operation="remove", address=str(D1))
    assert ("not authorised" in answer["error"], changed) == (True, False)
    assert consult(domain, D1, operation="remove", address=str(D1))[1]


@pytest.mark.requirement("SEC-5")
def test_repository_tells_history_only_to_gateways_that_may_serve():
    domain = attached("direct")
    assert consult(domain, D2, operation="lookup")[0]["entry"]["serving"] == str(D1)
    domain.cmd._base.profiles["mn1@dmm.example"] = limited(D1)[0]
    assert "entry" not in consult(domain, D2, operation="lookup")[0]


def test_the_pool_decides_who_speaks_for_a_prefix():
    authority = Authority({address(i): peer(i) for i in POOLS}, {})
    assert authority.speaks_for(D1, PREF_A)
    assert not authority.speaks_for(D2, PREF_A)
    assert not authority.speaks_for(IPv6Address("2001:db8::1"), PREF_A)
