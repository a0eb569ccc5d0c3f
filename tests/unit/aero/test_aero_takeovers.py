"""Clients that went to another Server unheard, in virtual time: what Relays pass on tells of them (spec §5.1, §8)."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from aero_domain import START
from aero_packets import ipv6
from aero_routing import routed

from agents.aero.addresses import ANYCAST
from agents.aero.dataplane.sink import Control
from agents.aero.inner_packets import push_discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import ChangeServer, Controlled
from agents.wire.nd import NeighborSolicitation
from agents.wire.nd_options import Nonce

FIRST, SECOND = (ip_network(f"2001:db8:1000:{number}00::/56") for number in (20, 21))
ONE, TWO = FIRST[1], SECOND[1]
TO_ONE, TO_TWO = bytes(ipv6(str(TWO), str(ONE), 100)), bytes(ipv6(str(ONE), str(TWO), 100))


@pytest.fixture
def link():
    """c1 and c2 at s1; s1 and s2 with one Relay."""
    made, nodes = routed()
    one = nodes["s1"].dhcp
    nodes["s2"].dhcp.numbers = one.numbers
    nodes |= {f"c{number}": made.add_client(number, [nodes["s1"], nodes["s2"]]) for number in (1, 2)}
    made.attach(nodes["c1"], nodes["c2"])
    made.named = nodes
    return made


def cut_off(link, *names):
    """Nothing passes between two nodes any more; the first, a Client, attaches at s2, in another second (MOB-8)."""
    link.run(link.now - START + 2)
    ends = {link.named[name].ip for name in names}
    link.passes = lambda sender, receiver, _lladdr: {sender.ip, receiver.ip} != ends
    link.feed(link.named[names[0]], ChangeServer(1))
    link.run(link.now - START + 0.5)
    assert str(link.named["c1"].core.cache.default.address) == "fe80::2"


def withdrawn(link):
    return [command for command in link.speakers["203.0.113.1"].commands if command.startswith("withdraw")]


def talk(link, name, packet, seconds):
    return link.flow(link.named[name], lambda _number: packet, seconds=seconds, rate=10)


@pytest.mark.requirement("MOB-10", "MOB-6", "MOB-9")
def test_a_takeover_is_seen_and_its_route_withdrawn(link):
    """Asked three times, silent: what still comes here for it goes to a Relay."""
    cut_off(link, "c1", "s1")
    server, client = link.named["s1"].core, link.named["c1"].core
    assert FIRST in server.cache.get(client.address).prefixes
    talk(link, "c1", TO_TWO, 2)
    assert not link.said("taken-over")
    talk(link, "c1", TO_TWO, 2)
    assert link.said("taken-over") == [{"client": client.address, "prefix": FIRST}]
    assert [FIRST.with_prefixlen in command for command in withdrawn(link)] == [True]
    assert server.cache.get(client.address) is None
    assert server.departures.covers(ONE)
    before = len(link.named["c1"].delivered)
    sent = talk(link, "c2", TO_ONE, 1)
    assert len(link.named["c1"].delivered) - before == sent


@pytest.mark.requirement("MOB-10")
def test_the_answer_to_an_own_predirect_tells_of_a_client_known_to_be_silent(link):
    """Packets for it go to a Relay once it is silent; the Redirect that comes back needs no more questions."""
    cut_off(link, "c1", "s1")
    begin = link.now
    talk(link, "c2", TO_ONE, 9)
    (seen,) = [t for t, _name, event, _fields in link.events if event == "taken-over"]
    (silent,) = [t for t, name, event, _fields in link.events if (name, event) == ("s1", "path-failed")]
    assert silent - begin <= 8
    assert seen - silent <= 0.3
    assert len(withdrawn(link)) == 1


@pytest.mark.requirement("SRV-3")
def test_a_client_that_answers_is_not_taken_over(link):
    """Whoever can forge a Relay's address cannot make a Client silent."""
    server, client = link.named["s1"].core, link.named["c1"]
    for _time in range(3):
        before = len(link.named["s1"].sent)
        server.mediator.elsewhere(FIRST, link.now)
        link._turn(link.named["s1"])
        assert len(link.named["s1"].sent) == before + 1, "asked each time"
        link.run(link.now - START + 4)
    assert not link.said("taken-over")
    assert not withdrawn(link)
    assert server.cache.get(client.core.address).prefixes.keys() == {FIRST}


