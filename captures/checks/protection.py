"""Checks "protection" and "intruder": signalling inside ESP, and attacks on it that come to nothing.

Sources: RFC 4301, RFC 4303, RFC 5213 §4; spec SEC-1 to SEC-4, §10 (first row), SC-SEC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from captures import esp
from captures.checks.base import Result, Tally, check, plural
from captures.intrusion import Foreign, foreign
from captures.records import MobilityMessage
from captures.run import Run


@dataclass(frozen=True, slots=True)
class Association:
    """One security association of the run, from secrets.json."""

    source: IPv6Address
    destination: IPv6Address
    key: bytes


@check("protection")
def protection(run: Run) -> list[Result]:
    """Every Mobility Header between agents is in ESP, with a right ICV and a number of its own."""
    between = [one for one in run.signalling if one.source in run.addresses and one.destination in run.addresses]
    return [_inside_esp(run, between), _genuine(run, between), _numbered(between)]


def _inside_esp(run: Run, between: list[MobilityMessage]) -> Result:
    tally = Tally(
        "protection.esp",
        "SEC-1, SEC-2",
        "Signalling between agents is inside ESP",
        "every PBU and every PBA between gateways and CMD, as it leaves its sender, is in an ESP packet",
    )
    for message in between:
        tally.see(message)
        where = f"{message.kind} {run.name_of(message.source)}→{run.name_of(message.destination)}"
        tally.demand(message.esp is not None, f"{where} in the clear", message)
    methods = sorted({str(event["method"]) for event in run.events if event["event"] == "protection"})
    tally.demand("off" not in methods, "an agent says that protection is off")
    kinds = Counter(message.kind for message in between)
    text = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return tally.result(f"{text}, all inside ESP made by: {', '.join(methods)}", "no Mobility Header between agents")


def _genuine(run: Run, between: list[MobilityMessage]) -> Result:
    tally = Tally(
        "protection.icv",
        "SEC-1, SEC-3",
        "Every ESP packet proves its origin",
        "HMAC-SHA-256-128 with the key that its SPI names between just these two nodes, computed anew from the capture",
    )
    associations = _associations(run)
    if not associations:
        tally.missing = "no keys in secrets.json"
        return tally.result()
    for message in between:
        if message.esp is None:
            continue
        tally.see(message)
        known = associations.get((message.esp.spi, message.destination))
        if known is None or known.source != message.source:
            tally.wrong(f"SPI {message.esp.spi:#x} is no association {message.source} → {message.destination}", message)
        else:
            tally.demand(esp.genuine(message.esp, known.key), "the ICV is wrong", message)
    used = {one.esp.spi for one in between if one.esp}
    return tally.result(
        f"{plural(len(tally.seen), 'ICV')} right, {plural(len(used), 'association')} in use", "no ESP packet"
    )


def _associations(run: Run) -> dict[tuple[int, IPv6Address], Association]:
    """(SPI, destination) -> association, from what every agent was given."""
    listed = [one for secrets in run.secrets.values() for one in secrets.get("associations", [])]
    found = {}
    for one in listed:
        destination = IPv6Address(one["destination"])
        key = bytes.fromhex(one["key"])
        found[one["spi"], destination] = Association(IPv6Address(one["source"]), destination, key)
    return found


def _numbered(between: list[MobilityMessage]) -> Result:
    tally = Tally(
        "protection.sequence",
        "SEC-1",
        "ESP sequence numbers rise and never come twice",
        "per association, as packets leave their sender: each number above the one before (RFC 4303 §3.3.3)",
    )
    last: dict[tuple[int, IPv6Address], MobilityMessage] = {}
    for message in between:
        if message.esp is None:
            continue
        tally.see(message)
        key = message.esp.spi, message.destination
        before = last.get(key)
        if before is not None and before.esp is not None and message.esp.sequence <= before.esp.sequence:
            text = f"SPI {message.esp.spi:#x}: {message.esp.sequence} after {before.esp.sequence}"
            tally.wrong(text, before, message)
        tally.demand(message.esp.sequence > 0, "sequence number 0", message)
        last[key] = message
    return tally.result(f"{plural(len(last), 'association')}, rising in each", "no ESP packet")


@check("intruder")
def intruder(run: Run, allow_status: tuple[int, ...] = ()) -> list[Result]:
    """What an intruder injected was on the wire, got no answer but these, and changed nothing."""
    packets = foreign(run)
    return [_on_the_wire(run, packets), _unanswered(run, packets, set(allow_status)), *_unchanged(run, packets)]


def _on_the_wire(run: Run, packets: list[Foreign]) -> Result:
    tally = Tally(
        "intruder.wire",
        "SC-SEC",
        "The intruder's packets reached the nodes they were meant for",
        "as many packets that the claimed sender never sent arrived at every target as the lab says were injected",
    )
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for event in _injections(run):
        told[str(event["target"])][str(event["kind"])] += int(event["packets"])
    seen = Counter(one.node for one in packets)
    for node in sorted({*told, *seen}):
        announced = sum(told[node].values())
        frames = [one.packet for one in packets if one.node == node]
        tally.see(*frames)
        tally.demand(seen[node] == announced, f"{node}: {announced} injected, {seen[node]} arrived", *frames)
    texts = [f"{node}: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()) for node, kinds in told.items()]
    return tally.result("; ".join(texts), "the lab announced no injected packet")


def _unanswered(run: Run, packets: list[Foreign], allowed: set[int]) -> Result:
    tally = Tally(
        "intruder.answers",
        "SEC-1, SEC-4, §10",
        "Nothing the intruder sends is accepted",
        f"its targets say nothing to the claimed senders, or reject with {', '.join(map(str, sorted(allowed)))}",
    )
    for one in packets:
        tally.see(one.packet)
    answers: Counter[int] = Counter()
    claimed = {one.packet.outer.source for one in packets}
    for message in run.signalling:
        node = run.addresses.get(message.source)
        during = [start for start, end in _attacks(run, node) if start <= message.time <= end]
        if not during or message.destination not in claimed:
            continue
        answers[message.status] += 1
        fine = message.kind == "PBA" and message.status in allowed
        tally.demand(fine, f"{message.kind} {message.status} by {node} while it is attacked", message)
    rejected = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    return tally.result(f"{len(packets)} packets, answers: {rejected or 'none'}", "no injected packet captured")


def _unchanged(run: Run, packets: list[Foreign]) -> list[Result]:
    state = Tally(
        "intruder.state",
        "SEC-1, SEC-4, SC-SEC",
        "No attack changes a binding",
        "the target's whole state is the same before and after (counters apart)",
    )
    counted = Tally(
        "intruder.counted",
        "SEC-1, SEC-4, SC-SEC",
        "Every attack is counted",
        "the target's counters of dropped and rejected messages rise by as much as was injected",
    )
    rises: Counter[str] = Counter()
    dumps = [event for event in run.events if event["event"] == "state-dump"]
    for injected in _injections(run):
        kind, node = injected["kind"], injected["target"]
        mine = [dump for dump in dumps if (dump["attack"], dump["node"]) == (kind, node)]
        before, after = ([dump for dump in mine if dump["moment"] == moment] for moment in ("before", "after"))
        frames = [one.packet for one in packets if one.node == node]
        if len(before) != 1 or len(after) != 1:
            state.wrong(f"{node}, {kind}: {len(mine)} state dumps instead of 2")
            continue
        state.see(*frames)
        counted.see(*frames)
        changed = sorted(_differences(before[0]["state"], after[0]["state"]))
        state.demand(not changed, f"{node}, {kind}: changed {', '.join(changed[:4])}")
        rise: Counter[str] = Counter(after[0]["counters"])
        rise.subtract(before[0]["counters"])
        rises.update({name: count for name, count in rise.items() if count})
        risen = sum(rise.values())
        counted.demand(risen >= injected["packets"], f"{node}, {kind}: {injected['packets']} sent, {risen} counted")
    text = ", ".join(f"{count} {name}" for name, count in sorted(rises.items()))
    nothing = "the lab wrote no state dump"
    same = f"{plural(len(_injections(run)), 'attack')}, state equal"
    return [state.result(same, nothing), counted.result(text, nothing)]


def _attacks(run: Run, node: str | None) -> list[tuple[float, float]]:
    """Beginning and end of every attack on a node: its state dumps before and after."""
    dumps = [event for event in run.events if event["event"] == "state-dump" and event["node"] == node]
    starts, ends = ([dump["t"] for dump in dumps if dump["moment"] == moment] for moment in ("before", "after"))
    return list(zip(starts, ends, strict=False))


def _injections(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == "attack"]


def _differences(before: Any, after: Any, place: str = "") -> set[str]:
    """Names of the places where two states differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = [_differences(before.get(key), after.get(key), f"{place}.{key}") for key in {*before, *after}]
        return set().union(*found)
    return set() if before == after else {place.lstrip(".")}
