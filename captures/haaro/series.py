"""Series of the script's echo requests on their way: which packets went directly, and when they did again."""

from __future__ import annotations

from captures.aero.link import Ping
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame


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
