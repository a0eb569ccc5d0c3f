"""Checks "aero-fragments" and "aero-sizes": how inner packets were cut, and how large each one was outside.

Sources: spec AERO §3.1-3.4, §3.7, FRAG-1, FRAG-2, FRAG-4, FRAG-5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from captures.aero.link import AeroLink, Client, Server
from captures.aero.records import Frame
from captures.checks.base import Result, Tally, check, plural
from captures.run import Run

SPLIT, GUARANTEED = 1024, 1500
ENTRY_MADE = ("attached", "client-attached")
"""Events of a Client and of a Server that has made a neighbor cache entry: with it begins another counter."""
Parts = list[Frame]
"""Fragments of one inner packet in order of their offsets."""


def packets(frames: Sequence[Frame]) -> list[Parts]:
    """What was sent to one neighbor after another: whole packets, and fragments put together by identification."""
    found: list[Parts] = []
    open_: dict[tuple[object, str, int], Parts] = {}
    for frame in frames:
        header = frame.fragment
        if header is None:
            found.append([frame])
            continue
        key = (frame.outer.destination, frame.code, header.identification)
        parts = open_.get(key)
        if parts is None or header.offset == 0:
            parts = open_[key] = []
            found.append(parts)
        parts.append(frame)
    return found


@check("aero-fragments")
def aero_fragments(run: Run) -> list[Result]:
    """Judge every packet that went in parts, or behind a Fragment Header."""
    link = run.aero
    assert link
    cut = [
        (node, parts)
        for node in link.nodes
        for parts in packets(link.sent(node))
        if parts[0].fragment and not parts[0].discovery
    ]
    return [_parts(cut), _alike(cut), _fresh(link, cut)]


Cut = list[tuple[Server | Client, Parts]]


def _parts(cut: Cut) -> Result:
    tally = Tally(
        "aero-fragments.parts",
        "FRAG-2",
        "An inner packet is cut after 1024 octets, in two",
        "parts 1024 + rest of the inner packet, M on the first only, offsets without gap; none over 1500 is cut",
    )
    sizes = set()
    for node, parts in cut:
        if parts[0].fragment and parts[0].fragment.atomic:
            continue
        tally.see(*parts)
        first = parts[0].inner
        if first is None:
            tally.wrong(f"{node.name}: no first part", *parts)
            continue
        tally.demand(first.size <= GUARANTEED, f"{first.size} octets were cut", *parts)
        lengths = [frame.carried for frame in parts]
        tally.demand(lengths == [SPLIT, first.size - SPLIT], f"{first.size} octets as {lengths}", *parts)
        headers = [frame.fragment for frame in parts if frame.fragment]
        offsets = [header.offset for header in headers]
        tally.demand(offsets == [0, SPLIT], f"offsets {offsets}", *parts)
        tally.demand([header.more for header in headers] == [True, False], "M flags", *parts)
        sizes.add((first.size, *(frame.outer.size for frame in parts)))
    shown = [f"{inner}: {'+'.join(map(str, outer))}" for inner, *outer in sorted(sizes)]
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return tally.result(", ".join(shown[:4]) + more, "nothing was cut")


def _alike(cut: Cut) -> Result:
    tally = Tally(
        "aero-fragments.alike",
        "FRAG-4",
        "All fragments of a packet have the same outer header",
        "same but for length, IPv4 identification and checksums: addresses, ports, TTL, traffic class, DF",
    )
    for _node, parts in cut:
        tally.see(*parts)
        seen = {_header(frame) for frame in parts}
        tally.demand(len(seen) == 1, "outer headers differ", *parts)
        headers = {(one.fragment.next_header, one.fragment.reserved) for one in parts if one.fragment}
        tally.demand(len(headers) == 1, "Fragment Headers differ in more than offset and M", *parts)
    return tally.result(nothing="nothing behind a Fragment Header")


def _header(frame: Frame) -> tuple[object, ...]:
    outer = frame.outer
    fixed = (outer.source, outer.destination, outer.protocol, outer.ttl, outer.traffic_class, outer.flow_label)
    return (*fixed, outer.dont_fragment, frame.ports, frame.code)


def _fresh(link: AeroLink, cut: Cut) -> Result:
    tally = Tally(
        "aero-fragments.fresh",
        "FRAG-5",
        "Every packet with a Fragment Header has an identification of its own",
        "one counter for each neighbor, from its attachment on: the last one + 1, never a second time",
    )
    counters: dict[tuple[str, object, int], list[Frame]] = defaultdict(list)
    entries = [event for name in ENTRY_MADE for node in link.nodes for event in link.said(node.name, name)]
    for node, parts in cut:
        tally.see(parts[0])
        entry = sum(1 for event in entries if event["node"] == node.name and event["t"] <= parts[0].time)
        counters[node.name, parts[0].outer.destination, entry].append(parts[0])
    for (name, _to, _entry), frames in counters.items():
        numbers = [frame.fragment.identification for frame in frames if frame.fragment]
        tally.demand(len(set(numbers)) == len(numbers), f"{name} uses an identification again", *frames)
        for before, frame in zip(numbers, frames[1:], strict=False):
            assert frame.fragment
            step = (frame.fragment.identification - before) % (1 << 32)
            tally.demand(step == 1, f"{name}: identification + {step}", frame)
    return tally.result(f"{plural(len(tally.seen), 'packet')} of {plural(len(counters), 'counter')}")


@check("aero-sizes")
def aero_sizes(run: Run, sizes: Mapping[str, Mapping[str, Sequence[int]]]) -> list[Result]:
    """Judge the outer sizes of the script's echo requests and replies: `sizes`: series -> node -> sizes it sent."""
    link = run.aero
    assert link
    return [_sizes(link, name, wanted) for name, wanted in sizes.items()]


def echoes(link: AeroLink, node: str, identifier: int) -> list[Parts]:
    """What an AERO node sent of a series."""
    one = link.servers.get(node) or link.clients[node]
    return [parts for parts in packets(link.sent(one)) if parts[0].echo and parts[0].echo[1] == identifier]


def _sizes(link: AeroLink, name: str, wanted: Mapping[str, Sequence[int]]) -> Result:
    text = "; ".join(f"{node} {' + '.join(map(str, sizes))}" for node, sizes in wanted.items())
    ping = next((one for one in link.pings if one.name == name), None)
    what = f"{ping.size} octets" if ping else name
    tally = Tally(f"aero-sizes.{name}", "FRAG-2, FRAG-3", f"{name}: {what} inside, by the sizes outside", text)
    if ping is None:
        return tally.result(nothing=f"the script sent no {name}")
    sent = {node: echoes(link, node, ping.identifier) for node in wanted}
    if not any(echoes(link, node.name, ping.identifier) for node in link.nodes):
        return tally.result(nothing="nobody sent anything of it")
    for node, sizes in wanted.items():
        for parts in sent[node]:
            tally.see(*parts)
            seen = [frame.outer.size for frame in parts]
            tally.demand(seen == list(sizes), f"{node} sent {' + '.join(map(str, seen))}", *parts)
        if not sent[node]:
            tally.wrong(f"{node} sent nothing of it")
    return tally.result(f"{plural(len(tally.seen), 'frame')}: {text}")
