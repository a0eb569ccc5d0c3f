"""Spec §11 on control messages, row by row: Neighbor Discovery, DHCPv6 from both sides, the relay's answers."""

from __future__ import annotations

import hmac
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address

import pytest
from aero_domain import DhcpServer, Link
from aero_forged import C1, DUID, S1, THIEF, dhcp, relay_forward, relay_reply, request, solicitation
from aero_packets import ipv6
from aero_whole import SERVER, STRANGER, attached

from agents.aero.addresses import PRE_ATTACH
from agents.aero.constants import ALL_DHCP_SERVERS
from agents.aero.dhcp_auth import sign
from agents.aero.inner_packets import push_discovery, push_inner, push_udp
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import DhcpAnswer, TooBig, Unreachable
from agents.aero.server.interface_id import push_interface_id
from agents.aero.server.ldra import LARGEST, Refused
from agents.wire.buffer import ipv6_checksum
from agents.wire.dhcpv6 import Message, MessageType, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import (
    Auth,
    ClientId,
    ClientLinkLayer,
    IaPd,
    IaPrefix,
    InterfaceId,
    RelayMessage,
    ServerId,
    StatusCode,
)
from agents.wire.nd import ICMPV6, NeighborAdvertisement, NeighborSolicitation, Redirect, push_nd
from agents.wire.nd_options import LinkLayerOption, Nonce, Observed

KEY = bytes(range(16))
LOCALHOST = IPv6Address("::1")


def checked(message: bytes) -> bytes:
    """An ICMPv6 message, written by hand, with a right checksum."""
    blank = message[:2] + b"\0\0" + message[4:]
    return push_inner(C1, S1, ICMPV6, blank[:2] + ipv6_checksum(C1, S1, ICMPV6, blank).to_bytes(2, "big") + blank[4:])


def of_nd(*options: bytes, kind: int = 135, code: int = 0) -> bytes:
    return checked(bytes((kind, code, 0, 0)) + bytes(4) + S1.packed + b"".join(options))


def damaged(packet: bytes) -> bytes:
    return packet[:42] + bytes((packet[42] ^ 1,)) + packet[43:]


LINK_LAYER = LinkLayerOption(True, 0, IPv6Address("::ffff:198.51.100.66"), 8060)
ND_ROWS = {
    "NS with hop limit 254": (solicitation(hop_limit=254), "nd_hop_limit"),
    "NA with hop limit 64": (push_discovery(NeighborAdvertisement(C1), C1, S1, hop_limit=64), "nd_hop_limit"),
    "checksum": (damaged(solicitation()), "control_malformed"),
    "code 1": (of_nd(code=1), "control_malformed"),
    "option of length 0": (of_nd(b"\x0e\0" + bytes(6)), "control_malformed"),
    "option past the end": (of_nd(b"\x01\x03" + bytes(6)), "control_malformed"),
    "nonce of 14 octets": (of_nd(b"\x0e\x02" + bytes(14)), "control_malformed"),
    "target cut short": (checked(bytes((135, 0, 0, 0)) + bytes(10)), "control_malformed"),
    "NS for somebody else": (
        push_discovery(NeighborSolicitation(IPv6Address("fe80::9")), C1, IPv6Address("fe80::9")),
        "nd_not_for_us",
    ),
    "NS for us that is sent to another": (
        push_discovery(NeighborSolicitation(S1), C1, IPv6Address("fe80::9")),
        "nd_not_for_us",
    ),
    "NA nobody asked for": (
        push_discovery(NeighborAdvertisement(C1, options=(Nonce(b"guess!"), LINK_LAYER)), C1, S1),
        "nd_unknown_nonce",
    ),
    "NA of an address change, without AUTH": (
        push_discovery(NeighborAdvertisement(C1, override=True, options=(LINK_LAYER,)), C1, S1),
        "nd_unknown_nonce",
    ),
    "ordinary Redirect": (
        push_inner(C1, S1, ICMPV6, push_nd(Redirect(C1, IPv6Address("2001:db8::1")), C1, S1), 255),
        "control_malformed",
    ),
    "Redirect with hop limit 0": (
        push_inner(C1, S1, ICMPV6, push_nd(Redirect(C1, C1), C1, S1), 0),
        "control_malformed",
    ),
    "no ICMPv6 at all": (push_inner(C1, S1, ICMPV6, b""), "control_malformed"),
    "TCP on the link": (bytes(ipv6(str(C1), str(S1), proto=6)), "control_unexpected"),
}


