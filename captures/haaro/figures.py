"""Figures of a HAARO run for verdict.json and report: times in milliseconds, volumes in octets."""

from __future__ import annotations

from statistics import median

from captures.haaro.exchanges import registrations, tests
from captures.haaro.operator import Operator


def registration_times(operator: Operator) -> list[float]:
    """From each accepted request to the home agent to its reply, at the router's line."""
    found = [one for one in registrations(operator) if one.peer is None and one.reply and not one.reply.code]
    return [(one.answer.time - one.asked.time) * 1000 for one in found if one.answer]


def round_trip(operator: Operator) -> float | None:
    """Between a router and the home agent, the quickest there was; None before anyone registered."""
    return min(registration_times(operator), default=None)


def optimisation_times(operator: Operator) -> dict[str, float]:
    """ "mrc-mra" -> from a router's first test message to the peer's acceptance."""
    begins: dict[str, float] = {}
    for test in tests(operator):
        name = f"{test.router.name}-{test.peer.name}"
        begins[name] = min(begins.get(name, test.asked.time), test.asked.time)
    found: dict[str, float] = {}
    for one in registrations(operator):
        name = f"{one.router.name}-{one.peer.name}" if one.peer else ""
        if name in begins and one.answer and one.reply and one.reply.code < 64:
            found.setdefault(name, round((one.answer.time - begins[name]) * 1000, 3))
    return found


def volumes(operator: Operator) -> dict[str, int]:
    """Octets of outer packets: "signalling" and "data" at the home agent's interface, "direct" between routers."""
    found = dict.fromkeys(("signalling", "data", "direct"), 0)
    for frame in operator.at_home:
        found["signalling" if frame.message else "data"] += frame.outer.size
    for router in operator.routers.values():
        for frame in operator.sent(router):
            if operator.owner(frame.outer.destination):
                found["direct"] += frame.outer.size
    return found


def metrics(operator: Operator) -> dict[str, object]:
    """Figures of a HAARO run for verdict.json."""
    times = registration_times(operator)
    return {
        "registration_ms_median": round(median(times), 3) if times else None,
        "optimisation_ms": optimisation_times(operator),
        "haaro_bytes": volumes(operator),
    }
