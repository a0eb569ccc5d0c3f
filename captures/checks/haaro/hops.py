"""Check "haaro-hops": what becomes of TTL, TOS, DF and size of packets that go through tunnels.

Sources: RFC 2003 §3.1, §3.2, RFC 3519 §4.8; spec HAARO TUN-3, TUN-12, TUN-13.
"""

from __future__ import annotations

from collections.abc import Iterator

from captures.aero.link import Ping
from captures.checks.base import Result, Tally, check, plural
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame
from captures.haaro.series import of
from captures.run import Run

WHOLE = 1500
"""Octets of the largest packet on a line."""
TOO_BIG = (3, 4)
"""ICMP: fragmentation needed."""


@check("haaro-hops")
def haaro_hops(run: Run, mtu: int = 1468) -> list[Result]:
    """Judge the headers of all series between sites, and of what was too big; `mtu`: of the tunnels, octets."""
    operator = run.haaro
    assert operator
    return [_ages(operator), _services(operator), _forbidden(operator), _sizes(operator, mtu)]


def _travels(operator: Operator) -> Iterator[tuple[Ping, str, MobileRouter, MobileRouter]]:
    """(series, "request" or "reply", router it comes from, router it goes to)."""
    hosts = {router.host: router for router in operator.routers.values()}
    for ping in operator.pings:
        one, other = hosts.get(ping.node), hosts.get(ping.peer)
        if one and other:
            yield ping, "request", one, other
            yield ping, "reply", other, one


def _ages(operator: Operator) -> Result:
    tally = Tally(
        "haaro-hops.ttl",
        "TUN-12",
        "Each router that sends a packet on makes it one hop older, and nothing else does",
        "inner TTL: one less in the first tunnel than at the host, two in the home agent's, one less again at the end",
    )
    for ping, kind, one, other in _travels(operator):
        begin = {_sequence(frame): frame.inner.ttl for frame in of(operator.frames(one.host, "eth0"), ping, kind)}
        via: dict[int, int] = {}
        for frame in of(operator.received(other), ping, kind):
            via[_sequence(frame)] = 2 if frame.outer.source == operator.home_agent else 1
        places = [
            *((frame, 1) for frame in of(operator.sent(one), ping, kind)),
            *((frame, _at_home(operator, frame)) for frame in of(operator.at_home, ping, kind)),
            *((frame, via[_sequence(frame)]) for frame in of(operator.received(other), ping, kind)),
            *(
                (frame, via[_sequence(frame)] + 1)
                for frame in of(operator.frames(other.host, "eth0"), ping, kind)
                if _sequence(frame) in via
            ),
        ]
        for frame, older in places:
            sent = begin.get(_sequence(frame))
            if sent is not None and (frame.tunnelled or frame.node == other.host):
                tally.see(frame)
                tally.demand(
                    frame.inner.ttl == sent - older, f"{ping.name}: TTL {frame.inner.ttl} at {frame.node}", frame
                )
    return tally.result(f"{plural(len(tally.seen), 'packet')} of series between sites", "no series between sites")


def _at_home(operator: Operator, frame: Frame) -> int:
    return 1 if frame.outer.destination == operator.home_agent else 2


def _sequence(frame: Frame) -> int:
    assert frame.echo
    return frame.echo[2]


def _services(operator: Operator) -> Result:
    tally = Tally(
        "haaro-hops.tos",
        "TUN-12",
        "The outer header has the inner one's type of service",
        "the same octet in both, and one series where it is not 0",
    )
    values: set[int] = set()
    for ping, kind, one, _other in _travels(operator):
        for frame in (*of(operator.sent(one), ping, kind), *of(operator.at_home, ping, kind)):
            if frame.tunnelled:
                tally.see(frame)
                inner, outer = frame.inner.traffic_class, frame.outer.traffic_class
                values.add(inner)
                tally.demand(inner == outer, f"{ping.name}: {inner:#04x} in {outer:#04x}", frame)
    tally.demand(not values or bool(values - {0}), "every packet has type of service 0")
    return tally.result(f"{', '.join(f'{one:#04x}' for one in sorted(values))}", "no series between sites")


def _forbidden(operator: Operator) -> Result:
    tally = Tally(
        "haaro-hops.df",
        "TUN-13",
        "What must not be divided inside must not be outside",
        "Don't Fragment in the outer header wherever the inner one has it",
    )
    for ping, kind, one, _other in _travels(operator):
        for frame in (*of(operator.sent(one), ping, kind), *of(operator.at_home, ping, kind)):
            if frame.tunnelled and frame.inner.dont_fragment:
                tally.see(frame)
                tally.demand(frame.outer.dont_fragment, f"{ping.name}: may be divided at {frame.node}", frame)
    return tally.result(plural(len(tally.seen), "packet"), "no series that must not be divided")


def _sizes(operator: Operator, mtu: int) -> Result:
    tally = Tally(
        "haaro-hops.size",
        "TUN-3, TUN-13",
        "What does not fit is divided before it enters a tunnel, or refused",
        f"inner fragments of at most {mtu} octets in whole packets of at most {WHOLE}; where dividing is forbidden, "
        f"ICMP says {mtu}",
    )
    texts = []
    for event in operator.events:
        if event["event"] != "oversize" or not operator.frames(event["node"], "eth0"):
            continue
        router = next(one for one in operator.routers.values() if one.host == event["node"])
        sent = [one for one in operator.sent(router) if one.tunnelled and one.inner.cut]
        told = [one.icmp for one in operator.frames(event["node"], "eth0") if one.icmp and one.icmp[:2] == TOO_BIG]
        tally.see(*sent, *(one for one in operator.frames(event["node"], "eth0") if one.icmp))
        sizes = sorted({one.inner.size for one in sent})
        tally.demand(bool(sent) and sizes[-1] <= mtu, f"fragments of {sizes} octets")
        tally.demand(all(what[2] == mtu for what in told) and bool(told), f"{event['node']} was told {told}")
        texts.append(f"fragments of {sizes} octets, {event['node']} told of {mtu}")
    lines = [one for router in operator.routers.values() for one in operator.at_router(router)]
    for frame in lines if texts else ():
        tally.demand(not frame.outer.cut, f"a fragment of {frame.outer.source} on a line", frame)
        tally.demand(frame.outer.size <= WHOLE, f"{frame.outer.size} octets on a line", frame)
    return tally.result("; ".join(texts), "nothing was too big")
