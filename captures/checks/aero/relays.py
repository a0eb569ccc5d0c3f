"""Checks "aero-relays": what Relays carry, and to whom; what they refuse; who takes over from one that failed; and
"aero-unreachable": what they refuse, alone.

Sources: spec AERO §1.4, RLY-2, RLY-4, RLY-7, RLY-8; RFC 4443 §3.1, §3.2.
"""

from __future__ import annotations

from captures.aero.bgp import Prefix
from captures.aero.link import AeroLink, Server
from captures.aero.records import Frame
from captures.aero.routes import Routes, sessions
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.ip import Address
from captures.run import Run

SETTLING = 0.05
"""Seconds in which a Relay may still use the route that was the best before an update."""
UNREACHABLE = {4: 3, 6: 1}
"""ICMP type, by IP version."""
TOO_BIG = ((2, 0), (3, 4))
"""Type and code: ICMPv6, ICMP."""


@check("aero-relays")
def aero_relays(run: Run, bound_ms: float = 300.0, native_mtu: int | None = None) -> list[Result]:
    """Judge every data packet at the Relays.

    `bound_ms`: from a session's end until its Server uses another Relay; `native_mtu`: of the native links, octets,
    where the script sends what does not fit there.
    """
    link = run.aero
    assert link
    found = [_carried(link), _nowhere(link), _taken_over(link, bound_ms / 1000)]
    return [*found, _native_mtu(link, native_mtu)] if native_mtu else found


@check("aero-unreachable")
def aero_unreachable(run: Run) -> list[Result]:
    """Judge what comes to the Relays for addresses without a route, e.g. after a Server failed."""
    link = run.aero
    assert link
    return [_nowhere(link)]


def _carried(link: AeroLink) -> Result:
    tally = Tally(
        "aero-relays.route",
        "RLY-2",
        "Relays forward by longest match on BGP routes, to the Server that announces",
        f"outer destination = the Server with the lowest MED, at most {SETTLING * 1000:g} ms earlier",
    )
    for relay in link.relays.values():
        routes = Routes(link, relay)
        for frame in _data(link, link.sent(relay)):
            assert frame.inner
            owners = routes.owners(frame.inner.destination, frame.time - SETTLING, frame.time)
            target = link.name_of(frame.outer.destination)
            tally.see(frame)
            tally.demand(target in owners, f"{relay.name} sends {frame.inner.destination} to {target}", frame)
    return tally.result(f"{plural(len(tally.seen), 'packet')} forwarded", "no Relay forwarded anything to a Server")


def _nowhere(link: AeroLink) -> Result:
    tally = Tally(
        "aero-relays.unreachable",
        "RLY-4",
        "What is inside the aggregates and nobody's is answered, and never leaves to the native Internet",
        "Destination Unreachable back to where it came from, a Server or the native Internet; nothing of it on the "
        "native link",
    )
    for relay in link.relays.values():
        routes = Routes(link, relay)
        outside = link.frames(relay.name, link.domain["bgp"]["natives"][relay.name]["interface"])
        refused = [
            frame
            for frame in (*_data(link, link.received(relay)), *_inbound(link, relay, outside))
            if frame.icmp is None or not frame.quoted
            if routes.owners(_ends(frame)[1], frame.time - SETTLING, frame.time + SETTLING) == {None}
        ]
        errors = [frame for frame in (*link.sent(relay), *outside) if frame.icmp and frame.quoted]
        answers = {key: [one.time for one in errors if _answer(one) == key] for key in {*map(_question, refused)}}
        for frame in refused:
            later = [time for time in answers[_question(frame)] if time >= frame.time]
            tally.see(frame)
            destination = _ends(frame)[1]
            tally.demand(bool(later), f"{relay.name} does not answer for {destination}", frame)
            if not frame.code:
                continue
            leaked = [one for one in outside if one.time >= frame.time and one.outer.destination == destination]
            leaked = [one for one in leaked if one.echo == frame.echo and one.outer.source == _ends(frame)[0]]
            tally.demand(not leaked, f"{relay.name} sends {destination} to the native Internet", *leaked)
    return tally.result(f"{plural(len(tally.seen), 'packet')}", "nobody sent to an address without a route")


