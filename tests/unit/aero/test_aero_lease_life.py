"""A Client's delegation in odd hours: leases that end or are taken back while something else goes on (spec CLI-*)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from aero_domain import START, DhcpServer, Link, with_relay

from agents.aero.client.lease import read_grant
from agents.aero.dataplane.sink import Control
from agents.aero.inner_packets import pull_inner, pull_udp, push_udp
from agents.aero.notices import ChangeServer
from agents.wire.dhcpv6 import Message, MessageType, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import ClientId, IaPd, IaPrefix, InterfaceId, RapidCommit, RelayMessage, ServerId

FIRST = IPv6Network("2001:db8:1000:2000::/56")


class Changed(DhcpServer):
    """Its messages are changed on their way out."""

    def change(self, message: Message) -> Message:
        raise NotImplementedError

    def answer(self, data: bytes) -> bytes | None:
        said = pull_dhcpv6(super().answer(data))
        changed = push_dhcpv6(self.change(pull_dhcpv6(said.first(RelayMessage).payload)))
        return push_dhcpv6(replace(said, options=(said.first(InterfaceId), RelayMessage(changed))))


class Revoking(Changed):
    """Takes everything back that is renewed."""

    revoking = False

    def change(self, message: Message) -> Message:
        if not self.revoking or message.first(RapidCommit):
            return message
        taken = (IaPd(each.iaid, 60, 100, (IaPrefix(FIRST, 0, 0),)) for each in message.every(IaPd))
        kept = [each for each in message.options if not isinstance(each, IaPd)]
        return replace(message, options=(*kept, *taken))


class Slow(Changed):
    """Forgets to say that its Reply to a Solicit is one."""

    def change(self, message: Message) -> Message:
        return replace(message, options=tuple(each for each in message.options if not isinstance(each, RapidCommit)))


def asked(node, *, host: str | None = None) -> list[Message]:
    """What a Client asked DHCPv6 servers, maybe those at one Server."""
    found = []
    for action in node.sent:
        inner = pull_inner(action.packet)
        if inner.next_header == 17 and host in (None, str(action.lladdr.ip)):
            found.append(pull_dhcpv6(pull_udp(inner).payload))
    return found


@pytest.mark.requirement("CLI-12")
def test_a_prefix_that_was_taken_back_is_gone_and_another_is_asked_for():
    """Valid lifetime 0 and nothing else: there is no lease to renew, so that the Client begins anew."""
    link = Link()
    server = link.add_server(1, Revoking(b"server1"))
    client = link.add_client(1, [server])
    link.attach(client)
    server.dhcp.revoking = True
    server.dhcp.numbers[bytes.fromhex(client.core.config.duid)] += 4
    client.sent.clear()
    link.run(61.0)
    assert FIRST not in client.core.prefixes
    assert not [key for key in client.items if key[0] == "black-hole" and key[1] == str(FIRST)]
    assert [message.type for message in asked(client)][:2] == [MessageType.RENEW, MessageType.SOLICIT]
    assert not asked(client)[1].first(IaPd).prefixes, "what was taken back is not asked for"
    assert list(client.core.prefixes) == [IPv6Network("2001:db8:1000:2400::/56")]
    assert next(iter(server.core.cache)).prefixes.keys() == client.core.prefixes.keys()


@pytest.mark.requirement("MOB-10", "CLI-17")
def test_a_lease_that_ends_during_its_release_is_not_asked_for_again():
    """The old Server would lease, and announce, what the new one has."""
    link = Link()
    first, second = with_relay(link, 2)
    client = link.add_client(1, [first, second])
    link.attach(client)
    link.lose = lambda sender, receiver, _packet: first in (sender, receiver)
    first.dhcp.silent = True
    client.core._delegations[0].lease.prefixes[FIRST] = link.now + 5.0  # all but over
    client.sent.clear()
    link.feed(client, ChangeServer(1))
    link.run(link.now - START + 30.0)
    assert {message.type for message in asked(client, host=first.ip)} == {MessageType.RELEASE}
    assert list(client.core.prefixes) == [FIRST]


@pytest.mark.requirement("CLI-17")
def test_what_was_not_leased_yet_is_asked_for_no_more_at_the_end():
    link = Link()
    server = link.add_server(1)
    server.dhcp.iaids = (1,)
    client = link.add_client(1, [server], families=("ipv6", "ipv4"))
    link.attach(client)
    client.sent.clear()
    link.stop(client)
    link.run(60.0)
    assert {message.type for message in asked(client)} == {MessageType.RELEASE}


@pytest.mark.requirement("CLI-2")
def test_a_reply_to_a_solicit_says_that_it_commits():
    """RFC 8415 §18.2.1, spec §6.9: 14 if to Solicit."""
    link = Link()
    client = link.add_client(1, [link.add_server(1, Slow(b"server1"))])
    link.start(client)
    link.run(5.0)
    assert not client.core.prefixes
    assert client.core.counters["dhcp_rapid_commit"] >= 2


@pytest.mark.requirement("CLI-11")
def test_an_offer_that_came_to_nothing_is_no_prefix_of_ours():
    """What a Solicit asks for is what was held before, and not what was offered in between."""
    link = Link()
    server = link.add_server(1)
    server.dhcp.rapid = False
    client = link.add_client(1, [server])
    link.lose = lambda sender, _receiver, packet: sender is client and packet[48] == MessageType.REQUEST
    link.start(client)
    link.run(300.0)
    solicits = [message for message in asked(client) if message.type == MessageType.SOLICIT]
    assert len(solicits) >= 2
    assert not any(message.first(IaPd).prefixes for message in solicits)


TIMES = {
    "as told": ((60, 100, 200, 300), (60, 100)),
    "left to us": ((0, 0, 200, 300), (100, 160)),
    "left to us, deprecated": ((0, 0, 0, 300), (150, 240)),
    "T1 left to us": ((0, 100, 200, 300), (62, 100)),
    "T2 left to us": ((50, 0, 200, 300), (50, 160)),
    "T2 left to us, T1 late": ((500, 0, 200, 300), (160, 160)),
    "later than the end": ((400, 900, 200, 300), (299, 299)),
    "at the end": ((100, 300, 200, 300), (100, 299)),
    "equal": ((100, 100, 200, 300), (100, 100)),
    "over at once": ((0, 0, 1, 1), (1, 1)),
    "T1 after T2": ((101, 100, 200, 300), None),
    "nothing given": ((60, 100, 0, 0), None),
}


@pytest.mark.requirement("CLI-8")
@pytest.mark.parametrize("name", TIMES)
def test_times_of_a_lease(name):
    """0 < T1 <= T2 < valid, whatever the server says; with two prefixes the shorter one counts"""
    (t1, t2, preferred, valid), times = TIMES[name]
    second = IaPrefix(IPv6Network("2001:db8:1000:3000::/56"), 900, 1000)
    for prefixes in ((IaPrefix(FIRST, preferred, valid),), (second, IaPrefix(FIRST, preferred, valid))):
        if times is None and len(prefixes) > 1 and not valid:
            continue
        message = Message(MessageType.REPLY, 1, (IaPd(1, t1, t2, prefixes), IaPd(2, 5, 6, (second,))))
        found = read_grant(message, 1, 1000.0, lambda _prefix: True)
        assert (found and (found.t1, found.t2)) == times
        assert not found or found.prefixes[FIRST] == 1000.0 + valid
    assert read_grant(message, 3, 1000.0, lambda _prefix: True) is None
    assert read_grant(message, 1, 1000.0, lambda _prefix: False) is None


@pytest.mark.requirement("CLI-3", "CLI-4")
@pytest.mark.parametrize("source", ["fe80::66", "fe80::2001:db8:1000:6600", "::1", "2001:db8::1"])
def test_nobody_takes_the_servers_name_by_an_answer_to_no_question(source):
    """A message that is dropped leaves nothing behind, also not for the next time that a prefix ends."""
    link = Link()
    server = link.add_server(1)
    server.dhcp.more = True
    client = link.add_client(1, [server])
    link.attach(client)
    first, second = client.core.prefixes
    message = Message(MessageType.REPLY, 7, (ClientId(b"x"), ServerId(b"s"), IaPd(1)))
    forged = push_udp(IPv6Address(source), client.core.address, 547, 546, push_dhcpv6(message))
    link.later(client, Control(forged, client.core.cache.default.path.lladdr, None, len(forged), False), 0.0)
    client.core._delegations[0].lease.prefixes[second] = link.now + 1.0
    link.run(2.0)
    assert list(client.core.prefixes) == [first]
    assert client.core.cache.default is client.core.cache.get(server.core.address)
    assert len(client.core.cache) == 1
    assert sum(client.core.counters[each] for each in ("dhcp_source", "dhcp_transaction")) == 1
