"""What a real Kea makes of our relay's messages: the measured table of spec §6.9, and its life as a service."""

import subprocess
import sys
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path

import pytest

from agents.aero.config import DhcpServer
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.server.ldra import Ldra
from agents.wire.dhcpv6 import Message, MessageType, RelayedMessage, pull_dhcpv6, push_dhcpv6
from agents.wire.dhcpv6_options import (
    Auth,
    ClientId,
    ClientLinkLayer,
    ElapsedTime,
    IaPd,
    IaPrefix,
    InterfaceId,
    OptionRequest,
    RapidCommit,
    RelayMessage,
    RelayPort,
    RelaySupplied,
    ServerId,
    StatusCode,
    Unknown,
)
from testbed.kea import Kea
from testbed.mininet_api import Topo
from testbed.nodes import Host
from testbed.validation import LabError
from topologies.aero.kea import KeaSettings, Pool

pytestmark = pytest.mark.netns

RELAY = Path(__file__).with_name("kea_relay.py")
SECRET = bytes(16)
C1 = LinkLayerAddress(Encapsulation.UDP, ip_address("198.51.100.5"), 40001)
SEEN = ClientLinkLayer(IPv6Address("::ffff:198.51.100.5"), 40001)
PEER = IPv6Address("fe80::ffff:ffff:ffff:ffff")
DUID, OTHER, RESERVED = (bytes.fromhex("0003000102000000" + text) for text in ("0011", "0012", "0099"))
SERVER_DUID = bytes.fromhex("000300010200000000aa")
POOLS = (Pool("2001:db8:1000::/40", 56), Pool("::ffff:192.0.2.0/120", 124))
RESERVATIONS = {RESERVED.hex(): ["2001:db8:1000:9900::/56", "::ffff:192.0.2.240/124"]}
SETTINGS = KeaSettings("0200000000aa", POOLS, RESERVATIONS)


class One(Topo):
    def build(self, **_opts):
        self.addHost("s1", cls=Host)


class Relay:
    """Says what a relay says, and reads what Kea answers."""

    def __init__(self, node):
        self._process = node.popen([sys.executable, str(RELAY)], stdin=subprocess.PIPE, text=True)
        self.ldra = Ldra(DhcpServer(), SECRET)
        self._transaction = 0

    def raw(self, *data):
        """The first Relay-reply to these messages, after its source."""
        self._process.stdin.write(" ".join(each.hex() for each in data) + "\n")
        self._process.stdin.flush()
        source, answer = self._process.stdout.readline().split()
        return IPv6Address(source), bytes.fromhex(answer)

    def ignored(self, data):
        """Whether Kea leaves this Relay-forward unanswered: the next one is answered first."""
        last = self.message(MessageType.SOLICIT, RapidCommit(), IaPd(1), duid=bytes.fromhex("00030001020000000fff"))
        return unwrapped(self.raw(data, self.ldra.forward(last, PEER, C1))).transaction == self._transaction

    def message(self, kind, *options, duid=DUID, oro=(79, 82)):
        self._transaction += 1
        head = [ClientId(duid), ElapsedTime(0), *([OptionRequest(oro)] if oro else [])]
        return push_dhcpv6(Message(kind, self._transaction, (*head, *options)))

    def ask(self, kind, *options, ldra=None, **more):
        """The answer inside the Relay-reply, as our LDRA accepted it."""
        ldra = ldra or self.ldra
        source, answer = self.raw(ldra.forward(self.message(kind, *options, **more), PEER, C1))
        relayed = ldra.accept(answer, source)
        assert (relayed.lladdr, relayed.peer) == (C1, PEER)
        return pull_dhcpv6(relayed.payload)

    def solicit(self, iaid=1, **more):
        return self.ask(MessageType.SOLICIT, RapidCommit(), IaPd(iaid), **more)

    def close(self):
        self._process.stdin.close()
        self._process.wait(5)
        self._process.stdout.close()
        self._process.stderr.close()


@pytest.fixture
def node(network):
    return network(One())["s1"]


@pytest.fixture
def kea(node, tmp_path):
    made = []

    def start(settings=SETTINGS, name="kea"):
        made.append(Kea(node, settings.dhcp6(), tmp_path / name, tmp_path / f"{name}.log"))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def relay(node, kea):
    kea()
    made = Relay(node)
    yield made
    made.close()


def leased(reply):
    return [(one.prefix, one.valid) for each in reply.every(IaPd) for one in each.prefixes]


def prefixes(reply):
    return [prefix for prefix, valid in leased(reply) if valid]