def _inbound(link: AeroLink, relay: Server, outside: list[Frame]) -> list[Frame]:
    """What comes to a Relay from the native Internet for addresses inside the aggregates."""
    own = [*relay.underlay]
    inside = [frame for frame in outside if _inside(link.aggregates, frame.outer.destination)]
    return [one for one in inside if one.outer.source not in own and not _inside(link.aggregates, one.outer.source)]


def _ends(frame: Frame) -> tuple[Address, Address]:
    """Of the packet that a Relay is asked to forward, encapsulated or not."""
    packet = frame.inner or frame.outer
    return packet.source, packet.destination


def _question(frame: Frame) -> tuple[Address, ...]:
    """What an answer to a packet has in it: the packet's ends, and where it goes."""
    back = frame.outer.source
    return (*_ends(frame), back)


def _answer(error: Frame) -> tuple[Address, ...] | None:
    """The same of an ICMP error that says that a destination is unreachable."""
    quoted, kind = error.quoted, error.icmp
    if not quoted or not kind or kind[0] != UNREACHABLE[quoted.version]:
        return None
    return quoted.source, quoted.destination, error.outer.destination


def _taken_over(link: AeroLink, bound: float) -> Result:
    tally = Tally(
        "aero-relays.takeover",
        "RLY-8",
        "A Server whose Relay is gone sends to the other one",
        f"nothing to the old Relay later than {bound * 1000:g} ms after its session ended, the next packets to another",
    )
    times = []
    for relay in link.relays.values():
        spoken = sessions(link, relay)
        for number, session in enumerate(spoken):
            if session.closed is None:
                continue
            again = [each.begin for each in spoken[number + 1 :] if each.server.name == session.server.name]
            until = min(again, default=float("inf"))
            sent = _data(link, link.sent(session.server))
            after = [frame for frame in sent if session.end < frame.time < until and _to_relay(link, frame)]
            if not after:
                continue
            tally.see(session.closed, *after)
            late = [frame for frame in after if link.name_of(frame.outer.destination) == relay.name]
            times += [frame.time - session.end for frame in late]
            for frame in late:
                took = frame.time - session.end
                tally.demand(
                    took <= bound, f"{session.server.name}: {milliseconds(took)} later still {relay.name}", frame
                )
            tally.demand(len(late) < len(after), f"{session.server.name} sends to no other Relay", *late)
    text = (
        f"{plural(len(tally.seen), 'frame')}, the last to the old Relay after {milliseconds(max(times, default=0.0))}"
    )
    return tally.result(text, "no Server sent anything after the end of a session")


def _native_mtu(link: AeroLink, mtu: int) -> Result:
    tally = Tally(
        "aero-relays.mtu",
        "RLY-7",
        "Who sends more than a native link takes is told so",
        f"Packet Too Big or Fragmentation Needed with MTU {mtu} at the sender",
    )
    for ping in link.pings:
        if ping.size <= mtu:
            continue
        frames = [frame for (node, _name), of_node in link.captures.items() if node == ping.node for frame in of_node]
        for frame in frames:
            about = frame.quoted and (frame.quoted.source, frame.quoted.destination)
            if frame.icmp and about == (ping.source, ping.destination) and frame.icmp[:2] in TOO_BIG:
                tally.see(frame)
                tally.demand(frame.icmp[2] == mtu, f"{ping.node} is told MTU {frame.icmp[2]}", frame)
    return tally.result(f"{plural(len(tally.seen), 'message')}", "nobody was told")


def _data(link: AeroLink, frames: list[Frame]) -> list[Frame]:
    """Encapsulated data for addresses of the AERO link's Clients, first fragments included."""
    return [frame for frame in frames if frame.inner and _inside(link.aggregates, frame.inner.destination)]


def _inside(aggregates: tuple[Prefix, ...], address: Address) -> bool:
    return any(address.version == prefix.version and address in prefix for prefix in aggregates)


def _to_relay(link: AeroLink, frame: Frame) -> bool:
    return any(frame.outer.destination in relay.underlay for relay in link.relays.values())
