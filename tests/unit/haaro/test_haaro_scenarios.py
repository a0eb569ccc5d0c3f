"""The scenarios of the sheet's section 11, played by cores in virtual time: sequences message by message."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from haaro_domain import HA, Domain, address, home_of, host_of, network_of, router

from agents.haaro import inner
from agents.haaro.config import OwnedPrefix, PeerTiming, StaticKey
from agents.wire.mip4 import TUNNEL_IP
from agents.wire.mip4_codes import Code
from agents.wire.mip4_extensions import (
    CareofAddresses,
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import RegistrationReply, RegistrationRequest

OPTIMISED = [
    "C>A CoTI",
    "C>A HoTI",
    "A>C CoT",
    "A>C HoT",
    "C>A RRQ",
    "A>HA RRQ",
    "HA>A RRP 0",
    "A>C RRP 0",
    "C>A echo",
    "A>C echo reply",
    "A>C echo",
    "C>A echo reply",
    "A>C CoTI",
    "A>C HoTI",
    "C>A CoT",
    "C>A HoT",
    "A>C RRQ",
    "C>A RRP 0",
]
"""S2 without the two legs of the first packet."""


def requests(domain, name, since=0.0):
    return [m for t, who, m, _a in domain.sent if isinstance(m, RegistrationRequest) and who == name and t >= since]


def replies(domain, name, since=0.0):
    return [m for t, who, m, _a in domain.sent if isinstance(m, RegistrationReply) and who == name and t >= since]


def optimised(letters="abc", one="a", other="c", **options):
    """A domain in which two routers have found the direct path."""
    domain = Domain(letters, **options)
    domain.start()
    assert domain.ping(one, other)
    domain.run(2.0)
    assert domain.direct(one, other)
    assert domain.direct(other, one)
    return domain


@pytest.mark.requirement("SC-S1", "HA-3", "HA-4", "HA-7", "HA-11", "HA-12", "MR-1", "MR-5", "TUN-3")
def test_s1_knowledge_grows_with_each_registration():
    domain = Domain()
    domain.start()
    assert domain.since(0) == ["A>HA RRQ", "HA>A RRP 0", "B>HA RRQ", "HA>B RRP 0", "C>HA RRQ", "HA>C RRP 0"]
    assert domain.knows("a") == {}
    assert domain.knows("b") == {"a": ["10.10.1.0/24"]}
    assert domain.knows("c") == {"a": ["10.10.1.0/24"], "b": ["10.10.2.0/24"]}
    first, second, third = replies(domain, "HA")
    assert first.first(PrefixAdvertisement) is None
    assert first.first(RoReply) == RoReply()
    assert [ack.code for ack in first.every(MobileNetworkAck)] == [0]
    assert len(second.first(PrefixAdvertisement).data) == 5 + 5
    assert third.first(PrefixAdvertisement).data.hex() == "40cb00710b180a0a010040cb00710c980200"
    request = requests(domain, "A")[0]
    assert request.first(RoCapability) == RoCapability(advertise=True, receive=True)
    assert request.flags == 0x22


@pytest.mark.requirement("SC-S2", "MR-7", "MR-8", "MR-9", "MR-10", "MR-12", "MR-13", "MR-16", "CR-6", "CR-7", "CR-12")
@pytest.mark.requirement("CR-13", "CR-14", "CR-20", "RR-2", "RR-5", "RR-7", "TUN-7", "TUN-8", "TUN-9", "HA-14")
def test_s2_a_packet_leads_to_the_direct_path():
    domain = Domain()
    domain.start()
    begin = domain.now
    assert domain.ping("a", "c")
    assert domain.over_ha[0][1:] == (host_of("a"), host_of("c"))
    domain.run(0.3)
    assert domain.since(begin)[: len(OPTIMISED)] == OPTIMISED
    assert domain.routes("a") == {"203.0.113.13/32": "198.51.100.30", "10.10.3.0/24": "198.51.100.30"}
    assert domain.routes("c") == {"203.0.113.11/32": "198.51.100.10", "10.10.1.0/24": "198.51.100.10"}
    assert domain.tunnels("a", "c") == [("198.51.100.10", "198.51.100.30")]
    before = len(domain.over_ha)
    assert domain.stream("a", "c", 1.0) == []
    assert len(domain.over_ha) == before
    to_a, solicitation, to_c = requests(domain, "C", begin)[0], requests(domain, "A", begin)[0], replies(domain, "A")[0]
    assert [each.network for each in to_a.every(MobileNetworkRequest)] == [network_of("c")]
    assert to_a.first(UdpTunnelRequest) == UdpTunnelRequest(force=True, encapsulation=4)
    assert to_a.home_agent == domain.ha.core.config.address
    assert to_a.between_peers
    assert solicitation.first(RoCapability).solicited == home_of("c")
    assert [each.network for each in solicitation.every(MobileNetworkRequest)] == [network_of("a")]
    assert to_c.first(CareofAddresses).addresses == (domain["a"].config.lines[0].address,)
    assert to_c.first(UdpTunnelReply) == UdpTunnelReply(0, forced=True)
    assert (to_c.auth.home_index, to_c.auth.careof_index) == (to_a.auth.home_index, to_a.auth.careof_index)


@pytest.mark.requirement("SC-S2")
def test_s2_is_as_fast_as_six_round_trips():
    domain = Domain(delay=0.02)
    domain.start()
    begin = domain.now
    domain.ping("a", "c", 0.0)
    round_trip = 2 * domain.delay
    domain.run(6 * round_trip + 0.1)
    assert domain.direct("a", "c")
    assert min(t for t, who, e in domain.log if e.name == "tunnel-up" and who == "A") - begin < 6 * round_trip + 0.1


@pytest.mark.requirement("SC-S3", "MR-7")
def test_s3_who_knows_starts_at_once():
    domain = Domain()
    domain.start()
    begin = domain.now
    assert domain.ping("c", "a")
    assert domain.over_ha[0][1:] == (host_of("c"), host_of("a"))
    assert domain.since(begin)[:5] == OPTIMISED[:5]
    assert domain.talked[6][0] == begin, "the trigger packet was not waited for"
    domain.run(1.0)
    assert domain.direct("a", "c")


@pytest.mark.requirement("SC-S4", "HOV-7")
def test_s4_the_answer_triggers_where_the_question_could_not():
    domain = Domain()
    domain.start()
    begin = domain.now
    assert domain.ping("b", "c")
    expected = [word.replace("A", "B").replace("HB", "HA") for word in OPTIMISED[:8]]
    assert domain.since(begin)[:8] == expected
    domain.run(1.0)
    assert domain.direct("b", "c")
    assert domain.direct("c", "b")


@pytest.mark.requirement("SC-S5", "CR-11", "CR-20", "MR-13")
def test_s5_mutual_registration_uses_the_same_tunnel():
    domain = optimised("ab", "a", "b")
    assert domain.tunnels("a", "b") == [("198.51.100.10", "198.51.100.20")]
    assert domain.tunnels("b", "a") == [("198.51.100.20", "198.51.100.10")]
    assert len(domain.events("tunnel-tried", "A")) == len(domain.events("tunnel-tried", "B")) == 1


@pytest.mark.requirement("MR-15", "CR-14")
def test_one_direction_only_before_the_other_has_registered():
    domain = Domain()
    domain.start()
    domain["a"]._optimisation.mutual = lambda _peer, _now: None
    domain["a"]._tunnels.when_up = lambda _peer, _now: None
    assert domain.ping("a", "c")
    domain.run(2.0)
    assert domain.direct("a", "c")
    assert not domain.direct("c", "a")


@pytest.mark.requirement("MR-15")
def test_eager_does_not_wait():
    domain = Domain(changes={"c": {"eager": True}})
    domain.start()
    domain["a"]._tunnels.when_up = lambda _peer, _now: None
    assert domain.ping("a", "c")
    domain.run(2.0)
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S6", "RR-1", "CR-3")
def test_s6_static_keys_need_no_tests():
    key = bytes(range(20))
    keys = {
        "a": {"static_keys": (StaticKey(home_of("c"), key),)},
        "c": {"static_keys": (StaticKey(home_of("a"), key),)},
    }
    domain = Domain(changes=keys)
    domain.start()
    begin = domain.now
    assert domain.ping("a", "c")
    domain.run(1.0)
    words = domain.since(begin)
    assert not [word for word in words if word.endswith(("HoTI", "CoTI", "HoT", "CoT"))]
    assert words[:10] == [*OPTIMISED[4:12], "A>C RRQ", "C>A RRP 0"]
    request = requests(domain, "C", begin)[0]
    assert (request.auth.home_index, request.auth.careof_index) == (0, 0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S7", "CR-6", "CR-7", "CR-8", "ERR-30", "MR-14")
def test_s7_a_forged_claim_is_not_believed():
    domain = Domain()
    domain.start()
    forged = IPv4Network("10.10.77.0/24")
    base = domain["c"]._base
    base.home.networks = (*base.home.networks, forged)
    base.networks = (*base.networks, forged)
    begin = domain.now
    assert domain.ping("a", "c")
    domain.run(1.0)
    assert domain.since(begin)[:8] == OPTIMISED[:8]
    answer = replies(domain, "A", begin)[0]
    assert {str(ack.network): ack.code for ack in answer.every(MobileNetworkAck)} == {
        "10.10.3.0/24": 0,
        "10.10.77.0/24": 2,
    }
    assert str(forged) not in domain.routes("a")
    assert domain.direct("a", "c")
    domain.run(100.0)
    assert all(forged != each.network for each in requests(domain, "C")[-1].every(MobileNetworkRequest))


@pytest.mark.requirement("CR-8")
def test_nothing_but_forged_claims_is_refused():
    domain = Domain()
    domain.start()
    base = domain["c"]._base
    base.home.networks = (IPv4Network("10.10.77.0/24"),)
    base.networks = base.home.networks
    domain.packet(home_of("c"), host_of("a"))
    domain.run(5.0)
    assert replies(domain, "A")[0].code == Code.MOBILE_NETWORK_ERROR
    assert domain.routes("a") == domain.routes("c") == {}


@pytest.mark.requirement("SC-S8", "MR-18", "RR-11", "ERR-24", "CR-3")
def test_s8_expired_nonces_are_fetched_anew_while_traffic_flows():
    domain = optimised(changes={letter: {"peer_lifetime": 420} for letter in "abc"})
    begin = domain.now
    peer = domain["c"].cache.get(home_of("a"))
    domain.run(250.0)
    # C believes in its tokens longer than A in its nonces: only A's word ends them.
    peer.home_token = replace(peer.home_token, received=domain.now)
    for pair in peer.pairs.values():
        pair.token = replace(pair.token, received=domain.now)
    domain["c"]._optimisation.renew(peer, domain.now)
    domain.perform(domain.nodes["c"])
    again = domain.now
    assert domain.stream("a", "c", 1.0) == []
    domain.run(2.0)
    words = [word for word in domain.since(again, echoes=False) if word[:3] in ("C>A", "A>C")]
    assert words[:7] == ["C>A RRQ", "A>C RRP 203", "C>A CoTI", "C>A HoTI", "A>C CoT", "A>C HoT", "C>A RRQ"]
    assert "A>C RRP 0" in words
    assert replies(domain, "A", again)[0].auth is None
    assert not domain.events("tunnel-failed")
    assert begin < again


@pytest.mark.requirement("MR-21", "RR-8")
def test_tokens_too_old_are_renewed_before_a_request():
    domain = optimised(changes={letter: {"peer_lifetime": 400} for letter in "abc"})
    begin = domain.now
    domain.run(320.0)
    words = [word for word in domain.since(begin, echoes=False) if word.startswith(("C>A", "A>C"))]
    assert {"C>A CoTI", "C>A HoTI", "C>A RRQ", "A>C RRP 0"} <= set(words)
    assert not any(word.endswith(("201", "202", "203")) for word in words)


def two_lines(*letters):
    return {
        letter: (("isp1", f"198.51.100.{10 * n}"), ("isp2", f"198.51.100.{10 * n + 1}"))
        for letter, n in {"a": 1, "b": 2, "c": 3}.items()
        if letter in letters
    }


@pytest.mark.requirement("SC-S9", "HOV-1", "RR-8", "CR-19", "TUN-15", "MR-22")
def test_s9_make_before_break_loses_nothing():
    domain = optimised(lines=two_lines("c"))
    begin = domain.now
    domain.move("c", "isp2")
    assert domain.stream("a", "c", 1.5, 0.01) == []
    words = [word for word in domain.since(begin) if "HA" in word or "C>A" in word or "A>C" in word]
    assert words[:4] == ["C>HA RRQ", "HA>C RRP 0", "C>A CoTI", "A>C CoT"]
    rest = [word for word in words[4:] if "echo" not in word]
    assert rest == ["C>A RRQ", "A>C RRP 0"]
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.31"
    assert domain.routes("c")["10.10.1.0/24"] == "198.51.100.10"
    assert set(domain.tunnels("a", "c")) == {("198.51.100.10", "198.51.100.31"), ("198.51.100.10", "198.51.100.30")}
    domain.run(11.0)
    assert domain.tunnels("a", "c") == [("198.51.100.10", "198.51.100.31")]
    assert domain.tunnels("c", "a") == [("198.51.100.31", "198.51.100.10")]
    assert len(domain.events("tunnel-gone")) == 2


@pytest.mark.requirement("SC-S10", "HOV-2", "RR-8", "TUN-11")
def test_s10_break_before_make():
    domain = optimised(lines=two_lines("c"))
    begin = domain.now
    domain.line_down("c", "isp1")
    assert domain.routes("c") == {}
    assert domain.since(begin) == ["C>HA RRQ"]
    domain.run(0.03)
    assert domain.since(begin)[:3] == ["C>HA RRQ", "HA>C RRP 0", "C>A CoTI"]
    domain.run(1.5)
    words = domain.since(begin, echoes=False)
    assert words == ["C>HA RRQ", "HA>C RRP 0", "C>A CoTI", "A>C CoT", "C>A RRQ", "A>C RRP 0"]
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.31"
    assert domain.routes("c")["10.10.1.0/24"] == "198.51.100.10"
    assert domain.stream("a", "c", 0.5) == []


@pytest.mark.requirement("SC-S10", "HOV-2", "TUN-11")
def test_the_peer_of_one_who_lost_its_only_line_goes_back_to_the_home_agent():
    domain = optimised()
    domain.line_down("c", "isp1")
    begin = domain.now
    domain.run(5.0)
    assert not domain.direct("a", "c")
    failed = next(t for t, who, e in domain.log if e.name == "tunnel-failed" and who == "A")
    assert failed - begin <= 3 * domain["a"].config.timing.keepalive + 0.2
    domain.line_up("c", "isp1")
    domain.run(1.0)
    assert domain.ping("a", "c")
    domain.run(40.0)
    domain.ping("a", "c")
    domain.run(5.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S11", "HOV-3", "HA-18", "CR-17", "RR-9", "MR-24")
def test_s11_leaving_tells_everyone():
    domain = optimised()
    assert domain.ping("b", "c")
    domain.run(2.0)
    assert domain.direct("b", "c")
    begin = domain.now
    domain.leave("c")
    domain.run(0.5)
    words = domain.since(begin, echoes=False)
    assert sorted(words[:2]) == ["C>A RRQ 0", "C>B RRQ 0"]
    assert sorted(words[2:4]) == ["A>C RRP 0", "B>C RRP 0"]
    assert words[4:] == ["C>HA RRQ 0", "HA>C RRP 0"]
    assert domain["c"].left
    assert domain.routes("a") == domain.routes("b") == {}
    assert len(domain.tunnels("a", "c")) == 1, "grace"
    assert domain.routes("HA").keys() & {"10.10.3.0/24", "203.0.113.13/32"} == set()
    domain.run(11.0)
    assert domain.tunnels("a", "c") == domain.tunnels("b", "c") == []


@pytest.mark.requirement("HOV-3")
def test_who_is_leaving_is_not_registered_with_again():
    domain = optimised()
    accepted = len(domain.events("correspondent-accepted", "C"))
    domain.lose = lambda node, packet: node.name == "C" and packet[20:22] == b"\x01\xb2" and packet[16:20] == HA.packed
    domain.leave("c")
    domain.run(0.5)
    assert not domain["c"].left, "the home agent has not heard of it"
    domain.ping("a", "c")
    domain.run(0.5)
    assert [event.fields["code"] for event in domain.events("request-refused", "C")] == [Code.PROHIBITED]
    assert len(domain.events("correspondent-accepted", "C")) == accepted
    assert not domain.direct("a", "c")


@pytest.mark.requirement("HOV-3", "RR-9")
def test_leaving_with_an_old_home_token_fetches_a_new_one():
    domain = optimised(changes={letter: {"peer_lifetime": 420} for letter in "abc"})
    domain.run(230.0)
    begin = domain.now
    domain.leave("c")
    domain.run(1.0)
    words = domain.since(begin, echoes=False)
    assert words == ["C>A HoTI", "A>C HoT", "C>A RRQ 0", "A>C RRP 0", "C>HA RRQ 0", "HA>C RRP 0"]


@pytest.mark.requirement("HOV-3", "ERR-35")
def test_leaving_does_not_wait_for_the_dead():
    domain = optimised()
    domain.lose = lambda node, _packet: node.name == "A"
    domain.leave("c")
    domain.run(10.0)
    assert domain["c"].left
    assert home_of("c") not in domain.ha.core.bindings


@pytest.mark.requirement("HOV-4", "MR-17", "CR-18")
def test_who_falls_silent_loses_its_routes_when_its_time_ends():
    domain = optimised(changes={letter: {"peer_lifetime": 30} for letter in "abc"})
    node = domain.nodes["c"]

    def signalling_only(sender, packet):
        return sender is node and packet[28:32] != b"\x04\x04\x00\x00"

    domain.lose = signalling_only
    domain.run(70.0)
    assert domain.events("correspondent-expired", "A")
    assert not domain.direct("a", "c")
    assert not domain.direct("c", "a")


@pytest.mark.requirement("SC-S18", "TUN-11", "HOV-4")
def test_s18_a_blackholed_path_is_left_and_found_again():
    domain = optimised()

    def hole(node, packet):
        return node.name in "AC" and str(packet[16:20].hex()) in ("c633640a", "c633641e")

    domain.lose = hole
    begin = domain.now
    domain.run(5.0)
    assert domain.routes("a") == domain.routes("c") == {}
    failed = {who: t for t, who, e in domain.log if e.name == "tunnel-failed" and t > begin}
    assert set(failed) == {"A", "C"}
    assert max(failed.values()) - begin <= 5.0
    assert domain.ping("a", "c"), "over the home agent"
    domain.lose = lambda _node, _packet: False
    for _minute in range(8):
        domain.ping("a", "c")
        domain.run(10.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S18", "SC-S19", "TUN-8")
def test_another_line_is_tried_when_the_path_fails():
    domain = optimised(lines=two_lines("a", "c"))

    def hole(node, packet):  # between the first lines of A and C only
        return (packet[12:16].hex(), packet[16:20].hex()) in (("c633640a", "c633641e"), ("c633641e", "c633640a"))

    domain.lose = hole
    domain.run(20.0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    assert (
        domain.routes("a")["10.10.3.0/24"] != "198.51.100.30" or domain.routes("c")["10.10.1.0/24"] != "198.51.100.10"
    )
    before = len(domain.over_ha)
    assert domain.stream("a", "c", 1.0) == []
    assert len(domain.over_ha) == before


@pytest.mark.requirement("SC-S19", "MR-22")
def test_s19_one_of_two_lines_is_cut():
    domain = optimised(lines=two_lines("a", "c"))
    domain.line_down("a", "isp1")
    domain.run(2.0)
    assert domain.stream("a", "c", 1.0) == []
    assert domain.routes("c")["10.10.1.0/24"] == "198.51.100.11"
    domain.line_up("a", "isp1")
    assert domain.stream("a", "c", 3.0, 0.01) == []
    assert domain.routes("c")["10.10.1.0/24"] == "198.51.100.10"


@pytest.mark.requirement("SC-S17", "HOV-5", "CR-16", "MR-20")
def test_s17_crossing_requests_make_one_tunnel():
    domain = Domain("ac")
    domain.start()
    domain.run(450.0)  # both know each other now
    assert domain.knows("a") == {"c": ["10.10.3.0/24"]}
    begin = domain.now
    domain.answering = False
    domain.packet(host_of("a"), host_of("c"))
    domain.packet(host_of("c"), host_of("a"))
    domain.run(2.0)
    words = domain.since(begin)
    assert words.index("A>C RRQ") < words.index("C>A RRP 0")
    assert words.index("C>A RRQ") < words.index("A>C RRP 2"), "the smaller home address answers 2"
    assert "A>C RRP 0" not in words
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    assert len(domain.tunnels("a", "c")) == len(domain.tunnels("c", "a")) == 1
    assert domain.events("held-registration-applied", "A")


@pytest.mark.requirement("HOV-5", "CR-16")
def test_what_waited_for_a_registration_of_ours_holds_when_that_is_refused():
    """The smaller address answered 2; its own request fails, so it applies the other's as any other (spec 7.5)"""
    domain = Domain("ac")
    domain.start()
    domain.run(450.0)
    domain.answering = False
    domain["c"]._correspondent._refusal = lambda _request: 129
    domain.packet(host_of("a"), host_of("c"))
    domain.packet(host_of("c"), host_of("a"))
    domain.run(3.0)
    assert "A>C RRP 2" in domain.since(0)
    peer = domain["a"].cache.get(home_of("c"))
    assert peer.outgoing is None
    assert peer.registered
    assert not peer.incoming.held
    assert domain.direct("a", "c")
    assert not domain.direct("c", "a"), "that is what it refused"


