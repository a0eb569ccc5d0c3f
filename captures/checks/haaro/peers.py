"""Check "haaro-peers": registrations between routers, from the tests before them to the reply.

Sources: RFC 6521 §3.3.3, §5.3, §5.4; spec HAARO MR-8..MR-13, CR-3..CR-13, CR-18, §3.5.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, plural
from captures.checks.haaro.tunnels import direct
from captures.haaro.exchanges import Registration, Test, genuine_peer, key_of, registrations, tests
from captures.haaro.operator import Operator
from captures.haaro.records import PORT, CorrespondentAuth, Frame
from captures.run import Run

WITHOUT_KEY = (201, 202, 203)
SUCCESS = (0, 1, 2)


@check("haaro-peers")
def haaro_peers(run: Run, expected: list[list[str]] | None = None) -> list[Result]:
    """Judge every registration between routers; `expected`: pairs [router, peer] that must have succeeded."""
    operator = run.haaro
    assert operator
    found = [one for one in registrations(operator) if one.peer is not None]
    proofs = list(tests(operator))
    return [
        _requests(operator, found, proofs),
        _keys(found, proofs),
        _replies(operator, found),
        _asked_home(operator, found),
        _pairs(operator, found, proofs, expected or []),
    ]


def _requests(operator: Operator, found: list[Registration], proofs: list[Test]) -> Result:
    tally = Tally(
        "haaro-peers.request",
        "MR-8, MR-9, MR-10, MR-11",
        "A router registers with a peer after its return routability",
        "RRQ outside the tunnel, from the care-of address to the peer's home address, port 434; home agent its own; "
        "networks, UDP forced, MCAE last; HoT and CoT before it",
    )
    for one in found:
        request, frame = one.request, one.asked
        tally.see(frame)
        plain = not frame.tunnelled and frame.outer.source in one.router.careof
        tally.demand(plain and (frame.ports or (0, 0))[1] == PORT, f"{one.title}: leaves in a tunnel", frame)
        tally.demand(request.careof_address == frame.outer.source, f"{one.title}: {request.careof_address}", frame)
        ends = (request.home_address, request.home_agent) == (one.router.home_address, operator.home_agent)
        tally.demand(ends, f"{one.title}: for {request.home_address} at {request.home_agent}", frame)
        tally.demand(request.flags & 0x20 != 0, f"{one.title}: flags {request.flags:#04x}", frame)
        last = bool(request.order) and request.order[-1] == (49, 2) and not request.faults
        tally.demand(last, f"{one.title}: extensions {request.order} {request.faults}", frame)
        tally.demand(len(request.auths) == 1, f"{one.title}: {len(request.auths)} authenticators", frame)
        if request.lifetime:
            forced = request.udp_request is not None and request.udp_request.forced
            tally.demand(forced or not _udp(operator), f"{one.title}: no UDP Tunnel Request with F", frame)
        home, careof = _before(one, proofs)
        needed = home and (careof or not request.lifetime)
        tally.demand(bool(needed) or _static(one), f"{one.title}: before its tests were answered", frame)
    return tally.result(f"{plural(len(found), 'request')}", "no router registered with another")


def _udp(operator: Operator) -> bool:
    return all(one.agent.get("encapsulation", "udp") == "udp" for one in operator.routers.values())


def _static(one: Registration) -> bool:
    keys = {entry["home_address"] for entry in one.router.agent.get("static_keys", [])}
    return one.peer is not None and str(one.peer.home_address) in keys


def _before(one: Registration, proofs: list[Test]) -> tuple[Test | None, Test | None]:
    """The tests whose indexes the request names."""
    auth = one.request.auths[0] if one.request.auths else None
    found: dict[str, Test] = {}
    if isinstance(auth, CorrespondentAuth):
        for kind, index in (("HoTI", auth.home_index), ("CoTI", auth.careof_index)):
            for proof in proofs:
                mine = proof.router is one.router and proof.peer is one.peer and proof.kind == kind
                back = proof.received
                if mine and back and back.message and back.message.index == index and back.time <= one.asked.time:
                    found[kind] = proof
    return found.get("HoTI"), found.get("CoTI")


def _keys(found: list[Registration], proofs: list[Test]) -> Result:
    tally = Tally(
        "haaro-peers.key",
        "MR-10, CR-3, CR-12",
        "Request and reply are authenticated by the key that the tokens make",
        "MCAE = HMAC-SHA1 with SHA1(home token | care-of token); the reply names the same indexes; 201-203 have none",
    )
    for one in found:
        home, careof = _before(one, proofs)
        if home is None or _static(one):
            continue
        key = key_of(home, careof if one.request.lifetime else None)
        tally.see(one.asked)
        tally.demand(genuine_peer(one.request, key), f"{one.title}: the MCAE is not made of the tokens", one.asked)
        reply, answer = one.reply, one.answer
        if reply is None or answer is None:
            continue
        tally.see(answer)
        if reply.code in WITHOUT_KEY:
            tally.demand(not reply.auths, f"{one.title}: {reply.code} with an authenticator", answer)
        elif reply.code != 131:
            tally.demand(genuine_peer(reply, key), f"{one.title}: the reply's MCAE is not made of the tokens", answer)
            tally.demand(_indexes(one.request) == _indexes(reply), f"{one.title}: other indexes", answer)
    return tally.result(f"{plural(len(tally.seen), 'message')} recomputed", "no request whose tokens were captured")


def _indexes(message: object) -> list[tuple[int, int]]:
    auths = getattr(message, "auths", ())
    return [(one.home_index, one.careof_index) for one in auths if isinstance(one, CorrespondentAuth)]


def _replies(operator: Operator, found: list[Registration]) -> Result:
    tally = Tally(
        "haaro-peers.reply",
        "CR-12, CR-13, CR-18, MR-12",
        "The peer answers through its tunnel to the home agent",
        "RRP from its home address, port 434, to where the request came from; MNA for each network, UDP reply if "
        "asked, its care-of addresses; lifetime not above the request's",
    )
    for one in found:
        reply, answer, peer = one.reply, one.answer, one.peer
        if reply is None or answer is None or peer is None:
            continue
        tally.see(answer)
        plain = not answer.tunnelled and answer.outer.source == peer.home_address
        tally.demand(plain and (answer.ports or (0,))[0] == PORT, f"{one.title}: from {answer.outer.source}", answer)
        left = _left(operator, one)
        tally.demand(left is not None, f"{one.title}: {peer.name} did not send it", answer)
        if left:
            tally.see(left)
            reverse = left.tunnelled and left.outer.destination == operator.home_agent
            tally.demand(reverse, f"{one.title}: the answer leaves {peer.name} for {left.outer.destination}", left)
        if reply.code not in SUCCESS or not one.request.lifetime:
            continue
        tally.demand(0 < reply.lifetime <= one.request.lifetime, f"{one.title}: {reply.lifetime} s granted", answer)
        same = {state.prefix for state in reply.acknowledged} == {state.prefix for state in one.request.requested}
        tally.demand(same, f"{one.title}: networks answered {reply.acknowledged}", answer)
        udp = (reply.udp_reply is None) == (one.request.udp_request is None)
        tally.demand(udp, f"{one.title}: UDP Tunnel Reply {reply.udp_reply}", answer)
        listed = bool(reply.careof_addresses) and set(reply.careof_addresses) <= peer.seen
        tally.demand(listed, f"{one.title}: care-of addresses {reply.careof_addresses}", answer)
    return tally.result(f"{plural(len({id(one) for one in tally.seen}), 'frame')}", "no peer answered")


def _left(operator: Operator, one: Registration) -> Frame | None:
    """The reply as it left the peer."""
    assert one.peer
    return next((each for each in operator.sent(one.peer) if each.message == one.reply), None)


def _asked_home(operator: Operator, found: list[Registration]) -> Result:
    tally = Tally(
        "haaro-peers.solicitation",
        "CR-6, CR-7, HA-14",
        "A peer that does not know the asker asks the home agent before it accepts",
        "an advertisement that names asker and networks reached the peer before its accepting reply",
    )
    told: list[tuple[float, str, object, set[object], Frame]] = []
    for router in operator.routers.values():
        for frame in operator.received(router):
            for owner in (frame.message.advertised or ()) if frame.message else ():
                networks: set[object] = {prefix for prefix, _realm in owner.networks}
                told.append((frame.time, router.name, owner.home_address, networks, frame))
    for one in found:
        reply, peer = one.reply, one.peer
        if reply is None or peer is None or reply.code not in SUCCESS or not one.request.lifetime:
            continue
        left = _left(operator, one)
        granted = {state.prefix for state in reply.acknowledged if state.code == 0}
        before = [
            frame
            for time, name, home, networks, frame in told
            if (name, home) == (peer.name, one.router.home_address)
            and granted <= networks
            and left
            and time < left.time
        ]
        tally.see(one.asked, *before[:1])
        tally.demand(bool(before), f"{one.title}: {peer.name} had not been told of {granted}", one.asked)
    return tally.result(f"{plural(len(tally.seen) // 2, 'acceptance')} backed by the home agent", "no acceptance")


def _pairs(operator: Operator, found: list[Registration], proofs: list[Test], expected: list[list[str]]) -> Result:
    names = [f"{router} with {peer}" for router, peer in expected]
    tally = Tally(
        "haaro-peers.expected",
        "MR-7, CR-20",
        "Those who should have registered with each other have",
        f"accepted: {', '.join(names) or 'nobody'}; between any others no test, no request, no direct packet",
    )
    done = {
        (one.router.name, one.peer.name): one
        for one in found
        if one.peer and one.reply and one.reply.code in SUCCESS and one.request.lifetime
    }
    anything = [frame for router in operator.routers.values() for frame in operator.sent(router)[:1]]
    if not expected:
        tally.see(*anything)
    for pair, one in done.items():
        tally.see(one.asked)
        tally.demand(list(pair) in expected, f"{pair[0]} registered with {pair[1]}", one.asked)
    together = {frozenset(pair) for pair in expected}
    attempts = [(f"{one.kind} of", one.router, one.peer, one.asked) for one in proofs]
    attempts += [("a request of", one.router, one.peer, one.asked) for one in found if one.peer]
    for pair, frames in direct(operator).items():
        other = {name: operator.routers[peer] for name, peer in (pair, pair[::-1])}
        attempts += [("a packet of", sender, other[sender.name], at) for sender, at in frames]
    for what, asker, asked, at in attempts:
        known = frozenset((asker.name, asked.name)) in together
        tally.demand(known, f"{what} {asker.name} to {asked.name}, who have nothing to do with each other", at)
    for router, peer in expected:
        tally.demand((router, peer) in done or not anything, f"{router} is not registered with {peer}")
    return tally.result(
        ", ".join(f"{router} with {peer}" for router, peer in done) or "nobody", "nothing left any router"
    )
