"""Check "haaro-tunnels": direct tunnels between routers: where they end, who probes first, what they carry.

Sources: RFC 6521 §3.3.4; RFC 3519 §3.3; spec HAARO TUN-1..TUN-14, NAT-*.
"""

from __future__ import annotations

from collections import defaultdict

from captures.checks.base import Result, Tally, check, plural
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import Frame
from captures.run import Run

Pair = tuple[str, str]
IP = 4
PROTOCOLS = {"udp": 17, "ipip": 4}
TTL = 64
"""Of hosts' packets and of routers' own."""
MOST_KEEPALIVES = 5
"""In a second (spec §9)."""


@check("haaro-tunnels")
def haaro_tunnels(
    run: Run, first: dict[str, str] | None = None, probed: bool = True, carrier: str = ""
) -> list[Result]:
    """Judge every direct tunnel; `first`: "mra-mrc" -> the router whose keepalive comes first, else who registered.

    Not `probed`: tunnels in IP, which have no keepalives (spec §4.5).  `carrier`: "udp" or "ipip", what all must be.
    """
    operator = run.haaro
    assert operator
    found = direct(operator)
    return [
        _ends(operator, found),
        _signalling(found),
        *([_opened(operator, found, first or {}), _pace(found)] if probed else []),
        *([_outer(operator, found, carrier)] if carrier else []),
    ]


def direct(operator: Operator) -> dict[Pair, list[tuple[MobileRouter, Frame]]]:
    """Pair of routers -> frames between their care-of addresses, each where it was sent, in order of time."""
    found: dict[Pair, list[tuple[MobileRouter, Frame]]] = defaultdict(list)
    for router in operator.routers.values():
        for frame in operator.sent(router):
            peer = operator.owner(frame.outer.destination)
            if peer and peer is not router:
                one, two = sorted((router.name, peer.name))
                found[one, two].append((router, frame))
    for frames in found.values():
        frames.sort(key=lambda each: each[1].time)
    return found


def _ends(operator: Operator, found: dict[Pair, list[tuple[MobileRouter, Frame]]]) -> Result:
    tally = Tally(
        "haaro-tunnels.form",
        "TUN-1, TUN-3, TUN-4, TUN-6",
        "Tunnels join care-of addresses and carry what the two routers own",
        "UDP with port 434 at one end, type 4, next header 4 (or IP-in-IP); inner source the sender's, inner "
        "destination the receiver's",
    )
    for pair, frames in found.items():
        for router, frame in frames:
            other = operator.routers[next(name for name in pair if name != router.name)]
            tally.see(frame)
            tally.demand(frame.tunnelled, f"{frame.outer.source} to {frame.outer.destination} in the clear", frame)
            if "udp" in frame.carriers:
                tally.demand(frame.next_header == IP, f"next header {frame.next_header}", frame)
            inner = frame.inner
            right = router.owns(inner.source) and other.owns(inner.destination)
            tally.demand(right, f"{inner.source} to {inner.destination} between {' and '.join(pair)}", frame)
    pairs = ", ".join("-".join(pair) for pair in found)
    return tally.result(f"{plural(len(tally.seen), 'frame')} between {pairs}", "nothing went directly")


def _outer(operator: Operator, found: dict[Pair, list[tuple[MobileRouter, Frame]]], carrier: str) -> Result:
    tally = Tally(
        "haaro-tunnels.outer",
        "TUN-2, TUN-12",
        "What a tunnel puts in front of a packet, and what it leaves as it was",
        f"{carrier}; TOS copied, outer TTL {TTL} whatever the inner one is, which is one less than a host sent",
    )
    services: set[int] = set()
    for frames in found.values():
        for _router, frame in frames:
            outer, inner = frame.outer, frame.inner
            tally.see(frame)
            services.add(inner.traffic_class)
            right = frame.carriers == (carrier,) and outer.protocol == PROTOCOLS[carrier]
            tally.demand(right, f"protocol {outer.protocol}", frame)
            tally.demand(outer.traffic_class == inner.traffic_class, f"TOS {outer.traffic_class:#04x}", frame)
            tally.demand(outer.ttl == TTL, f"outer TTL {outer.ttl}", frame)
            hops = 0 if _keepalive(operator, frame) else 1
            tally.demand(inner.ttl == TTL - hops, f"inner TTL {inner.ttl}", frame)
    texts = ", ".join(f"{each:#04x}" for each in sorted(services))
    return tally.result(f"{plural(len(tally.seen), 'frame')} of TOS {texts}", "nothing went directly")