@pytest.mark.requirement("HOV-5")
def test_code_2_is_not_waited_upon_for_ever():
    domain = Domain("ac")
    domain.start()
    domain.run(450.0)
    domain.answering = False
    domain.packet(host_of("a"), host_of("c"))
    domain.packet(host_of("c"), host_of("a"))
    lost = []

    def lose_own_request(node, packet):  # A's request never arrives, while it pends
        if node.name == "A" and packet[28] == 1 and packet[16:20] == home_of("c").packed and domain.now < lost_until:
            lost.append(packet)
            return True
        return False

    lost_until = domain.now + 10.0
    domain.lose = lose_own_request
    domain.run(60.0)
    assert lost
    assert "A>C RRP 2" in domain.since(0)
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")


@pytest.mark.requirement("SC-S25", "HOV-6")
def test_s25_both_move_at_once():
    domain = optimised(lines=two_lines("a", "c"))
    domain.line_down("a", "isp1")
    domain.line_down("c", "isp1")
    domain.run(10.0)
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.31"
    assert domain.routes("c")["10.10.1.0/24"] == "198.51.100.11"
    assert domain.stream("a", "c", 1.0) == []


@pytest.mark.requirement("SC-S20", "MR-4", "HA-8", "HA-12")
def test_s20_a_router_without_the_capability_is_plain_nemo():
    domain = Domain(changes={"b": {"capability": False}})
    domain.start()
    assert all(reply.first(RoReply) is None for reply in replies(domain, "HA") if reply.home_address == home_of("b"))
    assert domain.knows("c") == {"a": ["10.10.1.0/24"]}
    assert domain.ping("b", "c")
    assert domain.ping("c", "b")
    domain.run(2.0)
    assert domain.routes("b") == domain.routes("c") == {}