@pytest.mark.requirement("SEC9-9", "SRV-3", "SRV-8", "LDRA-1")
@pytest.mark.parametrize(("packet", "counter"), ND_ROWS.values(), ids=ND_ROWS)
def test_discovery(packet, counter):
    server, _client = attached()
    before = server.state()
    server.arrive(packet)
    assert server.counted() == {counter: 1}
    assert (server.sent, server.delivered, server.state()) == ([], [], before)


@pytest.mark.requirement("SEC9-16", "SRV-8", "SRV-9")
def test_a_server_answers_for_itself_and_for_the_anycast_address_to_those_it_knows():
    server, _client = attached()
    for target in (S1, IPv6Address("fe80::")):
        server.arrive(push_discovery(NeighborSolicitation(target, (Nonce(b"nonce!"),)), C1, target))
    assert [each.payload[40] for each in server.sent] == [136, 136]
    own = LinkLayerOption(False, 0, IPv6Address("::ffff:198.51.100.1"), 8060)
    known_inside = push_discovery(NeighborSolicitation(S1, (own, Nonce(b"nonce!"))), C1, S1)
    for _time in range(3):
        server.arrive(known_inside, STRANGER)
    hint = server.sent.pop()
    assert len(server.sent) == 2, "one hint a second"
    assert (hint.ip, hint.payload[40], hint.payload[44] & 0x40) == (STRANGER, 136, 0)
    assert len(hint.payload) <= len(known_inside)
    server.now += 2.0
    server.arrive(solicitation(), STRANGER)
    assert len(server.sent) == 2, "never more octets than came"
    other = push_discovery(NeighborSolicitation(S1, (Nonce(b"nonce!"),)), IPv6Address("fe80::77"), S1)
    server.arrive(other, STRANGER)
    assert len(server.sent) == 2, "a stranger under an unknown address gets nothing"


def test_an_option_of_another_length_is_not_a_link_layer_address():
    server, _client = attached()
    server.arrive(of_nd(b"\x01\x01" + bytes(6), b"\x0e\x01nonce!"))
    assert server.counted() == {}
    assert server.sent[0].payload[40] == 136


@pytest.mark.requirement("SEC9-5", "CLI-10")
def test_a_hint_from_a_stranger_moves_no_client():
    _server, client = attached()
    before = client.state()
    seen = Observed(0, IPv6Address("::ffff:198.51.100.66"), 8060, 100)
    client.arrive(push_discovery(NeighborAdvertisement(S1, router=True, options=(seen,)), S1, C1), STRANGER)
    assert client.counted() == {"nd_unknown_nonce": 1}
    assert (client.sent, client.state()) == ([], before)


# --- DHCPv6 messages of Clients


