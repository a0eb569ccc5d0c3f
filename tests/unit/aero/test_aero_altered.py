"""Messages of route optimisation and Neighbor Discovery, altered anywhere and with right checksums (spec §6, §9, §11).

What is only noise ends at its checksum (test_aero_noise); this gets as far as its content.
"""

from __future__ import annotations

import random
from ipaddress import IPv6Address, ip_network

import pytest
from aero_domain import START
from aero_packets import ipv4
from test_aero_attacks import EVIL, FIRST, HERE, SECOND, predirect, put, redirect, state, where
from test_aero_mobility import at_two_servers
from test_aero_optimisation import back, both_ways, forth, hops

from agents.aero.inner_packets import push_discovery
from agents.aero.optimisation.messages import UNSPECIFIED, header_between, push_mediation
from agents.wire.buffer import ipv6_checksum
from agents.wire.nd import NeighborAdvertisement, NeighborSolicitation, Redirect
from agents.wire.nd_options import Nonce, Observed, RedirectedHeader
from agents.wire.redirects import Framing

COUNT = 3000
KINDS = (1, 2, 4, 14, 24, 253)
"""Options that are known."""


@pytest.fixture
def world():
    link, one, two, first, second = at_two_servers()
    both_ways(link, first, second, 3)
    assert hops(second.delivered[-1][1]) == hops(first.delivered[-1][1]) == 64
    return link, [one, two, link.relay, first, second]


def messages(own: IPv6Address, to: IPv6Address):
    four = RedirectedHeader(bytes(ipv4("192.0.2.17", "192.0.2.33", 60)))
    about = header_between(FIRST, SECOND)
    nonce = Nonce(b"abcdef")
    return (
        predirect(),
        redirect(),
        predirect(ip_network("192.0.2.16/28"), four),
        Redirect(UNSPECIFIED, UNSPECIFIED, False, (about,)),
        Redirect(own, own, True, (about,)),
        NeighborSolicitation(to, (HERE, nonce)),
        NeighborAdvertisement(own, True, True, False, (nonce, HERE, Observed(0, HERE.ip, 5, 80))),
        NeighborAdvertisement(own, override=True, options=(HERE,)),
    )


def altered(chance: random.Random, packet: bytes) -> bytes:
    """A few octets changed, inserted or left out; lengths and checksum are right again."""
    octets = bytearray(packet)
    for _change in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(40, len(octets))
        match chance.randrange(10):
            case 0 | 1:
                del octets[at : at + 8 * chance.randrange(1, 3)]
            case 2:
                octets[at:at] = chance.randbytes(8)
            case 3:
                octets += bytes((chance.choice(KINDS), chance.randrange(5))) + chance.randbytes(6)
            case _:
                octets[at] = chance.choice((0, 1, 2, 255, chance.randrange(256), octets[at] ^ 1 << chance.randrange(8)))
        octets += bytes(max(0, 48 - len(octets)))
    octets[4:6] = (len(octets) - 40).to_bytes(2, "big")
    at = 42 if octets[6] == 58 else 46
    if octets[6] == 17:
        octets[44:46] = octets[4:6]
    octets[at : at + 2] = bytes(2)
    ends = IPv6Address(bytes(octets[8:24])), IPv6Address(bytes(octets[24:40]))
    octets[at : at + 2] = (ipv6_checksum(*ends, octets[6], bytes(octets[40:])) or 0xFFFF).to_bytes(2, "big")
    return bytes(octets)


def said(chance: random.Random, nodes):
    """(who is told, what, by whom it pretends to be) again and again."""
    for _number in range(COUNT):
        sender, victim = chance.sample(nodes, 2)
        own, to = sender.core.address, victim.core.address
        message = chance.choice(messages(own, to))
        if isinstance(message, Redirect):
            packet = push_mediation(message, chance.choice(list(Framing)), own, to)
        else:
            packet = push_discovery(message, own, to)
        yield victim, altered(chance, packet), sender


@pytest.mark.requirement("SEC9-1", "SEC9-2", "SEC9-3", "SEC9-4", "SEC9-5", "RLY-1", "RLY-6")
@pytest.mark.parametrize("seed", [1, 2])
def test_an_outsider_changes_nothing(world, seed):
    link, nodes = world
    chance = random.Random(seed)
    before = state(*nodes)
    for victim, packet, _name in said(chance, nodes):
        put(link, victim, packet, EVIL)
    assert state(*nodes) == before
    counted = sum(sum(node.core.counters.values()) for node in nodes)
    assert counted >= COUNT
    told = [action.packet for node in nodes for action in node.sent if action.lladdr == EVIL]
    assert len(told) <= 2  # a hint to each Client that he pretended to be, in no time (spec SRV-9)
    assert {(packet[40], len(packet)) for packet in told} <= {(136, 96)}


@pytest.mark.requirement("SEC9-9", "RO-16", "RO-18")
@pytest.mark.parametrize("seed", [1, 2])
def test_in_the_name_and_from_the_address_of_a_neighbor_nothing_ends_and_nothing_stays(world, seed):
    """A stated limit of AERO: it may disturb; nobody dies of it, and it passes."""
    link, nodes = world
    first, second = nodes[3:]
    for number, (victim, packet, name) in enumerate(said(random.Random(seed), nodes)):
        put(link, victim, packet, where(name))
        if number % 300 == 0:
            link.send(first, forth(0))
            link.send(second, back(0))
            link.run(link.now - START + 0.5)
    both_ways(link, first, second, 140, 2.0)
    before = len(second.delivered), len(first.delivered)
    sent = both_ways(link, first, second, 5)
    link.run(link.now - START + 0.1)
    assert (len(second.delivered) - before[0], len(first.delivered) - before[1]) == (sent, sent)
    assert hops(second.delivered[-1][1]) == hops(first.delivered[-1][1]) == 64