@pytest.mark.requirement("SC-S20", "MR-4")
def test_s20_a_home_agent_without_it_is_plain_nemo():
    domain = Domain(ha_changes={"haaro": False})
    domain.start()
    assert domain.ping("a", "c")
    assert domain.routes("a") == {}
    assert domain.events("registered", "C")[0].fields["haaro"] is False


@pytest.mark.requirement("SC-S21", "HA-10", "MR-4")
def test_s21_declined():
    routers = (router("a", optimise=False), router("c"))
    domain = Domain("ac", routers=routers)
    domain.start()
    first = replies(domain, "HA")[0]
    assert first.first(RoReply).code == 16
    assert first.first(PrefixAdvertisement) is None
    assert domain.knows("c") == {}
    assert domain.ping("a", "c")
    domain.run(1.0)
    assert domain.routes("a") == domain.routes("c") == {}


@pytest.mark.requirement("SC-S22", "HA-11", "HA-12", "CR-1", "MR-6")
def test_s22_who_tells_and_who_learns():
    domain = Domain(changes={"a": {"accept": False}, "b": {"learn": False}})
    domain.start()
    assert domain.knows("c") == {"b": ["10.10.2.0/24"]}
    assert domain.knows("b") == {}
    domain.run(460.0)
    assert set(domain.knows("a")) == {"b", "c"}
    assert domain.ping("c", "b")
    domain.run(2.0)
    assert domain.direct("c", "b")
    assert domain.direct("b", "c"), "asks about C, though it learns nothing by itself"


