"""The program that ExaBGP runs: half lines, answers, deaths, policy and best path (spec §8)."""

from __future__ import annotations

import contextlib
import json
from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from aero_routing import state, update
from hypothesis import given
from hypothesis import strategies as st

from agents.aero.bgp.exabgp import (
    LONGEST_LINE,
    Acknowledged,
    Announced,
    Lines,
    Other,
    PeerState,
    Route,
    Update,
    pull_line,
    push_announce,
    push_withdraw,
)
from agents.aero.bgp.helper import WINDOW, Helper, Quit, ToAgent, ToExabgp
from agents.aero.bgp.notices import BgpConnected, BgpNews, read_news
from agents.aero.bgp.rib import Policy, Rib, Source
from agents.aero.bgp.speaker import Speaker
from agents.aero.config import ServerConfig, UnderlayLink
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.notices import SendControl
from agents.aero.server.announcing import PATIENCE, Announcing
from agents.core import Outbox, WallClock
from agents.plain import PlainError, plain
from agents.wire.errors import DecodeError

S1, S2, R1 = "203.0.113.1", "203.0.113.2", "203.0.113.9"
HOPS = {S1: "2001:db8:f::1", S2: "2001:db8:f::2"}
ASNS = {S1: 4200000001, S2: 4200000002}
A, B, C = (ip_network(f"2001:db8:1000:{number}000::/56") for number in "abc")
LLADDR = LinkLayerAddress(Encapsulation.UDP, ip_address("198.51.100.1"), 8060)
SOURCES = tuple(
    Source(ip_address(ip), IPv6Address(f"fe80::{ip[-1]}"), ASNS[ip], (ip_address(ip), ip_address(HOPS[ip])))
    for ip in (S1, S2)
)
CLIENTS = Policy("clients", SOURCES, (ip_network("2001:db8:1000::/40"), ip_network("192.0.2.0/24")))
REAL = (  # written by ExaBGP 5.0.15
    b'{ "exabgp": "5.0.0", "time": 1795268859.52003, "host" : "vm", "pid" : 7, "ppid" : 1, "counter": 3, "type": '
    b'"update", "neighbor": { "address": { "local": "203.0.113.1", "peer": "203.0.113.9" }, "asn": { "local": '
    b'4200000001, "peer": 65000 }, "router-id": "203.0.113.1" , "direction": "receive", "message": { "update": { '
    b'"attribute": { "origin": "igp", "as-path": {"0": {"element": "as-sequence", "value": [65000]}} }, "announce": '
    b'{ "ipv6 unicast": { "2001:db8:f::9": [ { "nlri": "::/0" } ], "fe80::72:6cff:fe00:3ea": [ { "nlri": "::/0" } ] '
    b"} } } } } }"
)


def attached(policy=CLIENTS):
    """A helper whose agent has said what it wants."""
    helper = Helper()
    helper.agent_connected()
    helper.from_agent(json.dumps({"policy": plain(policy)}).encode())
    list(helper.actions())
    return helper


def done(helper):
    """(what goes to ExaBGP, line by line; what the agent is told)"""
    commands, told = [], []
    for action in helper.actions():
        if isinstance(action, ToExabgp):
            commands += action.data.decode().splitlines()
        elif isinstance(action, ToAgent):
            told.append(action.message)
    return commands, told


def announced(ip, prefix=A, med=10, hop=None, **more):
    return update(ip, prefix, hop or HOPS[ip], med=med, **more)


def routes(told):
    return {prefix: whom for message in told for prefix, whom in message.get("routes", [])}


def ask(what, *wanted):
    return json.dumps({what: plain(wanted)}).encode()


# --- lines


