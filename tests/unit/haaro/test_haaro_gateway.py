"""A router that 0.0.0.0/0 is behind: what comes through it from everywhere, and who sends through it (spec S26)."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from haaro_domain import Domain, address, home_of, host_of, network_of, router

from agents.haaro import inner
from agents.haaro.config import OwnedPrefix
from agents.wire.mip4 import TUNNEL_IP

EVERYWHERE = OwnedPrefix(IPv4Network("0.0.0.0/0"), implicit=True)
SOMEBODY = address("192.88.99.7")
"""On the Internet."""


def gateway(*, policy=False, told=True):
    """B leads everywhere; C uses it, if that is its policy."""
    own = (network_of("b"), EVERYWHERE) if told else (network_of("b"),)
    routers = (router("a"), router("b", *own), router("c"))
    via = {"internet_via": home_of("b")} if policy else {}
    domain = Domain(routers=routers, changes={"b": {"gateway": True}, "c": via})
    domain.answering = False
    domain.start()
    return domain


def optimised(**how):
    domain = gateway(**how)
    domain.packet(host_of("c"), host_of("b"))
    domain.run(2.0)
    assert domain.direct("c", "b")
    assert domain.direct("b", "c")
    return domain


def arrived(domain, letter):
    return [(source, destination) for _t, source, destination, _data in domain.nodes[letter].received]


def through(domain, letter, source, destination):
    """A packet reaches a router's kernel from anywhere, and the kernel leads it into the tunnels."""
    domain.nodes[letter].plane.from_kernel(inner.push_udp(source, destination, (5000, 5000), b"ping"), domain.now)
    domain.run(0.5)


@pytest.mark.requirement("SC-S26", "MR-23", "TUN-6")
def test_packets_from_everywhere_come_through_the_gateway():
    domain = optimised()
    before = len(domain.over_ha)
    through(domain, "b", SOMEBODY, host_of("c"))
    assert arrived(domain, "c")[-1] == (SOMEBODY, host_of("c"))
    assert len(domain.over_ha) == before
    through(domain, "b", SOMEBODY, host_of("a"))
    assert arrived(domain, "a")[-1] == (SOMEBODY, host_of("a")), "over the home agent, where nothing is direct"


@pytest.mark.requirement("MR-23", "TUN-6")
def test_packets_from_everywhere_come_through_nobody_else():
    domain = optimised(told=False)
    through(domain, "b", SOMEBODY, host_of("c"))
    assert (SOMEBODY, host_of("c")) not in arrived(domain, "c")
    assert domain.nodes["c"].plane.counters["foreign_inner_source"] == 1
    through(domain, "c", SOMEBODY, host_of("b"))
    assert domain.nodes["c"].plane.counters["foreign_source"] == 1


@pytest.mark.requirement("SC-S26")
def test_without_a_policy_nobody_goes_there():
    domain = optimised()
    domain.packet(host_of("c"), SOMEBODY)
    domain.run(1.0)
    assert arrived(domain, "b")[-1] == (host_of("c"), host_of("b"))
    assert not {"0.0.0.0/1", "128.0.0.0/1"} & set(domain.routes("c"))


@pytest.mark.requirement("SC-S26", "MR-7", "MR-16")
def test_a_policy_goes_there_once_the_tunnel_works():
    domain = gateway(policy=True)
    domain.packet(host_of("c"), SOMEBODY)
    assert arrived(domain, "b") == [], "the first one goes over the home agent"
    domain.run(2.0)
    assert {"0.0.0.0/1", "128.0.0.0/1"} <= set(domain.routes("c"))
    domain.packet(host_of("c"), SOMEBODY)
    domain.run(0.5)
    assert arrived(domain, "b") == [(host_of("c"), SOMEBODY)]
    begin = domain.now
    domain.run(100.0)
    assert "C>B RRQ" in domain.since(begin), "signalling goes on over the home agent"
    assert "C>HA RRQ" not in domain.since(begin)
    domain.line_down("b", "isp1")
    domain.run(5.0)
    assert not {"0.0.0.0/1", "128.0.0.0/1"} & set(domain.routes("c")), "the home agent is a way out always"


@pytest.mark.requirement("SC-S26")
def test_a_policy_needs_the_word_of_the_home_agent():
    domain = optimised(policy=True, told=False)
    assert not {"0.0.0.0/1", "128.0.0.0/1"} & set(domain.routes("c"))


@pytest.mark.requirement("TUN-6")
def test_a_gateway_never_leads_from_tunnel_to_tunnel():
    domain = optimised(policy=True)
    domain.packet(host_of("a"), host_of("b"))
    domain.run(460.0)
    domain.packet(host_of("a"), host_of("b"))
    domain.packet(host_of("b"), host_of("a"))
    domain.run(3.0)
    assert domain.direct("b", "a")
    packet = inner.push_udp(host_of("c"), host_of("a"), (5000, 5000), b"around")
    b, c = domain.nodes["b"], domain.nodes["c"]
    b.plane.from_udp(next(iter(b.lines)), next(iter(c.lines)), 434, TUNNEL_IP + packet)
    domain.run(0.5)
    assert b.plane.counters["foreign_inner_destination"] == 1
    assert (host_of("c"), host_of("a")) not in arrived(domain, "a")