@pytest.mark.requirement("SC-S24", "HOV-7", "HA-5", "MR-6", "CR-19")
def test_s24_a_new_network_and_an_old_one():
    routers = (router("a"), router("b", network_of("b"), network_of("b", 1)))
    domain = Domain("ab", routers=routers)
    domain.start()
    assert domain.ping("b", "a")
    domain.run(2.0)
    new, begin = (network_of("b"), network_of("b", 1)), domain.now
    domain.renetwork("b", *new)
    domain.run(0.015)
    domain.packet(host_of("a"), host_of("b", 1))  # on its way when nobody but the home agent knows
    domain.run(2.0)
    assert domain.nodes["b"].received[-1][2] == host_of("b", 1)
    assert (host_of("a"), host_of("b", 1)) in [each[1:] for each in domain.over_ha]
    assert [word for word in domain.since(begin, echoes=False) if not word.startswith("HA")][:3] == [
        "B>HA RRQ",
        "B>A RRQ",
        "A>HA RRQ",
    ], "the home agent first, then the correspondent, which asks about it"
    assert domain.ha.core.bindings[home_of("b")].networks == tuple(OwnedPrefix(each) for each in new)
    assert domain.routes("a")[str(new[1])] == domain.routes("a")[str(new[0])]
    domain.answering = False
    before = len(domain.over_ha)
    domain.packet(host_of("a"), host_of("b", 1), b"direct")
    domain.run(0.5)
    assert domain.nodes["b"].received[-1][2:] == (host_of("b", 1), b"direct")
    assert len(domain.over_ha) == before
    again = domain.now
    domain.renetwork("b", new[0])
    domain.run(2.0)
    assert [word for word in domain.since(again, echoes=False) if word.startswith("B")] == ["B>HA RRQ", "B>A RRQ"]
    assert str(new[1]) not in domain.routes("HA")
    assert str(new[1]) not in domain.routes("a")
    assert domain.direct("a", "b")
    domain.nodes["b"].plane.from_kernel(inner.push_udp(host_of("b", 1), host_of("a"), (1, 2), b""), domain.now)
    assert domain.nodes["b"].plane.counters["foreign_source"] == 1, "it is no network of B's any more"
    late = inner.push_udp(host_of("a"), host_of("b", 1), (5000, 5000), b"late")
    ends = (address("198.51.100.20"), address("198.51.100.10"))
    domain.nodes["b"].plane.from_udp(*ends, 434, TUNNEL_IP + late)
    assert domain.nodes["b"].plane.counters["foreign_inner_destination"] == 1, "nor does anything come out for it"


