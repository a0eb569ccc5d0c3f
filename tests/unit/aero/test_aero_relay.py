"""Relays and the Servers around them, in virtual time: routes, choices, and messages passing by (spec RLY-*, §8)."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from aero_domain import START
from aero_routing import AGGREGATES, NATIVE, routed, update
from test_aero_optimisation import forth, hops

from agents.aero.bgp.notices import BgpNews
from agents.aero.dataplane.policy import Action, RelayPolicy, ServerPolicy
from agents.aero.dataplane.sink import Control
from agents.aero.inner_packets import pull_inner, push_inner
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborType, Path, Reachability
from agents.aero.notices import Controlled, LinkChanged, SendControl
from agents.wire.nd import Redirect
from agents.wire.nd_options import RedirectedHeader, RouteInformation, Token
from agents.wire.redirects import Framing, pull_redirect, push_redirect

FIRST = ip_network("2001:db8:1000:2000::/56")
HOST = IPv6Address("2001:db8:1000:2000::1")
FAR = IPv6Address("2001:db8:9::2")
NOBODY = IPv6Address("2001:db8:1000:f000::1")
R1, R2 = IPv6Address("fe80::ff01"), IPv6Address("fe80::ff02")


def via(node, address):
    """The Server that a Relay reaches an address by."""
    owner = node.core.cache.owner(address)
    return owner and owner.address


def with_client(relays=(1,), **options):
    link, nodes = routed(relays=relays, **options)
    client = link.add_client(1, [nodes["s1"], nodes["s2"]])
    link.start(client)
    link.run(0.5)
    return link, nodes, client


# --- announcing


@pytest.mark.requirement("SRV-2", "RLY-2", "MOB-8")
def test_an_attachment_is_announced_and_the_relay_forwards_there():
    link, nodes, client = with_client()
    assert list(client.core.prefixes) == [FIRST]
    assert via(nodes["r1"], HOST) == IPv6Address("fe80::1")
    med = 4294967295 - int(START)
    (command,) = link.speakers["203.0.113.1"].commands
    assert command == f"announce route {FIRST} next-hop ::ffff:cb00:7101 med {med}"


@pytest.mark.requirement("SRV-2")
def test_the_reply_waits_until_exabgp_has_the_announcement():
    link, nodes = routed()
    speaker = link.speakers["203.0.113.1"]
    obey, late = link._obey, []
    link._obey = lambda one, command: late.append(command) if one is speaker else obey(one, command)
    hear = link.hear
    link.hear = lambda ip, *lines: None if lines == (b"done\n",) and ip == speaker.ip else hear(ip, *lines)
    client = link.add_client(1, [nodes["s1"]])
    link.start(client)
    link.run(0.2)
    assert late
    assert not client.core.prefixes
    hear(speaker.ip, b"done\n")
    link.run(0.22)
    assert client.core.prefixes


@pytest.mark.requirement("SRV-2")
def test_a_stuck_exabgp_holds_no_reply_up_for_long():
    link, nodes = routed()
    hear = link.hear
    link.hear = lambda ip, *lines: None if lines == (b"done\n",) else hear(ip, *lines)
    client = link.add_client(1, [nodes["s1"]])
    link.start(client)
    link.run(0.25)
    assert not client.core.prefixes
    link.run(0.4)
    assert client.core.prefixes


def test_without_exabgp_clients_attach_all_the_same_and_are_announced_when_it_comes():
    link, nodes = routed()
    link.stop_bgp(nodes["s1"])
    client = link.add_client(1, [nodes["s1"]])
    link.start(client)
    link.run(0.5)
    assert client.core.prefixes
    assert via(nodes["r1"], HOST) is None
    link.start_bgp(nodes["s1"])
    link.session("203.0.113.1", "203.0.113.9")
    assert via(nodes["r1"], HOST) == IPv6Address("fe80::1")


@pytest.mark.requirement("SRV-5")
def test_a_release_withdraws():
    link, nodes, client = with_client()
    link.stop(client)
    link.run(1)
    assert via(nodes["r1"], HOST) is None
    assert link.speakers["203.0.113.1"].commands[-1].startswith(f"withdraw route {FIRST}")


@pytest.mark.requirement("SRV-5", "MOB-10")
def test_the_end_of_a_lease_withdraws():
    link, nodes, client = with_client()
    client.up = False
    link.run(299)
    assert via(nodes["r1"], HOST)
    link.run(301)
    assert via(nodes["r1"], HOST) is None


@pytest.mark.requirement("MOB-8")
def test_renew_announces_nothing_anew_unless_the_route_is_missing():
    link, nodes, _client = with_client()
    link.run(290)  # several times T1
    assert len(link.speakers["203.0.113.1"].commands) == 1
    nodes["s1"].core._speaker.withdraw(FIRST)
    link.run(360)
    assert via(nodes["r1"], HOST) == IPv6Address("fe80::1")
    assert len(link.speakers["203.0.113.1"].commands) == 3  # announced, withdrawn, announced


@pytest.mark.requirement("MOB-8", "MOB-13", "RLY-2")
def test_the_newest_attachment_wins_while_both_servers_announce():
    link, nodes, client = with_client()
    client.up = False
    link.run(10)
    again = link.add_client(1, [nodes["s2"]])
    link.start(again)
    link.run(11)
    assert via(nodes["r1"], HOST) == IPv6Address("fe80::2")
    assert set(link.speakers["203.0.113.1"].routes) == {(str(FIRST), ())}
    again.up = False
    third = link.add_client(1, [nodes["s1"]])
    link.start(third)
    link.run(13)
    assert via(nodes["r1"], HOST) == IPv6Address("fe80::1")


@pytest.mark.requirement("MOB-8")
def test_a_clock_that_stepped_back_makes_no_attachment_older():
    link, nodes, _client = with_client()
    core = nodes["s1"].core
    core._announcing.granted([FIRST], attached=True, now=START - 3600)
    (route,) = core._speaker._all()
    assert route.med == 4294967295 - int(START) - 1
    saved = core.saved_state()
    link2, nodes2 = routed()
    nodes2["s1"].core.restore(json.loads(json.dumps(saved)), START)
    nodes2["s1"].core._announcing.granted([FIRST], attached=True, now=START - 3600)
    (after,) = nodes2["s1"].core._speaker._all()
    assert after.med == route.med - 1
    assert link2 is not link


# --- Relays of a Server


@pytest.mark.requirement("RLY-8")
def test_a_server_uses_the_first_relay_that_offers_a_default():
    link, nodes = routed(relays=(1, 2))
    assert nodes["s1"].core.cache.default.address == R1
    link.session("203.0.113.1", "203.0.113.9", up=False)
    assert nodes["s1"].core.cache.default.address == R2
    assert nodes["s2"].core.cache.default.address == R1
    link.session("203.0.113.1", "203.0.113.9")
    assert nodes["s1"].core.cache.default.address == R1


@pytest.mark.requirement("RLY-8")
def test_a_server_leaves_a_relay_that_does_not_answer():
    link, nodes = routed(relays=(1, 2))
    nodes["r1"].up = False
    relay = nodes["s1"].core.cache.get(R1)
    for second in range(20):
        relay.path.last_sent = link.now if relay.path else 0.0
        link.run(second)
        if nodes["s1"].core.cache.default.address == R2:
            break
    assert second <= 11
    assert relay.type is NeighborType.PERMANENT
    nodes["r1"].up = True
    link.run(second + 3)
    assert nodes["s1"].core.cache.default.address == R1
    assert link.said("path-restored")


@pytest.mark.requirement("RLY-8")
def test_a_dead_relay_is_asked_at_all_its_addresses_at_once():
    link, nodes = routed(relays=(1, 2))
    core = nodes["s1"].core
    relay = core.cache.get(R1)
    second = LinkLayerAddress(Encapsulation.UDP, IPv6Address("2001:db8:f::9"), 8060)
    core.cache.set_paths(relay, [*relay.paths, Path.to(second, 1500, preference=126)])
    link.run(3)
    nodes["r1"].up = False
    gone = link.now
    for path in relay.paths:
        path.last_received = gone
    while core.cache.default.address == R1 and link.now < gone + 30:
        relay.path.last_sent = link.now
        link.run(link.now - START + 0.1)
    assert core.cache.default.address == R2
    assert link.now - gone <= 8.1
    asked = [action for action in nodes["s1"].sent if action.lladdr == second]
    assert len(asked) >= 3


@pytest.mark.requirement("RLY-8")
def test_a_server_whose_own_exabgp_died_goes_on_with_a_relay_that_answers():
    link, nodes = routed(relays=(1, 2))
    link.stop_bgp(nodes["s1"])
    assert nodes["s1"].core.cache.default.address == R1
    link.start_bgp(nodes["s1"])
    assert nodes["s1"].core.cache.default.address == R1
    link.session("203.0.113.1", "203.0.113.10")
    assert nodes["s1"].core.cache.default.address == R2


@pytest.mark.requirement("RLY-8", "RO-9", "RO-10")
@pytest.mark.parametrize("how", ["silent", "session"])
def test_a_flow_goes_on_through_the_other_relay_and_is_optimised_by_it(how):
    """Half of a pair of Relays dies: by silence after eight seconds, by the end of its sessions at once."""
    link, nodes = routed(relays=(1, 2))
    nodes["s2"].dhcp.numbers = nodes["s1"].dhcp.numbers
    first, second = (link.add_client(n, [nodes[f"s{n}"]]) for n in (1, 2))
    link.attach(first, second)
    link.passes = lambda a, b, _lladdr: {a, b} != {first, second}  # not directly yet
    link.flow(first, forth, seconds=2)
    assert {hops(packet) for _t, packet in second.delivered} == {61}
    assert nodes["r2"].forwarded == 0
    nodes["r1"].up = False
    died = link.now
    link.flow(first, forth, seconds=0 if how == "session" else 9)  # the hold time of both ends
    for server in ("203.0.113.1", "203.0.113.2"):
        link.session(server, "203.0.113.9", up=False)
    link.flow(first, forth, seconds=10)
    again = next(t for t, _packet in second.delivered if t > died + 0.1)
    assert again - died <= (8.1 if how == "silent" else 0.15)
    link.passes = lambda *_any: True
    link.flow(first, forth, seconds=30)
    assert hops(second.delivered[-1][1]) == 64
    assert nodes["r2"].core.counters["passed_on"] >= 2


def test_without_any_relay_a_server_tells_so():
    link, nodes = routed(relays=())
    core = nodes["s1"].core
    policy = ServerPolicy(core.cache, lambda _address: False, native=False)
    client = Neighbor(IPv6Address("fe80::2001:db8:1000:2000"), NeighborType.STATIC, prefixes={FIRST: 1.0})
    core.cache.add(client)
    verdict = policy.from_neighbor(client, HOST, FAR)
    assert (verdict.action, verdict.counter) == (Action.DROP, "no_relay")
    assert verdict.problem
    assert link.now == START


# --- the Relay


@pytest.mark.requirement("RLY-3")
def test_defaults_to_servers_and_aggregates_to_the_native_internet():
    link, _nodes = routed()
    said = link.speakers["203.0.113.9"].commands
    servers = "neighbor 203.0.113.1, neighbor 203.0.113.2"
    assert said == [
        f"{servers} announce route ::/0 next-hop 2001:db8:f::9",
        f"{servers} announce route 0.0.0.0/0 next-hop 203.0.113.9",
        f"neighbor {NATIVE} announce route 192.0.2.0/24 next-hop 198.18.91.1",
    ]


@pytest.mark.requirement("RLY-1", "RLY-2", "RLY-4")
def test_where_a_relay_sends_a_packet():
    _link, nodes, _client = with_client()
    cache = nodes["r1"].core.cache
    one, two = cache.get(IPv6Address("fe80::1")), cache.get(IPv6Address("fe80::2"))
    policy = RelayPolicy(cache, lambda address: address == IPv6Address("2001:db8:f::9"), AGGREGATES)
    verdict = policy.from_neighbor(two, FAR, HOST)
    assert (verdict.action, verdict.neighbor) == (Action.FORWARD, one)
    assert policy.from_neighbor(one, FAR, HOST).counter == "hairpin"
    unreachable = policy.from_neighbor(two, HOST, NOBODY)
    assert (unreachable.counter, unreachable.problem.value[0]) == ("no_route", (1, 0))
    assert policy.from_neighbor(two, IPv4Address("192.0.2.17"), IPv4Address("192.0.2.200")).counter == "no_route"
    assert policy.from_neighbor(one, HOST, FAR).action is Action.DELIVER
    assert policy.from_neighbor(one, HOST, IPv6Address("2001:db8:f::9")).action is Action.DELIVER
    assert policy.from_kernel(FAR, HOST).neighbor is one
    assert policy.from_kernel(FAR, NOBODY).counter == "no_route"


def test_with_its_exabgp_a_relay_loses_all_routes():
    link, nodes, _client = with_client(relays=(1, 2))
    link.stop_bgp(nodes["r1"])
    assert via(nodes["r1"], HOST) is None
    assert via(nodes["r2"], HOST) == IPv6Address("fe80::1")
    assert nodes["r1"].core.inspect()["routes"] == 0


def test_a_killed_server_is_gone_from_relays_at_once():
    link, nodes, _client = with_client()
    link.stop_bgp(nodes["s1"])
    assert via(nodes["r1"], HOST) is None
    assert IPv6Address("fe80::1") in {neighbor.address for neighbor in nodes["r1"].core.cache}


@pytest.mark.requirement("SEC9-14")
def test_news_of_a_neighbor_that_nobody_configured_changes_nothing():
    link, nodes, _client = with_client()
    link.feed(nodes["r1"], BgpNews(routes=[(FIRST, [IPv6Address("fe80::77")])]))
    assert via(nodes["r1"], HOST) is None


def test_ten_thousand_routes_and_one_more():
    link, nodes, _client = with_client()
    lines = [
        update("203.0.113.2", f"2001:db8:10{n >> 8:02x}:{n & 255:02x}00::/56", "2001:db8:f::2", med=n + 1)
        for n in range(10_000)
    ]
    link.hear("203.0.113.9", *lines)
    assert nodes["r1"].core.inspect()["routes"] == 10_000
    assert via(nodes["r1"], IPv6Address("2001:db8:1012:3400::1")) == IPv6Address("fe80::2")


# --- Predirects and Redirects passing by

TRIGGER = push_inner(HOST, IPv6Address("2001:db8:1000:2100::2"), 59, b"")[:40]
SOURCE_ADDRESS = IPv6Address("fe80::2001:db8:1000:2000")
TARGET_PREFIX = ip_network("2001:db8:1000:2100::/56")
UNKNOWN_OPTION = bytes((99, 1, 1, 2, 3, 4, 5, 6))


def relayed(framing=Framing.ND, predirect=True, prefix=None, sender=1, hop_limit=7, trigger=TRIGGER, extra=()):
    """A Relay between two Servers with a Client each; what it does with a message from one of them."""
    link, nodes = routed()
    for number, server in ((1, "s1"), (2, "s2")):
        link.hear(
            "203.0.113.9",
            update(f"203.0.113.{number}", [FIRST, TARGET_PREFIX][number - 1], f"2001:db8:f::{number}", med=1),
        )
        assert server in nodes
    told = prefix or (FIRST if predirect else TARGET_PREFIX)
    options = (RouteInformation(told, 300), Token(1, bytes(16)), RedirectedHeader(trigger), *extra)
    message = Redirect(SOURCE_ADDRESS, SOURCE_ADDRESS, predirect, options)
    server = IPv6Address(f"fe80::{sender}")
    payload = push_redirect(message, framing, server, R1)
    if not extra and framing is Framing.ND:
        payload += UNKNOWN_OPTION
        payload = push_unknown(payload, server)
    packet = push_inner(server, R1, framing.value, payload, hop_limit)
    relay = nodes["r1"].core
    origin = relay.cache.get(server)
    lladdr = origin.paths[0].lladdr
    relay.receive(Controlled(Control(packet, lladdr, origin, len(packet))), None, link.now)
    sent = [action for action in relay.actions() if isinstance(action, SendControl)]
    return relay, payload, sent


def push_unknown(payload, source):
    from agents.wire.redirects import readdress

    return readdress(payload, Framing.ND, source, R1)


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize(("predirect", "sender", "towards"), [(True, 1, 2), (False, 2, 1)])
@pytest.mark.requirement("RLY-5", "RO-9", "RO-10")
def test_a_message_passes_on_along_the_packet_or_against_it(framing, predirect, sender, towards):
    _relay, payload, (sent,) = relayed(framing, predirect, sender=sender)
    inner = pull_inner(sent.packet)
    assert (inner.source, inner.destination, inner.hop_limit) == (R1, IPv6Address(f"fe80::{towards}"), 6)
    assert str(sent.lladdr) == f"udp 203.0.113.{towards}:8060"
    assert pull_redirect(inner.payload, inner.next_header, inner.source, inner.destination)
    at = 2 if framing is Framing.ND else 6
    assert inner.payload[:at] + inner.payload[at + 2 :] == payload[:at] + payload[at + 2 :]


@pytest.mark.parametrize(
    ("changed", "counter"),
    [
        ({"prefix": TARGET_PREFIX}, "redirect_prefix"),
        ({"prefix": ip_network("2001:db8:1000::/48")}, "redirect_prefix"),
        ({"predirect": False, "sender": 2, "prefix": FIRST}, "redirect_prefix"),
        ({"predirect": False, "sender": 1}, "redirect_prefix"),
        ({"sender": 2}, "redirect_prefix"),
        ({"hop_limit": 1}, "redirect_hop_limit"),
        ({"hop_limit": 0}, "redirect_hop_limit"),
        ({"trigger": TRIGGER[:20]}, "redirect_header"),
        ({"extra": (RouteInformation(FIRST, 300),)}, "redirect_prefix"),
        ({"trigger": push_inner(HOST, FAR, 59, b"")}, "redirect_no_route"),
        ({"trigger": push_inner(HOST, HOST, 59, b"")}, "redirect_no_route"),
    ],
)
@pytest.mark.requirement("SEC9-4", "RLY-6", "RLY-5")
def test_what_a_relay_does_not_pass_on(changed, counter):
    relay, _payload, sent = relayed(**changed)
    assert not sent
    assert relay.counters[counter] == 1


@pytest.mark.requirement("RLY-6")
def test_a_part_of_a_learnt_prefix_is_the_senders_to_tell():
    _relay, _payload, sent = relayed(prefix=ip_network("2001:db8:1000:2000::/60"))
    assert sent


@pytest.mark.requirement("RLY-1")
def test_a_stranger_is_not_listened_to():
    link, nodes = routed()
    relay = nodes["r1"].core
    lladdr = relay.cache.get(IPv6Address("fe80::1")).paths[0].lladdr
    stranger = type(lladdr)(lladdr.encapsulation, ip_address("198.51.100.66"), 8060)
    packet = push_inner(IPv6Address("fe80::1"), R1, 58, bytes(8))
    relay.receive(Controlled(Control(packet, stranger, None, len(packet))), None, link.now)
    assert not list(relay.actions())
    assert relay.counters["origin_fail"] + relay.counters["control_unexpected"] == 1


def test_malformed_control_is_counted():
    link, nodes = routed()
    relay = nodes["r1"].core
    origin = relay.cache.get(IPv6Address("fe80::1"))
    payload = push_redirect(Redirect(R1, R1), Framing.RFC6706, IPv6Address("fe80::1"), R1)
    packet = push_inner(IPv6Address("fe80::1"), R1, 17, payload[:-1] + b"x")
    relay.receive(Controlled(Control(packet, origin.paths[0].lladdr, origin, len(packet))), None, link.now)
    assert relay.counters["control_malformed"] == 1
    assert origin.path.reachability is not Reachability.FAILED


# --- the underlay


@pytest.mark.parametrize("name", ["r1", "s1"])
def test_a_narrower_link_of_ones_own_is_heard_of(name):
    link, nodes, _client = with_client()
    core = nodes[name].core
    paths = [path for neighbor in core.cache for path in neighbor.paths]
    assert paths
    link.feed(nodes[name], LinkChanged(core.config.links[0].interface, 1400))
    assert {core.links.mtu(path.lladdr) for path in paths} == {1400}
    assert all(path.size.mtu <= 1400 for path in paths)
