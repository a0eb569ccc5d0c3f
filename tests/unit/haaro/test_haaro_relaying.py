"""A home agent leads packets from tunnel to tunnel by itself once it has checked the first of a kind (spec HA-16)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.haaro import inner
from agents.haaro.items import EVERYTHING, TUNNEL_MTU, Tunnel, TunnelRoute
from agents.haaro.plane import Plane
from agents.haaro.sink import Ends
from agents.wire.buffer import internet_checksum
from agents.wire.mip4 import TUNNEL_IP

HA, ONE, OTHER = (IPv4Address(text) for text in ("203.0.113.1", "198.51.100.10", "198.51.100.20"))
HOMES = [IPv4Address("203.0.113.11"), IPv4Address("203.0.113.12")]
NETWORKS = [IPv4Network("10.10.1.0/24"), IPv4Network("10.10.2.0/24")]
FIRST = Tunnel(HOMES[0], HA, ONE, "udp", sources=(NETWORKS[0],))
SECOND = Tunnel(HOMES[1], HA, OTHER, "ipip", sources=(NETWORKS[1],))


class Sink:
    def __init__(self):
        self.udp, self.ip, self.delivered, self.noticed = [], [], [], []

    def send_udp(self, local, remote, port, data, tos, df=False):
        self.udp.append((local, remote, port, data, tos))

    def send_ip(self, local, remote, packet, tos, df=False):
        self.ip.append((local, remote, packet, tos))

    def deliver(self, packet):
        self.delivered.append(packet)

    def notice(self, notice):
        self.noticed.append(notice)


def home_agent(*, relays=True):
    sink = Sink()
    plane = Plane(sink, relays=relays)
    for tunnel, network in ((FIRST, NETWORKS[0]), (SECOND, NETWORKS[1])):
        plane.install(tunnel)
        plane.install(TunnelRoute(network, tunnel.name))
    return plane, sink


def packet(size=100, *, source=NETWORKS[0][2], destination=NETWORKS[1][2], tos=0, ttl=64):
    return inner.push_ipv4(source, destination, 17, bytes(size - inner.HEADER), tos=tos, ttl=ttl)


def arrives(plane, octets, source=ONE):
    plane.from_udp(HA, source, 434, TUNNEL_IP + octets)


@pytest.mark.requirement("HA-16", "TUN-12")
def test_the_first_goes_by_the_kernel_and_the_others_do_not():
    plane, sink = home_agent()
    for _time in range(3):
        arrives(plane, packet(tos=0xB8))
    assert sink.delivered == [packet(tos=0xB8)]
    assert sink.ip == [(HA, OTHER, inner.aged(packet(tos=0xB8)), 0xB8)] * 2
    assert plane.relayed == 200
    plane.from_ip(HA, OTHER, packet(source=NETWORKS[1][2], destination=NETWORKS[0][2]))
    plane.from_ip(HA, OTHER, packet(source=NETWORKS[1][2], destination=NETWORKS[0][2]))
    assert [each[:3] for each in sink.udp] == [(HA, ONE, 434)]


@pytest.mark.requirement("HA-16", "TUN-5")
def test_what_changes_is_checked_anew():
    plane, sink = home_agent()
    arrives(plane, packet())
    arrives(plane, packet(), source=OTHER)
    assert plane.counters["unknown_outer"] == 1
    plane.install(replace(FIRST, sources=(IPv4Network("10.10.1.9/32"),)))
    arrives(plane, packet())
    assert plane.counters["foreign_inner_source"] == 1
    plane.install(FIRST)
    plane.remove(TunnelRoute(NETWORKS[1], SECOND.name))
    arrives(plane, packet())
    arrives(plane, packet())
    assert len(sink.delivered) == 3, "without a route the kernel says so"
    assert sink.ip == []


@pytest.mark.requirement("TUN-12", "TUN-13")
@pytest.mark.parametrize("octets", [packet(TUNNEL_MTU + 1), packet(ttl=1)], ids=["too long", "too old"])
def test_what_the_kernel_must_answer_goes_to_it(octets):
    plane, sink = home_agent()
    arrives(plane, packet())
    arrives(plane, octets)
    assert sink.delivered[1:] == [octets]
    assert sink.ip == []


def test_a_router_never_leads_from_tunnel_to_tunnel():
    plane, sink = home_agent(relays=False)
    plane.install(TunnelRoute(EVERYTHING, SECOND.name))
    arrives(plane, packet())
    arrives(plane, packet())
    assert len(sink.delivered) == 2
    assert sink.ip == []


@given(st.integers(2, 255), st.integers(0, 255), st.binary(min_size=8, max_size=8), st.binary(max_size=9))
def test_the_checksum_stays_right(ttl, tos, addresses, payload):
    source, destination = IPv4Address(addresses[:4]), IPv4Address(addresses[4:])
    older = inner.aged(inner.push_ipv4(source, destination, 17, payload, tos=tos, ttl=ttl))
    assert older[8] == ttl - 1
    assert internet_checksum(older[: inner.HEADER]) == 0
    assert older[inner.HEADER :] == payload


@pytest.mark.requirement("TUN-5", "TUN-6", "MR-23")
def test_a_router_checks_every_pair_of_addresses_once():
    sink = Sink()
    plane = Plane(sink, Ends(HOMES[0], (NETWORKS[0],), HA))
    peer = Tunnel(HOMES[1], ONE, OTHER, "udp", sources=(NETWORKS[1],))
    plane.install(peer)
    plane.install(TunnelRoute(NETWORKS[1], peer.name))
    inward = packet(source=NETWORKS[1][2], destination=NETWORKS[0][2])
    for _time in range(2):
        plane.from_udp(ONE, OTHER, 434, TUNNEL_IP + inward)
        plane.from_kernel(packet(), 0.0)
        plane.from_kernel(packet(source=IPv4Address("10.10.9.9")), 0.0)
        plane.from_udp(ONE, OTHER, 434, TUNNEL_IP + packet(source=HOMES[1], destination=NETWORKS[0][2]))
        plane.from_udp(ONE, OTHER, 434, TUNNEL_IP + packet(source=NETWORKS[1][2], destination=NETWORKS[1][3]))
    assert sink.delivered == [inward] * 2
    assert [each[3] for each in sink.udp] == [TUNNEL_IP + packet()] * 2
    counted = {"foreign_source": 2, "foreign_inner_source": 2, "foreign_inner_destination": 2}
    assert plane.counters == counted
    plane.remove(peer)
    plane.from_udp(ONE, OTHER, 434, TUNNEL_IP + inward)
    plane.from_kernel(packet(), 0.0)
    assert plane.counters == counted | {"unknown_outer": 1, "no_tunnel": 1}


def test_a_router_keeps_reporting_what_goes_over_the_home_agent():
    sink = Sink()
    plane = Plane(sink, Ends(HOMES[0], (NETWORKS[0],), HA))
    home = Tunnel(HA, ONE, HA, "ipip", sources=(EVERYTHING,))
    plane.install(home)
    plane.install(TunnelRoute(EVERYTHING, home.name))
    for now in (10.0, 10.1, 12.0):
        plane.from_kernel(packet(), now)
    assert len(sink.ip) == 3
    assert len(sink.noticed) == 2
