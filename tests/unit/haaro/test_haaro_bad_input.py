"""Bad input, row by row of the sheet's section 10: the named answer or silence, state unchanged, counted."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from haaro_asking import C_NET, COA, MNR, Agent, ask_a, feed_a, prepared
from haaro_domain import HA, PORT, Domain, home_of, host_of, key_of, network_of, router

from agents.haaro import inner
from agents.haaro.config import OwnedPrefix
from agents.haaro.identification import NTP_EPOCH, timestamp
from agents.haaro.keys import correspondent_key, sign_correspondent, sign_home
from agents.haaro.notices import Datagram, Send
from agents.haaro.plane import KEEPALIVE
from agents.plain import PlainError
from agents.wire.mip4 import TUNNEL_IP, decode, encode
from agents.wire.mip4_codes import Code, RequestFlag
from agents.wire.mip4_extensions import (
    MobileNetworkAck,
    MobileNetworkRequest,
    PrefixAdvertisement,
    RoCapability,
    RoReply,
    UdpTunnelReply,
    UdpTunnelRequest,
)
from agents.wire.mip4_messages import CareofTest, CareofTestInit, HomeTest, HomeTestInit, RegistrationReply
from agents.wire.mip4_messages import RegistrationRequest as Request


@pytest.fixture
def agent():
    return Agent()


@pytest.mark.requirement("ERR-4", "HA-1")
def test_strangers_are_met_with_silence(agent):
    assert agent.ask(spi=300) is None
    assert agent.ask(home_address=home_of("z")) is None
    unsigned = Request(
        lifetime=300, home_address=home_of("a"), home_agent=HA, careof_address=COA, identification=timestamp(agent.now)
    )
    assert agent.raw(encode(unsigned)) is None
    assert agent.core.counters["dropped_unauthenticated"] == 3
    assert not agent.core.bindings


@pytest.mark.requirement("ERR-5", "HA-1", "SC-S27")
def test_a_wrong_authenticator(agent):
    reply = agent.ask(key=bytes(16))
    assert reply.code == Code.FAILED_AUTHENTICATION
    assert not agent.core.bindings
    assert agent.core.counters["bad_authenticator"] == 1


@pytest.mark.requirement("ERR-6", "SC-S27")
def test_a_replay_and_a_wrong_clock(agent):
    identification = timestamp(agent.now + 1.0)
    assert agent.ask(identification=identification).code == 0
    before = agent.core.bindings[home_of("a")].expires
    again = agent.ask(identification=identification)
    assert again.code == Code.IDENTIFICATION_MISMATCH
    assert again.identification & 0xFFFFFFFF == identification & 0xFFFFFFFF
    assert again.identification >> 32 == int(agent.now + NTP_EPOCH)
    assert agent.core.bindings[home_of("a")].expires == before
    assert agent.ask(identification=timestamp(agent.now + 100)).code == Code.IDENTIFICATION_MISMATCH
    assert agent.ask(identification=timestamp(agent.now - 100)).code == Code.IDENTIFICATION_MISMATCH


@pytest.mark.requirement("ERR-7")
@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "203.0.113.2"])
def test_another_home_agent(agent, address):
    reply = agent.ask(home_agent=IPv4Address(address))
    assert reply.code == Code.UNKNOWN_HOME_AGENT
    assert reply.home_agent == HA


@pytest.mark.parametrize("careof", ["0.0.0.0", "255.255.255.255", str(HA)])
def test_a_care_of_address_that_is_nobodys_or_the_home_agents_own(agent, careof):
    """A tunnel to oneself would be a circle"""
    for extensions in ((MNR,), (MNR, UdpTunnelRequest())):
        reply = agent.ask(*extensions, careof_address=IPv4Address(careof), source=IPv4Address(careof))
        assert reply.code == Code.POORLY_FORMED
    assert not agent.core.bindings


@pytest.mark.requirement("ERR-8")
def test_a_home_address_that_is_not_served():
    agent = Agent(home_prefix=IPv4Network("10.0.0.0/8"))
    assert agent.ask().code == Code.PROHIBITED


@pytest.mark.requirement("ERR-9")
def test_reserved_flags_are_ignored(agent):
    flags = RequestFlag.COLOCATED | RequestFlag.REVERSE_TUNNEL | RequestFlag.RESERVED_R | RequestFlag.RESERVED_X
    assert agent.ask(flags=flags).code == 0


@pytest.mark.requirement("ERR-10", "ERR-11", "ERR-12", "HA-17", "NAT-7")
def test_udp_tunnels(agent):
    nat = IPv4Address("192.0.2.1")
    assert agent.ask(source=nat).code == Code.PROHIBITED
    assert agent.ask(UdpTunnelRequest(), source=nat, flags=RequestFlag(2)).code == Code.POORLY_FORMED
    assert agent.ask(UdpTunnelRequest(reserved=1), source=nat).code == Code.POORLY_FORMED
    assert agent.ask(UdpTunnelRequest(encapsulation=47), source=nat).code == Code.UDP_ENCAPSULATION_UNAVAILABLE
    assert Agent(udp=False).ask(UdpTunnelRequest(), source=nat).code == Code.PROHIBITED
    assert Agent(forced_udp=False).ask(UdpTunnelRequest(force=True)).code == Code.PROHIBITED
    assert not agent.core.bindings
    assert agent.ask(UdpTunnelRequest()).first(UdpTunnelReply).code == 64
    assert agent.ask().first(UdpTunnelReply) is None
    accepted = agent.ask(UdpTunnelRequest(), source=nat, port=4711)
    assert accepted.first(UdpTunnelReply) == UdpTunnelReply()
    tunnel = next(item for item in reversed(agent.installed) if type(item).__name__ == "Tunnel")
    assert (tunnel.remote, tunnel.port, tunnel.encapsulation) == (nat, 4711, "udp")
    forced = agent.ask(UdpTunnelRequest(force=True))
    assert forced.first(UdpTunnelReply) == UdpTunnelReply(forced=True)


@pytest.mark.requirement("ERR-13", "HA-3", "HA-4")
def test_networks_one_by_one(agent):
    wrong = MobileNetworkRequest(IPv4Address("10.10.1.0"), 33)
    everywhere = MobileNetworkRequest(IPv4Address("0.0.0.0"), 0)
    foreign = MobileNetworkRequest.of(network_of("b"))
    reply = agent.ask(wrong, everywhere, foreign, MNR)
    assert reply.code == 0
    assert [ack.code for ack in reply.every(MobileNetworkAck)] == [1, 1, 2, 0]
    assert agent.ask(foreign, wrong).code == Code.MOBILE_NETWORK_ERROR
    agent.core.usable = lambda _prefix: False
    reply = agent.ask(MNR)
    assert reply.code == Code.MOBILE_NETWORK_ERROR
    assert [each.prefix for each in agent.core.bindings[home_of("a")].networks] == [network_of("a")], (
        "the old one stands"
    )


@pytest.mark.requirement("HA-4", "HA-3")
def test_no_router_no_networks():
    agent = Agent(routers=(router("a", router=False),))
    assert agent.ask(MNR).code == Code.MOBILE_NETWORK_DISALLOWED
    assert agent.ask().code == 0


@pytest.mark.requirement("ERR-14")
def test_a_capability_of_a_wrong_length(agent):
    octets = bytes((153, 2, 1, 0x20))  # S without an address
    request = Request(
        lifetime=300, home_address=home_of("a"), home_agent=HA, careof_address=COA, identification=timestamp(agent.now)
    )
    plain = encode(request)
    signed = sign_home(replace(decode(plain + octets), prior=plain + octets), 256, key_of("a"))
    assert agent.raw(plain + octets + signed.auth.push()).code == Code.POORLY_FORMED
    assert agent.ask(RoCapability(advertise=True)).first(RoReply) == RoReply()


@pytest.mark.requirement("ERR-15")
def test_a_matter_between_routers(agent):
    request = Request(
        lifetime=300, home_address=home_of("a"), home_agent=HA, careof_address=COA, identification=timestamp(agent.now)
    )
    assert agent.raw(encode(sign_correspondent(request, 1, 1, bytes(20)))) is None
    assert agent.core.counters["dropped_unexpected"] == 1


@pytest.mark.requirement("ERR-2", "ERR-3")
@pytest.mark.parametrize("data", [b"", b"\x01\x22", b"\x07" + bytes(30), bytes((1, 0x22)) + bytes(22) + b"\x05\x02ab"])
def test_no_message_at_all(agent, data):
    assert agent.raw(data) is None
    assert sum(agent.core.counters.values()) == 1


@pytest.mark.requirement("ERR-2")
def test_what_may_be_skipped_is_skipped(agent):
    request = Request(
        lifetime=300, home_address=home_of("a"), home_agent=HA, careof_address=COA, identification=timestamp(agent.now)
    )
    plain = encode(request) + b"\xc8\x02ab" + MNR.push()
    signed = sign_home(decode(plain), 256, key_of("a"))
    assert agent.raw(plain + signed.auth.push()).code == 0
    assert agent.core.bindings[home_of("a")].networks == (OwnedPrefix(network_of("a")),)


@pytest.mark.requirement("HA-5", "HA-6", "HA-18", "HA-19", "HA-2")
def test_life_of_a_binding(agent):
    reply = agent.ask(MNR, lifetime=65535)
    assert reply.lifetime == 600
    assert agent.ask(MNR, lifetime=30).lifetime == 30
    agent.ask(lifetime=30)
    assert not agent.core.bindings[home_of("a")].networks
    agent.core.handle_timer(agent.now + 31)
    assert not agent.core.bindings
    assert not [each for each in agent.core.actions() if isinstance(each, Send)], "in silence"
    agent.ask(MNR)
    agent.ask(lifetime=0, careof_address=IPv4Address("198.51.100.99"), source=IPv4Address("198.51.100.99"))
    assert agent.core.bindings
    agent.ask(MNR, lifetime=0, careof_address=home_of("a"))
    assert not agent.core.bindings


@pytest.mark.requirement("HA-5")
def test_a_binding_without_an_end():
    """65535 is infinity (RFC 5944 §3.3): no timer runs, neither from now nor from before"""
    agent = Agent(max_lifetime=65535)
    agent.ask(MNR, lifetime=100)
    assert agent.ask(MNR, lifetime=65535).lifetime == 65535
    assert agent.core.bindings[home_of("a")].expires is None
    agent.core.handle_timer(agent.now + 10**9)
    assert agent.core.bindings
    agent.ask(MNR, lifetime=100)
    agent.core.handle_timer(agent.now + 101)
    assert not agent.core.bindings


@pytest.mark.requirement("HA-20")
def test_overlapping_networks_are_an_error_unless_their_realms_differ():
    wide = OwnedPrefix(IPv4Network("10.10.0.0/16"))
    with pytest.raises(PlainError, match="overlap"):
        Agent(routers=(router("a", wide), router("b")))
    Agent(routers=(router("a", replace(wide, realm="one.example")), router("b")))
    mine, theirs = (
        tuple(OwnedPrefix(IPv4Network(each)) for each in all_)
        for all_ in (("10.1.0.0/24", "10.4.0.0/16", "10.6.0.0/24"), ("10.3.0.0/24", "10.4.5.0/24", "10.5.0.0/24"))
    )
    with pytest.raises(PlainError, match=r"10\.4\.0\.0/16.*10\.4\.5\.0/24"):
        Agent(routers=(router("a", *mine), router("b", *theirs)))
    Agent(routers=(router("a", *mine), router("b", theirs[0], theirs[2])))


# --- correspondents


@pytest.mark.requirement("ERR-27", "ERR-28", "ERR-29", "CR-3", "CR-4", "CR-5", "SC-S27")
def test_who_and_when():
    domain, key = prepared()
    home, careof, krm = key
    assert ask_a(domain, (999, careof, krm), C_NET).code == Code.EXPIRED_HOME_NONCE
    assert ask_a(domain, (home, 999, krm), C_NET).code == Code.EXPIRED_CAREOF_NONCE
    unknown = ask_a(domain, (998, 999, krm), C_NET)
    assert unknown.code == Code.EXPIRED_NONCES
    assert unknown.auth is None
    assert ask_a(domain, (home, careof, bytes(20)), C_NET).code == Code.FAILED_AUTHENTICATION
    assert ask_a(domain, (home, careof, bytes(20)), C_NET) is None, "not more than one a second"
    domain.run(1.0)
    assert ask_a(domain, key, C_NET, source="198.51.100.77").code == Code.FAILED_AUTHENTICATION
    identification = timestamp(domain.now + 0.2)
    assert ask_a(domain, key, C_NET, identification=identification).code == 0
    replayed = ask_a(domain, key, C_NET, identification=identification)
    assert replayed.code == Code.IDENTIFICATION_MISMATCH
    assert replayed.identification & 0xFFFFFFFF == identification & 0xFFFFFFFF
    assert replayed.auth is not None
    assert ask_a(domain, key, C_NET, home_agent=IPv4Address("203.0.113.2")).code == Code.PROHIBITED


@pytest.mark.requirement("ERR-31", "CR-18")
def test_what_is_asked_for():
    domain, key = prepared()
    assert ask_a(domain, key, C_NET, UdpTunnelRequest(reserved=1)).code == Code.POORLY_FORMED
    assert ask_a(domain, key, C_NET, UdpTunnelRequest(), flags=RequestFlag(2)).code == Code.POORLY_FORMED
    assert ask_a(domain, key, UdpTunnelRequest(encapsulation=55)).code == Code.UDP_ENCAPSULATION_UNAVAILABLE
    assert ask_a(domain, key, C_NET, UdpTunnelRequest(), lifetime=5000).lifetime == 420
    assert ask_a(domain, key, C_NET).first(UdpTunnelReply) is None


@pytest.mark.requirement("ERR-30", "CR-7", "CR-8")
def test_a_router_that_the_home_agent_does_not_know():
    domain = Domain("abc", changes={"c": {"accept": False}})
    domain.start()
    index, token = domain["a"]._base.nonces.home_test(home_of("c"), domain.now)
    second, careof = domain["a"]._base.nonces.careof_test(IPv4Address("198.51.100.30"), domain.now)
    begin = domain.now
    assert ask_a(domain, (index, second, correspondent_key(token, careof)), C_NET) is None
    domain.run(4.0)
    assert domain.since(begin) == ["A>HA RRQ", "HA>A RRP 0", "A>C RRP 129"]
    assert domain.routes("a") == {}
    assert domain["a"]._correspondent.parked == 0


@pytest.mark.requirement("CR-7")
def test_the_home_agent_is_not_waited_for_for_ever():
    domain = Domain("ac")
    domain.start()
    domain.lose = lambda node, _packet: node.name == "HA"
    nonces = domain["a"]._base.nonces
    index, token = nonces.home_test(home_of("c"), domain.now)
    second, careof = nonces.careof_test(IPv4Address("198.51.100.30"), domain.now)
    begin = domain.now
    key = (index, second, correspondent_key(token, careof))
    assert ask_a(domain, key, C_NET) is None
    assert ask_a(domain, key, C_NET) is None
    domain.run(5.0)
    words = domain.since(begin)
    assert words.count("A>C RRP 129") == 1
    assert next(t for t, word in domain.talked if word == "A>C RRP 129") - begin == pytest.approx(3.1)


@pytest.mark.requirement("ERR-32", "CR-1")
def test_who_does_not_accept():
    domain = Domain("ac", changes={"a": {"accept": False}})
    domain.start()
    domain.run(460.0)
    nonces = domain["a"]._base.nonces
    index, token = nonces.home_test(home_of("c"), domain.now)
    second, careof = nonces.careof_test(IPv4Address("198.51.100.30"), domain.now)
    assert isinstance(feed_a(domain, encode(HomeTestInit(bytes(8))), "203.0.113.13"), HomeTest), "RR is answered"
    assert ask_a(domain, (index, second, correspondent_key(token, careof)), C_NET).code == Code.PROHIBITED


@pytest.mark.requirement("ERR-26", "ERR-33", "CR-17")
def test_requests_that_ask_for_nothing():
    domain, key = prepared()
    request = Request(
        lifetime=100,
        home_address=home_of("c"),
        home_agent=HA,
        careof_address=COA,
        identification=timestamp(domain.now),
    )
    assert feed_a(domain, encode(request)) is None
    signed = sign_correspondent(request, *key)
    assert feed_a(domain, encode(signed) + signed.auth.push()) is None, "two MCAEs"
    nonces = domain["a"]._base.nonces
    index, token = nonces.home_test(home_of("b"), domain.now)
    reply = ask_a(domain, (index, 0, correspondent_key(token)), lifetime=0, home_address=home_of("b"))
    assert reply.code == 0, "nothing to do"
    assert domain.direct("a", "c")


@pytest.mark.requirement("SC-S27", "CR-2", "RR-14")
def test_a_flood_of_tests_leaves_nothing_behind():
    domain = Domain("a")
    domain.start()
    core = domain["a"]
    for number in range(100_000):
        source = IPv4Address(0x0B000000 + number)
        core.receive(Datagram(encode(CareofTestInit(bytes(8))), source, PORT, home_of("a")), None, domain.now)
        list(core.actions())
    assert not list(core.cache)
    assert len(core._base.nonces._ring) == 1
    assert len(core._correspondent._tests._taken) <= 1024
    assert core._base.timers.next_timer() is not None
    assert core._base.counters["dropped_test_too_often"] > 90_000


# --- the requesting side


@pytest.mark.requirement("ERR-16")
def test_replies_of_the_home_agent_that_are_none():
    domain = Domain("a")
    node = domain.nodes["a"]
    domain.lose = lambda _node, _packet: True
    node.core.start(domain.now)
    domain.perform(node)
    request = domain.sent[0][2]
    reply = RegistrationReply(
        code=0, lifetime=100, home_address=home_of("a"), home_agent=HA, identification=request.identification
    )
    good = sign_home(reply, 256, key_of("a"))
    bad = (
        encode(sign_home(replace(reply, identification=request.identification ^ 1), 256, key_of("a"))),
        encode(reply),
        encode(sign_home(reply, 256, bytes(16))),
        encode(good) + good.auth.push(),
    )
    for data in bad:
        domain.feed(node, Datagram(data, HA, PORT, COA))
        assert not node.core.registered
    domain.feed(node, Datagram(encode(good), HA, PORT, COA))
    assert node.core.registered
    assert domain.events("reply-not-genuine")


@pytest.mark.requirement("ERR-17", "MR-19")
@pytest.mark.parametrize("skew", [100.0, -100.0])
def test_a_clock_that_is_wrong_is_set_right_for_this_peer(skew):
    domain = Domain("a")
    core = domain["a"]
    original = core._base.stamper.next
    core._base.stamper.next = lambda peer, now: original(peer, now + skew)
    resynchronise = core._base.stamper.resynchronise
    core._base.stamper.resynchronise = lambda peer, what, now: resynchronise(peer, what, now + skew)
    domain.start()
    domain.run(2.0)
    assert domain.since(0)[:4] == ["A>HA RRQ", "HA>A RRP 133", "A>HA RRQ", "HA>A RRP 0"]
    assert core._base.stamper.offset(HA) == pytest.approx(-skew, abs=1.0)


@pytest.mark.requirement("ERR-17", "MR-14")
@pytest.mark.parametrize(("changes", "code"), [({}, 147), ({"router": False}, 148)])
def test_networks_that_are_not_taken_are_not_offered_again(changes, code):
    domain = Domain("a", routers=(router("a", network_of("b"), **changes),))
    domain.start()
    assert domain.since(0) == ["A>HA RRQ", f"HA>A RRP {code}", "A>HA RRQ", "HA>A RRP 0"]
    requests = [m for _t, who, m, _a in domain.sent if who == "A"]
    assert not requests[-1].every(MobileNetworkRequest)


@pytest.mark.requirement("ERR-18", "ERR-19", "ERR-20", "ERR-21", "MR-5")
def test_advertisements_are_read_as_far_as_they_go():
    domain = Domain("ac")
    domain.start("a")
    node = domain.nodes["c"]
    domain.lose = lambda sender, _packet: sender is node
    node.core.start(domain.now)
    domain.perform(node)
    request = domain.sent[-1][2]
    content = bytes.fromhex("7fcb00710b180a0a010040cb00710c8a00003f")
    reply = RegistrationReply(
        code=0,
        lifetime=100,
        home_address=home_of("c"),
        home_agent=HA,
        identification=request.identification,
        extensions=(RoReply(), PrefixAdvertisement(content)),
    )
    domain.feed(node, Datagram(encode(sign_home(reply, 256, key_of("c"))), HA, PORT, IPv4Address("198.51.100.30")))
    assert node.core.registered
    assert domain.knows("c")["a"] == ["10.10.1.0/24"]
    assert node.core.cache.get(home_of("a")).outbound_only
    assert domain.events("advertisement-error", "C")
    assert domain.events("home-agent-without-networks", "C")


@pytest.mark.requirement("ERR-22", "RR-6", "RR-3")
def test_tests_that_nobody_asked_for():
    domain = Domain("ac")
    domain.start()
    domain.lose = lambda node, _packet: node.name == "A"
    domain.ping("c", "a", 0.1)
    inits = [m for _t, who, m, _a in domain.sent if isinstance(m, HomeTestInit | CareofTestInit)]
    careof, home = inits[:2]
    assert careof.cookie != home.cookie
    node, coa = domain.nodes["c"], IPv4Address("198.51.100.30")
    wrong = (
        (HomeTest(1, bytes(8), bytes(8)), home_of("a"), home_of("c")),
        (HomeTest(1, home.cookie, bytes(8)), home_of("b"), home_of("c")),
        (HomeTest(1, home.cookie, bytes(8)), home_of("a"), coa),
        (CareofTest(1, careof.cookie, bytes(8)), home_of("a"), home_of("c")),
        (CareofTest(1, home.cookie, bytes(8)), home_of("a"), coa),
    )
    for message, source, destination in wrong:
        domain.feed(node, Datagram(encode(message), source, PORT, destination))
    peer = node.core.cache.get(home_of("a"))
    assert peer.home_token is None
    assert all(pair.token is None for pair in peer.pairs.values())
    assert domain.events("rr-done", "C") == []
    domain.run(1.0)
    again = [m for _t, who, m, _a in domain.sent if isinstance(m, HomeTestInit | CareofTestInit)][2:4]
    assert {each.cookie for each in again}.isdisjoint({careof.cookie, home.cookie}), "new cookies each time"
    domain.run(60.0)
    assert domain.events("rr-failed", "C")
    domain.feed(node, Datagram(encode(HomeTest(1, home.cookie, bytes(8))), home_of("a"), PORT, home_of("c")))
    assert peer.home_token is None


@pytest.mark.requirement("ERR-23", "ERR-25", "MR-12")
def test_replies_of_a_correspondent_that_are_none():
    domain = Domain("ac")
    domain.start()
    domain.answering = False
    held = []

    def hold_reply(node, packet):
        if node.name == "A" and domain.sent and isinstance(domain.sent[-1][2], RegistrationReply):
            held.append(packet)
            return True
        return False

    domain.lose = hold_reply
    domain.packet(host_of("c"), host_of("a"))
    domain.run(0.5)
    node = domain.nodes["c"]
    peer = node.core.cache.get(home_of("a"))
    genuine = next(m for _t, who, m, _a in reversed(domain.sent) if who == "A" and isinstance(m, RegistrationReply))
    key = peer.outgoing.key
    bare = replace(genuine, auth=None, extensions=(), prior=b"")
    for message in (
        bare,
        sign_correspondent(bare, 1, 1, bytes(20)),
        sign_correspondent(replace(genuine, identification=1, prior=b""), 1, 1, key),
    ):
        domain.feed(node, Datagram(encode(message), home_of("a"), PORT, IPv4Address("198.51.100.30")))
        assert not peer.accepted
    domain.feed(node, Datagram(encode(genuine), home_of("b"), PORT, IPv4Address("198.51.100.30")))
    assert not peer.accepted
    without = replace(genuine, extensions=genuine.extensions[:-1], prior=b"")
    domain.lose = lambda _node, _packet: False
    domain.feed(
        node, Datagram(encode(sign_correspondent(without, 1, 1, key)), home_of("a"), PORT, IPv4Address("198.51.100.30"))
    )
    domain.run(2.0)
    assert "C>A RRQ 0" in domain.since(0), "no care-of address: deregistered"
    assert domain.routes("c") == {}
    assert held


# --- tunnels


def tunnelled(source, destination, payload=b"x"):
    return inner.push_udp(source, destination, (5000, 5000), payload)


@pytest.mark.requirement("ERR-34", "ERR-35", "TUN-5", "TUN-6", "TUN-14", "HA-16")
def test_what_may_not_come_out_of_a_tunnel():
    domain, _key = prepared()
    node = domain.nodes["a"]
    plane, own, peer = node.plane, IPv4Address("198.51.100.10"), IPv4Address("198.51.100.30")
    before = len(node.received)

    def arrives(packet, source=peer, port=PORT, header=TUNNEL_IP):
        plane.from_udp(own, source, port, header + packet)

    arrives(tunnelled(host_of("c"), host_of("a")))
    assert len(node.received) == before + 1
    rows = {
        "unknown_outer": lambda: arrives(tunnelled(host_of("c"), host_of("a")), source=IPv4Address("198.51.100.99")),
        "next_header": lambda: arrives(tunnelled(host_of("c"), host_of("a")), header=b"\x04\x2f\0\0"),
        "foreign_inner_source": lambda: arrives(tunnelled(host_of("b"), host_of("a"))),
        "foreign_inner_destination": lambda: arrives(tunnelled(host_of("c"), host_of("b"))),
        "not_ipv4": lambda: arrives(b"\x60" + bytes(60)),
        "signalling_in_peer_tunnel": lambda: arrives(
            inner.push_udp(home_of("c"), home_of("a"), (PORT, PORT), encode(HomeTestInit(bytes(8))))
        ),
    }
    for counter, act in rows.items():
        act()
        assert plane.counters[counter] == 1, counter
    arrives(tunnelled(host_of("c"), host_of("a")), port=4711)
    assert plane.counters["unknown_outer"] == 2, "the port is learnt from keepalives only"
    assert len(node.received) == before + 1
    ha = domain.ha.plane
    ha.from_ip(HA, own, tunnelled(host_of("c"), host_of("a")))
    ha.from_ip(HA, IPv4Address("198.51.100.99"), tunnelled(host_of("a"), host_of("c")))
    assert ha.counters["foreign_inner_source"] == ha.counters["unknown_outer"] == 1


@pytest.mark.requirement("ERR-34", "TUN-5", "CR-15")
def test_keepalives_that_are_none():
    domain, _key = prepared()
    node = domain.nodes["a"]
    own, peer = IPv4Address("198.51.100.10"), IPv4Address("198.51.100.30")

    def echo(source, outer, port=PORT, request=True):
        message = inner.EchoMessage(request, KEEPALIVE, 77, b"")
        node.plane.from_udp(own, outer, port, TUNNEL_IP + inner.push_echo(source, home_of("a"), message))
        count = len(domain.talked)
        domain.run(0.001)
        return domain.talked[count:]

    assert echo(home_of("c"), IPv4Address("198.51.100.99")) == []
    assert echo(home_of("b"), peer) == []
    assert echo(home_of("c"), peer, request=False) == []
    tunnel = node.core.cache.get(home_of("c")).tunnel
    assert tunnel.port == PORT
    assert [word for _t, word in echo(home_of("c"), peer, 4711)] == ["A>C echo reply"]
    assert tunnel.port == 4711


@pytest.mark.requirement("ERR-1")
def test_checksums_inside_the_tunnel_to_the_home_agent():
    domain = Domain("a")
    domain.start()
    node = domain.nodes["a"]
    good = inner.push_udp(home_of("c"), home_of("a"), (PORT, PORT), encode(HomeTestInit(bytes(8))))
    for change, answers in (((0, 0), 1), ((good[26], good[27]), 1), ((good[26] ^ 1, good[27]), 0)):
        packet = good[:26] + bytes(change) + good[28:]
        count = len(domain.sent)
        node.plane.from_ip(IPv4Address("198.51.100.10"), HA, packet)
        domain.run(0.001)
        assert len(domain.sent) - count == answers


@pytest.mark.requirement("MR-23", "TUN-12")
def test_foreign_sources_of_the_own_network_go_nowhere():
    domain, _key = prepared()
    plane = domain.nodes["a"].plane
    plane.from_kernel(tunnelled(host_of("b"), host_of("c")), domain.now)
    assert plane.counters["foreign_source"] == 1