@pytest.mark.requirement("SC-S26", "HA-12", "HA-4", "HA-15")
def test_s26_a_single_node_and_a_gateway_to_everywhere():
    everywhere = OwnedPrefix(IPv4Network("0.0.0.0/0"), implicit=True)
    routers = (replace(router("a"), prefixes=()), router("b", network_of("b"), everywhere), router("c"))
    domain = Domain(routers=routers, changes={"a": {"prefixes": ()}})
    domain.start()
    assert domain.knows("c") == {"a": [], "b": ["0.0.0.0/0", "10.10.2.0/24"]}
    acks = replies(domain, "HA")[1].every(MobileNetworkAck)
    codes = [(str(ack.address), ack.length, ack.subtype, ack.code) for ack in acks]
    assert codes == [("10.10.2.0", 24, 1, 0), ("0.0.0.0", 0, 2, 0)]
    domain.packet(host_of("c"), home_of("a"))
    domain.run(2.0)
    assert domain.routes("c") == {"203.0.113.11/32": "198.51.100.10"}
    domain.packet(host_of("c"), host_of("c", 1))
    domain.run(2.0)
    assert home_of("b") not in [e.fields["peer"] for e in domain.events("optimising", "C")]


@pytest.mark.requirement("SC-S28", "MR-22")
def test_s28_a_line_for_each_correspondent():
    choice = {"line_for": {home_of("b"): "isp2", home_of("a"): "isp1"}}
    domain = Domain(lines=two_lines("c"), changes={"c": choice})
    domain.start()
    assert domain.ping("c", "a")
    assert domain.ping("c", "b")
    domain.run(2.0)
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.30"
    assert domain.routes("b")["10.10.3.0/24"] == "198.51.100.31"
    assert {local for local, _remote in domain.tunnels("c", "a") + domain.tunnels("c", "b")} == {
        "198.51.100.30",
        "198.51.100.31",
    }


