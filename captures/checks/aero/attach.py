"""Check "aero-attach": how Clients got their prefixes, and what relay and Kea said to each other.

Sources: RFC 8415 §18.2, RFC 6221, RFC 6422, RFC 6939, RFC 8357; spec AERO §6.9, CLI-*, SRV-2, LDRA-*.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from captures.aero.exchanges import REPLY, REQUEST, SOLICIT, Exchange, exchanges
from captures.aero.link import AeroLink, aero_address
from captures.aero.records import Delegated, Dhcp
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run

ALL_SERVERS = IPv6Address("ff02::1:2")
PRE_ATTACH = IPv6Address("fe80::ffff:ffff:ffff:ffff")
RAPID_COMMIT = 14
NEEDED = {1, 8, 14, 25, 6}
FORWARDED = {18, 66, 135, 9}
"""Options of a Relay-forward: Interface-ID, RSOO, Relay Port, Relay Message."""


@check("aero-attach")
def aero_attach(run: Run, bound_ms: float = 1000.0) -> list[Result]:
    """Judge every DHCPv6 exchange of the Clients; `bound_ms` from the first Solicit to the Reply with a prefix."""
    link = run.aero
    assert link
    found = list(exchanges(link))
    return [
        _solicits(found),
        _prefixes(link, found, bound_ms),
        _relayed(link, found),
        _unchanged(link, found),
        _echoed(found),
        _order(link, found, SAME * run.slowness),
        _whole(link),
        _private(link),
    ]


def _solicits(found: list[Exchange]) -> Result:
    tally = Tally(
        "aero-attach.solicit",
        "CLI-2, CLI-7",
        "Clients solicit a prefix inside the tunnel to their Server",
        "Solicit with options 1, 6 (79, 82), 8, 14, 25; inner to ff02::1:2 port 547, hop limit 255; UDP 8060-8060",
    )
    for one in found:
        if one.message.type != SOLICIT:
            continue
        asked, inner = one.asked, one.asked.inner
        tally.see(asked)
        tally.demand(set(one.message.options) >= NEEDED, f"{one.title} has options {one.message.options}", asked)
        tally.demand({79, 82} <= set(one.message.requested), f"{one.title} requests {one.message.requested}", asked)
        tally.demand(asked.code == "0" and asked.ports == (8060, 8060), f"{one.title} goes by {asked.code}", asked)
        ready = inner is not None and inner.destination == ALL_SERVERS and inner.ttl == 255
        tally.demand(ready, f"{one.title}: inner header {inner}", asked)
        own = {PRE_ATTACH} | {aero_address(prefix) for prefix in one.client.prefixes}
        tally.demand(inner is not None and inner.source in own, f"{one.title} comes from {inner}", asked)
    return tally.result(nothing="no Solicit at any Client's interface")


def _prefixes(link: AeroLink, found: list[Exchange], bound_ms: float) -> Result:
    tally = Tally(
        "aero-attach.prefix",
        "CLI-2, SRV-11",
        "Every Client gets the prefixes reserved for its DUID",
        f"Reply with Rapid Commit and valid lifetime > 0 within {bound_ms:g} ms",
    )
    texts = []
    if not found:
        return tally.result(nothing="no DHCPv6 message at any Client's interface")
    for client in link.clients.values():
        mine = [one for one in found if one.client is client and one.message.type in (SOLICIT, REQUEST)]
        granted = [one for one in mine if one.reply and one.reply.type == REPLY]
        got = {each.prefix for one in granted for each in _delegated(one.reply) if each.valid}
        wanted = {_as_ipv6(prefix) for prefix in client.prefixes}
        tally.demand(got >= wanted, f"{client.name} got {_names(got)}, not {_names(wanted - got)}")
        for one in granted:
            assert one.received
            tally.see(one.asked, one.received)
            took = one.received.time - one.asked.time
            tally.demand(took * 1000 <= bound_ms, f"{one.title}: {milliseconds(took)}", one.received)
            if one.message.type == SOLICIT:
                commit = one.reply is not None and RAPID_COMMIT in one.reply.options
                tally.demand(commit, f"{one.title}: no Rapid Commit in the Reply", one.received)
            texts.append(
                f"{client.name} {_names({each.prefix for each in _delegated(one.reply)})} {milliseconds(took)}"
            )
    return tally.result(", ".join(dict.fromkeys(texts)), "no Reply at any Client's interface")


def _relayed(link: AeroLink, found: list[Exchange]) -> Result:
    tally = Tally(
        "aero-attach.relay",
        "LDRA-1, LDRA-3, LDRA-4, LDRA-5, LDRA-6",
        "The relay wraps every client message for Kea",
        "Relay-forward: the message octet for octet, hop count 0, link ::, peer = inner source, options 9, 18, 66{79}, "
        "135; option 79 and Interface-ID tell the outer source at the Server",
    )
    for one in found:
        if one.arrived is None:
            continue
        if one.forwarded is None or one.forwarded.dhcp is None:
            tally.wrong(f"{one.title} was not forwarded to Kea", one.arrived)
            continue
        relay, frame = one.forwarded.dhcp, one.forwarded
        tally.see(one.arrived, frame)
        tally.demand(relay.hop_count == 0 and relay.link_address == IPv6Address("::"), "hop count or link", frame)
        inner = one.arrived.inner
        tally.demand(inner is not None and relay.peer_address == inner.source, f"peer {relay.peer_address}", frame)
        tally.demand(set(relay.options) == FORWARDED, f"options {relay.options}", frame)
        seen = (one.arrived.outer.source, (one.arrived.ports or (0, 0))[0])
        tally.demand(relay.supplied == (seen,), f"option 79 tells {relay.supplied}, came from {seen}", frame)
        way = (1, 0, *seen)
        tally.demand(relay.way_back == way, f"Interface-ID tells {relay.way_back}, came from {seen}", frame)
        tally.demand(relay.relay_port == 0, f"relay port {relay.relay_port}", frame)
        outer = frame.outer
        local = outer.source == outer.destination == IPv6Address("::1")
        tally.demand(local, f"Kea is asked at {outer.destination}", frame)
    return tally.result(f"{plural(len(tally.seen) // 2, 'message')} relayed unchanged", "no client message at a Server")


def _unchanged(link: AeroLink, found: list[Exchange]) -> Result:
    tally = Tally(
        "aero-attach.answer",
        "LDRA-7, LDRA-8, LDRA-9, CLI-3",
        "Kea's answers reach the Client octet for octet, from its Server",
        "inner: Server's AERO address to the peer, UDP 547 to 546; outer: to where the message came from",
    )
    for one in found:
        if one.answered is None:
            continue
        if one.delivered is None or one.arrived is None or one.received is None:
            tally.wrong(f"{one.title}: Kea's answer did not reach the Client unchanged", one.answered)
            continue
        frame, inner = one.delivered, one.delivered.inner
        tally.see(one.answered, frame, one.received)
        asked = one.arrived.inner
        assert inner
        assert asked
        assert one.server
        right = inner.source == one.server.address and inner.destination == asked.source
        tally.demand(right, f"{one.title}: answer from {inner.source} to {inner.destination}", frame)
        back = frame.outer.destination == one.arrived.outer.source
        ports = frame.ports == (8060, (one.arrived.ports or (0, 0))[0])
        tally.demand(back and ports, f"{one.title}: answer goes to {frame.outer.destination} {frame.ports}", frame)
        same = one.reply is not None and frame.dhcp is not None and one.reply.octets == frame.dhcp.octets
        tally.demand(same, f"{one.title}: changed on its way", one.received)
    return tally.result(f"{plural(len(tally.seen) // 3, 'answer')} delivered", "no answer of a Kea on a loopback")


def _echoed(found: list[Exchange]) -> Result:
    tally = Tally(
        "aero-attach.loop",
        "CLI-6, LDRA-5",
        "Clients learn their link-layer address as the Server sees it",
        "option 79 of the Reply = the outer source of the message as it arrived at the Server, 20 octets, type 256",
    )
    texts = {}
    for one in found:
        if one.reply is None or one.received is None or one.arrived is None:
            continue
        seen = (one.arrived.outer.source, (one.arrived.ports or (0, 0))[0])
        own = (one.asked.outer.source, (one.asked.ports or (0, 0))[0])
        tally.see(one.arrived, one.received)
        tally.demand(
            one.reply.lladdr == seen, f"{one.title}: option 79 is {one.reply.lladdr}, not {seen}", one.received
        )
        behind = bool(one.client.nats) and seen[0].version == 4
        tally.demand((seen != own) == behind, f"{one.title}: {own} is seen as {seen}", one.arrived)
        texts[one.client.name] = f"{one.client.name} {own[0]}:{own[1]} is {seen[0]}:{seen[1]}"
    return tally.result(", ".join(texts.values()), "no Reply at any Client's interface")


def _order(link: AeroLink, found: list[Exchange], same: float) -> Result:
    tally = Tally(
        "aero-attach.order",
        "SRV-2",
        "The Server has its entry before the Client has its Reply",
        'event "client-attached" not later than the Reply leaves',
    )
    if not found:
        return tally.result(nothing="no DHCPv6 message at any Client's interface")
    for server in link.servers.values():
        entries = link.said(server.name, "client-attached")
        for entry in entries:
            client = link.client_of(bytes.fromhex(str(entry["duid"])))
            mine = [one for one in found if one.server is server and one.client is client]
            made = [one for one in mine if one.answered and one.answered.time <= entry["t"] + same]
            reply = made[-1].delivered if made else None  # the entry is made of the latest answer of Kea
            if reply is None:
                tally.wrong(f"no Reply after the entry of {client.name if client else entry['duid']}")
            else:
                tally.see(reply)
                tally.demand(entry["t"] <= reply.time + same, "entry after the Reply", reply)
    return tally.result(nothing="no Server said that a Client attached")


SAME = 0.002
"""Seconds by which an event's clock reading may follow the packet of the same turn."""