RELEASE = IaPd(1, options=(IaPrefix(IPv6Network("2001:db8:1000:2000::/56")),))
DHCP_ROWS = {
    **{f"type {kind}": (request(kind, ClientId(THIEF)), "dhcp_type") for kind in (2, 7, 10, 14, 99)},
    "Relay-forward with an RSOO of its own": (dhcp(relay_forward()), "dhcp_type"),
    "Relay-reply": (dhcp(b"\x0d\0" + bytes(32)), "dhcp_type"),
    "three octets": (dhcp(b"\x01\0\0"), "dhcp_short"),
    "nothing": (dhcp(b""), "dhcp_short"),
    **{
        f"from {source}": (request(1, ClientId(THIEF), source=IPv6Address(source)), "dhcp_source")
        for source in ("::", "::1", "2001:db8::66", "ff02::1", "fe80::", "fe80::1", "fe80:0:0:1::66")
    },
    "to another port": (request(1, ClientId(THIEF), port=548), "dhcp_port"),
    "UDP checksum": (request(1, ClientId(THIEF))[:-1] + b"\xff", "control_malformed"),
    "UDP longer than the packet": (
        push_inner(PRE_ATTACH, ALL_DHCP_SERVERS, 17, b"\2\x22\2\x23\0\x20\1\1"),
        "control_malformed",
    ),
    "another's lease given back": (request(8, ClientId(DUID), RELEASE), "release_origin"),
    "a Release nobody can read": (
        dhcp(b"\x08\0\0\1" + b"\0\1\0\x0a" + DUID + b"\0\x19\0\x30cut"),
        "release_origin",
    ),
    "two Client-IDs": (request(5, ClientId(THIEF), ClientId(DUID)), "dhcp_client_id"),
}


@pytest.mark.requirement("SEC9-12", "LDRA-2", "LDRA-3", "LDRA-12", "LDRA-1")
@pytest.mark.parametrize(("packet", "counter"), DHCP_ROWS.values(), ids=DHCP_ROWS)
def test_client_messages_that_are_not_relayed(packet, counter):
    server, _client = attached()
    before = server.state()
    server.arrive(packet, STRANGER)
    assert server.counted() == {counter: 1}
    assert (server.asked, server.sent, server.state()) == ([], [], before)


@pytest.mark.requirement("LDRA-4")
def test_what_is_cut_short_behind_its_type_is_the_dhcp_servers_to_judge():
    server, _client = attached()
    payload = b"\x01\0\0\1" + b"\0\1\0\x0acut"
    server.arrive(dhcp(payload), STRANGER)
    (asked,) = server.asked
    assert asked.endswith(payload)


@pytest.mark.requirement("LDRA-4")
def test_what_names_no_client_is_the_dhcp_servers_to_judge():
    server, _client = attached()
    before = server.state()
    for kind in (1, 8, 11):
        server.arrive(request(kind, IaPd(1)), STRANGER)
    assert len(server.asked) == 3
    assert (server.counted(), server.state()) == ({}, before)


@pytest.mark.requirement("LDRA-11")
def test_a_message_too_long_for_the_dhcp_server_is_dropped():
    server, _client = attached()
    ldra = server.node.core._dhcp.ldra
    lladdr = LinkLayerAddress(Encapsulation.UDP, ip_address(STRANGER), 8060)
    longest = LARGEST - len(ldra.forward(b"\1\0\0\0", PRE_ATTACH, lladdr)) + 4
    assert len(ldra.forward(b"\1" + bytes(longest - 1), PRE_ATTACH, lladdr)) == LARGEST
    with pytest.raises(Refused, match="dhcp_too_long"):
        ldra.forward(b"\1" + bytes(longest), PRE_ATTACH, lladdr)


@pytest.mark.requirement("SRV-14")
def test_a_flood_of_requests_is_thinned():
    server, _client = attached(server={"rate_total": 100.0})
    for _number in range(500):
        server.arrive(request(1, ClientId(THIEF)), STRANGER)
    assert len(server.asked) == 20
    for number in range(500):
        server.arrive(request(1, ClientId(THIEF)), f"192.0.2.{number % 250}")
    assert len(server.asked) == 100
    assert server.counted() == {"dhcp_rate": 900}
    server.now += 1.0
    server.arrive(request(1, ClientId(THIEF)), STRANGER)
    assert len(server.asked) == 101
    assert len(server.said("dropped")) == 3, "the log is not flooded"


