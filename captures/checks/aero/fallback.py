"""Check "aero-fallback": data leaves an encapsulation that a middlebox has begun to drop.

Sources: draft "AERO Minimal Encapsulation" §4; spec AERO §2.8, §2.10, ENC-9, ENC-10.
"""

from __future__ import annotations

from captures.aero.link import AeroLink, Client, Server
from captures.checks.base import Result, Tally, check, milliseconds
from captures.run import Run

PAUSE = 0.5
"""Seconds between packets of the script's traffic at most."""


@check("aero-fallback")
def aero_fallback(run: Run, step: str, nodes: list[str], bound_ms: float) -> list[Result]:
    """Judge each node's data from a step of the script on; `bound_ms`: how long it may go on."""
    link = run.aero
    assert link
    begin = next((start for title, start, _end in link.steps() if title == step), None)
    everybody = {one.name: one for one in link.nodes}
    return [_fallback(link, everybody[name], begin, bound_ms) for name in nodes]


def _fallback(link: AeroLink, node: Server | Client, begin: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-fallback.{node.name}",
        "ENC-9, ENC-10",
        f"{node.name} falls back to UDP when minimal encapsulation no longer gets through",
        f"data by protocols 4 and 41 before, and for at most {bound_ms:g} ms after; then by UDP 8060 only",
    )
    if begin is None:
        return tally.result(nothing="the script has no such step")
    data = [one for one in link.sent(node) if not one.control]
    if not data:
        return tally.result(nothing=f"{node.name} sent no data")
    before = [one for one in data if one.time < begin and one.code == "1"]
    minimal = [one for one in data if one.time >= begin and one.code.startswith("1")]
    udp = [one for one in data if one.time >= begin and one.code.startswith("0")]
    tally.demand(bool(before), "no data by minimal encapsulation before")
    if not udp:
        tally.wrong("no data by UDP afterwards")
        return tally.result()
    tally.see(*before[-2:], *minimal[-2:], *udp[:2])
    took = minimal[-1].time - minimal[0].time if minimal else 0.0
    tally.demand(took * 1000 <= bound_ms, f"minimal still after {milliseconds(took)}", *minimal[-1:])
    pause = udp[0].time - minimal[-1].time if minimal else 0.0
    tally.demand(pause <= PAUSE, f"no data for {milliseconds(pause)} before UDP", udp[0])
    late = [one for one in minimal if one.time > udp[0].time]
    tally.demand(not late, "minimal again after UDP", *late[:2])
    return tally.result(f"data went into the hole for {milliseconds(took)}, then by UDP")
