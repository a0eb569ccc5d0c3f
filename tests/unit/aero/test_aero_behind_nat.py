"""Clients that come to be behind a NAT, or whose NAT lets more through than UDP (spec CLI-9, ENC-11)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from aero_domain import START, Link, Nat
from test_aero_attach import established

from agents.aero.config import DataPlaneConfig
from agents.aero.dataplane.sink import Control
from agents.aero.lladdr import Encapsulation, LinkLayerAddress


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