AUTHENTIC = Message(MessageType.RENEW, 5, (ClientId(DUID), IaPd(1)))
AUTH_ROWS = {
    "none": (AUTHENTIC, "auth_missing"),
    "another's key": (sign(AUTHENTIC, bytes(16), 1 << 40), "auth_wrong"),
    "changed afterwards": (replace(sign(AUTHENTIC, KEY, 1 << 40), transaction=6), "auth_wrong"),
    "of no known Client": (sign(replace(AUTHENTIC, options=(ClientId(THIEF),)), KEY, 1 << 40), "auth_missing"),
    "two": (
        replace(AUTHENTIC, options=(*sign(AUTHENTIC, KEY, 1 << 40).options, Auth(1 << 40))),
        "auth_wrong",
    ),
}


def guarded():
    return attached(server={"auth_keys": {DUID.hex(): KEY.hex()}}, auth_key=KEY.hex())


@pytest.mark.requirement("SEC9-10", "SRV-13")
@pytest.mark.parametrize(("message", "counter"), AUTH_ROWS.values(), ids=AUTH_ROWS)
def test_authentication(message, counter):
    server, _client = guarded()
    before = server.state()
    server.arrive(dhcp(push_dhcpv6(message)), STRANGER)
    assert server.counted() == {counter: 1}
    assert (server.asked, server.sent, server.state()) == ([], [], before)


@pytest.mark.requirement("SRV-13")
def test_the_code_is_that_of_the_sheet():
    """Option 11: protocol 250, algorithm 2, RDM 0, replay value, HMAC-SHA-256/128 over the message with a zero MAC"""
    octets = push_dhcpv6(sign(AUTHENTIC, KEY, 0x0102030405060708))
    option = bytes.fromhex("000b001b fa0200 0102030405060708")
    assert octets[:-16].endswith(option)
    assert octets[-16:] == hmac.digest(KEY, octets[:-16] + bytes(16), "sha256")[:16]


@pytest.mark.requirement("SEC9-10", "SEC9-11", "SRV-13")
def test_authentic_messages_pass_once_and_the_unreadable_never():
    server, _client = guarded()
    fresh = dhcp(push_dhcpv6(sign(AUTHENTIC, KEY, 1 << 60)))
    for _time in range(2):
        server.arrive(fresh)
    server.arrive(dhcp(b"\x05\0\0\5" + b"\0\1\0\x0a" + DUID + b"\0\x19\0\x30cut"))
    assert len(server.asked) == 1
    assert server.counted() == {"auth_replayed": 1, "auth_missing": 1}


# --- answers of the DHCPv6 server


REPLY = push_dhcpv6(
    Message(MessageType.REPLY, 0x123456, (ClientId(THIEF), ServerId(b"server1"), IaPd(1, 60, 100, RELEASE.options[:0])))
)
FORGED_ID = push_interface_id(LinkLayerAddress(Encapsulation.UDP, ip_address(STRANGER), 8060), bytes(16))
REPLY_ROWS = {
    "from elsewhere": ({}, IPv6Address("2001:db8::66"), "relay_reply_source"),
    "hop count 1": ({"hop_count": 1}, LOCALHOST, "relay_reply_nested"),
    "link address": ({"link_address": IPv6Address("2001:db8::1")}, LOCALHOST, "relay_reply_nested"),
    "no Relay-reply": ({"type": MessageType.RELAY_FORWARD}, LOCALHOST, "relay_reply_type"),
    "Interface-ID of another": ({"identifier": FORGED_ID}, LOCALHOST, "relay_reply_interface"),
    "Interface-ID too short": ({"identifier": FORGED_ID[:-1]}, LOCALHOST, "relay_reply_interface"),
    "no Interface-ID": ({"options": (RelayMessage(REPLY),)}, LOCALHOST, "relay_reply_interface"),
    "two Relay Messages": (
        {"options": (InterfaceId(FORGED_ID), RelayMessage(REPLY), RelayMessage(REPLY))},
        LOCALHOST,
        "relay_reply_payload",
    ),
    "no Relay Message": ({"options": (InterfaceId(FORGED_ID),)}, LOCALHOST, "relay_reply_payload"),
    "nested": (
        {"options": (InterfaceId(FORGED_ID), RelayMessage(b"\x0d\0" + bytes(32)))},
        LOCALHOST,
        "relay_reply_payload",
    ),
}


