"""Checks "aero-path-switch" and "aero-path-loss": the moments at which a flow's path becomes direct, and ceases to be.

Sources: RFC 6706 §6.4.9 to §6.4.11; spec AERO §2.4 (hop limits), §5.3, RO-12, RO-13, RO-16.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from captures.aero.link import AeroLink, Client, Ping
from captures.aero.mediations import of_flow, said_in
from captures.aero.records import ADVERTISEMENT, SOLICITATION, Frame
from captures.checks.aero.pings import end_frames
from captures.checks.base import Result, Tally, check, milliseconds
from captures.ip import Address
from captures.run import Run

IN_FLIGHT = 0.05
"""Seconds that packets sent before a switch may still be under way."""
MAX_RETRY = 3


@check("aero-path-switch")
def aero_path_switch(run: Run, ping: str, ttl: list[int], bound_ms: float) -> list[Result]:
    """Judge a series in both directions; `ttl`: hop limit of requests at the target before and after the switch.

    `bound_ms`: from the Redirect's arrival to the first data on the direct path, beyond two round trips.
    """
    link = run.aero
    assert link
    series = next((one for one in link.pings if one.name == ping), None)
    if series is None:
        return []
    return [_hop_limits(link, series, ttl), *_switches(link, series, bound_ms)]


def _hop_limits(link: AeroLink, series: Ping, ttl: list[int]) -> Result:
    through, direct = ttl
    tally = Tally(
        f"aero-path-switch.{series.name}.hop-limit",
        "RO-3, RO-13, ENC-5",
        "The Server is on the way first, and then no longer",
        f"requests arrive with hop limit {through}, from the switch on with {direct}",
    )
    requests = _in_order(end_frames(link, series.peer, series, "request"), series)
    tally.see(*requests)
    limits = [frame.innermost.ttl for frame in requests]
    if not limits:
        return tally.result(nothing="no request reached its target")
    tally.demand(limits[0] == through, f"hop limit {limits[0]} first", requests[0])
    tally.demand(limits[-1] == direct, f"hop limit {limits[-1]} in the end", requests[-1])
    strange = [frame for frame in requests if frame.innermost.ttl not in ttl]
    tally.demand(not strange, "another hop limit", *strange)
    switch = next((i for i, limit in enumerate(limits) if limit == direct), len(limits))
    late = [frame for frame in requests[switch:] if frame.innermost.ttl == through]
    late = [frame for frame in late if frame.time - requests[switch].time > IN_FLIGHT]
    tally.demand(not late, "back through the Server", *late)
    return tally.result(f"{switch} with hop limit {through}, then {len(limits) - switch} with {direct}")


def _in_order(frames: list[Frame], series: Ping) -> list[Frame]:
    found: dict[int, Frame] = {}
    for frame in sorted(frames, key=lambda one: one.time):
        if frame.echo and frame.innermost.destination == series.destination:
            found.setdefault(frame.echo[2], frame)
    return list(found.values())


def _switches(link: AeroLink, series: Ping, bound_ms: float) -> list[Result]:
    ends = [(series.source, series.destination), (series.destination, series.source)]
    found = []
    for number, (source, destination) in enumerate(ends):
        client, peer = _client(link, source), _client(link, destination)
        if client and peer:
            found.append(_switch(link, series, client, peer, number, bound_ms))
    return found


def _switch(link: AeroLink, series: Ping, client: Client, peer: Client, number: int, bound_ms: float) -> Result:
    ends = ((series.source, series.destination), (series.destination, series.source))[number]
    tally = Tally(
        f"aero-path-switch.{series.name}.{client.name}",
        "RO-5, RO-11, RO-12, RO-13",
        f"{client.name} tests the direct path to {peer.name}, and then takes it",
        f"direct data only after a proved answer, at most two round trips and {bound_ms:g} ms after the Redirect",
    )
    redirect = _redirect(link, client, *ends)
    data = [one for one in link.sent(client) if _is_of(one, series, ends)]
    direct = [one for one in data if not _to_server(link, one)]
    if redirect is None or not direct:
        return tally.result(nothing="no Redirect, or no direct data")
    test = _test(link, client, peer, redirect)
    if test is None:
        tally.wrong("no solicitation was answered before", direct[0])
        return tally.result()
    asked, answered = test
    tally.see(redirect, asked, answered, direct[0])
    early = [one for one in direct if one.time < answered.time]
    tally.demand(not early, "direct data before the answer", *early)
    proofs = (
        asked.discovery and asked.discovery.auth is not None,
        answered.discovery and answered.discovery.auth is not None,
    )
    tally.demand(all(proofs), "a test without AUTH", asked, answered)
    trip = answered.time - asked.time
    ready = answered.time - redirect.time
    allowed = 2 * trip + bound_ms / 1000
    waiting = [one for one in data if redirect.time + max(ready, allowed) < one.time < direct[0].time]
    tally.demand(not waiting, "data through the Server after the answer", *waiting)
    tally.demand(ready <= allowed, f"tested {milliseconds(ready)} after the Redirect", redirect, answered)
    server = [one for node in link.servers.values() for one in link.sent(node)]
    late = [one for one in server if _is_of(one, series, ends) and one.time > direct[0].time + IN_FLIGHT]
    tally.demand(not late, "the Server still forwards", *late)
    text = f"tested {milliseconds(ready)} after the Redirect, round trip {milliseconds(trip)}"
    switched = direct[0].time - redirect.time
    return tally.result(
        f"{text}; the first direct packet {milliseconds(switched)} after it, {milliseconds(allowed)} allowed"
    )


def _is_of(frame: Frame, series: Ping, ends: tuple[Address, Address]) -> bool:
    """Whether it is a packet of the series in this direction."""
    inner, echo = frame.innermost, frame.echo
    return echo is not None and echo[1] == series.identifier and (inner.source, inner.destination) == ends


def _redirect(link: AeroLink, client: Client, source: object, destination: object) -> Frame | None:
    """The first Redirect for the flow at its source."""
    tokens = {one.token for one in of_flow(link, source, destination)}
    for frame in link.received(client):
        if frame.mediation and not frame.mediation.predirect and said_in(frame).token in tokens:
            return frame
    return None


def _test(link: AeroLink, client: Client, peer: Client, redirect: Frame) -> tuple[Frame, Frame] | None:
    """The solicitation of the peer that was answered first after the Redirect, and its answer."""
    asked = [one for one in link.sent(client) if _is(one, SOLICITATION) and one.time >= redirect.time]
    for answer in link.received(client):
        if _is(answer, ADVERTISEMENT) and answer.time >= redirect.time and answer.discovery:
            for one in asked:
                if one.discovery and one.discovery.nonce == answer.discovery.nonce and not _to_server(link, one):
                    return one, answer
    return None


def _is(frame: Frame, kind: int) -> bool:
    return frame.discovery is not None and frame.discovery.type == kind


def _to_server(link: AeroLink, frame: Frame) -> bool:
    return any(frame.outer.destination in server.underlay for server in link.servers.values())


def _client(link: AeroLink, address: object) -> Client | None:
    name = link.name_of(address)  # type: ignore[arg-type]
    return link.clients.get(name)


@check("aero-path-loss")
def aero_path_loss(run: Run, ping: str, step: str, ttl: list[int], bound_ms: float) -> list[Result]:
    """Judge how a series comes back to the Server after the direct path died at a step of the script."""
    link = run.aero
    assert link
    series = next((one for one in link.pings if one.name == ping), None)
    begin = next((start for title, start, _end in link.steps() if title == step), None)
    if series is None or begin is None:
        return []
    return [
        _back(link, series, begin, ttl, bound_ms),
        *(_gave_up(link, series, client, begin) for client in _ends(link, series)),
    ]


def _ends(link: AeroLink, series: Ping) -> Iterable[Client]:
    return [client for client in (_client(link, series.source), _client(link, series.destination)) if client]


def _back(link: AeroLink, series: Ping, begin: float, ttl: list[int], bound_ms: float) -> Result:
    through, direct = ttl
    tally = Tally(
        f"aero-path-loss.{series.name}.back",
        "RO-16",
        "Data goes through the Server again soon after the direct path died",
        f"hop limit {through} at most {bound_ms:g} ms after the last request with {direct} was or could be sent",
    )
    requests = _in_order(end_frames(link, series.peer, series, "request"), series)
    again = [one for one in requests if one.time >= begin and one.innermost.ttl == through]
    if not again:
        tally.demand(not requests, "no request came through the Server")
        return tally.result(nothing="the series is not in the captures")
    died = max([begin, *(one.time for one in requests if one.innermost.ttl == direct)])
    died = min(died, again[0].time)
    tally.see(again[0])
    took = again[0].time - died
    tally.demand(took * 1000 <= bound_ms, f"after {milliseconds(took)}", again[0])
    relapsed = [one for one in requests if one.time > again[0].time and one.innermost.ttl == direct]
    tally.demand(not relapsed, "directly again over a path that is cut", *relapsed)
    return tally.result(f"through the Server {milliseconds(took)} after the last moment of the direct path")


def _gave_up(link: AeroLink, series: Ping, client: Client, begin: float) -> Result:
    tally = Tally(
        f"aero-path-loss.{series.name}.{client.name}",
        "RO-16",
        f"{client.name} asks before it gives the direct path up",
        f"{MAX_RETRY} solicitations a second apart without an answer, then no direct data",
    )
    asked = [one for one in link.sent(client) if _is(one, SOLICITATION) and not _to_server(link, one)]
    heard = {one.discovery.nonce for one in link.received(client) if _is(one, ADVERTISEMENT) and one.discovery}
    unanswered: dict[bytes | None, list[Frame]] = {}
    for one in asked:
        if one.discovery and one.discovery.nonce not in heard and one.time >= begin:
            unanswered.setdefault(one.discovery.nonce, []).append(one)
    rounds = [frames for frames in unanswered.values() if len(frames) >= MAX_RETRY]
    if not rounds:
        tally.demand(not asked, "no round of solicitations went unanswered")
        return tally.result(nothing="no solicitation to the other Client")
    first = rounds[0][:MAX_RETRY]
    tally.see(*first)
    gaps = [b.time - a.time for a, b in pairwise(first)]
    tally.demand(all(0.9 <= gap <= 1.5 for gap in gaps), f"gaps of {', '.join(map(milliseconds, gaps))}", *first)
    data = [one for one in link.sent(client) if one.echo and not _to_server(link, one)]
    late = [one for one in data if first[-1].time + 1.2 < one.time]
    tally.demand(not late, "direct data after the third solicitation", *late)
    return tally.result(f"three solicitations, the last {milliseconds(first[-1].time - begin)} after the cut")