def _opened(operator: Operator, found: dict[Pair, list[tuple[MobileRouter, Frame]]], first: dict[str, str]) -> Result:
    tally = Tally(
        "haaro-tunnels.keepalive",
        "TUN-7, TUN-8, TUN-9",
        "A tunnel carries traffic only after it was probed",
        "first an echo request between the home addresses, by who registered first or is behind a NAT; data after the "
        "first reply",
    )
    texts = []
    askers: dict[Pair, Registration] = {}
    for one in registrations(operator):
        if one.peer and one.reply and one.request.lifetime:
            two = sorted((one.router.name, one.peer.name))
            known = askers.get((two[0], two[1]))
            if known is None or one.asked.time < known.asked.time:
                askers[two[0], two[1]] = one
    for pair, frames in found.items():
        probes = [(router, frame) for router, frame in frames if _keepalive(operator, frame)]
        data = [frame for _router, frame in frames if not _keepalive(operator, frame)]
        if not probes:
            tally.wrong(f"{'-'.join(pair)}: no keepalive", frames[0][1])
            continue
        router, probe = probes[0]
        tally.see(probe)
        tally.demand(probe.echo is not None and probe.echo[0] == "request", f"{'-'.join(pair)} begins otherwise", probe)
        wanted = first.get("-".join(pair)) or (askers[pair].router.name if pair in askers else None)
        tally.demand(wanted in (None, router.name), f"{'-'.join(pair)}: {router.name} probes before {wanted}", probe)
        replies = [frame for _router, frame in probes if frame.echo and frame.echo[0] == "reply"]
        if data:
            tally.see(data[0])
            early = not replies or data[0].time < replies[0].time
            tally.demand(not early, f"{'-'.join(pair)}: traffic before the first reply", data[0])
        both = {one.name for one, frame in probes if frame.echo and frame.echo[0] == "request"}
        texts.append(f"{'-'.join(pair)}: {router.name} first, {len(replies)} answered, by {len(both)} ends")
    return tally.result("; ".join(texts), "nothing went directly")


def _keepalive(operator: Operator, frame: Frame) -> bool:
    ends = {one.home_address for one in operator.routers.values()}
    return frame.echo is not None and {frame.inner.source, frame.inner.destination} <= ends


def _signalling(found: dict[Pair, list[tuple[MobileRouter, Frame]]]) -> Result:
    tally = Tally(
        "haaro-tunnels.signalling",
        "TUN-14, MR-16",
        "No signalling goes through a direct tunnel, nor straight to a care-of address",
        "no message on UDP 434 in it",
    )
    for frames in found.values():
        for _router, frame in frames:
            tally.see(frame)
            tally.demand(frame.message is None, f"{frame.kind} in a direct tunnel", frame)
    return tally.result(f"none in {plural(len(tally.seen), 'frame')}", "nothing went directly")


def _pace(found: dict[Pair, list[tuple[MobileRouter, Frame]]]) -> Result:
    tally = Tally(
        "haaro-tunnels.pace",
        "TUN-10",
        "Keepalives are rare",
        f"at most {MOST_KEEPALIVES} requests of a router to a peer in any second",
    )
    for frames in found.values():
        for name in {router.name for router, _frame in frames}:
            mine = [
                frame
                for router, frame in frames
                if router.name == name and frame.echo and frame.echo[0] == "request" and _between_homes(frame, router)
            ]
            tally.see(*mine[:1])
            for index, frame in enumerate(mine[MOST_KEEPALIVES:]):
                tally.demand(frame.time - mine[index].time >= 1, f"{name} sends too many keepalives", frame)
    return tally.result(nothing="no keepalive")


def _between_homes(frame: Frame, router: MobileRouter) -> bool:
    return frame.inner.source == router.home_address