@pytest.mark.requirement("SEC9-13", "LDRA-7")
@pytest.mark.parametrize(("changes", "source", "counter"), REPLY_ROWS.values(), ids=REPLY_ROWS)
def test_forged_answers_reach_nobody(changes, source, counter):
    server, _client = attached()
    before = server.state()
    server.feed(DhcpAnswer(relay_reply(server, REPLY, **changes), source))
    assert server.counted() == {counter: 1}
    assert (server.sent, server.state()) == ([], before)


@pytest.mark.requirement("SEC9-13", "LDRA-7")
@pytest.mark.parametrize("octets", [b"", b"\x0d", b"\x0d\0" + bytes(31), b"\x0d\0" + bytes(32) + b"\0\x09\xff\xff"])
def test_answers_cut_short(octets):
    server, _client = attached()
    server.feed(DhcpAnswer(octets, LOCALHOST))
    assert server.counted() == {"relay_reply_malformed": 1}


@pytest.mark.requirement("SEC9-13", "SRV-2")
def test_an_answer_to_no_question_makes_no_entry():
    server, _client = attached()
    before = server.state()
    leased = IaPd(1, 60, 100, (IaPrefix(IPv6Network("2001:db8:1000:7700::/56"), 200, 300),))
    reply = push_dhcpv6(Message(MessageType.REPLY, 9, (ClientId(THIEF), ServerId(b"server1"), leased)))
    server.feed(DhcpAnswer(relay_reply(server, reply), LOCALHOST))
    assert server.state() == before
    assert server.sent == [], "a Client that is told of a lease believes in an entry"
    assert server.counted() == {"relay_reply_unasked": 1}
    server.feed(DhcpAnswer(relay_reply(server, reply + b"\0\x4f\0\x14cut"), LOCALHOST))
    assert (server.sent, server.counted()["relay_reply_unread"]) == ([], 1)
    nothing = push_dhcpv6(Message(MessageType.REPLY, 9, (ClientId(THIEF), ServerId(b"server1"), StatusCode(6))))
    server.feed(DhcpAnswer(relay_reply(server, nothing), LOCALHOST))
    assert len(server.sent) == 1, "a refusal promises nothing"


@pytest.mark.requirement("SRV-2", "SRV-3")
def test_a_message_that_was_sent_again_from_elsewhere_is_answered_to_there():
    """The NAT gave the Client another port between two transmissions: the last answer is the last exchange."""
    server, _client = attached()
    client = LinkLayerAddress(Encapsulation.UDP, ip_address(STRANGER), 40001)
    leased = IaPd(1, 60, 100, (IaPrefix(IPv6Network("2001:db8:1000:7700::/56"), 200, 300),))
    reply = push_dhcpv6(Message(MessageType.REPLY, 0x123456, (ClientId(THIEF), ServerId(b"server1"), leased)))
    for port in (40001, 40002):
        server.arrive(request(1, ClientId(THIEF), IaPd(1)), STRANGER, port=port)
    for port in (40001, 40002):
        identifier = push_interface_id(replace(client, port=port), server.node.core._dhcp.secret)
        server.feed(DhcpAnswer(relay_reply(server, reply, identifier=identifier), LOCALHOST))
        entry = server.node.core._leases.of(THIEF)
        assert [path.lladdr.port for path in entry.paths] == [port] == [server.sent[-1].port]


