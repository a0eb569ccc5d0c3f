"""Checks of the addresses that Clients have themselves: all of them, unused ones, past the tunnel, as a source.

Sources: slides "AERO Client models"; RFC 1122 §3.3.4.2, RFC 6724; spec AERO MODEL-0, -H2 to -H4, -4, CLI-5, CLI-15.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from captures.aero.link import AeroLink, Client, Ping
from captures.aero.records import Frame
from captures.checks.aero.pings import end_frames
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

UNUSED = "-unused"
"""How the names of series to addresses that nobody has end."""
UNSPECIFIED = IPv6Address("::")
UNREACHABLE = {6: (1,), 4: (3,)}
"""ICMP types of "destination unreachable"."""


def seen_at(link: AeroLink, node: str) -> list[Frame]:
    """Everything in the captures of a node."""
    return [one for (name, _interface), frames in link.captures.items() if name == node for one in frames]


def echoes(frames: list[Frame], kind: str, identifier: int) -> list[Frame]:
    """Echo requests or replies with an identifier."""
    return [one for one in frames if one.echo and one.echo[:2] == (kind, identifier)]


@check("aero-addresses")
def aero_addresses(run: Run, client: str, least: int) -> list[Result]:
    """Judge that all of many addresses answer, and that nobody was asked whether they are unique."""
    link = run.aero
    assert link
    return [_answering(link, link.clients[client], least), _no_detection(link)]


def _answering(link: AeroLink, client: Client, least: int) -> Result:
    tally = Tally(
        "aero-addresses.answer",
        "MODEL-H2",
        f"Every address of {client.name} is reachable from the native network",
        f"at least {least} addresses on the AERO interface, each answers from itself",
    )
    addresses = set()
    series = [one for one in link.events if one["event"] == "every-address" and one["peer"] == client.name]
    for event in series:
        requests = echoes(link.received(client), "request", event["icmp_id"])
        replies = echoes(seen_at(link, event["node"]), "reply", event["icmp_id"])
        tally.see(*requests, *replies)
    for event in series if tally.seen else ():
        asked = {one.innermost.destination for one in echoes(link.received(client), "request", event["icmp_id"])}
        replies = echoes(seen_at(link, event["node"]), "reply", event["icmp_id"])
        answered = {one.innermost.source for one in replies}
        for address in map(ip_address, event["addresses"]):
            tally.demand(address in asked, f"no request for {address} at {client.name}")
            tally.demand(address in answered, f"no reply from {address} at {event['node']}")
            tally.demand(client.covers(address), f"{address} is not of {client.name}'s prefixes")
            addresses.add(address)
    if tally.seen:
        tally.demand(len(addresses) >= least, f"{len(addresses)} addresses only")
    return tally.result(f"{len(addresses)} addresses answer", "no request to any of them")


def _no_detection(link: AeroLink) -> Result:
    tally = Tally(
        "aero-addresses.no-dad",
        "MODEL-0, CLI-5",
        "No duplicate address detection on the AERO link",
        "no Neighbor Solicitation from :: inside the tunnel",
    )
    for client in link.clients.values():
        for frame in link.sent(client):
            if frame.discovery and frame.inner:
                tally.see(frame)
                tally.demand(
                    frame.inner.source != UNSPECIFIED, f"{client.name} asks for {frame.discovery.target}", frame
                )
    return tally.result(f"{plural(len(tally.seen), 'message')} of Neighbor Discovery, all from an AERO address")


@check("aero-unused")
def aero_unused(run: Run) -> list[Result]:
    """Judge echo requests to parts of prefixes that nobody uses."""
    link = run.aero
    assert link
    found = [_unused(link, ping) for ping in link.pings if ping.name.endswith(UNUSED)]
    title = "Unused parts of a prefix are unreachable"
    return found or [Tally("aero-unused", "MODEL-H3", title, "unreachable").result(nothing="nobody tried one")]


def _unused(link: AeroLink, ping: Ping) -> Result:
    client = link.clients[ping.peer]
    tally = Tally(
        f"aero-unused.{client.name}",
        "MODEL-H3, CLI-15",
        f"A packet to an unused address of {client.name} ends there",
        f"each request reaches {client.name} once and does not come back to the Server; {ping.node} is told, "
        "from a delegated address",
    )
    arrived = echoes(link.received(client), "request", ping.identifier)
    looped = echoes(link.sent(client), "request", ping.identifier)
    told = [
        one
        for one in seen_at(link, ping.node)
        if one.icmp and one.icmp[0] in UNREACHABLE[one.innermost.version] and _quotes(one, ping)
    ]
    tally.see(*arrived, *told)
    if not tally.seen:
        return tally.result(nothing=f"no request reached {client.name}")
    tally.demand(len(arrived) == ping.count, f"{len(arrived)} of {ping.count} requests arrive", *arrived[:3])
    tally.demand(not looped, "it goes back into the tunnel", *looped[:3])
    if arrived:
        tally.demand(bool(told), f"{ping.node} is not told")
    for one in told:
        tally.demand(client.covers(one.innermost.source), f"told from {one.innermost.source}", one)
    return tally.result(f"{len(arrived)} arrived, {len(told)} answered")


def _quotes(frame: Frame, ping: Ping) -> bool:
    return frame.quoted is not None and frame.quoted.destination == ping.destination


@check("aero-strong-host")
def aero_strong_host(run: Run, client: str) -> list[Result]:
    """Judge packets for an address of the AERO interface that arrive past the tunnel."""
    link = run.aero
    assert link
    host = link.clients[client]
    tally = Tally(
        "aero-strong-host",
        "MODEL-H4",
        f"{client} is a strong end system",
        "an echo request for an address of its AERO interface that arrives on another one gets no answer",
    )
    for ping in link.pings:
        bare = [one for one in end_frames(link, client, ping, "request") if not one.code]
        if ping.peer != client or not bare:
            continue
        right = [one for one in bare if one.outer.destination in host.own]
        tally.see(*right)
        tally.demand(len(right) == len(bare), "not for an address of the AERO interface", *bare)
        answers = [*end_frames(link, client, ping, "reply"), *end_frames(link, ping.node, ping, "reply")]
        tally.demand(not answers, f"{plural(len(answers), 'answer')}", *answers[:3])
    text = f"{plural(len(tally.seen), 'request')} arrived past the tunnel, none was answered"
    return [tally.result(text, "no packet came past the tunnel")]


@check("aero-sources")
def aero_sources(run: Run) -> list[Result]:
    """Judge packets that a Client's programs sent without naming a source."""
    link = run.aero
    assert link
    tally = Tally(
        "aero-sources",
        "MODEL-4, CLI-13",
        "What a Client itself sends leaves with a delegated source",
        "requests arrive through the tunnel, from an address of the Client's prefixes and never of the underlay",
    )
    texts = []
    series = [one for one in link.events if one["event"] == "from-any-source"]
    sent = {one["icmp_id"]: echoes(link.sent(link.clients[one["node"]]), "request", one["icmp_id"]) for one in series}
    tally.see(*(frame for frames in sent.values() for frame in frames))
    for event in series if tally.seen else ():
        client, mine = link.clients[event["node"]], sent[event["icmp_id"]]
        tally.demand(len({one.echo for one in mine}) == event["count"], f"{len(mine)} requests of {client.name}", *mine)
        for one in mine:
            tally.demand(client.covers(one.innermost.source), f"{client.name} sends from {one.innermost.source}", one)
        replies = echoes(link.received(client), "reply", event["icmp_id"])
        tally.demand(len(replies) == len(mine), f"{len(replies)} replies to {client.name}")
        texts += [f"{client.name} from {source}" for source in sorted({str(one.innermost.source) for one in mine})]
    return [tally.result(", ".join(texts), "no Client sent anything without naming a source")]
