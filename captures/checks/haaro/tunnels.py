"""Check "haaro-tunnels": direct tunnels between routers: where they end, who probes first, what they carry.

Sources: RFC 6521 §3.3.4; RFC 3519 §3.3; spec HAARO TUN-1..TUN-14, NAT-*.
"""

from __future__ import annotations

from collections import defaultdict

from captures.checks.base import Result, Tally, check, plural
from captures.haaro.exchanges import Registration, registrations
from captures.haaro.operator import MobileRouter, Operator
from captures.haaro.records import PORT, Frame
from captures.run import Run

Pair = tuple[str, str]
Sent = tuple[MobileRouter, Frame]
Lines = frozenset[tuple[str, str]]
IP = 4
PROTOCOLS = {"udp": 17, "ipip": 4}
TTL = 64
"""Of hosts' packets and of routers' own."""
MOST_KEEPALIVES = 5
"""In a second (spec §9)."""


@check("haaro-tunnels")
def haaro_tunnels(
    run: Run,
    first: dict[str, str] | None = None,
    probed: bool = True,
    carrier: str = "",
    translated: list[str] | None = None,
) -> list[Result]:
    """Judge every direct tunnel; `first`: "mra-mrc" -> the router whose keepalive comes first, else who registered.

    Not `probed`: tunnels in IP, which have no keepalives (spec §4.5).  `carrier`: "udp" or "ipip", what all must be;
    `translated`: routers whose NAT gives a port of its own to each destination.
    """
    operator = run.haaro
    assert operator
    found = direct(operator)
    return [
        _ends(operator, found),
        _signalling(found),
        *([_opened(operator, found, first or {}), _pace(found)] if probed else []),
        *([_ports(operator, found, translated or [])] if probed else []),
        *([_outer(operator, found, carrier)] if carrier else []),
    ]


def direct(operator: Operator) -> dict[Pair, list[tuple[MobileRouter, Frame]]]:
    """Pair of routers -> frames between their care-of addresses, each where it was sent, in order of time."""
    found: dict[Pair, list[tuple[MobileRouter, Frame]]] = defaultdict(list)
    for router in operator.routers.values():
        for frame in operator.sent(router):
            peer = operator.peer_at(frame.outer.destination, router)
            if peer:
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
        "first an echo request between the home addresses, by who registered first or is behind a NAT (of two who "
        "are, by either); between two lines data of each end after the first reply to it; both ends probe",
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
        name = "-".join(pair)
        probes = [(router, frame) for router, frame in frames if _keepalive(operator, frame)]
        if not probes:
            tally.wrong(f"{name}: no keepalive", frames[0][1])
            continue
        router, probe = probes[0]
        tally.see(probe)
        tally.demand(probe.echo is not None and probe.echo[0] == "request", f"{name} begins otherwise", probe)
        either = all(operator.routers[each].inside for each in pair)
        wanted = first.get(name) or (askers[pair].router.name if pair in askers and not either else None)
        tally.demand(wanted in (None, router.name), f"{name}: {router.name} probes before {wanted}", probe)
        for between in _by_lines(operator, frames).values():
            _probed_before(tally, operator, name, between)
        replies = [frame for _router, frame in probes if frame.echo and frame.echo[0] == "reply"]
        both = {one.name for one, frame in probes if frame.echo and frame.echo[0] == "request"}
        tally.demand(len(both) == 2 or not replies, f"{name}: only {router.name} keeps probing", probe)
        texts.append(f"{name}: {router.name} first, {len(replies)} answered, by {len(both)} ends")
    return tally.result("; ".join(texts), "nothing went directly")


def _by_lines(operator: Operator, frames: list[tuple[MobileRouter, Frame]]) -> dict[Lines, list[Sent]]:
    """Frames by the two lines they travel between: each pair of care-of addresses is a tunnel of its own."""
    found: dict[Lines, list[Sent]] = defaultdict(list)
    for router, frame in frames:
        peer = operator.peer_at(frame.outer.destination, router)
        assert peer
        far = next(one for one in peer.lines if frame.outer.destination in (one.address, one.public))
        found[frozenset({(router.name, frame.interface), (peer.name, far.interface)})].append((router, frame))
    return found