@pytest.mark.requirement("LDRA-5", "LDRA-6", "LDRA-7", "LDRA-8", "CLI-2")
def test_rapid_commit_gets_a_prefix_and_the_link_layer_address_back(relay):
    reply = relay.solicit()
    assert reply.type == MessageType.REPLY
    assert reply.first(RapidCommit)
    assert reply.first(ServerId).duid == SERVER_DUID
    (prefix,) = prefixes(reply)
    assert prefix.prefixlen == 56
    assert prefix.subnet_of(IPv6Network("2001:db8:1000::/40"))
    assert reply.every(ClientLinkLayer) == (SEEN,)
    association = reply.first(IaPd)
    assert (association.t1, association.t2, association.prefixes[0].valid) == (60, 100, 300)


@pytest.mark.requirement("CLI-2")
def test_advertise_and_request_where_nobody_asks_for_rapid_commit(relay):
    offer = relay.ask(MessageType.SOLICIT, IaPd(1))
    assert offer.type == MessageType.ADVERTISE
    assert offer.every(ClientLinkLayer) == (SEEN,)
    lease = IaPd(1, options=(IaPrefix(prefixes(offer)[0]),))
    reply = relay.ask(MessageType.REQUEST, offer.first(ServerId), lease)
    assert (reply.type, prefixes(reply)) == (MessageType.REPLY, prefixes(offer))
    assert reply.every(ClientLinkLayer) == (SEEN,)


@pytest.mark.parametrize("oro", [(79, 82), (82,), ()])
def test_kea_echoes_whatever_the_client_asks_for(relay, oro):
    assert relay.solicit(oro=oro).every(ClientLinkLayer) == (SEEN,)


@pytest.mark.parametrize("kind", [MessageType.RENEW, MessageType.REBIND, MessageType.RELEASE])
@pytest.mark.requirement("CLI-8", "CLI-17")
def test_renew_rebind_and_release_are_echoed_too(relay, kind):
    (prefix,) = prefixes(relay.solicit())
    server = () if kind == MessageType.REBIND else (ServerId(SERVER_DUID),)
    reply = relay.ask(kind, *server, IaPd(1, options=(IaPrefix(prefix),)))
    assert reply.type == MessageType.REPLY
    assert reply.every(ClientLinkLayer) == (SEEN,)
    if kind == MessageType.RELEASE:
        assert reply.first(StatusCode).code == 0
    else:
        assert prefixes(reply) == [prefix]


@pytest.mark.requirement("MOB-7")
def test_renew_for_another_server_is_not_answered(relay):
    (prefix,) = prefixes(relay.solicit())
    foreign = ServerId(bytes.fromhex("000300010200000000bb"))
    renew = relay.message(MessageType.RENEW, foreign, IaPd(1, options=(IaPrefix(prefix),)))
    assert relay.ignored(relay.ldra.forward(renew, PEER, C1))


@pytest.mark.requirement("SRV-12")
def test_renew_without_a_lease_makes_one_of_the_reserved_prefix(relay):
    reserved = IPv6Network("2001:db8:1000:9900::/56")
    asked = IaPd(1, options=(IaPrefix(reserved),))
    reply = relay.ask(MessageType.RENEW, ServerId(SERVER_DUID), asked, duid=RESERVED)
    assert prefixes(reply) == [reserved]


@pytest.mark.requirement("SRV-12", "CLI-11")
def test_rebind_without_a_lease_gets_the_hinted_prefix_if_free(relay):
    hinted = IPv6Network("2001:db8:1000:4200::/56")
    reply = relay.ask(MessageType.REBIND, IaPd(1, options=(IaPrefix(hinted),)))
    assert prefixes(reply) == [hinted]
    (got, taken_back) = leased(relay.ask(MessageType.REBIND, IaPd(1, options=(IaPrefix(hinted),)), duid=OTHER))
    assert {got[1], taken_back[1]} == {300, 0}
    assert hinted == next(prefix for prefix, valid in (got, taken_back) if valid == 0)


def test_release_of_a_foreign_prefix_finds_no_binding(relay):
    (prefix,) = prefixes(relay.solicit())
    asked = IaPd(1, options=(IaPrefix(prefix),))
    reply = relay.ask(MessageType.RELEASE, ServerId(SERVER_DUID), asked, duid=OTHER)
    codes = [each.status for each in reply.every(IaPd)] + [each.code for each in reply.every(StatusCode)]
    assert 3 in codes


def test_iaid_4_gets_an_ipv4_mapped_prefix(relay):
    (prefix,) = prefixes(relay.solicit(iaid=4))
    assert prefix.prefixlen == 124
    assert prefix.subnet_of(IPv6Network("::ffff:192.0.2.0/120"))


def test_both_families_in_one_message_only_by_reservation(relay):
    """Classes judge the whole message, so a Client sends one message for each family."""
    both = (RapidCommit(), IaPd(1), IaPd(4))
    reserved = relay.ask(MessageType.SOLICIT, *both, duid=RESERVED)
    assert {prefix.prefixlen for prefix in prefixes(reserved)} == {56, 124}
    assert {prefix.prefixlen for prefix in prefixes(relay.ask(MessageType.SOLICIT, *both))} == {56}


