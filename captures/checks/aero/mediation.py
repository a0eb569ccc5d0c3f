"""Check "aero-mediation": every Predirect and Redirect on the wire, hop by hop.

Sources: RFC 6706 §6.4.5 to §6.4.9; spec AERO §6.6, RO-1, RO-4, RO-5, RO-7 to RO-10.
"""

from __future__ import annotations

from captures.aero.link import AeroLink, Client, aero_address
from captures.aero.mediations import Optimisation, optimisations, said_in, sent_mediations
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, plural
from captures.ip import Address
from captures.run import Run

ORIGINAL = 8
"""Hop limit at the originator."""
HINDSIGHT = 0.5
"""Seconds before a Predirect in which the packet that started it was seen."""


@check("aero-mediation")
def aero_mediation(run: Run, framing: str = "nd", hops: list[list[int]] | None = None) -> list[Result]:
    """Judge all optimisations; `hops`: hop limits of a Predirect and of its Redirect, as each sender sends them."""
    link = run.aero
    assert link
    found = optimisations(link)
    predirect, redirect = hops or [[8], [8, 7]]
    return [
        _form(link, framing),
        _originated(link, found),
        _hops(link, found, predirect, redirect),
        _unchanged(found),
        *(_views(link, client, found) for client in link.clients.values()),
    ]


def _form(link: AeroLink, framing: str) -> Result:
    text = f"framing {framing}, right checksums, Target is Destination and made of the prefix, which covers the packet"
    tally = Tally("aero-mediation.form", "RO-4, RO-7", "Predirects and Redirects are as the sheet has them", text)
    for frame in sent_mediations(link):
        said = said_in(frame)
        tally.see(frame)
        tally.demand(said.framing == framing, f"framing {said.framing}", frame)
        tally.demand(said.checksum_good, "wrong checksum", frame)
        if said.prefix is None:
            continue
        tally.demand(said.target == said.destination == aero_address(said.prefix), f"Target {said.target}", frame)
        end = (said.quoted.source if said.predirect else said.quoted.destination) if said.quoted else None
        covered = end is not None and end.version == said.prefix.version and end in said.prefix
        tally.demand(covered, f"{said.prefix} does not cover {end}", frame)
        tally.demand(bool(said.lladdrs), "no link-layer address", frame)
        tally.demand(said.token is not None, "no token", frame)
    return tally.result(nothing="no Predirect and no Redirect in the captures")


def _originated(link: AeroLink, found: list[Optimisation]) -> Result:
    tally = Tally(
        "aero-mediation.origin",
        "RO-1, RO-3",
        "The source's own Server starts it, upon a packet that it forwards at once",
        "each Predirect of hop limit 8 quotes a packet that its sender took from that Client and sent on before",
    )
    for one in found:
        frame = one.first
        said = said_in(frame)
        if not said.predirect or frame.inner is None:
            tally.wrong("a Redirect without a Predirect", frame)
            continue
        tally.see(frame)
        owner = _owner(link, said.quoted.source) if said.quoted else None
        tally.demand(owner is not None, "quotes a packet of no Client", frame)
        tally.demand(frame.inner.ttl == ORIGINAL, f"hop limit {frame.inner.ttl}", frame)
        sender = next((each for each in link.nodes if each.name == frame.node), None)
        tally.demand(frame.node in link.servers, f"sent by {frame.node}", frame)
        passed = [each for each in link.wan(sender) if _is_quoted(each, frame)] if sender else []
        came = [each for each in passed if sender and each.outer.destination in sender.underlay]
        went = [each for each in passed if sender and each.outer.source in sender.underlay]
        tally.demand(bool(came and went), "no such packet came and went before", frame)
    return tally.result(f"{plural(len(found), 'Predirect')}, each upon a packet that was forwarded")


def _is_quoted(frame: Frame, predirect: Frame) -> bool:
    quoted, inner = said_in(predirect).quoted, frame.inner
    if quoted is None or inner is None or frame.mediation:
        return False
    recent = predirect.time - HINDSIGHT <= frame.time <= predirect.time
    return recent and (inner.source, inner.destination) == (quoted.source, quoted.destination)


