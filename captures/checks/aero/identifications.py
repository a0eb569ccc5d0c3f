"""Checks "aero-fragment-path" and "aero-reordered": what a path does to identifications, and what they tell.

Sources: draft "AERO Minimal Encapsulation" §3, §4; spec AERO §3.9, FRAG-12, FRAG-14, Annex A2b.
"""

from __future__ import annotations

from captures.aero.link import AeroLink, Client, Server
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

COUNTERS = "counters"
"""Event of the script: a node's packet path counters at the end."""


@check("aero-fragment-path")
def aero_fragment_path(run: Run, nodes: list[str], kept: bool) -> list[Result]:
    """Judge what nodes asked behind an atomic Fragment Header; `kept`: it comes back, no middlebox takes it away."""
    link = run.aero
    assert link
    return [_fragment_path(link, node, kept) for node in link.nodes if node.name in nodes]


def _fragment_path(link: AeroLink, node: Server | Client, kept: bool) -> Result:
    tally = Tally(
        f"aero-fragment-path.{node.name}",
        "FRAG-14",
        f"{node.name} asks whether a Fragment Header arrives as it was sent",
        "the latest small NS by 1F is atomic; its NA comes " + ("by 1F, too" if kept else "without the header"),
    )
    answers = {one.discovery.nonce: one for one in link.received(node) if one.discovery and one.discovery.name == "NA"}
    asked = [one for one in link.sent(node) if one.code == "1F" and one.discovery and one.discovery.name == "NS"]
    for frame in asked[-1:]:  # the way may have changed since it asked before
        tally.see(frame)
        tally.demand(frame.fragment is not None and frame.fragment.atomic, "not atomic", frame)
        whole = frame.inner is not None and frame.carried == frame.inner.size
        tally.demand(whole, "padded", frame)
        answer = answers.get(frame.discovery.nonce) if frame.discovery else None
        if answer is None:
            tally.wrong("no answer", frame)
            continue
        tally.see(answer)
        tally.demand((answer.code == "1F") == kept, f"answered by {answer.code}", answer)
    return tally.result(nothing=f"{node.name} sent no NS behind a Fragment Header of its own protocol")


@check("aero-reordered")
def aero_reordered(run: Run, node: str) -> list[Result]:
    """Judge what a Server counted of packets that were overtaken."""
    link = run.aero
    assert link
    tally = Tally(
        "aero-reordered",
        "FRAG-12, FRAG-11",
        f"{node} counts packets that others overtook, and takes them",
        "reorder = packets behind a Fragment Header with a higher identification before them; none is taken for old",
    )
    events = link.said(node, COUNTERS)
    if not events:
        return [tally.result(nothing=f"no counters of {node} in the event log")]
    arrived = [one for one in link.received(link.servers[node]) if one.fragment and one.fragment.atomic]
    arrived = [one for one in arrived if one.time <= events[-1]["t"]]
    late = overtaken(arrived)
    if not late:
        return [tally.result(nothing="the network reordered nothing")]
    tally.see(*late)
    counted, gross = events[-1].get("reorder", 0), events[-1].get("reorder_gross", 0)
    tally.demand(counted == len(late), f"counted {counted}, {len(late)} in the capture")
    tally.demand(gross == 0, f"{gross} taken for grossly late")
    return [tally.result(f"{plural(counted, 'packet')} of {len(arrived)} overtaken, and counted")]


def overtaken(frames: list[Frame]) -> list[Frame]:
    """Packets that arrived after one with a later identification, each once."""
    found: list[Frame] = []
    seen: set[tuple[object, int]] = set()
    top: dict[object, int] = {}
    for frame in frames:
        assert frame.fragment
        sender, number = frame.outer.source, frame.fragment.identification
        behind = (top.setdefault(sender, number) - number) % (1 << 32)
        if (sender, number) not in seen and 0 < behind < 1 << 31:
            found.append(frame)
        elif behind:
            top[sender] = number if behind >= 1 << 31 else top[sender]
        seen.add((sender, number))
    return found
