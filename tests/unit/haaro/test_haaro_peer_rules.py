"""Single rules between two routers that scenarios do not come by: requests, encapsulations, networks, tunnels."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from haaro_asking import C_NET, COA, alone, ask_a, prepared, requests
from haaro_domain import HA, PORT, Domain, NatBox, address, home_of, host_of, network_of, router

from agents.haaro import inner
from agents.haaro.config import OwnedPrefix
from agents.haaro.keys import correspondent_key, sign_correspondent
from agents.haaro.mr.cache import RRState
from agents.haaro.notices import Datagram
from agents.haaro.plane import KEEPALIVE
from agents.wire.mip4 import TUNNEL_IP, encode
from agents.wire.mip4_codes import Code
from agents.wire.mip4_extension_bases import MalformedExtension
from agents.wire.mip4_extensions import (
    CareofAddresses,
    MobileNetworkRequest,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import RegistrationReply

COA_C = address("198.51.100.30")


# --- requests to correspondents


@pytest.mark.requirement("MR-7", "MR-10")
def test_a_network_that_the_home_agent_refused_starts_nothing():
    domain = Domain("ac", routers=(router("a"), router("c", network_of("c", 1))))
    domain.start()
    domain.run(2.0)
    assert domain["c"]._base.home.networks == ()
    begin = domain.now
    domain.packet(host_of("c"), host_of("a"))
    domain.run(1.0)
    assert domain.since(begin) == []


@pytest.mark.requirement("MR-14", "HOV-7")
def test_what_was_refused_once_is_offered_in_the_next_relation():
    domain = Domain("ac")
    domain.start()
    peer = domain["c"].cache.get(home_of("a"))
    peer.refused.add(network_of("c"))
    assert domain.ping("c", "a")
    assert requests(domain, "C", to=home_of("a"))[0][1].every(MobileNetworkRequest)


@pytest.mark.requirement("MR-18", "ERR-24")
@pytest.mark.parametrize(("code", "asked"), [(201, ["C>A HoTI"]), (202, ["C>A CoTI"]), (203, ["C>A CoTI", "C>A HoTI"])])
@pytest.mark.parametrize("signed", [False, True])
def test_each_code_renews_its_half(code, asked, signed):
    """Signed or not: RFC 6521 wants every reply signed, though no key for these exists (spec A-6)."""
    domain, _key = prepared()
    node = domain.nodes["c"]
    domain.run(2.0)
    peer = node.core.cache.get(home_of("a"))
    node.core._optimisation.renew(peer, domain.now)
    domain.lose = lambda _node, _packet: True
    domain.perform(node)
    (_t, request) = requests(domain, "C", to=home_of("a"))[-1]
    hint = RegistrationReply(
        code=code,
        lifetime=0,
        home_address=home_of("c"),
        home_agent=HA,
        identification=request.identification,
    )
    octets = encode(sign_correspondent(hint, 1, 1, bytes(20)) if signed else hint)
    begin = domain.now
    domain.feed(node, Datagram(octets, home_of("a"), PORT, COA_C))
    assert domain.since(begin)[-len(asked) :] == asked
    assert peer.pair(COA_C).state is RRState.IN_PROGRESS
    assert domain.direct("c", "a"), "a hint ends nothing"


@pytest.mark.requirement("ERR-25")
@pytest.mark.parametrize("octets", [b"\x31\x02\x03\x00", b"\x31\x05\x03\x00\xc6\x33\x64", b""])
def test_an_acceptance_without_proper_addresses_is_taken_back(octets):
    domain = Domain("ac")
    domain.start()
    role = domain["a"]._correspondent
    usual = role._reply

    def reply(*args, extensions=None, **more):
        kept = [each for each in extensions or () if not isinstance(each, CareofAddresses)]
        usual(*args, extensions=[*kept, *([MalformedExtension(CareofAddresses, octets)] if octets else [])], **more)

    role._reply = reply
    domain.packet(host_of("c"), host_of("a"))
    domain.run(3.0)
    assert domain.events("correspondent-without-address", "C")
    assert "C>A RRQ 0" in domain.since(0)
    assert not domain.direct("c", "a")
    assert not domain.tunnels("c", "a")


def reluctant(domain, letter):
    """A router that answers as one that has no tunnels in UDP: declined, or not a word about it."""
    role = domain[letter]._correspondent
    usual = role._reply

    def reply(*args, extensions=None, **more):
        usual(*args, extensions=[each for each in extensions or () if not isinstance(each, UdpTunnelReply)], **more)

    role._reply = reply


@pytest.mark.requirement("MR-11", "TUN-2", "NAT-7")
def test_no_tunnel_without_udp_where_a_nat_is():
    domain = Domain("ac", nats={"c": NatBox(address("192.0.2.3"))}, changes={"c": {"outbound_only": "no"}})
    domain.start()
    reluctant(domain, "a")
    assert domain.ping("c", "a")
    domain.run(3.0)
    assert domain.events("correspondent-without-udp", "C")
    assert "C>A RRQ 0" in domain.since(0)
    assert not domain.direct("c", "a")
    assert domain.stream("c", "a", 1.0) == [], "over the home agent"


@pytest.mark.requirement("TUN-2", "NAT-7")
def test_without_a_nat_a_peer_without_udp_has_ip_in_ip():
    domain = Domain("ac")
    domain.start()
    reluctant(domain, "a")
    assert domain.ping("c", "a")
    domain.run(3.0)
    tunnels = [item for item in domain.nodes["c"].items.values() if getattr(item, "peer", None) == home_of("a")]
    assert [item.encapsulation for item in tunnels] == ["ipip"]


@pytest.mark.requirement("ERR-17", "NAT-7")
def test_a_peer_that_cannot_do_udp_is_asked_for_ip_in_ip():
    domain = Domain("ac")
    domain.start()
    role = domain["a"]._correspondent
    usual = role._refusal
    role._refusal = lambda request: (
        Code.UDP_ENCAPSULATION_UNAVAILABLE if request.first(UdpTunnelRequest) else usual(request)
    )
    domain.ping("c", "a")
    domain.run(3.0)
    (first, _), (second, _) = ((m.first(UdpTunnelRequest), t) for t, m in requests(domain, "C", to=home_of("a"))[:2])
    assert first
    assert second is None
    assert domain["c"].cache.get(home_of("a")).accepted


@pytest.mark.requirement("TUN-2", "ERR-31", "MR-11")
def test_a_correspondent_refuses_ip_in_ip_through_a_nat():
    domain, _key = prepared()
    domain["a"].cache.get(home_of("c")).tunnel = None
    nonces = domain["a"]._base.nonces
    outside = address("192.0.2.3")
    index, token = nonces.home_test(home_of("c"), domain.now)
    second, careof = nonces.careof_test(outside, domain.now)
    key = (index, second, correspondent_key(token, careof))
    assert ask_a(domain, key, C_NET, source=str(outside)).code == Code.PROHIBITED
    domain["a"].cache.get(home_of("c")).incoming = None
    assert ask_a(domain, key, C_NET, UdpTunnelRequest(force=True), source=str(outside)).code == 0


@pytest.mark.requirement("MR-11", "TUN-2")
def test_who_was_reached_from_inside_a_nat_answers_in_udp():
    wish = {"encapsulation": "ipip", "outbound_only": "no"}
    domain = Domain("ac", nats={"a": NatBox(address("192.0.2.1"))}, changes=dict.fromkeys("ac", wish))
    domain.start()
    domain.ping("a", "c")
    domain.run(45.0)
    assert domain.stream("a", "c", 1.0) == []
    domain.run(45.0)
    assert domain.stream("a", "c", 1.0) == []
    assert domain.direct("a", "c")
    assert domain.direct("c", "a")
    kinds = {item.encapsulation for item in domain.nodes["c"].items.values() if hasattr(item, "encapsulation")}
    assert "udp" in kinds
    assert requests(domain, "C", to=home_of("a"))[-1][1].first(UdpTunnelRequest)


@pytest.mark.requirement("ERR-17", "CR-10", "MR-17")
@pytest.mark.parametrize("code", [128, 129, 130, 134, 147, 200])
def test_a_correspondent_that_denies_is_left_alone_for_a_while(code):
    """At first, and when it ends what it had accepted: its routes go, and nothing is asked for 30 seconds."""
    domain, _key = prepared()
    peer = domain["c"].cache.get(home_of("a"))
    assert domain.direct("c", "a")
    domain["a"]._correspondent._refusal = lambda _request: code
    domain.run(1.0)
    domain["c"]._optimisation.renew(peer, domain.now)
    domain.perform(domain.nodes["c"])
    domain.run(1.0)
    refused = next(t for t, who, e in domain.log if who == "C" and e.name == "registration-refused")
    assert not peer.accepted
    assert peer.hold_until == pytest.approx(refused + 30.0)
    assert domain.ping("c", "a"), "over the home agent, or by what A still registers"
    domain.run(25.0)
    assert not requests(domain, "C", refused + 0.001, to=home_of("a"))


@pytest.mark.requirement("ERR-17", "MR-18")
@pytest.mark.parametrize("refusals", [1, 99])
def test_a_key_that_is_refused_is_made_again_once(refusals):
    """Both tests are done anew; who refuses that key, too, is left alone for a while."""
    domain = Domain("ac")
    domain.start()
    role = domain["a"]._correspondent
    usual, left = role._refusal, [refusals]

    def refusal(request):
        left[0] -= 1
        return Code.FAILED_AUTHENTICATION if left[0] >= 0 else usual(request)

    role._refusal = refusal
    domain.ping("c", "a")
    domain.run(3.0)
    asked = [type(m).__name__ for _t, who, m, _a in domain.sent if who == "C"]
    assert [asked.count(name) for name in ("HomeTestInit", "CareofTestInit")] == [2, 2]
    assert len(requests(domain, "C", to=home_of("a"))) == 2
    peer = domain["c"].cache.get(home_of("a"))
    assert peer.accepted == (refusals == 1)
    assert (peer.hold_until > domain.now) == (refusals > 1)


# --- whose networks


@pytest.mark.requirement("MR-5", "CR-10", "CR-14")
def test_a_network_of_another_realm_is_never_routed_directly():
    """Not even when the home agent no longer lists its router: the same addresses are others in our realm."""
    shared = network_of("c")
    routers = (
        router("a", OwnedPrefix(network_of("a"), "one")),
        router("c", OwnedPrefix(shared, "two")),
    )
    domain = Domain("ac", routers=routers, changes={"a": {"realms": ("one",)}})
    domain.start()
    domain.packet(host_of("c"), host_of("a"))
    domain.run(2.0)
    answers = [m.code for _t, who, m, a in domain.sent if who == "A" and isinstance(m, RegistrationReply)]
    assert answers == [Code.MOBILE_NETWORK_ERROR]
    assert domain.routes("a") == {}
    peer = domain["a"].cache.get(home_of("c"))
    domain["a"]._base.config = replace(domain["a"]._base.config, realms=None)
    domain["a"].cache._realms = None
    domain.run(40.0)
    domain.packet(host_of("c"), host_of("a"))
    domain.run(5.0)
    assert domain.direct("a", "c")
    domain["a"].cache._realms = ("one",)
    peer.known = False
    domain["a"]._base.reconcile()
    domain.perform(domain.nodes["a"])
    assert str(shared) not in domain.routes("a")


@pytest.mark.requirement("NAT-6", "CR-12", "MR-3")
def test_private_addresses_are_listed_last():
    lines = (("isp1", "10.0.0.2"), ("isp2", "198.51.100.31"))
    domain = Domain("c", lines={"c": lines})
    domain.start()
    base = domain["c"]._base
    peer = base.cache.entry(home_of("a"))
    assert base.lines.careofs(peer) == (IPv4Address("10.0.0.2"), IPv4Address("198.51.100.31"))
    base.lines.translated["isp1"] = True
    assert base.lines.careofs(peer) == (IPv4Address("198.51.100.31"), IPv4Address("10.0.0.2"))
    assert not base.lines.outbound_only, "one line can be reached (MR-3)"
    base.lines.translated["isp2"] = True
    assert base.lines.outbound_only


# --- tunnels


@pytest.mark.requirement("NAT-8", "TUN-10")
def test_keepalives_to_the_home_agent_are_for_idle_times():
    domain = Domain("a", nats={"a": NatBox(address("192.0.2.1"))}, ha_changes={"keepalive": 20, "nat_lifetime": 600})
    domain.start()
    begin = domain.now
    for _second in range(100):
        domain.packet(host_of("a"), IPv4Address("198.18.9.2"))
        domain.run(1.0)
    assert not [word for word in domain.since(begin) if word == "A>HA echo"]
    idle = domain.now
    domain.run(25.0)
    knocks = [t for t, word in domain.talked if word == "A>HA echo" and t >= idle]
    assert knocks[0] - idle == pytest.approx(19.0, abs=1.1)


@pytest.mark.requirement("TUN-5", "NAT-8")
def test_only_the_home_agent_answers_for_the_home_agent():
    domain = Domain("a", nats={"a": NatBox(address("192.0.2.1"))}, ha_changes={"keepalive": 20, "nat_lifetime": 600})
    domain.start()
    path = domain["a"]._home_path
    domain.lose = lambda node, packet: node.name == "HA"
    domain.run(21.0)
    assert path._unanswered > 0
    before = path._unanswered
    forged = inner.push_echo(HA, home_of("a"), inner.EchoMessage(False, KEEPALIVE, path._sequence, b""))
    own = domain["a"].config.lines[0].address
    domain.nodes["a"].plane.from_udp(own, IPv4Address("192.0.2.99"), PORT, TUNNEL_IP + forged)
    domain.run(0.001)
    assert path._unanswered == before
    domain.nodes["a"].plane.from_udp(own, HA, PORT, TUNNEL_IP + forged)
    domain.run(0.001)
    assert path._unanswered == 0


@pytest.mark.requirement("ERR-35", "ERR-34")
def test_tunnels_before_any_registration():
    domain = alone()
    plane, node = domain.nodes["c"].plane, domain.nodes["c"]
    packet = inner.push_udp(host_of("a"), host_of("c"), (1, 2), b"x")
    plane.from_udp(COA_C, HA, PORT, TUNNEL_IP + packet)
    plane.from_ip(COA_C, COA, packet)
    assert plane.counters == {"unknown_outer": 2}
    assert not node.received
    assert not domain.plain


@pytest.mark.requirement("TUN-12")
def test_a_packet_from_a_tunnels_other_end_does_not_enter_it():
    """In IP, where it would come back; in UDP a NAT's address stands for many, whose CoTI must get through (NAT-6)."""
    domain = Domain("a")
    domain.start()
    ha, own = domain.ha.plane, domain["a"].config.lines[0].address
    packet = inner.push_udp(own, home_of("a"), (1, 2), b"x")
    ha.from_kernel(packet, domain.now)
    assert ha.counters["loop"] == 1
    inside = Domain("a", nats={"a": NatBox(address("192.0.2.1"))})
    inside.start()
    packet = inner.push_udp(address("192.0.2.1"), home_of("a"), (1, 2), b"x")
    inside.ha.plane.from_kernel(packet, inside.now)
    assert not inside.ha.plane.counters