def test_an_unknown_auth_protocol_is_ignored(relay):
    assert prefixes(relay.solicit(duid=DUID)) == prefixes(
        relay.ask(MessageType.SOLICIT, RapidCommit(), IaPd(1), Auth(7, bytes(16)))
    )


@pytest.mark.requirement("LDRA-10", "CLI-6")
def test_without_rsoo_nothing_is_echoed(relay):
    reply = relay.solicit(ldra=Ldra(DhcpServer(rsoo=False), SECRET))
    assert prefixes(reply)
    assert not reply.every(ClientLinkLayer)


@pytest.mark.requirement("LDRA-12")
def test_79_in_the_clients_own_message_or_beside_the_rsoo_is_never_echoed(relay):
    ldra = Ldra(DhcpServer(rsoo=False), SECRET)
    forged = ClientLinkLayer(IPv6Address("::ffff:192.0.2.66"), 6)
    inside = relay.ask(MessageType.SOLICIT, RapidCommit(), IaPd(1), forged, RelaySupplied((forged,)), ldra=ldra)
    assert prefixes(inside)
    assert not inside.every(ClientLinkLayer)
    both = relay.ask(MessageType.SOLICIT, RapidCommit(), IaPd(1), forged, RelaySupplied((forged,)))
    assert both.every(ClientLinkLayer) == (SEEN,)
    payload = relay.message(MessageType.SOLICIT, RapidCommit(), IaPd(1))
    reply = unwrapped(relay.raw(forward(payload, forged)))
    assert not reply.every(ClientLinkLayer)


def forward(payload, *options, interface=b"i", hops=0, peer=PEER):
    head = (InterfaceId(interface),) if interface else ()
    whole = (*head, *options, RelayPort(), RelayMessage(payload))
    return push_dhcpv6(RelayedMessage(MessageType.RELAY_FORWARD, hops, IPv6Address("::"), peer, whole))


def unwrapped(answer):
    return pull_dhcpv6(pull_dhcpv6(answer[1]).first(RelayMessage).payload)


@pytest.mark.requirement("LDRA-3")
@pytest.mark.parametrize("changed", [{"interface": b""}, {"hops": 8}, {"peer": IPv6Address("::")}])
def test_kea_answers_what_only_the_relay_can_judge(relay, changed):
    """Interface-ID missing, another hop count, no peer address: the LDRA must check, Kea does not."""
    payload = relay.message(MessageType.SOLICIT, RapidCommit(), IaPd(1))
    assert prefixes(unwrapped(relay.raw(forward(payload, RelaySupplied((SEEN,)), **changed))))


@pytest.mark.requirement("LDRA-6")
def test_without_option_135_the_answer_goes_to_port_547(relay):
    payload = relay.message(MessageType.SOLICIT, RapidCommit(), IaPd(1))
    options = (InterfaceId(b"i"), RelayMessage(payload))
    message = RelayedMessage(MessageType.RELAY_FORWARD, 0, IPv6Address("::"), PEER, options)
    assert relay.ignored(push_dhcpv6(message))


def test_others_in_the_rsoo_are_dropped_two_of_79_become_one(relay):
    payload = relay.message(MessageType.SOLICIT, RapidCommit(), IaPd(1))
    second = ClientLinkLayer(IPv6Address("::ffff:192.0.2.66"), 6)
    supplied = RelaySupplied((SEEN, Unknown(7, b"\x07"), second, Unknown(65001, b"x")))
    reply = unwrapped(relay.raw(forward(payload, supplied)))
    assert reply.every(ClientLinkLayer) == (SEEN,)
    assert {each.code for each in reply.every(Unknown)} & {7, 65001} == set()


def test_kea_that_was_not_told_drops_79_and_answers_otherwise(kea, node):
    kea(KeaSettings("0200000000aa", POOLS, supplied=()))
    relay = Relay(node)
    try:
        reply = relay.solicit()
        assert prefixes(reply)
        assert not reply.every(ClientLinkLayer)
    finally:
        relay.close()


@pytest.mark.requirement("SRV-1")
def test_kea_is_reachable_from_its_own_node_only(kea, node):
    kea()
    listening = node.run(["ss", "-6Hulnp", "sport = :547"], check=True).out
    assert "[::1]:547" in listening
    assert all("[::1]:547" in line for line in listening.splitlines())


def test_kea_restarts_and_keeps_its_files_to_itself(kea, node, tmp_path):
    first = kea(name="first")
    before = first.pid
    first.restart()
    assert first.pid != before
    assert first.stop() == 0
    assert {path.name for path in (tmp_path / "first").iterdir()} >= {"kea-dhcp6.json"}


def test_a_configuration_that_kea_refuses_is_the_labs_error(node, tmp_path):
    settings = {**SETTINGS.dhcp6(), "renew-timer": "soon"}
    with pytest.raises(LabError, match="kea-dhcp6"):
        Kea(node, settings, tmp_path / "kea", tmp_path / "kea.log").start()
