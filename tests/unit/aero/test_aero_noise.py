"""Ten thousand random and mutated packets leave a Server and a Client as they were, and no larger (spec §11)."""

from __future__ import annotations

import gc
import random
import tracemalloc
from ipaddress import IPv6Address

import pytest
from aero_forged import C1, S1, THIEF, dhcp, relay_forward, relay_reply, request, solicitation
from aero_packets import ipv4, ipv6
from aero_whole import CLIENT, SERVER, STRANGER, Whole, attached
from test_aero_attacks import TOKEN, predirect, redirect

from agents.aero.constants import REASSEMBLY_PER_NEIGHBOR
from agents.aero.dataplane.encapsulation import Carrier
from agents.aero.inner_packets import push_discovery
from agents.aero.notices import DhcpAnswer
from agents.aero.optimisation.messages import push_mediation
from agents.wire.dhcpv6_options import ClientId, IaPd
from agents.wire.nd import NeighborAdvertisement
from agents.wire.nd_auth import seal
from agents.wire.redirects import Framing
from topologies.tools.aero_noise import PORTS, noise

SEEDS = [
    bytes(ipv6("2001:db8:1000:2000::10", "2001:db8:99::1", 100)),
    bytes(ipv6("2001:db8:99::1", "2001:db8:1000:2000::10", 1400)),
    bytes(ipv4("192.0.2.17", "192.0.2.99", 80)),
    solicitation(),
    push_discovery(NeighborAdvertisement(C1), C1, S1),
    push_discovery(NeighborAdvertisement(S1), S1, C1),
    request(1, ClientId(THIEF), IaPd(1)),
    request(5, ClientId(THIEF), IaPd(1)),
    dhcp(relay_forward()),
    *(
        push_mediation(make(), framing, *ends)
        for make in (predirect, redirect)
        for framing in Framing
        for ends in ((C1, S1), (S1, C1))
    ),
    push_discovery(seal(NeighborAdvertisement(C1, override=True), C1, S1, TOKEN.key_id, TOKEN.value, 1 << 46), C1, S1),
]
COUNT = 10_000
KEPT = 2 << 20
"""Octets that a node may hold of it all: unfinished packets, verdicts, limits of sources."""


def bombard(node: Whole, hosts: list[str], seed: int) -> None:
    chance = random.Random(seed)
    for through, payload in noise(SEEDS, COUNT, seed):
        node.now += 0.001
        node.arrive(payload, chance.choice(hosts), through=Carrier(through), port=PORTS.get(through, 0))
        node.sent.clear()
        node.delivered.clear()
        node.asked.clear()
        node.events.clear()


@pytest.mark.requirement("FRAG-8", "SRV-3", "CLI-3", "LDRA-2")
@pytest.mark.parametrize("role", ["server", "client"])
def test_ten_thousand_packets(role):
    server, client = attached()
    node, hosts = (server, [CLIENT, STRANGER]) if role == "server" else (client, [SERVER, STRANGER])
    bombard(node, hosts, 1)  # what is learnt once is learnt now
    before = node.state()
    gc.collect()
    tracemalloc.start()
    try:
        bombard(node, hosts, 2)
        gc.collect()
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < KEPT
    assert len(node.forwarder.reassembly) <= REASSEMBLY_PER_NEIGHBOR
    assert node.state() == before
    counted = node.counted()
    assert len(counted) > 10, counted
    good = bytes(ipv6("2001:db8:1000:2000::1", "2001:db8:99::2"))
    if role == "server":
        node.arrive(good)
    else:
        node.arrive(bytes(ipv6("2001:db8:99::2", "2001:db8:1000:2000::1")), SERVER)
    assert len(node.delivered) == 1


@pytest.mark.requirement("LDRA-7")
def test_ten_thousand_answers_of_a_server_gone_mad():
    server, _client = attached()
    before = server.state()
    good = relay_reply(server, request(1)[48:])
    chance = random.Random(3)
    for _number in range(COUNT):
        octets = bytearray(good)
        for _change in range(chance.choice((1, 2, 4))):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        server.feed(DhcpAnswer(bytes(octets[: chance.randrange(len(octets) + 1)]), IPv6Address("::1")))
    assert server.state() == before
    assert sum(server.counted().values()) > COUNT * 0.9