def test_what_the_real_one_wrote():
    said = pull_line(REAL)
    hops = (ip_address("2001:db8:f::9"), ip_address("fe80::72:6cff:fe00:3ea"))
    assert said == Update(ip_address(R1), (Announced(ip_network("::/0"), hops),), (), 0, (65000,))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"done", Acknowledged(True)),
        (b"error\r", Acknowledged(False)),
        (state(S1, "up"), PeerState(ip_address(S1), True)),
        (state(S1, "connected"), PeerState(ip_address(S1), False)),
        (b'{"type": "notification", "notification": "shutdown"}', Other("notification")),
        (b'{"type": "update", "neighbor": {"address": {"peer": "203.0.113.1"}, "message": {"eor": {}}}}',
         Update(ip_address(S1))),
    ],
)  # fmt: skip
def test_lines(line, said):
    assert pull_line(line) == said


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"7", b'"type"', b'{"type": "state"}', b"\xff\xfe", update(S1, "2001:db8::1/56", "::1"),
     update(S1, A, HOPS[S1], med=-1), update(S1, A, HOPS[S1], med=1 << 32), update(S1, A, HOPS[S1], med=1.5),
     announced(S1).replace(b'"med": 10', b'"med": Infinity'), announced(S1, path=[7]).replace(b"[7]", b"[Infinity]"),
     b"[" * 100_000, b'{"type":' * 50_000,
     update(S1, A, "nowhere"), b'{"type": "update", "neighbor": {"address": {"peer": "1.2.3.4"}, "message": []}}'],
)  # fmt: skip
def test_what_is_no_line_of_exabgp(line):
    with pytest.raises(DecodeError):
        pull_line(line)


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(data):
    with contextlib.suppress(DecodeError):
        pull_line(data)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_lines_cut_anywhere_say_the_same(cuts):
    whole = state(S1, "up") + announced(S1) + b"done\n" + announced(S2, B)
    lines, at, found = Lines(), 0, []
    for size in cuts:
        found += lines.feed(whole[at : at + size])
        at += size
    found += lines.feed(whole[at:])
    assert found == whole.split(b"\n")[:-1]


def test_a_line_without_end_is_not_kept():
    lines = Lines(longest=100)
    assert list(lines.feed(b"x" * 101)) == []
    assert list(lines.feed(b"y" * 50)) == []
    assert list(lines.feed(b"z\ndone\n")) == [b"", b"done"]
    assert LONGEST_LINE > 1 << 16


@pytest.mark.requirement("RLY-3")
def test_commands():
    route = Route(A, ip_address(HOPS[S1]), 7)
    assert push_announce(route) == b"announce route 2001:db8:1000:a000::/56 next-hop 2001:db8:f::1 med 7\n"
    assert push_withdraw(route) == b"withdraw route 2001:db8:1000:a000::/56 next-hop 2001:db8:f::1\n"
    default = Route(ip_network("0.0.0.0/0"), ip_address(R1), peers=(ip_address(S1), ip_address(S2)))
    assert push_announce(default) == (
        b"neighbor 203.0.113.1, neighbor 203.0.113.2 announce route 0.0.0.0/0 next-hop 203.0.113.9\n"
    )


# --- routes


def said(data):
    return pull_line(data)


@pytest.mark.requirement("RLY-2", "MOB-8")
def test_the_lowest_med_wins_then_the_lowest_next_hop():
    rib = Rib()
    rib.set_policy(CLIENTS)
    assert rib.take(said(announced(S2, med=20))) == [A]
    assert rib.take(said(announced(S1, med=30))) == [A]
    assert rib.choices(A) == [IPv6Address("fe80::2"), IPv6Address("fe80::1")]
    rib.take(said(announced(S1, med=20)))
    assert rib.choices(A) == [IPv6Address("fe80::1"), IPv6Address("fe80::2")]
    rib.take(said(announced(S2, med=19)))
    assert rib.choices(A)[0] == IPv6Address("fe80::2")
    assert rib.take(said(announced(S2, med=19))) == []
    assert rib.take(said(update(S2, withdrawn=A))) == [A]
    assert rib.choices(A) == [IPv6Address("fe80::1")]
    assert rib.lose(ip_address(S1)) == [A]
    assert rib.choices(A) == []