@pytest.mark.requirement("MR-13", "TUN-8", "CR-12")
def test_the_next_address_of_the_list_is_tried_when_the_first_is_dead():
    lines = {"c": (("isp1", "198.51.100.30"), ("isp2", "198.51.100.31"))}
    domain = Domain("ac", lines=lines)
    domain.start()
    domain.run(450.0)  # A knows C, too
    ends = ("c633640a", "c633641e")
    domain.lose = lambda _node, packet: (packet[12:16].hex(), packet[16:20].hex()) in (ends, ends[::-1])
    domain.answering = False
    begin = domain.now
    domain.packet(host_of("a"), host_of("c"))
    domain.run(10.0)
    tried = [e.fields["remote"] for t, who, e in domain.log if e.name == "tunnel-tried" and who == "A" and t >= begin]
    assert tried[:2] == [address("198.51.100.30"), address("198.51.100.31")]
    assert domain.routes("a")["10.10.3.0/24"] == "198.51.100.31"


@pytest.mark.requirement("MR-6", "HA-12")
def test_who_is_listed_no_more_keeps_its_tunnel_and_gets_no_new_one():
    domain = Domain("ac", changes={letter: {"peer_lifetime": 60, "home_lifetime": 40} for letter in "ac"})
    domain.start()
    assert domain.ping("c", "a")
    domain.run(2.0)
    base = domain["a"]._base
    base.config = replace(base.config, accept=False)
    domain["a"]._home.refresh(domain.now)
    domain.perform(domain.nodes["a"])
    domain.run(40.0)  # C has asked the home agent again by now
    assert domain.knows("c") == {}
    assert domain.stream("c", "a", 1.0) == []
    assert domain.direct("c", "a"), "what stands, stands"
    domain.run(100.0)
    assert not domain.direct("c", "a")
    assert not domain.direct("a", "c")
    begin = domain.now
    assert domain.stream("c", "a", 3.0) == []
    assert not [e for t, _who, e in domain.log if e.name == "optimising" and t >= begin]


@pytest.mark.requirement("CR-7")
def test_a_question_about_a_router_is_a_full_registration_and_asked_once():
    domain = Domain("ac", nats={"a": NatBox(address("192.0.2.1"))}, changes={"a": {"learn": False}})
    domain.start("a")
    domain.start("c")
    usual = requests(domain, "A")[-1][1]
    nonces = domain["a"]._base.nonces
    index, token = nonces.home_test(home_of("c"), domain.now)
    second, careof = nonces.careof_test(COA_C, domain.now)
    begin, domain.delay = domain.now, 0.5
    for _request in range(4):
        ask_a(domain, (index, second, correspondent_key(token, careof)), C_NET, UdpTunnelRequest(force=True))
    domain.run(2.0)
    (_t, asked), *more = requests(domain, "A", begin)
    assert not more
    capability, before = asked.extensions[0], usual.extensions[0]
    assert capability == replace(before, solicited=home_of("c"), receive=True)
    assert capability.outbound_only
    assert asked.extensions[1:] == usual.extensions[1:]
    assert (asked.lifetime, asked.careof_address, asked.flags) == (usual.lifetime, usual.careof_address, usual.flags)
    assert domain.since(begin).count("A>C RRP 0") == 1, "the newest request is answered"
