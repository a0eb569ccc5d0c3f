"""What a home agent says to requests that no scenario makes: order of its checks, deregistration, tunnels, sizes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from haaro_asking import COA, MNR, Agent, alone, answer_home
from haaro_domain import HA, home_of, key_of, network_of, router

from agents.haaro.config import OwnedPrefix
from agents.haaro.identification import timestamp
from agents.haaro.keys import sign_home
from agents.wire.mip4 import decode, encode
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
from agents.wire.mip4_messages import RegistrationRequest

NAT = IPv4Address("192.0.2.1")
HAARO = RequestFlag.COLOCATED | RequestFlag.REVERSE_TUNNEL
ALL = RoCapability(advertise=True, receive=True)
WRONG = {
    "home agent": ((), {"home_agent": IPv4Address("203.0.113.2")}, 136),
    "reserved octets": ((UdpTunnelRequest(reserved=1),), {}, 134),
    "foreign network": ((MobileNetworkRequest.of(network_of("b")),), {}, 147),
    "translated": ((), {"source": NAT}, 129),
}


@pytest.mark.requirement("HA-1")
@pytest.mark.parametrize("name", WRONG)
def test_first_who_then_when_then_what(name):
    """A request that is wrong in every way is told what is wrong first, and nothing of it is used."""
    agent = Agent()
    extensions, fields, code = WRONG[name]
    old = timestamp(agent.now - 100)
    assert agent.ask(*extensions, **fields, identification=old, key=bytes(16)).code == Code.FAILED_AUTHENTICATION
    assert agent.ask(*extensions, **fields, identification=old).code == Code.IDENTIFICATION_MISMATCH
    assert agent.ask(*extensions, **fields).code == code
    assert not agent.core.bindings
    assert not agent.installed


@pytest.mark.requirement("HA-1", "ERR-3")
def test_a_bad_layout_is_told_to_whom_is_known_only():
    agent = Agent()
    request = RegistrationRequest(
        lifetime=300, home_address=home_of("a"), home_agent=HA, careof_address=COA, identification=timestamp(agent.now)
    )
    octets = encode(request) + bytes((153, 2, 1, 0x20))
    signed = {key: sign_home(replace(decode(octets), prior=octets), 256, key) for key in (bytes(16), key_of("a"))}
    codes = [agent.raw(octets + each.auth.push()).code for each in signed.values()]
    assert codes == [Code.FAILED_AUTHENTICATION, Code.POORLY_FORMED]


@pytest.mark.requirement("HA-18", "HA-7")
@pytest.mark.parametrize(
    ("flags", "source", "udp"),
    [
        (HAARO, COA, None),
        (HAARO | RequestFlag.GRE, COA, None),
        (RequestFlag.COLOCATED, NAT, None),
        (HAARO, NAT, UdpTunnelRequest(force=True)),
        (HAARO, COA, UdpTunnelRequest(encapsulation=47)),
    ],
)
def test_the_end_is_honoured_whatever_tunnel_it_speaks_of(flags, source, udp):
    agent = Agent(udp=False, require_reverse_tunnel=True, routers=(router("a"), router("b", key=key_of("a"))))
    assert agent.ask(ALL, home_address=home_of("b")).code == 0
    assert agent.ask(ALL, MNR).first(PrefixAdvertisement)
    reply = agent.ask(ALL, MNR, *([udp] if udp else []), lifetime=0, flags=flags, source=source)
    assert (reply.code, reply.lifetime) == (0, 0)
    assert home_of("a") not in agent.core.bindings
    assert not reply.every(MobileNetworkAck), "networks of a deregistration are ignored"
    assert reply.first(RoReply) == RoReply(nat=source == NAT), "it had the capability"
    assert reply.first(PrefixAdvertisement) is None, "who has left is told of nobody"
    assert reply.first(UdpTunnelReply) == (UdpTunnelReply(64) if udp else None)


@pytest.mark.requirement("NAT-7", "ERR-11", "HA-17")
@pytest.mark.parametrize(
    ("source", "udp", "code"),
    [
        (COA, None, 139),
        (COA, UdpTunnelRequest(), 139),
        (NAT, UdpTunnelRequest(), 0),
        (NAT, UdpTunnelRequest(encapsulation=0), 142),
        (COA, UdpTunnelRequest(force=True, encapsulation=0), 142),
        (COA, UdpTunnelRequest(force=True), 0),
    ],
)
@pytest.mark.parametrize("flag", [RequestFlag.GRE, RequestFlag.MINIMAL])
def test_flags_for_encapsulations_count_where_the_udp_request_names_none(flag, source, udp, code):
    agent = Agent()
    reply = agent.ask(*([udp] if udp else []), flags=HAARO | flag, source=source)
    assert reply.code == code
    assert agent.ask(UdpTunnelRequest(encapsulation=0), source=NAT).code == 0, "without flags, 0 is IP in IP"


@pytest.mark.requirement("HA-12", "HA-14", "HA-9")
def test_nobody_is_told_of_itself():
    agent = Agent()
    assert agent.ask(ALL, MNR).code == 0
    reply = agent.ask(replace(ALL, solicited=home_of("a")), MNR)
    assert reply.first(RoReply) == RoReply(solicited=True)
    assert reply.first(PrefixAdvertisement) is None


@pytest.mark.requirement("HA-11")
def test_a_reply_fits_into_a_datagram_however_many_networks_it_acknowledges():
    realm = ".".join(["x" * 60] * 3)
    many = tuple(OwnedPrefix(IPv4Network((0x0B000000 + (n << 8), 24))) for n in range(1000))
    others = tuple(
        replace(
            router("b", OwnedPrefix(IPv4Network((0x0C000000 + (n << 8), 24)), realm), key=key_of("a")),
            home_address=IPv4Address(0xCB007200 + n),
        )
        for n in range(400)
    )
    agent = Agent(
        routers=(router("a", *many), *others),
        home_prefix=None,
        compress=False,
        max_advertisement=65507,
        max_lifetime=9999,
    )
    for other in others:
        wanted = [MobileNetworkRequest.of(each.prefix) for each in other.prefixes]
        assert agent.ask(ALL, *wanted, home_address=other.home_address, lifetime=9999).code == 0
    reply = agent.ask(ALL, *(MobileNetworkRequest.of(each.prefix) for each in many))
    assert len(reply.every(MobileNetworkAck)) == 1000
    assert reply.first(PrefixAdvertisement) is not None
    assert 65507 - 250 < len(encode(reply)) <= 65507


@pytest.mark.requirement("HA-4")
def test_success_is_0_even_where_simultaneous_bindings_are_wished():
    """RFC 5177 says 0, RFC 5944 says 1: the sheet has the home agent say 0, and routers accept both (spec A-35)."""
    agent = Agent()
    assert agent.ask(MNR, flags=HAARO | RequestFlag.SIMULTANEOUS).code == 0
    domain = alone()
    answer_home(domain, "c", code=1)
    assert domain["c"].registered
    other = alone()
    answer_home(other, "c", code=2)
    assert not other["c"].registered, "code 2 is a matter of correspondents"