@pytest.mark.parametrize(
    ("line", "counter"),
    [
        (update(S1, "2001:db9::/56", HOPS[S1]), "bgp_outside"),
        (update(S1, "::/0", HOPS[S1]), "bgp_outside"),
        (update(S1, "2001:db8:1000::/40", HOPS[S1]), "bgp_length"),
        (update(S1, "2001:db8:1000:a000::/65", HOPS[S1]), "bgp_length"),
        (update(S1, "192.0.2.0/23", S1), "bgp_outside"),
        (update(S1, A, HOPS[S2]), "bgp_next_hop"),
        (update(S1, A, "fe80::1"), "bgp_next_hop"),
        (update(S1, A, HOPS[S1], path=[ASNS[S1], 64512]), "bgp_as_path"),
        (update(S1, A, HOPS[S1], path=[]), "bgp_as_path"),
        (update(S1, A, HOPS[S1], path=[ASNS[S2]]), "bgp_as_path"),
        (update("203.0.113.66", A, HOPS[S1], path=[ASNS[S1]]), "bgp_stranger"),
    ],
)
@pytest.mark.requirement("SEC9-14", "RLY-1")
def test_what_is_outside_policy_is_ignored_and_counted(line, counter):
    helper = attached()
    helper.from_exabgp(line)
    _commands, told = done(helper)
    assert told == [{"counters": {counter: 1}}]


@pytest.mark.requirement("SEC9-14")
def test_a_refused_announcement_takes_the_place_of_a_good_one():
    """A peer's announcement replaces what it announced before (RFC 4271 §3.1), whatever we think of it."""
    helper = attached()
    helper.from_exabgp(announced(S1) + update(S1, A, HOPS[S2]))
    assert routes(done(helper)[1]) == {str(A): []}


@pytest.mark.requirement("RLY-8")
def test_a_server_takes_defaults_of_all_relays_and_nothing_else():
    relay = Source(ip_address(R1), IPv6Address("fe80::ff01"), 65000, (ip_address(R1), ip_address("2001:db8:f::9")))
    helper = attached(Policy("defaults", (relay,)))
    helper.from_exabgp(update(R1, "::/0", "2001:db8:f::9") + update(R1, A, "2001:db8:f::9"))
    _commands, told = done(helper)
    assert routes(told) == {"::/0": ["fe80::ff01"]}
    assert told[-1] == {"counters": {"bgp_not_default": 1}}


def test_policy_that_comes_late_judges_what_was_heard_before():
    helper = Helper()
    helper.from_exabgp(state(S1, "up") + announced(S1) + announced(S1, ip_network("2001:db9::/56")))
    assert done(helper) == ([], [])
    helper.agent_connected()
    helper.from_agent(json.dumps({"policy": plain(CLIENTS)}).encode())
    _commands, told = done(helper)
    assert told[0] == {"peers": {S1: True}}
    assert routes(told) == {str(A): ["fe80::1"]}


def test_a_session_that_ends_takes_its_routes_along():
    helper = attached()
    helper.from_exabgp(state(S1, "up") + state(S2, "up") + announced(S1, med=1) + announced(S2, med=2))
    done(helper)
    helper.from_exabgp(state(S1, "down"))
    _commands, told = done(helper)
    assert told == [{"peers": {S1: False}}, {"routes": [[str(A), ["fe80::2"]]]}]


# --- commands and answers

ROUTE = Route(A, ip_address(HOPS[S1]), 7)


@pytest.mark.requirement("SRV-2")
def test_an_announcement_is_confirmed_when_exabgp_took_it():
    helper = attached()
    helper.from_agent(ask("announce", ROUTE))
    assert done(helper) == ([push_announce(ROUTE).decode().strip()], [])
    helper.from_exabgp(b"do")
    assert done(helper) == ([], [])
    helper.from_exabgp(b"ne\n")
    assert done(helper) == ([], [{"confirmed": [str(A)]}])
    helper.from_agent(ask("announce", ROUTE))
    assert done(helper) == ([], [{"confirmed": [str(A)]}])


