"""Check "aero-retreat": a Client that shares no token with its correspondents moves; all go back to their Servers.

Sources: spec AERO §6.6, RO-18, MOB-5; RFC 6706 §6.4.13.
"""

from __future__ import annotations

from ipaddress import ip_address

from captures.aero.exchanges import REPLY
from captures.aero.link import AeroLink, Client, Server
from captures.aero.mediations import said_in
from captures.aero.records import ADVERTISEMENT, Frame
from captures.checks.aero.moves import IN_FLIGHT, QUIET, announcements
from captures.checks.base import Result, Tally, check, milliseconds
from captures.ip import Address
from captures.run import Run

NULL = "NULL Redirect"


@check("aero-retreat")
def aero_retreat(run: Run, client: str, peer: str, new: str, bound_ms: float) -> list[Result]:
    """Judge one move without tokens; `new`: the underlay address after it."""
    link = run.aero
    assert link
    moments = [event["t"] for event in link.said(client, "moving")]
    mover, other, address = link.clients[client], link.clients[peer], ip_address(new)
    begin = moments[0] if moments else float("inf")
    return [_told(link, mover, other, address, begin, bound_ms), _back(link, mover, other, address, begin, bound_ms)]


def _nulls(frames: list[Frame], since: float) -> list[Frame]:
    return [one for one in frames if one.mediation and one.mediation.name == NULL and one.time >= since]


def _servers(link: AeroLink) -> set[Address]:
    """Their underlay addresses."""
    servers: list[Server] = list(link.servers.values())
    return {address for server in servers for address in server.underlay}


def _told(link: AeroLink, mover: Client, peer: Client, new: Address, begin: float, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-retreat.{mover.name}.tells",
        "MOB-5, RO-18",
        f"{mover.name} has {peer.name} sent back by the Servers",
        f"a NULL Redirect about their flow to its Server, at most {bound_ms:g} ms after the Reply that confirms the "
        f"move; no word to {peer.name} that nobody could believe; once it knows of the move, no data to it before it "
        "answers",
    )
    since = [one for one in link.sent(mover) if one.time >= begin]
    replies = [one for one in link.received(mover) if one.time >= begin and one.dhcp and one.dhcp.type == REPLY]
    replies = [one for one in replies if one.outer.destination == new]
    if not since or not replies:
        return tally.result(nothing=QUIET)
    found = _nulls(since, begin)
    tally.see(*found[:2])
    tally.demand(bool(found), "no NULL Redirect", replies[0])
    for one in found:
        tally.demand(one.outer.destination in _servers(link), f"sent to {one.outer.destination}", one)
        quoted = said_in(one).quoted
        ours = quoted is not None and peer.covers(quoted.source) and mover.covers(quoted.destination)
        tally.demand(ours, "about another flow", one)
    for one in found[:1]:
        took = one.time - replies[0].time
        tally.demand(0 <= took * 1000 <= bound_ms, f"{milliseconds(took)} after the Reply", one)
    loud = [one for one in announcements(since, new) if one.outer.destination in peer.underlay]
    tally.demand(not loud, "it announces itself without a proof", *loud)
    early = [one for one in since if one.outer.destination in peer.underlay and one.echo]
    noticed = min((one.time for one in since if one.dhcp), default=begin)
    early = [one for one in early if noticed < one.time < _answered(link, mover, peer, begin)]
    tally.demand(not early, f"data to {peer.name} before that answered", *early)
    return tally.result(f"{milliseconds(found[0].time - begin)} after the move began" if found else "")


def _answered(link: AeroLink, mover: Client, peer: Client, begin: float) -> float:
    """When a correspondent first answered at the new address."""
    answers = [one for one in link.received(mover) if one.discovery and one.discovery.type == ADVERTISEMENT]
    found = [one.time for one in answers if one.time >= begin and one.outer.source in peer.underlay]
    return min(found, default=float("inf"))


def _back(link: AeroLink, mover: Client, peer: Client, new: Address, begin: float, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-retreat.{peer.name}.back",
        "MOB-5, RO-18, MOB-12",
        f"{peer.name} sends by its Server until the path is optimised anew",
        f"its Server passes the NULL Redirect on, at most {bound_ms:g} ms after the move; from then on nothing goes to "
        "the old address, and in the end direct data to the new one",
    )
    told = _nulls(link.received(peer), begin)
    data = [one for one in link.sent(peer) if one.echo and one.time >= begin]
    if begin == float("inf") or not data:
        return tally.result(nothing=QUIET)
    if not told:
        tally.wrong("no NULL Redirect arrived", data[0])
        return tally.result()
    tally.see(told[0])
    took = told[0].time - begin
    tally.demand(told[0].outer.source in _servers(link), f"from {told[0].outer.source}", told[0])
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", told[0])
    late = [one for one in data if one.outer.destination in mover.underlay and one.time > told[0].time + IN_FLIGHT]
    old = [one for one in late if one.outer.destination != new]
    tally.demand(not old, "to the old address afterwards", *old)
    helped = [one for one in data if one.outer.destination in _servers(link) and one.time >= told[0].time]
    tally.demand(bool(helped), "no data by the Server", told[0])
    tally.demand(any(one.outer.destination == new for one in data), "never directly again", told[0])
    return tally.result(f"{milliseconds(took)} after the move began")
