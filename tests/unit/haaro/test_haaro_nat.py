"""Routers behind NATs and firewalls: who opens the tunnel, through which ports, or that nobody can (spec §6)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from haaro_domain import Domain, NatBox, address, home_of

from agents.haaro.config import MrConfig
from agents.haaro.notices import SendEcho
from agents.wire.mip4_codes import Code
from agents.wire.mip4_extensions import RoCapability, RoReply, UdpTunnelReply, UdpTunnelRequest
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

OUTSIDE_A, OUTSIDE_C = address("192.0.2.1"), address("192.0.2.3")


def first_echo(domain):
    return next(word for _t, word in domain.talked if word.endswith(" echo") and "HA" not in word)


def no_tests(words):
    return not [word for word in words if word.endswith(("HoTI", "CoTI", "HoT", "CoT"))]


@pytest.mark.requirement("SC-S12", "NAT-1", "NAT-2", "NAT-3", "NAT-4", "NAT-7", "HA-9", "HA-17", "CR-15", "MR-11")
@pytest.mark.requirement("RR-13", "TUN-4", "TUN-5", "TUN-7", "TUN-8")
@pytest.mark.parametrize("symmetric", [False, True], ids=["ports-kept", "ports-changed"])
def test_s12_inside_to_open(symmetric):
    domain = Domain("ac", nats={"c": NatBox(OUTSIDE_C, symmetric=symmetric)}, changes={"c": {"outbound_only": "no"}})
    domain.start()
    answer = [m for _t, who, m, _a in domain.sent if who == "HA"][-1]
    assert answer.first(RoReply).nat
    assert answer.first(UdpTunnelReply) == UdpTunnelReply(0)
    assert answer.lifetime == 60
    assert domain.ping("c", "a")
    domain.run(3.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    assert domain.routes("a")["10.10.3.0/24"] == str(OUTSIDE_C)
    assert first_echo(domain) == "C>A echo"
    request = next(m for _t, who, m, _a in domain.sent if isinstance(m, RegistrationRequest) and m.between_peers)
    assert request.first(UdpTunnelRequest).force
    learnt = domain.events("port-learnt", "A")
    assert bool(learnt) == symmetric, "the data channel has another mapping than the signalling"
    before = len(domain.over_ha)
    assert domain.stream("a", "c", 1.0) == []
    assert len(domain.over_ha) == before


@pytest.mark.requirement("SC-S12", "NAT-1", "NAT-5")
def test_the_open_one_starts_toward_the_inside_before_anyone_knows_of_the_nat():
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A, symmetric=True)}, changes={"a": {"outbound_only": "no"}})
    domain.start()
    assert domain.ping("c", "a")
    domain.run(5.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S13", "HA-13", "MR-3", "NAT-2", "NAT-5", "TUN-7")
@pytest.mark.parametrize("symmetric", [False, True], ids=["ports-kept", "ports-changed"])
def test_s13_the_inside_opens_what_the_outside_starts(symmetric):
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A, symmetric=symmetric)})
    domain.start()
    capabilities = [m.first(RoCapability) for _t, who, m, _a in domain.sent if who == "A"]
    assert [each.outbound_only for each in capabilities] == [False, True], "told by the home agent"
    peer = domain["c"].cache.get(home_of("a"))
    assert peer.outbound_only
    begin = domain.now
    assert domain.ping("c", "a")
    domain.run(3.0)
    words = domain.since(begin)
    assert words[:2] == ["C>A CoTI", "C>A HoTI"]
    assert first_echo(domain) == "A>C echo"
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    adopted = domain.events("tunnel-adopted", "C")
    assert adopted
    assert not adopted[0].fields["proved"]
    up = next(t for t, who, e in domain.log if who == "C" and e.name == "tunnel-up")
    routed = next(t for t, who, e in domain.log if who == "C" and e.name == "correspondent-accepted")
    assert up <= routed, "the tunnel works before its end is proved"


@pytest.mark.requirement("NAT-5")
def test_no_route_to_an_end_that_is_not_proved():
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A, symmetric=True)}, changes={"c": {"eager": True}})
    domain.start()
    domain["a"]._tunnels.when_up = lambda _peer, _now: None  # A never registers
    assert domain.ping("c", "a")
    domain.run(3.0)
    assert domain.events("tunnel-up", "C")
    assert not domain.direct("c", "a")


@pytest.mark.requirement("SC-S14")
def test_s14_two_nats_stay_with_the_home_agent():
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A), "c": NatBox(OUTSIDE_C)})
    domain.start()
    domain.run(50.0)
    begin = domain.now
    assert domain.stream("a", "c", 2.0) == []
    assert no_tests(domain.since(begin))
    assert not domain.events("optimising")
    assert domain.tunnels("a", "c") == []


@pytest.mark.requirement("SC-S15", "NAT-6", "NAT-2")
def test_s15_one_nat_for_both():
    nat = NatBox(OUTSIDE_A)
    changes = {letter: {"probe_same_nat": True} for letter in "ac"}
    domain = Domain("ac", nats={"a": nat, "c": nat}, changes=changes)
    domain.start()
    assert domain.ping("c", "a")
    domain.run(10.0)
    assert domain.routes("a")["10.10.3.0/24"] == "192.168.3.2"
    assert domain.routes("c")["10.10.1.0/24"] == "192.168.1.2"
    peer = domain["c"].cache.get(home_of("a"))
    assert peer.nat[address("192.168.3.2"), address("192.168.1.2")]
    assert domain.stream("a", "c", 1.0) == []


@pytest.mark.requirement("NAT-6")
@pytest.mark.parametrize("asker", ["a", "c"])
def test_who_is_asked_by_a_neighbour_tries_the_inside_first(asker):
    """The NAT's outside (here an address for documentation) is nobody's own, and knocking there is in vain."""
    nat = NatBox(OUTSIDE_A)
    changes = {letter: {"probe_same_nat": True, "outbound_only": "yes"} for letter in "ac"}
    domain = Domain("ac" if asker == "c" else "ca", nats={"a": nat, "c": nat}, changes=changes)
    domain.start()
    assert domain.ping(asker, "a" if asker == "c" else "c")
    domain.run(10.0)
    tried = {str(event.fields["remote"]) for event in domain.events("tunnel-tried")}
    assert tried == {"192.168.1.2", "192.168.3.2"}
    assert not domain.events("tunnel-adopted")


@pytest.mark.requirement("NAT-6")
def test_different_nats_are_found_out_by_probing():
    changes = {letter: {"probe_same_nat": True} for letter in "ac"}
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A), "c": NatBox(OUTSIDE_C)}, changes=changes)
    domain.start()
    domain.run(50.0)
    lost = 0
    for _times in range(20):
        lost += len(domain.stream("a", "c", 0.5))
    assert lost == 0, "traffic stays with the home agent meanwhile"


@pytest.mark.requirement("SC-S16", "MR-3")
def test_s16_a_firewall_without_translation():
    domain = Domain("ac", nats={"a": NatBox(None)}, changes={"a": {"outbound_only": "yes", "force_udp": True}})
    domain.start()
    answer = next(m for _t, who, m, _a in domain.sent if who == "HA")
    assert answer.first(RoReply) == RoReply(outbound_only=True)
    assert domain.ping("c", "a")
    domain.run(3.0)
    assert first_echo(domain) == "A>C echo"
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("HA-17", "NAT-7")
def test_a_home_agent_that_allows_no_udp():
    domain = Domain("ac", nats={"a": NatBox(OUTSIDE_A)}, ha_changes={"udp": False})
    domain.start()
    answer = next(m for _t, who, m, _a in domain.sent if who == "HA")
    assert isinstance(answer, RegistrationReply)
    assert answer.code == Code.PROHIBITED
    assert not domain["a"].registered


@pytest.mark.requirement("NAT-8")
def test_keepalives_hold_the_way_to_the_home_agent():
    domain = Domain(
        "a",
        nats={"a": NatBox(OUTSIDE_A)},
        ha_changes={"keepalive": 20, "nat_lifetime": 600},
    )
    domain.start()
    begin = domain.now
    domain.run(105.0)
    knocks = [t for t, word in domain.talked if word == "A>HA echo" and t > begin]
    assert len(knocks) == 5
    assert all(19.9 <= later - sooner <= 21.1 for sooner, later in pairwise(knocks))
    domain.lose = lambda node, packet: node.name == "HA" and packet[28] == 4
    again = domain.now
    domain.run(60.0)
    assert domain.events("home-agent-silent")
    told = [(t, word) for t, word in domain.talked if t > again and word in ("A>HA echo", "A>HA RRQ")]
    assert [word for _t, word in told[:4]] == [*["A>HA echo"] * 3, "A>HA RRQ"]
    assert [later - told[0][0] for later, _word in told[1:4]] == pytest.approx([1.0, 2.0, 3.0], abs=0.1)
    with pytest.raises(ValueError, match="10 or more"):
        MrConfig("mr", "x", home_of("a"), home_of("b"), b"", (None,), "", home_keepalive=9)
    assert SendEcho