def _whole(link: AeroLink) -> Result:
    tally = Tally(
        "aero-attach.whole",
        "FRAG-9",
        "Neighbor Discovery and DHCPv6 are never fragmented",
        "no control message behind a Fragment Header, but the small atomic NS and its NA of FRAG-14",
    )
    for node in link.nodes:
        for frame in link.sent(node):
            if frame.discovery is None and frame.dhcp is None:
                continue
            tally.see(frame)
            header = frame.fragment
            allowed = header is None or (header.atomic and frame.discovery is not None)
            tally.demand(allowed, f"{node.name} fragments a control message", frame)
    return tally.result(f"{plural(len(tally.seen), 'control message')}, all whole")


def _private(link: AeroLink) -> Result:
    tally = Tally(
        "aero-attach.private",
        "SRV-1",
        "Kea speaks to its relay only",
        "Relay messages on the loopback only, nothing of DHCPv6 outside the tunnel",
    )
    for server in link.servers.values():
        tally.see(*[one for one in link.frames(server.name, "lo") if one.dhcp])
        for frame in link.wan(server):
            bare = frame.dhcp is not None and not frame.code
            tally.demand(not bare, f"DHCPv6 outside the tunnel at {server.name}", frame)
            relay = frame.dhcp is not None and frame.dhcp.type in (12, 13)
            tally.demand(not relay, f"a relay message on {server.name}'s underlay", frame)
    return tally.result(f"{plural(len(tally.seen), 'message')} on loopbacks", "no DHCPv6 on any Server's loopback")


def _delegated(reply: Dhcp | None) -> tuple[Delegated, ...]:
    return reply.prefixes if reply else ()


def _as_ipv6(prefix: object) -> IPv6Network:
    text = str(prefix)
    if ":" in text:
        return IPv6Network(text)
    base, length = text.split("/")
    return IPv6Network(f"::ffff:{base}/{96 + int(length)}")


def _names(prefixes: set[IPv6Network]) -> str:
    return ", ".join(sorted(map(str, prefixes))) or "nothing"
