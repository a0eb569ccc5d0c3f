"""Checks "aero-move" and "aero-move-loss": a Client gets another underlay address while others send to it.

Sources: spec AERO §6.8, §6.9, MOB-1 to MOB-4, MOB-6, MOB-12, MOB-14.
"""

from __future__ import annotations

import math
from ipaddress import ip_address
from itertools import pairwise
from statistics import median

from captures.aero.exchanges import RENEW, REPLY, SOLICIT
from captures.aero.link import AeroLink, Client, Ping
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Frame
from captures.checks.aero.pings import end_frames
from captures.checks.base import Result, Tally, check, milliseconds
from captures.ip import Address
from captures.run import Run

MOST = 3
"""MAX_NEIGHBOR_ADVERTISEMENT."""
APART = 0.9
IN_FLIGHT = 0.05
QUIET = "nobody moved, or no packet of the moment after is in the captures"


@check("aero-move")
def aero_move(
    run: Run,
    client: str,
    new: str,
    bound_ms: float,
    peer: str | None = None,
    heard: bool | None = True,
    least: int = 1,
) -> list[Result]:
    """Judge one move; `new`: the underlay address after it, `bound_ms`: until it is told.

    `peer`: the Client that sends to it directly, None where all go by their Server; `heard`: whether that gets the
    announcements, None: without a token nothing is announced (check "aero-retreat"); `least`: packets that it must have
    sent to the new address, so that following is no luck.
    """
    link = run.aero
    assert link
    moments = [event["t"] for event in link.said(client, "moving")]
    begin = moments[0] if moments else None
    mover, address = link.clients[client], ip_address(new)
    found = [_renewed(link, mover, address, begin, bound_ms), _believed(link, mover, address, begin)]
    if peer is None or heard is None:
        return found
    other = link.clients[peer]
    return [
        *found,
        _announced(link, mover, other, address, begin, heard, bound_ms),
        _followed(link, mover, other, address, begin, heard, bound_ms, least),
    ]


@check("aero-move-loss")
def aero_move_loss(run: Run, client: str, ping: str, trips: float, lost_ms: float) -> list[Result]:
    """Judge what a series of pings loses at a move: at most what is sent in `trips` round trips and `lost_ms`."""
    link = run.aero
    assert link
    moments = [event["t"] for event in link.said(client, "moving")]
    series = next((one for one in link.pings if one.name == ping), None)
    tally = Tally(
        f"aero-move.{client}.loss",
        "MOB-12",
        f"{client} moves: what it costs a flow",
        f"requests and replies that are missing ≤ rate · ({trips:g} RTT + {lost_ms:g} ms), the RTT by Servers or "
        "directly as the flow had it before",
    )
    if not moments or series is None:
        return [tally.result(nothing="nobody moved, or nobody pinged")]
    asked = _by_number(link, series.node, series, "request")
    arrived = _by_number(link, series.peer, series, "request")
    replied = _by_number(link, series.node, series, "reply")
    known = [number for number, one in replied.items() if number in asked and one.time < moments[0]]
    trip = median([replied[number].time - asked[number].time for number in known] or [0.0])
    paces = [two.time - one.time for one, two in pairwise(asked.values())]
    before = [one for one in arrived.values() if one.time < moments[0]]
    if not before or not known:
        return [tally.result(nothing="no request or no reply arrived before the move")]
    tally.see(before[-1], *[one for one in arrived.values() if one.time >= moments[0]][:1])
    allowed = (trips * trip + lost_ms / 1000) / median(paces)
    lost = {"requests": len(asked) - len(arrived), "replies": len(arrived) - len(replied)}
    for what, count in lost.items():
        tally.demand(count <= math.ceil(allowed), f"{count} {what} lost, {allowed:.1f} allowed")
    tally.demand(max(arrived) == max(asked), "nothing arrives in the end", arrived[max(arrived)])
    text = ", ".join(f"{count} {what}" for what, count in lost.items())
    return [tally.result(f"lost {text} of {len(asked)}; {allowed:.1f} allowed (RTT {milliseconds(trip)})")]


def _by_number(link: AeroLink, node: str, series: Ping, kind: str) -> dict[int, Frame]:
    """Packets of a series at one of its hosts, the first of each number, in order."""
    found: dict[int, Frame] = {}
    for one in sorted(end_frames(link, node, series, kind), key=lambda one: one.time):
        if one.echo:
            found.setdefault(one.echo[2], one)
    return found


def _since(link: AeroLink, client: Client, begin: float | None) -> list[Frame]:
    """What a Client sent from the move on."""
    return [one for one in link.sent(client) if begin is not None and one.time >= begin]


def _renewed(link: AeroLink, mover: Client, new: Address, begin: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-move.{mover.name}.renew",
        "MOB-1, MOB-6",
        f"{mover.name} tells its Server at once, and keeps what it has",
        f"a Renew from the new address at most {bound_ms:g} ms after the move, and no Solicit",
    )
    since = _since(link, mover, begin)
    if begin is None or not since:
        return tally.result(nothing=QUIET)
    sent = [one for one in since if one.dhcp]
    renews = [one for one in sent if one.dhcp and one.dhcp.type == RENEW and one.outer.source == new]
    if not renews:
        tally.wrong("no Renew from the new address", *since[:2])
        return tally.result()
    tally.see(renews[0])
    took = renews[0].time - begin
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", renews[0])
    solicits = [one for one in sent if one.dhcp and one.dhcp.type == SOLICIT]
    tally.demand(not solicits, "it solicits anew", *solicits)
    return tally.result(f"{milliseconds(took)} after the move began")