def _hops(link: AeroLink, found: list[Optimisation], predirect: list[int], redirect: list[int]) -> Result:
    wanted = f"Predirect {'-'.join(map(str, predirect))}, Redirect {'-'.join(map(str, redirect))}"
    proved = "RO-9, RO-10, RLY-5" if link.relays else "RO-9, RO-10"
    tally = Tally("aero-mediation.hops", proved, "Each router takes one from the hop limit", wanted)
    for one in found:
        out = [frame.inner.ttl for frame in one.predirects if frame.inner]
        back = [frame.inner.ttl for frame in one.redirects if frame.inner]
        tally.demand(out == predirect, f"Predirect {'-'.join(map(str, out))}", *one.predirects)
        if back:
            tally.see(*one.predirects, *one.redirects)
            tally.demand(back == redirect, f"Redirect {'-'.join(map(str, back))}", *one.redirects)
    return tally.result(wanted, nothing="no Predirect was answered")


def _unchanged(found: list[Optimisation]) -> Result:
    tally = Tally(
        "aero-mediation.unchanged",
        "RO-9, RO-10, RO-7, RO-5",
        "Routers change nothing else; the target copies packet and token",
        "equal messages but for addresses, hop limit and, from the target's Server on, link-layer addresses",
    )
    for one in found:
        for frames in (one.predirects, one.redirects):
            different = [frame for frame in frames if said_in(frame).rest != said_in(frames[0]).rest]
            tally.demand(not different, "changed on the way", *different)
            tally.see(*frames)
        lladdrs = {said_in(frame).lladdrs for frame in one.predirects}
        tally.demand(len(lladdrs) <= 1, "link-layer addresses of a Predirect changed", *one.predirects)
        later = {said_in(frame).lladdrs for frame in one.redirects[1:]}
        tally.demand(len(later) <= 1, "link-layer addresses of a Redirect changed twice", *one.redirects[1:])
        for frame in one.redirects[:1] if one.predirects else ():
            theirs, ours = said_in(frame).quoted, said_in(one.predirects[0]).quoted
            tally.demand(theirs == ours, "another packet is quoted", frame, one.predirects[0])
    return tally.result()


def _views(link: AeroLink, client: Client, found: list[Optimisation]) -> Result:
    """What Servers say of a Client's link-layer address is where they see it themselves (spec RO-8)."""
    tally = Tally(
        f"aero-mediation.view-{client.name}",
        "RO-8, RO-5",
        f"{client.name} is found where its Server sees it",
        "TLLAOs of its Server hold the outer source of its packets there, and tell of a NAT",
    )
    behind = any(nat for nat in client.nats)
    for frame in _about(client, found):
        server = link.servers.get(frame.node)
        said = said_in(frame)
        if server is None or (not said.predirect and frame.inner and frame.inner.ttl != ORIGINAL - 1):
            continue
        seen = _seen_at(link, frame, client)
        if seen is None:
            continue
        tally.see(frame)
        told = {(one.ip, one.port) for one in said.lladdrs}
        tally.demand(told == {seen}, f"told {told}, seen {seen}", frame)
        tally.demand(all(one.nat == behind for one in said.lladdrs), f"N is not {int(behind)}", frame)
    return tally.result(nothing=f"no Server told of {client.name}")


def _about(client: Client, found: list[Optimisation]) -> list[Frame]:
    frames = [frame for one in found for frame in (*one.predirects[:1], *one.redirects[1:2])]
    return [frame for frame in frames if said_in(frame).prefix in client.prefixes]


def _seen_at(link: AeroLink, frame: Frame, client: Client) -> tuple[Address, int] | None:
    """Outer source of the Client's latest packet at the Server before this frame."""
    server = link.servers[frame.node]
    latest = None
    for one in link.received(server):
        if one.time >= frame.time:
            break
        if one.inner and one.ports and _is_of(client, one.inner.source):
            latest = one.outer.source, one.ports[0]
    return latest


def _is_of(client: Client, source: Address) -> bool:
    """Whether an inner source is the Client's, on the AERO link or behind it."""
    inside = any(source.version == prefix.version and source in prefix for prefix in client.prefixes)
    return inside or source in {aero_address(prefix) for prefix in client.prefixes}


def _owner(link: AeroLink, address: Address) -> Client | None:
    for client in link.clients.values():
        if any(address.version == prefix.version and address in prefix for prefix in client.prefixes):
            return client
    return None