BAD_PREFIXES = {
    "another Client's": "2001:db8:1000:2000::/56",
    "longer than /64": "2001:db8:1000:7700::/72",
    "link-local": "fe80:0:0:1::/64",
    "with the link-local ones in it": "f000::/4",
    "multicast": "ff0e::/16",
    "loopback": "::/64",
    "mapped, shorter than /8": "::ffff:64.0.0.0/102",
    "mapped multicast": "::ffff:224.1.1.0/120",
    "with the Server's underlay address in it": "::ffff:203.0.113.0/120",
}


@pytest.mark.requirement("SEC9-10", "SRV-4")
@pytest.mark.parametrize("prefix", BAD_PREFIXES.values(), ids=BAD_PREFIXES)
def test_a_prefix_the_thief_cannot_have(prefix):
    server, _client = attached()
    before = server.state()
    server.arrive(request(1, ClientId(THIEF), IaPd(1)), STRANGER)
    leased = IaPd(1, 60, 100, (IaPrefix(IPv6Network(prefix), 200, 300),))
    reply = push_dhcpv6(Message(MessageType.REPLY, 0x123456, (ClientId(THIEF), ServerId(b"server1"), leased)))
    server.feed(DhcpAnswer(relay_reply(server, reply), LOCALHOST))
    assert server.counted() == {"lease_conflict": 1}
    assert server.said("lease-refused")
    assert (server.sent, server.state()) == ([], before)


# --- answers at the Client


class Lying(DhcpServer):
    """A DHCPv6 server that answers as the test wants."""

    def __init__(self, prefix: str, t1: int = 60, t2: int = 100, status: int = 0, extra: tuple = ()) -> None:
        super().__init__(b"liar", t1=t1, t2=t2)
        self._prefix, self._status, self._extra = IPv6Network(prefix), status, extra

    def prefix(self, duid: bytes, iaid: int) -> IPv6Network:
        return self._prefix

    def answer(self, data: bytes) -> bytes | None:
        said = pull_dhcpv6(super().answer(data))
        inside = pull_dhcpv6(said.first(RelayMessage).payload)
        options = [each for each in inside.options if not (self._extra and isinstance(each, ClientLinkLayer))]
        if self._status:
            options = [each for each in options if not isinstance(each, IaPd)] + [StatusCode(self._status)]
        payload = push_dhcpv6(replace(inside, options=(*options, *self._extra)))
        return push_dhcpv6(replace(said, options=(said.first(InterfaceId), RelayMessage(payload))))


@pytest.mark.requirement("CLI-8")
@pytest.mark.parametrize(
    ("prefix", "times"),
    [
        ("2001:db8:1000:7700::/72", (60, 100)),
        ("2001:db8:1000:7700::/56", (100, 60)),
        ("::/64", (60, 100)),
        ("fe80::/64", (60, 100)),
        ("2001:db8:c::/48", (60, 100)),
    ],
)
def test_a_client_refuses_what_it_cannot_use(prefix, times):
    """Too long, T1 behind T2, nobody's, and one with the underlay in it."""
    link = Link()
    server = link.add_server(1, Lying(prefix, *times))
    client = link.add_client(1, [server])
    underlay = ip_address("2001:db8:c::1")
    client.core.links._links = (replace(client.core.links._links[0], addresses=(ip_address(client.ip), underlay)),)
    server.core._leases.granted = lambda _reply, _lladdr, _now: None
    link.start(client)
    link.run(10.0)
    assert not client.core.prefixes
    assert client.core.counters["dhcp_no_prefix"] >= 3
    assert not [key for key in client.items if key[0] == "default"]


@pytest.mark.parametrize(("status", "asked_again"), [(6, True), (5, False)])
def test_status_codes(status, asked_again):
    """NoPrefixAvail: again, ever more slowly; UseMulticast: no matter."""
    link = Link()
    dhcp_server = Lying("2001:db8:1000:7700::/56", status=status if asked_again else 0)
    if not asked_again:
        dhcp_server._extra = (StatusCode(5),)
    client = link.add_client(1, [link.add_server(1, dhcp_server)])
    link.start(client)
    link.run(20.0)
    assert bool(client.core.prefixes) is not asked_again
    if asked_again:
        assert 3 <= client.core.counters["dhcp_refused"] <= 6