@pytest.mark.requirement("TUN-2", "MR-11", "NAT-7")
def test_ip_in_ip_where_it_is_wished_and_nothing_translates():
    changes = {letter: {"encapsulation": "ipip"} for letter in "abc"}
    domain = optimised(changes=changes)
    kinds = {item.encapsulation for item in domain.nodes["a"].items.values() if type(item).__name__ == "Tunnel"}
    assert kinds == {"ipip"}
    assert not [word for word in domain.since(0) if "echo" in word]
    assert domain.stream("a", "c", 1.0) == []


@pytest.mark.requirement("TUN-1")
def test_tunnels_end_at_care_of_addresses_only():
    domain = optimised(lines=two_lines("a", "c"))
    domain.move("a", "isp2")
    domain.run(2.0)
    homes = {home_of(letter) for letter in "abc"}
    ends = [
        (item.local, item.remote)
        for node in domain.nodes.values()
        for item in node.items.values()
        if type(item).__name__ == "Tunnel"
    ]
    assert len(ends) > 6
    assert not homes & {end for pair in ends for end in pair}


@pytest.mark.requirement("CR-9", "CR-10")
def test_a_policy_may_believe_a_claim():
    domain = Domain(changes={"a": {"check_prefixes": False}, "c": {"accept": True}})
    domain.start()
    forged = IPv4Network("10.10.77.0/24")
    base = domain["c"]._base
    base.home.networks = (*base.home.networks, forged)
    base.networks = (*base.networks, forged)
    begin = domain.now
    assert domain.ping("a", "c")
    domain.run(1.0)
    assert "A>HA RRQ" not in domain.since(begin)[:8]
    assert str(forged) in domain.routes("a")


@pytest.mark.requirement("MR-7")
def test_a_full_mesh_waits_for_no_packet():
    domain = Domain(changes={letter: {"mesh": True} for letter in "abc"})
    domain.start()
    domain.run(3.0)
    assert domain.direct("c", "a")
    assert domain.direct("c", "b")
    assert domain.direct("b", "a")


@pytest.mark.requirement("TUN-10")
def test_keepalives_are_not_more_than_five_a_second():
    with pytest.raises(ValueError, match="5 times a second"):
        PeerTiming(keepalive=0.1)
    domain = optimised()
    begin = domain.now
    domain.run(10.0)
    assert 8 <= len([word for word in domain.since(begin) if word == "C>A echo"]) <= 11
