"""Client and Server cores: attach, keep, notice a NAT, fail over, give back (spec CLI-*, SRV-*)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from aero_domain import START, DhcpServer, Link, Nat, with_relay

from agents.aero.addresses import aero_address
from agents.aero.client.core import ClientCore
from agents.aero.config import DataPlaneConfig, ServerChoice
from agents.aero.lladdr import Encapsulation
from agents.aero.neighbors import Reachability
from agents.aero.notices import ChangeServer, LinkChanged, PathWanted
from agents.aero.server.announcing import MED_BASE

FIRST = IPv6Network("2001:db8:1000:2000::/56")


def dhcp_type(packet: bytes) -> int:
    return packet[48] if packet[6] == 17 else 0


@pytest.mark.requirement("CLI-2", "CLI-4", "SRV-2")
def test_attach_with_rapid_commit():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(0.1)
    assert list(client.core.prefixes) == [FIRST]
    assert client.core.address == IPv6Address("fe80::2001:db8:1000:2000")
    home = client.core.cache.get(IPv6Address("fe80::1"))
    assert client.core.cache.default is home
    (entry,) = server.core.cache
    assert (entry.address, entry.path.lladdr) == (client.core.address, client.core.seen)
    assert not client.core.nat
    assert ("default", "6") in client.items
    assert ("black-hole", str(FIRST)) in client.items


@pytest.mark.requirement("CLI-2")
def test_attach_after_an_advertise():
    link = Link()
    dhcp = DhcpServer(b"s")
    dhcp.rapid = False
    client = link.add_client(1, [link.add_server(1, dhcp)])
    link.start(client)
    link.run(0.2)
    assert list(client.core.prefixes) == [FIRST]


def test_both_families_are_one_neighbor_of_the_server():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], families=("ipv6", "ipv4"))
    link.start(client)
    link.run(0.2)
    (entry,) = server.core.cache
    assert set(entry.prefixes) == {FIRST, ip_network("192.0.2.16/28")} == set(client.core.prefixes)
    assert entry.address == client.core.address


@pytest.mark.requirement("CLI-6", "CLI-10", "SRV-3", "SRV-9", "MOB-2")
def test_nat_is_seen_and_its_rebinding_repaired():
    link = Link()
    server = link.add_server(1)
    nat = Nat("10.1.1.2", "198.51.100.1", 40001)
    client = link.add_client(1, [server], nat=nat)
    link.start(client)
    link.run(0.1)
    assert client.core.nat
    assert client.core.seen.port == 40001
    nat.port = 40777
    link.run(30.0)
    (entry,) = server.core.cache
    assert [path.lladdr.port for path in entry.paths] == [40777]
    assert client.core.seen.port == 40777


@pytest.mark.requirement("CLI-8")
def test_renewed_before_it_ends():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1000.0)
    assert client.core.prefixes[FIRST] > START + 1000.0
    assert server.core.cache.get(client.core.address)


@pytest.mark.requirement("CLI-8", "CLI-12", "SRV-5")
def test_a_lease_that_nobody_extends_ends_on_both_sides():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1.0)
    server.dhcp.silent = True
    link.run(299.0)
    assert client.core.prefixes
    link.run(301.0)
    assert not client.core.prefixes
    assert len(server.core.cache) == 0
    assert not [key for key in client.items if key[0] in ("address", "default", "black-hole")]
    server.dhcp.silent = False
    link.run(500.0)
    assert list(client.core.prefixes) == [FIRST]


@pytest.mark.requirement("CLI-11")
def test_failed_server_is_left_for_the_next():
    link = Link()
    first, second = link.add_server(1), link.add_server(2)
    client = link.add_client(1, [first, second])
    link.start(client)
    link.run(1.0)
    prefix = list(client.core.prefixes)
    first.up = False
    link.run(45.0)
    assert link.said("server-failed")
    assert client.core.cache.default.address == IPv6Address("fe80::2")
    assert list(client.core.prefixes) == prefix
    assert second.core.cache.get(client.core.address)


@pytest.mark.requirement("CLI-1", "CLI-11")
def test_silent_first_server_at_start():
    link = Link()
    first, second = link.add_server(1), link.add_server(2)
    first.up = False
    client = link.add_client(1, [first, second])
    link.start(client)
    link.run(20.0)
    assert client.core.cache.default.address == IPv6Address("fe80::2")


@pytest.mark.requirement("SRV-8", "CLI-9")
@pytest.mark.parametrize("families", [("ipv4", "ipv6"), ("ipv6", "ipv4")])
def test_a_client_with_two_prefixes_speaks_in_the_name_of_either(families):
    """Its Server may have heard of the other one first (spec §4: several AERO addresses on one interface)."""
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], families=families)
    link.attach(client)
    (entry,) = server.core.cache
    own = {aero_address(prefix) for prefix in client.core.prefixes}
    assert len(own) == 2
    assert all(server.core.cache.get(each) is entry for each in own)
    link.run(100)  # a Client that is not answered asks every 30 s, and then leaves
    assert not link.said("server-failed")
    assert server.core.counters["origin_fail"] == 0


@pytest.mark.requirement("SRV-5", "SRV-8")
def test_a_client_whose_first_prefix_ends_is_known_by_the_other():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], families=("ipv6", "ipv4"))
    link.attach(client)
    (entry,) = server.core.cache
    ended, kept = sorted(client.core.prefixes, key=lambda prefix: -prefix.version)
    assert entry.address == aero_address(ended)
    server.core._leases.released(entry.duid, [ended], link.now)
    assert entry.address == aero_address(kept)
    assert server.core.cache.get(aero_address(ended)) is None
    server.core._discovery.solicit(entry, entry.path, link.now)
    link._turn(server)
    link.run(10)
    assert entry.path.reachability is Reachability.REACHABLE
    client.up = False
    link.run(400)
    assert not list(server.core.cache)


@pytest.mark.requirement("CLI-11", "MOB-8")
def test_two_servers_are_not_asked_at_one_moment():
    """Both would hold the Client, with announcements of equal age; the second is asked when the first had its time."""
    link = Link()
    first, second = with_relay(link, 2)
    client = link.add_client(1, [first, second])
    link.passes = lambda sender, _receiver, _lladdr: sender is not first  # it hears us, and is not heard
    link.start(client)
    link.run(20.0)
    asked = [(action.lladdr.ip, dhcp_type(action.packet)) for action in client.sent if dhcp_type(action.packet)]
    assert asked == [(ip_address(first.ip), 1)] * 2 + [(ip_address(second.ip), 1)]
    (prefix,) = client.core.prefixes
    meds = [route.med for server in (first, second) for route in server.core._speaker._all()]
    assert len(meds) == 2
    assert meds[1] < meds[0]
    assert link.relay.core.cache.owner(prefix[1]).address == second.core.address


@pytest.mark.requirement("MOB-8", "MOB-13")
def test_the_newest_attachment_counts_by_the_wall_clock():
    """A Server that was told the time after its start is not the older one for ever (spec §11: MED by the wall clock);
    one whose clock steps back uses nothing twice."""
    link = Link()
    first, second = with_relay(link, 2)
    client = link.add_client(1, [first, second])
    ahead = {first.ip: 0.0, second.ip: 0.0}
    for server in (first, second):
        server.core.wall.ahead = lambda ip=server.ip: ahead[ip]
    ahead[first.ip] = 3600.0  # the second has not heard yet how late it is
    link.attach(client)
    (prefix,) = client.core.prefixes
    meds = []

    def med(server):
        (route,) = server.core._speaker._all()
        assert route.prefix == prefix
        return route.med

    meds.append(med(first))
    assert meds[-1] == MED_BASE - int(link.now + 3600)
    link.passes = lambda sender, _receiver, _lladdr: sender is not first
    ahead[second.ip] = 3600.0
    link.run(60.0)
    meds.append(med(second))
    assert meds[1] < meds[0]
    ahead[second.ip] = -7200.0
    second.core._announcing.granted([prefix], attached=True, now=link.now)
    assert med(second) == meds[1] - 1


@pytest.mark.requirement("CLI-11")
def test_a_client_that_gets_one_prefix_of_two_stays():
    """No Server delegates IPv4: it is asked for now and then, at the Server that delegated IPv6."""
    link = Link()
    servers = [link.add_server(number) for number in (1, 2)]
    for server in servers:
        server.dhcp.iaids = (1,)
    client = link.add_client(1, servers, families=("ipv6", "ipv4"))
    link.start(client)
    link.run(100.0)
    assert [len(link.said("attached")), len(link.said("attaching"))] == [1, 1]
    assert list(client.core.prefixes) == [FIRST]
    solicits = [action for action in client.sent if dhcp_type(action.packet) == 1]
    assert 5 < len(solicits) < 10  # with back-off, for IPv4


@pytest.mark.requirement("CLI-17", "SRV-5")
def test_everything_is_given_back_at_the_end():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1.0)
    link.stop(client)
    link.run(2.0)
    assert len(server.core.cache) == 0
    assert not client.core.prefixes


@pytest.mark.requirement("ENC-10")
def test_minimal_encapsulation_once_both_sides_proved_it():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], encapsulation="minimal")
    link.start(client)
    link.run(1.0)
    assert client.core.cache.default.path.lladdr.encapsulation is Encapsulation.MINIMAL
    (entry,) = server.core.cache
    kinds = {path.lladdr.encapsulation for path in entry.paths}
    assert kinds == {Encapsulation.UDP, Encapsulation.MINIMAL}
    assert entry.path.lladdr.encapsulation is Encapsulation.UDP  # the Server was not asked to use it


@pytest.mark.requirement("ENC-11")
def test_no_minimal_encapsulation_from_behind_a_nat():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], nat=Nat("10.1.1.2", "198.51.100.1"), encapsulation="minimal")
    link.start(client)
    link.run(5.0)
    assert {action.lladdr.encapsulation for action in client.sent} == {Encapsulation.UDP}


@pytest.mark.requirement("ENC-9")
def test_blocked_encapsulation_is_not_used():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], encapsulation="minimal")
    link.passes = lambda _sender, _receiver, lladdr: lladdr.encapsulation is not Encapsulation.MINIMAL
    link.start(client)
    link.run(20.0)
    assert client.core.cache.default.path.lladdr.encapsulation is Encapsulation.UDP


@pytest.mark.requirement("FRAG-3")
def test_size_of_the_path_is_found_at_attach():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1.0)
    assert client.core.cache.default.path.size.proven == 1500


def established(**options):
    """A Client and its Server, both on minimal encapsulation."""
    link = Link()
    server = link.add_server(1, dataplane=DataPlaneConfig(encapsulation="minimal"))
    client = link.add_client(1, [server], encapsulation="minimal", **options)
    link.start(client)
    link.run(2.0)
    (entry,) = server.core.cache
    path = client.core.cache.default.path
    assert path.lladdr.encapsulation is entry.path.lladdr.encapsulation is Encapsulation.MINIMAL
    return link, client, path


def block(link):
    """A middlebox drops minimal encapsulation from now on."""
    link.passes = lambda _sender, _receiver, lladdr: lladdr.encapsulation is not Encapsulation.MINIMAL


@pytest.mark.requirement("ENC-9", "CLI-9")
@pytest.mark.parametrize("begin", [10.0, 10.25, 10.5, 10.999])
def test_blocked_data_leaves_its_encapsulation_within_eight_seconds(begin):
    """Whenever it begins: nearly five seconds of silence and three solicitations, no second of looking in between."""
    link, client, path = established()
    link.run(begin)
    path.last_received = START + begin  # the latest reply
    block(link)
    path.last_sent = START + begin + 0.01
    link.run(begin + 7.89)
    assert client.core.cache.default.path is path
    link.run(begin + 7.91)
    assert client.core.cache.default.path.lladdr.encapsulation is Encapsulation.UDP


@pytest.mark.requirement("ENC-9")
def test_a_probe_of_a_size_does_not_stand_in_for_the_question_whether_the_neighbor_is_there():
    link, client, path = established()
    path.last_received = START + 2.0
    path.last_sent = START + 2.01
    block(link)
    link.run(6.5)
    discovery = client.core._discovery
    discovery.solicitations.send(
        client.core.cache.default, path.lladdr, link.now, answered=lambda *_: None, retries=1, size=1400
    )
    link.run(10.001)
    assert client.core.cache.default.path.lladdr.encapsulation is Encapsulation.UDP


@pytest.mark.requirement("FRAG-14")
@pytest.mark.parametrize("kept", [True, False])
def test_identifications_count_only_where_they_arrive_as_they_were_sent(kept):
    """A middlebox takes atomic Fragment Headers away: fragments may pass, their identifications mean nothing."""
    link = Link()
    original = link._transmit
    link._transmit = lambda sender, action: original(sender, replace(action, atomic=action.atomic and kept))
    server = link.add_server(1)
    client = link.add_client(1, [server], encapsulation="minimal")
    link.start(client)
    link.run(2.0)
    path = client.core.cache.default.path
    assert (path.fragments, path.identifications) == (True, kept)


@pytest.mark.requirement("FRAG-3")
@pytest.mark.parametrize("role", ["client", "server"])
def test_an_interface_with_another_mtu_is_felt_on_existing_paths(role):
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1.0)
    node = client if role == "client" else server
    (entry,) = node.core.cache
    entry.path.size.used(1500, link.now)
    link.feed(node, PathWanted(entry, entry.path))
    link.run(2.0)
    assert entry.path.size.proven == 1500
    link.mtu = 9000
    link.feed(node, LinkChanged("eth0", 9000))
    assert entry.path.size.mtu == 9000
    entry.path.size.used(1500, link.now)
    link.feed(node, PathWanted(entry, entry.path))
    link.run(3.0)
    assert entry.path.size.proven == 1528
    link.feed(node, LinkChanged("eth0", 1400))
    link.run(4.0)
    assert entry.path.size.proven == 1400


@pytest.mark.requirement("CLI-1", "CLI-11")
def test_a_server_that_does_not_answer_at_one_address_is_asked_at_the_next():
    """An ordered list of addresses, v4 and/or v6: all of them, the Servers one after the other."""
    link = Link()
    client = link.add_client(1, [])
    choices = tuple(
        ServerChoice((ip_address(f"203.0.113.{number}"), ip_address(f"2001:db8:f::{number}"))) for number in (1, 2)
    )
    links = (replace(client.core.config.links[0], addresses=(ip_address(client.ip), ip_address("2001:db8:c::1"))),)
    client.core = ClientCore(replace(client.core.config, servers=choices, links=links))
    link.start(client)
    link.run(15.0)
    asked = [each["server"].removeprefix("udp ") for each in link.said("attaching")]
    assert asked[:5] == [
        "203.0.113.1:8060",
        "203.0.113.2:8060",
        "[2001:db8:f::1]:8060",
        "[2001:db8:f::2]:8060",
        "203.0.113.1:8060",
    ]


@pytest.mark.requirement("CLI-1", "MOB-7")
def test_servers_are_counted_as_they_are_listed():
    """The first one of the list is out of reach: the second one is the second one all the same."""
    link = Link()
    servers = [link.add_server(number) for number in (1, 2, 3)]
    client = link.add_client(1, servers)
    choices = (ServerChoice((ip_address("2001:db8:f::1"),)), *client.core.config.servers[1:])
    client.core = ClientCore(replace(client.core.config, servers=choices))
    link.start(client)
    link.run(1.0)
    assert str(client.core.cache.default.path.lladdr.ip) == servers[1].ip
    link.feed(client, ChangeServer(2))
    link.run(15.0)
    assert str(client.core.cache.default.path.lladdr.ip) == servers[2].ip
    link.feed(client, ChangeServer(0))
    link.run(30.0)
    assert str(client.core.cache.default.path.lladdr.ip) == servers[2].ip
    assert link.said("no-server")


@pytest.mark.requirement("CLI-1")
def test_a_client_that_starts_without_an_underlay_address_attaches_when_it_has_one():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    here, client.ip = client.ip, "0.0.0.0"
    config = client.core.config
    client.core = ClientCore(replace(config, links=(replace(config.links[0], addresses=()),)))
    link.start(client)
    link.run(5.0)
    assert not client.core.prefixes
    link.move(client, here)
    link.run(6.0)
    assert list(client.core.prefixes) == [FIRST]
