"""Clients that come to be behind a NAT, or whose NAT lets more through than UDP (spec CLI-9, ENC-11)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from aero_domain import START, Link, Nat
from test_aero_attach import established

from agents.aero.config import DataPlaneConfig
from agents.aero.dataplane.sink import Control
from agents.aero.inner_packets import push_discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.wire.nd import NeighborSolicitation
from agents.wire.nd_options import LinkLayerOption, Nonce


def in_use(node) -> set[Encapsulation]:
    return {path.lladdr.encapsulation for neighbor in node.core.cache for path in neighbor.paths}


class Static(Nat):
    """One inside host, everything translated: protocols 4 and 41 pass, too."""

    def out(self, lladdr: LinkLayerAddress, destination: LinkLayerAddress) -> LinkLayerAddress:
        return LinkLayerAddress(lladdr.encapsulation, ip_address(self.outside), lladdr.port)

    def lets_in(self, port: int, source: LinkLayerAddress) -> bool:
        return True


@pytest.mark.requirement("CLI-9")
def test_a_nat_that_appears_later_is_kept_open():
    """Renew shows it: the Server is asked every 20 s from then on, not every 30."""
    link = Link()
    client = link.add_client(1, [link.add_server(1)])
    link.start(client)
    link.run(58.0)
    client.nat = Nat(client.ip, "198.51.100.99", 40001)
    link.run(61.0)
    assert client.core.nat
    client.sent.clear()
    link.run(181.0)
    asked = [each for each in client.sent if each.packet[6] == 58 and each.packet[40] == 135 and not each.df]
    assert len(asked) >= 6
    assert len(link.said("attached")) == 1


@pytest.mark.requirement("ENC-11")
def test_a_nat_that_appears_later_ends_minimal_encapsulation():
    link, client, _path = established()
    server = link.nodes[0]
    client.nat = Static(client.ip, "198.51.100.99", 8060)
    link.run(100.0)
    assert client.core.nat
    client.sent.clear()
    link.run(1500.0)
    assert {each.lladdr.encapsulation for each in client.sent} == {Encapsulation.UDP}
    assert in_use(client) == in_use(server) == {Encapsulation.UDP}


@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize("wanted", ["minimal", "gue"])
def test_a_server_uses_nothing_but_udp_with_a_client_that_says_it_is_behind_a_nat(wanted):
    link = Link()
    server = link.add_server(1, dataplane=DataPlaneConfig(encapsulation=wanted))
    client = link.add_client(1, [server], nat=Static("10.1.1.2", "198.51.100.1", 8060))
    link.start(client)
    link.run(40.0)
    (entry,) = server.core.cache
    assert client.core.nat
    assert entry.path.nat
    assert in_use(server) == {Encapsulation.UDP}
    link.run(1300.0)
    assert in_use(server) == {Encapsulation.UDP}
    assert link.now == START + 1300.0


@pytest.mark.requirement("MOB-2", "SRV-3")
def test_a_client_that_moves_while_another_encapsulation_is_proved():
    """The proof arrives when the Client is elsewhere by what the Server knows: it is no proof of anything there."""
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server], encapsulation="minimal")
    here, kept = client.ip, []

    def keep(sender, _receiver, packet):
        held = sender is client and client.ip == here and packet[6] == 58 and packet[40] == 136
        if held:
            kept.append(packet)
        return held

    link.lose = keep
    link.start(client)
    link.run(0.2)
    where = LinkLayerAddress(Encapsulation.MINIMAL, ip_address(here), 0)
    link.move(client, "192.88.99.1")
    link.run(0.25)
    (entry,) = server.core.cache
    assert [str(path.lladdr.ip) for path in entry.paths] == ["192.88.99.1"]
    assert kept
    for late in kept:
        link.later(server, Control(late, where, None, len(late), False), 0.0)
    link.run(0.26)
    assert {str(path.lladdr.ip) for path in entry.paths} == {"192.88.99.1"}
    link.run(5.0)
    assert in_use(client) == {Encapsulation.UDP, Encapsulation.MINIMAL}


def said_by_nobody(link, server, client, nat: bool, ip: str = ""):
    """An outsider's NS under the Client's address, from its link-layer address: nothing that comes back reaches it."""
    (entry,) = server.core.cache
    lladdr = next(path.lladdr for path in entry.paths if path.lladdr.encapsulation is Encapsulation.UDP)
    own = replace(lladdr, ip=ip_address(ip)) if ip else lladdr
    seen = LinkLayerOption(target=False, encapsulation=own.encapsulation, ip=own.ipv6_form, port=own.port, nat=nat)
    message = NeighborSolicitation(server.core.address, (seen, Nonce(b"forged")))
    packet = push_discovery(message, entry.address, server.core.address)
    link.later(server, Control(packet, lladdr, entry, len(packet), False), 0.0)
    link.run(link.now - START + 0.3)
    return entry


@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize(("nat", "ip"), [(True, ""), (False, "10.6.6.6")], ids=["the flag", "another address"])
def test_nobody_else_puts_a_client_behind_a_nat(nat, ip):
    """Spec §9: with a forged outer source control is unaffected. The Client is asked, and says what is true."""
    link, client, _path = established()
    server = link.nodes[0]
    before = in_use(server)
    assert Encapsulation.MINIMAL in before
    asked = len(server.sent)
    entry = said_by_nobody(link, server, client, nat, ip)
    assert not any(path.nat for path in entry.paths)
    assert in_use(server) == before
    assert any(each.packet[40] == 135 for each in server.sent[asked:]), "it is asked at once"
    for _forged in range(10):
        said_by_nobody(link, server, client, nat, ip)
    assert in_use(server) == before
    assert len(server.sent) - asked < 60, "no more than there were lies, and their answers"


@pytest.mark.requirement("ENC-11")
def test_nobody_else_takes_the_nat_away():
    link = Link()
    server = link.add_server(1, dataplane=DataPlaneConfig(encapsulation="minimal"))
    client = link.add_client(1, [server], nat=Static("10.1.1.2", "198.51.100.1", 8060))
    link.start(client)
    link.run(40.0)
    entry = said_by_nobody(link, server, client, nat=False)
    assert entry.path.nat
    assert in_use(server) == {Encapsulation.UDP}