def test_no_binding_means_solicit():
    link = Link()
    server = link.add_server(1)
    client = link.add_client(1, [server])
    link.start(client)
    link.run(1.0)
    first, server.dhcp = server.dhcp, Lying("2001:db8:1000:2000::/56", status=3)
    server.dhcp.duid = first.duid
    link.run(60.5)
    server.dhcp = first
    link.run(70.0)
    assert client.core.counters["dhcp_refused"]
    assert client.core.prefixes


@pytest.mark.requirement("CLI-6")
@pytest.mark.parametrize(
    "told",
    [
        ClientLinkLayer(IPv6Address("::ffff:198.51.100.66"), 0),
        ClientLinkLayer(IPv6Address("::"), 8060),
        ClientLinkLayer(IPv6Address("ff02::1"), 8060),
        ClientLinkLayer(IPv6Address("::1"), 8060),
    ],
)
def test_an_unusable_option_79_is_no_option_79(told):
    link = Link()
    client = link.add_client(1, [link.add_server(1, Lying("2001:db8:1000:7700::/56", extra=(told,)))])
    link.start(client)
    link.run(1.0)
    assert client.core.prefixes
    assert (client.core.seen, client.core.nat) == (client.core.links.own(client.core.seen), False)
    assert link.said("lladdr-unknown")


@pytest.mark.requirement("SEC9-13", "CLI-3")
@pytest.mark.parametrize(
    ("changes", "host", "counter"),
    [
        ({"transaction": 7}, SERVER, "dhcp_transaction"),
        ({}, STRANGER, "dhcp_origin"),
        ({"options": (ClientId(THIEF), ServerId(b"s"))}, SERVER, "dhcp_client_id"),
        ({"options": (ClientId(DUID),)}, SERVER, "dhcp_server_id"),
        ({"type": MessageType.RECONFIGURE}, SERVER, "dhcp_type"),
    ],
)
def test_answers_a_client_did_not_ask_for(changes, host, counter):
    _server, client = attached()
    delegation = client.node.core._delegations[0]
    delegation.renew(client.now)
    before = client.state()
    reply = Message(MessageType.REPLY, delegation._transaction, (ClientId(DUID), ServerId(b"s"), IaPd(1)))
    client.arrive(push_udp(S1, C1, 547, 546, push_dhcpv6(replace(reply, **changes))), host)
    assert client.counted() == {counter: 1}
    assert client.state() == before


# --- words of the underlay


@pytest.mark.requirement("SEC9-17")
def test_a_forged_too_big_does_not_go_below_the_floor_and_is_probed_again():
    _server, client = attached()
    path = client.node.core.cache.default.path
    client.feed(TooBig(path.lladdr.ip, 68))
    assert path.size.mtu == 1500
    client.feed(TooBig(path.lladdr.ip, 600))
    assert path.size.mtu == 600
    client.feed(TooBig(ip_address(STRANGER), 600))
    behind = LinkLayerAddress(Encapsulation.UDP, path.lladdr.ip, 40777)
    client.feed(TooBig(path.lladdr.ip, 576, (behind,)))
    assert path.size.mtu == 600, "quoted was another port than the Server's"
    client.feed(Unreachable(behind, False))
    assert not client.node.core._discovery.solicitations.waiting_for(path.lladdr)
    client.feed(TooBig(path.lladdr.ip, 590, (path.lladdr,)))
    assert path.size.mtu == 590
    client.feed(Unreachable(LinkLayerAddress(Encapsulation.MINIMAL, ip_address(STRANGER), 0), True))
    assert client.node.core.cache.default.path is path
