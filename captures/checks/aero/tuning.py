"""Checks "aero-tuning" and "aero-too-big": fragmentation ends when a size is proven, and not before.

Sources: spec AERO §3.1, §3.5, §3.6, FRAG-3, FRAG-10, FRAG-13; RFC 4821, RFC 8899.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from captures.aero.link import OUTER, OVERHEAD, Client, Server
from captures.aero.records import Frame
from captures.checks.aero.fragments import packets
from captures.checks.base import Result, Tally, check, milliseconds, plural
from captures.ip import Address
from captures.run import Run

WHOLE, GUARANTEED = 1280, 1500
NONE = "no packet of 1281 to 1500 octets"
LOSSES, PROBE_INTERVAL = 3, 1.0
TURN = 0.02
"""Seconds between a packet's arrival at an interface and the agent's next packet that may know of it."""
Where = tuple[Address, int, str]
"""Outer destination, port, plain code: a link-layer address in one encapsulation."""
TOO_BIG = {4: (3, 4), 6: (2, 0)}


@dataclass
class _Path:
    """What is proven of one path at a time, read from the wire alone."""

    proven: int = 0
    since: float = 0.0
    probes: dict[bytes, Frame] = field(default_factory=dict)
    answers: list[Frame] = field(default_factory=list)
    asked: list[Frame] = field(default_factory=list)
    """Probes of the proven size that were not answered yet."""

    def expire(self, now: float) -> None:
        """Three probes of a proven size, a second apart, and no answer: a black hole (spec §3.5)."""
        if len(self.asked) >= LOSSES and now >= self.asked[-1].time + PROBE_INTERVAL:
            self.proven, self.since = 0, now
            self.asked.clear()


@check("aero-tuning")
def aero_tuning(run: Run, nodes: list[str] | None = None) -> list[Result]:
    """Judge every packet of 1281 to 1500 octets against the probes and Too Bigs its sender had seen by then."""
    link = run.aero
    assert link
    return [_tuning(run, node) for node in link.nodes if nodes is None or node.name in nodes]


def _tuning(run: Run, node: Server | Client) -> Result:
    tally = Tally(
        f"aero-tuning.{node.name}",
        "FRAG-3, FRAG-13",
        f"{node.name} sends large packets whole from the moment a probe is answered, and cuts them before",
        "whole with a proven size that holds them, else in two parts; a probe answered by an NA with its nonce proves",
    )
    assert run.aero
    paths: dict[Where, _Path] = {}
    counts = {"whole": 0, "cut": 0}
    for frame, parts in story(node, run.aero.wan(node)):
        if parts is None:
            _learn(paths, node, frame)
            continue
        first = parts[0].inner
        if first is None or not is_large(frame):
            continue
        path = paths.setdefault(_where(frame), _Path())
        path.expire(frame.time)
        if frame.time - path.since < TURN and path.since:
            continue
        size = OUTER[frame.outer.version] + OVERHEAD[frame.code.rstrip("F")] + first.size
        whole = frame.fragment is None
        counts["whole" if whole else "cut"] += 1
        tally.see(*parts)
        fits = size <= path.proven
        tally.demand(whole == fits, f"{first.size} octets {'whole' if whole else 'cut'}, proven {path.proven}", *parts)
    for path in paths.values():
        tally.see(*path.answers)
    times = [answer for path in paths.values() for answer in _moments(path)]
    proven = ", ".join(sorted({f"{path.proven} proven" for path in paths.values() if path.answers}))
    moment = f", {milliseconds(max(times))} after its probe" if times else ""
    return tally.result(f"{counts['whole']} whole, {counts['cut']} cut; {proven or 'nothing proven'}{moment}", NONE)


def _moments(path: _Path) -> Iterator[float]:
    for answer in path.answers:
        nonce = answer.discovery.nonce if answer.discovery else None
        if nonce in path.probes and nonce:
            yield answer.time - path.probes[nonce].time


def is_large(frame: Frame) -> bool:
    """The first part, or the whole, of a data packet that must be cut until a size is proven."""
    inner = frame.inner
    return inner is not None and WHOLE < inner.size <= GUARANTEED and not frame.control


def story(node: Server | Client, wan: list[Frame]) -> Iterator[tuple[Frame, list[Frame] | None]]:
    """Packets sent (with their parts), and all solicitations, advertisements and errors (None), in order of time."""
    sent = [one for one in wan if one.code and one.outer.source in node.underlay]
    told: list[tuple[Frame, list[Frame] | None]] = [(parts[0], parts) for parts in packets(sent)]
    told += [(one, None) for one in wan if one.discovery or one.icmp]
    yield from sorted(told, key=lambda entry: (entry[0].time, entry[0].number))


def _where(frame: Frame) -> Where:
    return frame.outer.destination, (frame.ports or (0, 0))[1], frame.code.rstrip("F")


def _learn(paths: dict[Where, _Path], node: Server | Client, frame: Frame) -> None:
    seen = frame.discovery
    if frame.outer.source in node.underlay:
        if seen and seen.name == "NS" and seen.nonce and frame.padding:
            path = paths.setdefault(_where(frame), _Path())
            path.expire(frame.time)
            path.probes[seen.nonce] = frame
            if frame.outer.size == path.proven:
                path.asked.append(frame)
        return
    if seen and seen.name == "NA" and seen.nonce:
        where = frame.outer.source, (frame.ports or (0, 0))[0], frame.code.rstrip("F")
        path = paths.setdefault(where, _Path())
        probe = path.probes.get(seen.nonce)
        if probe in path.asked:
            path.asked.clear()
        if probe and probe.outer.size > path.proven and probe.inner and probe.carried > WHOLE:
            path.proven, path.since = probe.outer.size, frame.time
            path.answers.append(frame)
    elif frame.icmp and frame.icmp[:2] == TOO_BIG[frame.outer.version] and frame.quoted:
        for (destination, _port, _code), path in paths.items():
            if destination == frame.quoted.destination and 0 < frame.icmp[2] < path.proven:
                path.proven, path.since = 0, frame.time


@check("aero-too-big")
def aero_too_big(run: Run, name: str, mtu: int) -> list[Result]:
    """Judge the errors about a series of packets over 1500 octets that do not fit."""
    link = run.aero
    assert link
    tally = Tally(
        f"aero-too-big.{name}",
        "FRAG-10",
        "The source of a packet over 1500 octets that does not fit is told",
        f"Packet Too Big with MTU {mtu}, not below 1500, from a global address, quoting the packet, at most 1280",
    )
    ping = next((one for one in link.pings if one.name == name), None)
    if ping is None:
        return [tally.result(nothing=f"the script sent no {name}")]
    for (node, _interface), frames in link.captures.items():
        if node != ping.node:
            continue
        for frame in frames:
            if frame.icmp is None or frame.quoted is None or frame.quoted.destination != ping.destination:
                continue
            if frame.code or frame.icmp[:2] != TOO_BIG[frame.outer.version]:
                continue
            tally.see(frame)
            tally.demand(frame.icmp[2] == mtu, f"MTU {frame.icmp[2]}", frame)
            tally.demand(frame.outer.size <= WHOLE, f"{frame.outer.size} octets", frame)
            tally.demand(not frame.outer.source.is_link_local, f"from {frame.outer.source}", frame)
            tally.demand(frame.quoted.source == ping.source, f"quotes {frame.quoted.source}", frame)
    return [tally.result(f"{plural(len(tally.seen), 'Packet Too Big')}, MTU {mtu}", "no Packet Too Big at the source")]