@pytest.mark.requirement("MOB-13")
def test_one_that_comes_back_while_it_is_asked_stays(link):
    cut_off(link, "c1", "s1")
    link.run(link.now - START + 20)  # it gives up telling s1
    entry = link.named["s1"].core.cache.owner(ONE)
    entry.path.last_received = link.now - 1  # one that is silent for long would not be asked
    talk(link, "c1", TO_TWO, 1.5)
    link.passes = lambda *_any: True
    link.feed(link.named["c1"], ChangeServer(0))
    link.run(link.now - START + 5)
    assert not link.said("taken-over")
    assert link.named["s1"].core.cache.owner(ONE)


def test_prefixes_of_nobody_are_nothing(link):
    link.named["s1"].core.mediator.elsewhere(ip_network("2001:db8:1000:f000::/56"), link.now)
    assert not list(link.named["s1"].core.actions())


@pytest.mark.requirement("MOB-7", "SRV-2")
@pytest.mark.parametrize("failed", [False, True], ids=["told to", "its own failed"])
def test_data_that_overtakes_the_reply_of_a_new_server_is_taken(link, failed):
    """s2 has the entry, and waits for its ExaBGP: what its other Client sends meanwhile is c1's already."""
    link.run(2)
    two, one = link.named["c2"], link.named["c1"]
    link.feed(two, ChangeServer(1))
    link.run(3)
    hear = link.hear
    link.hear = lambda ip, *lines: None if lines == (b"done\n",) and ip == "203.0.113.2" else hear(ip, *lines)
    if failed:
        link.named["s1"].up = False
        one.core._neighbor_failed(one.core.cache.default, link.now)
        link._turn(one)
    else:
        link.feed(one, ChangeServer(1))
    link.run(link.now - START + 0.02)
    assert link.named["s2"].core.cache.owner(ONE)
    before = len(one.delivered)
    sent = talk(link, "c2", TO_ONE, 0.2)
    assert one.core.cache.default is None or str(one.core.cache.default.address) == "fe80::1"
    link.run(link.now - START + 1)
    assert len(one.delivered) - before == sent == 2
    assert str(one.core.cache.default.address) == "fe80::2"
    assert one.core.cache.get(ANYCAST) is None


@pytest.mark.requirement("CLI-3")
def test_a_server_that_is_asked_is_a_stranger_to_control(link):
    """Its address may be forged: what it says counts when it has answered."""
    link.run(2)
    one = link.named["c1"]
    link.named["s2"].up = False
    link.feed(one, ChangeServer(1))
    lladdr = LinkLayerAddress(Encapsulation.UDP, IPv4Address("203.0.113.2"), 8060)
    stand_in = one.core.cache.at(lladdr)
    assert stand_in.router
    assert not [each for each in one.core.inspect()["neighbors"] if each["address"] == str(stand_in.address)]
    packet = push_discovery(
        NeighborSolicitation(one.core.address, (Nonce(b"nonce!"),)), stand_in.address, one.core.address
    )
    one.sent.clear()
    link.feed(one, Controlled(Control(packet, lladdr, stand_in, len(packet))))
    assert not one.sent
    assert one.core.counters["origin_fail"] == 1
    link.run(link.now - START + 30)  # nobody answers there: on to s1 again
    assert str(one.core.cache.default.address) == "fe80::1"
    assert one.core.cache.at(lladdr) is None
