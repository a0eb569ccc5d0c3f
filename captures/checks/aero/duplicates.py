"""Check "aero-duplicates": what a network duplicates, and what of it is delivered.

Sources: draft "AERO Minimal Encapsulation" §3; spec AERO §3.8, §3.9, FRAG-5, FRAG-11.
"""

from __future__ import annotations

from collections import Counter

from captures.aero.link import AeroLink, Ping
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

COUNTERS = "counters"
"""Event of the script: a node's packet path counters at the end."""


@check("aero-duplicates")
def aero_duplicates(run: Run, name: str, detected: bool) -> list[Result]:
    """Judge a series of echo requests over a path that duplicates; `detected`: by identification, before delivery."""
    link = run.aero
    assert link
    ping = next((one for one in link.pings if one.name == name), None)
    if ping is None:
        title = "Duplicates are delivered once"
        return [Tally("aero-duplicates", "FRAG-11", title, name).result(nothing=f"the script sent no {name}")]
    server = next(iter(link.servers.values()))
    arrived = [one for one in link.received(server) if one.echo and one.echo[:2] == ("request", ping.identifier)]
    return [_delivered(link, ping, arrived, detected), _counted(link, server.name, arrived, detected)]


def _surplus(frames: list[Frame]) -> int:
    counts = Counter(one.echo for one in frames)
    return sum(counts.values()) - len(counts)


def _delivered(link: AeroLink, ping: Ping, arrived: list[Frame], detected: bool) -> Result:
    tally = Tally(
        "aero-duplicates.delivered",
        "FRAG-11",
        "A duplicate made under way is " + ("dropped at the end of the tunnel" if detected else "delivered"),
        "the network duplicates; behind the Server each packet is seen "
        + ("once" if detected else "as often as it arrived there, for nothing identifies it"),
    )
    doubled = _surplus(arrived)
    if not doubled:
        tally.missing = "the network duplicated nothing"
        return tally.result()
    behind = [
        one
        for (node, _interface), frames in link.captures.items()
        if node == ping.peer
        for one in frames
        if one.echo and one.echo[:2] == ("request", ping.identifier)
    ]
    tally.see(*arrived, *behind)
    for frame in arrived:
        marked = frame.fragment is not None and frame.fragment.atomic
        tally.demand(marked == detected, "identification " + ("missing" if detected else "present"), frame)
    seen = _surplus(behind)
    tally.demand(seen == (0 if detected else doubled), f"{seen} duplicates of {doubled} delivered", *behind[:4])
    tally.demand(len({one.echo for one in behind}) == ping.count, "not every packet was delivered")
    return tally.result(f"{plural(doubled, 'duplicate')} reached the Server, {seen} the target")


def _counted(link: AeroLink, node: str, arrived: list[Frame], detected: bool) -> Result:
    tally = Tally(
        "aero-duplicates.counted",
        "FRAG-11",
        "The Server counts what it dropped",
        "dpd_dup = surplus of whole packets with a Fragment Header at its interface",
    )
    events = link.said(node, COUNTERS)
    if not events:
        return tally.result(nothing=f"no counters of {node} in the event log")
    until = events[-1]["t"]
    everything = [one for one in link.received(link.servers[node]) if one.fragment and one.time <= until]
    numbers = Counter(one.fragment.identification for one in everything if one.fragment and one.fragment.atomic)
    surplus = sum(numbers.values()) - len(numbers)
    tally.see(*(everything or arrived))
    if not tally.seen:
        return tally.result(nothing=f"nothing arrived at {node}")
    counted = events[-1].get("dpd_dup", 0)
    tally.demand(counted == surplus, f"counted {counted}, {surplus} in the capture")
    tally.demand(detected == bool(counted), f"counted {counted}")
    return tally.result(f"{counted} counted, {surplus} in the capture")
