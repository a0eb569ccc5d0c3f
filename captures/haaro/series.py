"""Series of the script's echo requests on their way: which packets went directly, and when they did again."""

from __future__ import annotations

from captures.aero.link import Ping
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame

UNDER_WAY = 0.005
"""Seconds for which packets that were sent before may still be seen."""


def of(frames: list[Frame], ping: Ping, kind: str | None = None) -> list[Frame]:
    """Packets of a series among frames."""
    return [one for one in frames if one.echo and one.echo[1] == ping.identifier and kind in (None, one.echo[0])]


def directly(operator: Operator, ping: Ping) -> list[Frame]:
    """Packets of a series between care-of addresses, where they were sent."""
    found = []
    for router in operator.routers.values():
        for frame in of(operator.sent(router), ping):
            if operator.owner(frame.outer.destination):
                found.append(frame)
    return sorted(found, key=lambda one: one.time)


def first_direct(operator: Operator, ping: Ping) -> dict[str, Frame]:
    """ "request" and "reply" -> the first of them that went directly."""
    found: dict[str, Frame] = {}
    for one in directly(operator, ping):
        if one.echo:
            found.setdefault(one.echo[0], one)
    return dict(sorted(found.items(), reverse=True))


def resumed(operator: Operator, ping: Ping, router: MobileRouter, interface: str, since: float) -> Frame | None:
    """The first reply at the pinging host to a request that left it after a moment and came by a router's line."""
    frames = operator.frames(ping.node, "eth0")
    later = {one.echo[2] for one in of(frames, ping, "request") if one.echo and one.time > since}
    carried = {one.echo[2] for one in of(operator.frames(router.name, interface), ping) if one.echo}
    return next((one for one in of(frames, ping, "reply") if one.echo and one.echo[2] in later & carried), None)


def unprobed(operator: Operator, ping: Ping, late: float) -> set[int]:
    """Numbers of the requests that, or whose answers, a peer sent directly before the asker knew of its acceptance.

    Tunnels in IP have no keepalives, so that the peer's end works at once (spec §4.5): the asker drops what comes
    before it hears that it is accepted.  `late`: seconds from then until its end works, too.
    """
    found: set[int] = set()
    first: dict[frozenset[str], Registration] = {}
    for one in registrations(operator):
        if one.peer and one.answer and one.reply and one.reply.code == 0 and one.request.lifetime:
            pair = frozenset((one.router.name, one.peer.name))
            if pair not in first or one.asked.time < first[pair].asked.time:
                first[pair] = one
    for one in first.values():
        assert one.peer
        assert one.answer
        words = operator.said(one.router.name, "correspondent-registered")
        heard = [word["t"] for word in words if word["peer"] == str(one.peer.home_address)][:1]
        until = max([one.answer.time, *heard]) + late
        for frame in of(operator.sent(one.peer), ping):
            if frame.echo and operator.peer_at(frame.outer.destination, one.peer) is one.router and frame.time <= until:
                found.add(frame.echo[2])
    return found


def under_way(operator: Operator, ping: Ping, router: MobileRouter, slowness: float = 1.0) -> set[int]:
    """Numbers of the requests that, or whose answers, were on their way while a router left the home agent.

    The home agent ends the tunnel when it accepts the end, and the router when it hears so: whatever one of them puts
    into it in between is lost (spec HA-16, HA-18).
    """
    ends = (one for one in registrations(operator) if one.router is router and one.peer is None)
    end = next((one for one in ends if not one.request.lifetime and one.answer), None)
    if end is None or end.answer is None:
        return set()
    until = max([end.answer.time, *(event["t"] for event in operator.said(router.name, "left"))]) + UNDER_WAY * slowness
    asked = {one.echo[2]: one.time for one in of(operator.frames(ping.node, "eth0"), ping, "request") if one.echo}
    last: dict[int, float] = {}
    for frames in operator.captures.values():
        for one in of(frames, ping):
            if one.echo:
                last[one.echo[2]] = max(one.time, last.get(one.echo[2], 0.0))
    return {number for number, begin in asked.items() if begin <= until and last[number] >= end.asked.time}
