"""Check "aero-black-hole": a path becomes narrower, nobody says so, and the probes find out.

Sources: spec AERO §3.5, §13 scenario 9, FRAG-3; RFC 8899.
"""

from __future__ import annotations

from captures.aero.link import Client, Server
from captures.aero.records import Frame
from captures.checks.aero.tuning import LOSSES, TOO_BIG, is_large, story
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.run import Run


@check("aero-black-hole")
def aero_black_hole(run: Run, step: str, nodes: list[str], bound_ms: float) -> list[Result]:
    """Judge what nodes did from a step on in which the path became narrower and nobody said so."""
    link = run.aero
    assert link
    begin = next((start for title, start, _end in link.steps() if title == step), None)
    return [_hole(node, link.wan(node), begin, bound_ms) for node in link.nodes if node.name in nodes]


def _hole(node: Server | Client, wan: list[Frame], begin: float | None, bound_ms: float) -> Result:
    tally = Tally(
        f"aero-black-hole.{node.name}",
        "FRAG-3",
        f"{node.name} finds out by probes that proven sizes no longer get through",
        f"three probes of a proven size unanswered and a small solicitation answered; cut again within {bound_ms:g} ms",
    )
    if begin is None:
        return tally.result(nothing="the script has no such step")
    told = [(frame, parts) for frame, parts in story(node, wan) if frame.time >= begin]
    large = [(frame, parts) for frame, parts in told if parts and is_large(frame)]
    if not large:
        return tally.result(nothing=f"{node.name} sent no large packet then")
    cut = next((frame for frame, parts in large if frame.fragment), None)
    if cut is None:
        tally.wrong("large packets went on whole", large[-1][0])
        return tally.result()
    tally.see(large[0][0], cut)
    took = cut.time - begin
    tally.demand(took * 1000 <= bound_ms, f"cut again after {milliseconds(took)}", cut)
    asked, answered = _asked(node, [frame for frame, parts in told if parts is None and frame.time <= cut.time])
    lost = [one for nonce, one in asked.items() if one.padding and nonce not in answered]
    small = [one for nonce, one in asked.items() if not one.padding and nonce in answered]
    tally.see(*lost, *small)
    tally.demand(len(lost) >= LOSSES, f"{plural(len(lost), 'probe')} lost before", cut)
    tally.demand(bool(small), "no small solicitation was answered meanwhile", cut)
    errors = [one for one, _parts in told if one.icmp and not one.code and one.icmp[:2] == TOO_BIG[one.outer.version]]
    tally.demand(not errors, "a Packet Too Big arrived", *errors[:2])
    return tally.result(f"cut again {milliseconds(took)} after the change, {plural(len(lost), 'probe')} lost")


def _asked(node: Server | Client, frames: list[Frame]) -> tuple[dict[bytes, Frame], set[bytes]]:
    """Solicitations of a node by their nonces, and the nonces that came back."""
    asked: dict[bytes, Frame] = {}
    answered = set()
    for frame in frames:
        seen = frame.discovery
        if seen is None or seen.nonce is None:
            continue
        if seen.name == "NA":
            answered.add(seen.nonce)
        elif frame.outer.source in node.underlay:
            asked[seen.nonce] = frame
    return asked, answered