@pytest.mark.requirement("SRV-2")
def test_each_reply_waits_for_its_own_announcements():
    """Both of a Client's prefixes count, another Client's do not; and none waits for longer than PATIENCE"""
    outbox = Outbox()
    speaker = Speaker(CLIENTS, outbox)
    links = (UnderlayLink("eth0", (ip_address(S1), ip_address(HOPS[S1]))),)
    config = ServerConfig("server", "s1", IPv6Address("fe80::1"), links, control="", state="")
    announcing = Announcing(config, speaker, outbox, WallClock())
    speaker.receive(BgpConnected(), 0.0)
    first, second, third = (SendControl(bytes([number]), LLADDR) for number in (1, 2, 3))

    def sent():
        return [action for action in outbox.actions() if isinstance(action, SendControl)]

    announcing.granted([A, B, C], attached=True, now=0.0)
    announcing.send(first, [A, B], 0.0)
    announcing.send(second, [C], 0.1)
    announcing.send(third, [], 0.1)
    assert sent() == [third]
    speaker.receive(BgpNews(confirmed=[A]), 0.2)
    assert sent() == []
    assert announcing.next_timer() == PATIENCE
    speaker.receive(BgpNews(confirmed=[B]), 0.2)
    assert sent() == [first]
    announcing.handle_timer(0.3)
    assert sent() == []
    announcing.handle_timer(0.1 + PATIENCE)
    assert sent() == [second]
    assert announcing.next_timer() is None


def test_an_announcement_that_exabgp_refuses():
    helper = attached()
    helper.from_agent(ask("announce", ROUTE))
    helper.from_exabgp(b"error\n")
    assert done(helper)[1] == [{"refused": [str(A)]}, {"counters": {"bgp_refused": 1}}]
    helper.from_agent(ask("withdraw", ROUTE))
    assert done(helper) == ([], [])


def test_no_more_commands_than_exabgp_answers():
    helper = attached()
    prefixes = [ip_network(f"2001:db8:10{n >> 8:02x}:{n & 255:02x}00::/56") for n in range(2 * WINDOW)]
    helper.from_agent(ask("announce", *(Route(prefix, ip_address(HOPS[S1]), 7) for prefix in prefixes)))
    assert len(done(helper)[0]) == WINDOW
    helper.from_agent(ask("withdraw", *(Route(prefix, ip_address(HOPS[S1]), 7) for prefix in prefixes[WINDOW:])))
    helper.from_exabgp(b"done\n" * WINDOW)
    commands, told = done(helper)
    assert commands == []  # announced and withdrawn while it waited: nothing to say
    assert sum(len(message["confirmed"]) for message in told) == WINDOW


def test_an_answer_nobody_asked_for():
    helper = attached()
    helper.from_exabgp(b"done\n{half a line\n")
    assert done(helper)[1] == [{"counters": {"bgp_unasked": 1, "bgp_garbled": 1}}]


@pytest.mark.requirement("SRV-5")
def test_with_the_agent_gone_everything_is_withdrawn_and_said_anew_to_the_next():
    helper = attached()
    helper.from_agent(ask("announce", ROUTE))
    helper.from_exabgp(b"done\n" + state(S1, "up"))
    done(helper)
    helper.agent_gone()
    assert done(helper) == ([push_withdraw(ROUTE).decode().strip()], [])
    helper.from_exabgp(b"done\n" + announced(S1))
    assert done(helper) == ([], [])
    helper.agent_connected()
    helper.from_agent(json.dumps({"policy": plain(CLIENTS), "announce": plain([ROUTE])}).encode())
    commands, told = done(helper)
    assert commands == [push_announce(ROUTE).decode().strip()]
    assert told[:2] == [{"peers": {S1: True}}, {"routes": [[str(A), ["fe80::1"]]]}]


def test_with_exabgp_gone_it_ends():
    helper = attached()
    helper.exabgp_gone()
    assert list(helper.actions()) == [Quit()]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[]", b'{"policy": 7}', b'{"announce": [{"prefix": "x"}]}', b'{"announce": [7]}']
)
def test_what_an_agent_must_not_say(line):
    helper = attached()
    with pytest.raises(PlainError):
        helper.from_agent(line)
    assert done(helper) == ([], [])


@pytest.mark.parametrize(
    "message",
    [7, [], {"routes": 7}, {"routes": [["x", []]]}, {"peers": {"x": True}}, {"confirmed": "x"},
     {"routes": [[str(A), ["192.0.2.1"]]]}],
)  # fmt: skip
def test_what_is_no_news(message):
    with pytest.raises(PlainError):
        read_news(message)


def test_news():
    assert read_news({}) == BgpNews()
    assert read_news({"routes": [[str(A), ["fe80::1"]]]}).routes == [(A, [IPv6Address("fe80::1")])]
