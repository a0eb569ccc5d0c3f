"""Check "haaro-registration": the dialogue between routers and home agent.

Sources: RFC 5944 §3, RFC 5177 §4-6, RFC 3519 §3, RFC 6521 §3.1; spec HAARO MR-1, HA-1..HA-9.
"""

from __future__ import annotations

from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.haaro.exchanges import Registration, genuine_home, registrations
from captures.haaro.operator import Operator
from captures.haaro.records import PORT
from captures.run import Run

WANTED_FLAGS = 0x22
CAPABILITY, OPTIMISATION, ADVERTISEMENT = 153, 49, 50
UDP_REQUEST, UDP_REPLY = 144, 44
ACCEPTED = (0, 1)
FIRST_REFUSAL = 16
"""RO Reply codes from here on decline."""


@check("haaro-registration")
def haaro_registration(run: Run, bound_ms: float = 500.0) -> list[Result]:
    """Judge every registration with the home agent; `bound_ms`: request to reply at the router's line."""
    operator = run.haaro
    assert operator
    found = [one for one in registrations(operator) if one.peer is None]
    return [_requests(operator, found), _replies(operator, found, bound_ms), _unasked(operator, found)]


def _requests(operator: Operator, found: list[Registration]) -> Result:
    tally = Tally(
        "haaro-registration.request",
        "MR-1, MR-2, MR-22",
        "Routers register from the address of the line they use",
        "RRQ from the care-of address to the home agent, port 434; D and T; the networks, and last a valid MHAE",
    )
    for one in found:
        request, frame = one.request, one.asked
        tally.see(frame)
        home = (frame.outer.destination, (frame.ports or (0, 0))[1]) == (operator.home_agent, PORT)
        tally.demand(home and not frame.tunnelled, f"{one.title} goes to {frame.outer.destination}", frame)
        source = frame.outer.source == request.careof_address
        tally.demand(source, f"{one.title}: care-of address {request.careof_address}", frame)
        tally.demand(request.flags == WANTED_FLAGS, f"{one.title}: flags {request.flags:#04x}", frame)
        addresses = (request.home_address, request.home_agent) == (one.router.home_address, operator.home_agent)
        tally.demand(addresses, f"{one.title}: for {request.home_address} at {request.home_agent}", frame)
        last = bool(request.order) and request.order[-1] == (32, None) and not request.faults
        tally.demand(last, f"{one.title}: extensions {request.order} {request.faults}", frame)
        key = operator.key(one.router.home_address)
        tally.demand(key is not None and genuine_home(request, key), f"{one.title}: MHAE is wrong", frame)
        if request.lifetime:
            listed = {state.prefix for state in request.requested}
            tally.demand(listed == {prefix for prefix, _ in one.router.networks}, f"{one.title} lists {listed}", frame)
    return tally.result(f"{plural(len(found), 'request')} of {len({one.router.name for one in found})} routers")


def _replies(operator: Operator, found: list[Registration], bound_ms: float) -> Result:
    tally = Tally(
        "haaro-registration.reply",
        "HA-1, HA-4, HA-6, HA-7, HA-8, HA-9, HA-10, HA-17",
        "The home agent answers with a valid MHAE, and says what it was asked",
        f"RRP with the request's Identification, an MNA for each network, RO Reply if and only if capability, "
        f"N as the addresses say, within {bound_ms:g} ms",
    )
    times = []
    for one in found:
        reply, answer = one.reply, one.answer
        if reply is None or answer is None:
            lost = operator.silenced(one.router, one.asked.interface, one.asked.time)
            tally.demand(lost, f"{one.title}: no reply", one.asked)
            continue
        tally.see(one.asked, answer)
        took = answer.time - one.asked.time
        times.append(took)
        tally.demand(took * 1000 <= bound_ms, f"{one.title}: {milliseconds(took)}", answer)
        key = operator.key(one.router.home_address)
        tally.demand(key is not None and genuine_home(reply, key), f"{one.title}: MHAE of the reply is wrong", answer)
        tally.demand(len(reply.auths) == 1 and not reply.faults, f"{one.title}: {reply.faults}", answer)
        ends = answer.inner.destination == one.asked.inner.source and answer.ports == (one.asked.ports or (0, 0))[::-1]
        tally.demand(ends, f"{one.title}: answered to {answer.inner.destination} {answer.ports}", answer)
        if reply.code in ACCEPTED:
            _accepted(tally, operator, one)
    median = sorted(times)[len(times) // 2] if times else 0
    return tally.result(f"{plural(len(times), 'answer')}, median {milliseconds(median)}")


def _accepted(tally: Tally, operator: Operator, one: Registration) -> None:
    request, reply, answer = one.request, one.reply, one.answer
    assert reply
    assert answer
    tally.demand(reply.identification == request.identification, f"{one.title}: Identification", answer)
    tally.demand(reply.lifetime <= request.lifetime, f"{one.title}: {reply.lifetime} s granted", answer)
    if request.lifetime:
        asked = {state.prefix for state in request.requested}
        answered = {state.prefix for state in reply.acknowledged if not state.implicit}
        tally.demand(asked == answered, f"{one.title}: networks {answered} answered, {asked} asked", answer)
        tally.demand(any(state.code == 0 for state in reply.acknowledged), f"{one.title}: no network accepted", answer)
    kinds = {kind for kind, _subtype in reply.order}
    capability = request.capability
    optimising = bool(kinds & {OPTIMISATION, ADVERTISEMENT})
    if capability is None:
        tally.demand(not optimising, f"{one.title}: extensions {kinds} without capability", answer)
    elif operator.optimising:
        said = reply.ro_reply
        tally.demand(said is not None, f"{one.title}: no RO Reply", answer)
        at_home = next((each for each in operator.at_home if each.message == request), None)
        if said and at_home:
            seen = at_home.inner.source != request.careof_address
            bits = (said.outbound_only, said.solicited, said.nat)
            wanted = (capability.outbound_only, capability.solicited is not None, seen)
            tally.demand(bits == wanted, f"{one.title}: O, S, N are {bits}, not {wanted}", answer)
            declined = said.code >= FIRST_REFUSAL
            tally.demand(declined != one.router.optimised, f"{one.title}: RO Reply code {said.code}", answer)
    else:
        tally.demand(not optimising, f"{one.title}: extensions {kinds} of a home agent without HAARO", answer)
    asked_udp = UDP_REQUEST in {kind for kind, _subtype in request.order}
    tally.demand((UDP_REPLY in kinds) == asked_udp, f"{one.title}: UDP Tunnel Reply unasked or missing", answer)


def _unasked(operator: Operator, found: list[Registration]) -> Result:
    tally = Tally(
        "haaro-registration.unasked",
        "HA-2",
        "The home agent says nothing unasked",
        "each RRP it sends has an RRQ before it",
    )
    asked = {
        (one.message.identification & 0xFFFFFFFF, one.inner.source): one.time
        for one in reversed(operator.at_home)
        if one.message and one.kind == "RRQ" and one.inner.destination == operator.home_agent
    }
    for frame in operator.at_home:
        if frame.message is None or frame.kind != "RRP" or frame.inner.source != operator.home_agent:
            continue
        tally.see(frame)
        began = asked.get((frame.message.identification & 0xFFFFFFFF, frame.inner.destination))
        tally.demand(began is not None and began <= frame.time, "a reply without a request", frame)
    return tally.result(f"{plural(len(tally.seen), 'message')}, each an answer", "no reply left the home agent")