def _probed_before(tally: Tally, operator: Operator, name: str, frames: list[Sent]) -> None:
    """Either end sends traffic only after the other one answered a keepalive of its own there (spec TUN-8)."""
    for router in {each[0].name: each[0] for each in frames}.values():
        data = [frame for one, frame in frames if one is router and not _keepalive(operator, frame)]
        answers = [
            frame
            for one, frame in frames
            if one is not router and _keepalive(operator, frame) and frame.echo and frame.echo[0] == "reply"
        ]
        if data:
            tally.see(data[0])
            early = not answers or data[0].time < answers[0].time
            tally.demand(not early, f"{name}: traffic of {router.name} before the first reply", data[0])


def _ports(operator: Operator, found: dict[Pair, list[Sent]], translated: list[str]) -> Result:
    tally = Tally(
        "haaro-tunnels.ports",
        "TUN-4, TUN-5, CR-15",
        "Tunnels go from port 434 to where the other end's packets come from",
        "source port 434; destination port 434, or the one that a NAT gave the other end's packets"
        + (f", for {' and '.join(translated)} another than to its request" if translated else ""),
    )
    texts = []
    for router, frame in (each for frames in found.values() for each in frames):
        peer = operator.peer_at(frame.outer.destination, router)
        if frame.tunnel_ports is None or peer is None:
            continue
        tally.see(frame)
        source, destination = frame.tunnel_ports
        tally.demand(source == PORT, f"{router.name} sends from port {source}", frame)
        translated_to = frame.outer.destination not in peer.careof
        seen = _seen_ports(operator, router, frame) if translated_to else {PORT}
        if not seen and router.inside:  # nothing came, but who is inside goes first all the same (spec TUN-7)
            seen = {PORT}
        tally.demand(destination in seen, f"{router.name} sends to port {destination}, not to {sorted(seen)}", frame)
    for name in translated:
        signalling, data = _mappings(operator, operator.routers[name])
        tally.demand(bool(signalling and data) and not signalling & data, f"{name}: {signalling} and {data}")
        texts.append(f"{name}: requests from {sorted(signalling)}, packets from {sorted(data)}")
    return tally.result("; ".join([plural(len(tally.seen), "frame"), *texts]), "nothing went directly in UDP")


def _seen_ports(operator: Operator, router: MobileRouter, frame: Frame) -> set[int]:
    """From which ports of an address packets had come when a frame left for it."""
    came = (one for one in operator.received(router) if one.outer.source == frame.outer.destination)
    return {one.tunnel_ports[0] for one in came if one.tunnel_ports and one.time <= frame.time}


def _mappings(operator: Operator, router: MobileRouter) -> tuple[set[int], set[int]]:
    """Ports that a NAT gave a router's requests to peers and its packets to them, as the peers see them."""
    signalling, data = set(), set()
    public = {line.public for line in router.lines}
    for peer in operator.routers.values():
        for frame in operator.received(peer) if peer is not router else ():
            if frame.kind == "RRQ" and frame.inner.source in public and frame.ports:
                signalling.add(frame.ports[0])
            elif frame.outer.source in public and frame.tunnel_ports:
                data.add(frame.tunnel_ports[0])
    return signalling, data


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
                if router.name == name and frame.echo and frame.echo[0] == "request" and between_homes(frame, router)
            ]
            tally.see(*mine[:1])
            for index, frame in enumerate(mine[MOST_KEEPALIVES:]):
                tally.demand(frame.time - mine[index].time >= 1, f"{name} sends too many keepalives", frame)
    return tally.result(nothing="no keepalive")


def between_homes(frame: Frame, router: MobileRouter) -> bool:
    """A keepalive of this router, or its answer to one."""
    return frame.inner.source == router.home_address