def _believed(link: AeroLink, mover: Client, new: Address, begin: float | None) -> Result:
    tally = Tally(
        f"aero-move.{mover.name}.server",
        "MOB-2, SRV-3",
        "The Server believes the Renew, and nothing before it",
        "packets to the old address up to the Reply, to the new one from then on",
    )
    for server in link.servers.values() if begin is not None else ():
        sent = [
            one for one in link.sent(server) if one.time >= (begin or 0) and one.outer.destination in mover.underlay
        ]
        replies = [one for one in sent if one.dhcp and one.dhcp.type == REPLY and one.outer.destination == new]
        if not replies:
            tally.demand(not sent, "no Reply to the new address", *sent[:2])
            continue
        tally.see(*replies[:1])
        told = [one for one in sent if one.discovery and one.discovery.type == ADVERTISEMENT]
        early = [one for one in sent if one.outer.destination == new and one.time < replies[0].time and one not in told]
        tally.demand(not early, "to the new address before", *early)
        late = [one for one in sent if one.outer.destination != new and one.time > replies[0].time]
        tally.demand(not late, "to the old address after", *late)
    return tally.result()


def announcements(frames: list[Frame], new: Address) -> list[Frame]:
    """Unsolicited advertisements from the new address."""
    found = [one for one in frames if one.discovery and one.discovery.type == ADVERTISEMENT and one.outer.source == new]
    return [one for one in found if one.discovery and not one.discovery.solicited and one.discovery.override]


def _announced(
    link: AeroLink, mover: Client, peer: Client, new: Address, begin: float | None, heard: bool, bound_ms: float
) -> Result:
    wanted = "one" if heard else f"{MOST}, a second apart,"
    tally = Tally(
        f"aero-move.{mover.name}.announcement",
        "MOB-3" if heard else "MOB-3, MOB-14",
        f"{mover.name} tells {peer.name} directly",
        f"{wanted} unsolicited and proved, O set, S clear, with the new address",
    )
    since = _since(link, mover, begin)
    if begin is None or not since:
        return tally.result(nothing=QUIET)
    found = [one for one in announcements(since, new) if one.outer.destination in peer.underlay]
    tally.see(*found)
    tally.demand(1 <= len(found) <= MOST, f"{len(found)} announcements", *found[MOST:])
    tally.demand(heard or len(found) == MOST, f"{len(found)} announcements though nobody answered", *found)
    for one in found:
        assert one.discovery
        told = [(each.ip, each.port) for each in one.discovery.lladdrs]
        tally.demand(one.discovery.auth is not None, "without AUTH", one)
        tally.demand(told == [(new, 8060)], f"tells {told}", one)
    for earlier, later in pairwise(found):
        tally.demand(later.time - earlier.time >= APART, "too soon again", later)
    if found:
        took = found[0].time - begin
        tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", found[0])
    return tally.result(f"{len(found)} announcements")


def _followed(
    link: AeroLink,
    mover: Client,
    peer: Client,
    new: Address,
    begin: float | None,
    heard: bool,
    bound_ms: float,
    least: int,
) -> Result:
    when = f"at most {bound_ms:g} ms after the announcement" if heard else "after its Server was asked again"
    tally = Tally(
        f"aero-move.{peer.name}.follows",
        "MOB-4" if heard else "MOB-14",
        f"{peer.name} sends to where {mover.name} is now",
        f"{least} packets or more directly to the new address, the first {when} and not before, and none to another "
        "one afterwards; the address is asked, and answers",
    )
    since = _since(link, peer, begin)
    if begin is None or not since:
        return tally.result(nothing=QUIET)
    data = [one for one in since if one.echo and one.inner and mover.covers(one.inner.destination)]
    there = [one for one in data if one.outer.destination == new]
    told = [one for one in announcements(link.received(peer), new) if one.time >= begin]
    if not there:
        tally.wrong("no direct data to the new address", *since[:2])
        return tally.result()
    tally.see(*there)
    tally.demand(len(there) >= least, f"only {len(there)} packets to the new address", *there)
    late = [one for one in data if one.outer.destination != new and one.time > there[0].time + IN_FLIGHT]
    tally.demand(not late, "to another address again", *late)
    answered = _answered(link, peer, new, begin)
    tally.demand(answered is not None, "the new address was not confirmed")
    count = f"{len(there)} packets there, the first"
    if not heard:
        tally.demand(not told, "an announcement arrived", *told)
        untested = answered is not None and there[0].time < answered.time
        tally.demand(not untested, "before the new address had answered", there[0])
        return tally.result(f"{count} {milliseconds(there[0].time - begin)} after the move")
    if not told:
        tally.wrong("no announcement arrived")
        return tally.result()
    took = there[0].time - told[0].time
    tally.demand(took >= 0, f"{milliseconds(-took)} before the announcement", there[0], told[0])
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", there[0])
    return tally.result(f"{count} {milliseconds(took)} after the announcement")


def _answered(link: AeroLink, peer: Client, new: Address, begin: float) -> Frame | None:
    """The first answer to a solicitation of the new address."""
    asked = [one for one in _since(link, peer, begin) if one.outer.destination == new]
    nonces = {one.discovery.nonce for one in asked if one.discovery and one.discovery.type == SOLICITATION}
    for one in link.received(peer):
        said = one.discovery
        if said and said.type == ADVERTISEMENT and said.solicited and said.nonce in nonces and one.time >= begin:
            return one
    return None
