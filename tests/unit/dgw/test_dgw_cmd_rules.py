"""Rules of the CMD and its modes that no walk shows by itself, in virtual time (spec §5.6)."""

from __future__ import annotations

import pytest
from dgw_domain import CMD, Domain, address

from agents.dgw.forwarding import TunnelGate
from agents.wire.mobility import BindingAck, BindingUpdate
from agents.wire.mobility_codes import Handoff
from agents.wire.mobility_options import HandoffIndicator, HomeNetworkPrefix

CENTRAL = ("relay", "locator", "proxy")


def moved(mode):
    """A node that was at dgw1 and is at dgw2."""
    domain = Domain(mode)
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    domain.attach(1, 2)
    domain.run()
    return domain


@pytest.mark.requirement("CMD-2", "CMD-8")
@pytest.mark.parametrize("mode", CENTRAL)
def test_another_prefix_from_another_gateway_is_the_same_session_handed_over_at_once(mode):
    domain = moved(mode)
    update = domain.sent(BindingUpdate, address(2), CMD)[0][3]
    assert update.first(HandoffIndicator).value == Handoff.UNKNOWN
    first = domain.sent(BindingUpdate, address(1), CMD)[0][3]
    assert update.every(HomeNetworkPrefix) != first.every(HomeNetworkPrefix)
    (session,) = domain.cmd._base.state.sessions.values()
    assert session.serving.address == address(2)
    assert [record.address for record in session.anchors] == [address(1)]
    asked, told = domain.sent(BindingUpdate, address(2), CMD)[0][0], domain.sent(BindingUpdate, CMD, address(1))[0][0]
    assert told - asked < 0.1  # no waiting for a de-registration first (RFC 5213 §5.4.1.2)


@pytest.mark.requirement("CMD-7")
@pytest.mark.parametrize("mode", CENTRAL)
def test_the_serving_gateway_is_never_an_anchor_and_the_former_one_is_the_first(mode):
    domain = moved(mode)
    for here, left in ((3, 2), (1, 3)):
        domain.detach(1, left)
        domain.attach(1, here)
        domain.run()
        (session,) = domain.cmd._base.state.sessions.values()
        anchors = [record.address for record in session.anchors]
        assert anchors[0] == address(left)
        assert address(here) not in anchors
        assert len(anchors) == len(set(anchors)) == 2


@pytest.mark.requirement("CMD-LOC-4", "CMD-LOC-5")
def test_a_lost_answer_of_an_anchor_is_repeated_by_the_anchor_to_both():
    """The CMD's repetition makes the anchor say it again, to the CMD and, gateway to gateway, to the serving one"""
    domain = Domain("locator")
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    lost = []

    def lose_the_first(now, source, destination, octets):
        if source == address(1) and len(lost) < 2:
            lost.append((destination, octets))
            return []
        return None

    domain.filters.append(lose_the_first)
    domain.attach(1, 2)
    domain.run(5.0)
    assert {destination for destination, _octets in lost} == {CMD, address(2)}
    asked = domain.sent(BindingUpdate, address(2), CMD)
    answers = [t for t, *_ in domain.sent(BindingAck, address(1), address(2))]
    assert len(domain.sent(BindingUpdate, CMD, address(1))) >= 2
    assert answers
    assert all(t <= answers[-1] for t, *_ in asked)  # no update of the serving gateway after the first answer
    assert [anchor.active for anchor in domain.node(2).anchors] == [True]


@pytest.mark.requirement("CMD-PROXY-3")
def test_an_anchor_lets_tunnelled_uplink_in_only_after_its_own_update():
    """The proxy promises before the anchor knows: until then its gate stays shut"""
    domain = Domain("proxy")
    domain.attach(1, 1)
    domain.run()
    domain.detach(1, 1)
    domain.filters.append(
        lambda now, source, destination, octets: [] if (source, destination) == (CMD, address(1)) else None
    )
    domain.attach(1, 2)
    domain.run(0.3)
    assert [anchor.active for anchor in domain.node(2).anchors] == [True]
    assert not domain.items(1, TunnelGate)
    domain.filters.clear()
    domain.run(3.0)
    assert [gate.peer for gate in domain.items(1, TunnelGate)] == [address(2)]
