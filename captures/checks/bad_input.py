"""Check "bad-input": each probe was met as the fact sheet's §10 says, and changed nothing (spec SC-BADINPUT).

The lab's `probe` events say what was sent and what must come back; what did come back is read from the captures.
The receiver's state before and after comes from the same events: digests of its JSON dump (spec §11).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from captures import layers
from captures.checks.base import Result, Tally, check, plural
from captures.records import ROUTER_ADVERTISEMENT, Capture, MobilityMessage, Packet
from captures.run import Run

PARAMETER_PROBLEM, ROUTER_SOLICITATION, ERRONEOUS_FIELD = 4, 133, 0
SETTLED = 0.5
"""Seconds after which nothing answers a probe any more (the next probe may come sooner)."""
CLOCK = 2.0
"""Seconds by which the receiver's time in a rejection may differ from the capture's."""
NO_MN_ID, SEQUENCE, FUTURE, PAST = 160, 135, 156, 157
ALL_ZERO = (IPv6Network("::/0"),)


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe event with what the captures show of it."""

    event: dict[str, Any]
    request: MobilityMessage | None
    """As it arrived; None when it was not captured."""
    answers: tuple[MobilityMessage | Packet, ...] = ()

    @property
    def name(self) -> str:
        """The row."""
        return str(self.event["row"])


@check("bad-input")
def bad_input(run: Run, rows: dict[str, int], tunnelled: int = 0, solicitations: int = 0) -> list[Result]:
    """Three results per role (replies, state, counts); `rows`: how many probes each role must have had."""
    results = []
    for role, count in rows.items():
        probes = _probes(run, role)
        results += [_replies(run, role, probes, count), _state(role, probes, count), _counts(role, probes, count)]
    if tunnelled:
        results.append(_tunnels(run, tunnelled))
    if solicitations:
        results.append(_solicitations(run, solicitations))
    return results


def _tally(role: str, what: str, title: str, expected: str, probes: list[Probe]) -> Tally:
    named = dict.fromkeys(r for p in probes for r in str(p.event["requirement"]).split(", "))
    return Tally(f"bad-input.{role}.{what}", ", ".join(named) or "SC-BADINPUT", title, expected)


def _demand_all(tally: Tally, probes: list[Probe], count: int) -> None:
    """Too few probes prove too little; none at all, nothing."""
    if probes:
        tally.demand(len(probes) >= count, f"{len(probes)} of {plural(count, 'probe')} were sent")


def _replies(run: Run, role: str, probes: list[Probe], count: int) -> Result:
    tally = _tally(
        role, "replies", f"Bad messages to a {role} get the named reply", "status, flags, echoes, pointer", probes
    )
    _demand_all(tally, probes, count)
    silent = 0
    for probe in probes:
        if probe.request is None:
            tally.wrong(f"{probe.name}: not in the receiver's capture")
            continue
        wanted = probe.event["reply"]
        tally.see(probe.request, *probe.answers)
        if wanted is None:
            silent += 1
            tally.demand(not probe.answers, f"{probe.name}: answered", probe.request, *probe.answers)
        elif len(probe.answers) != 1:
            tally.wrong(f"{probe.name}: {plural(len(probe.answers), 'answer')}", probe.request, *probe.answers)
        else:
            for problem in _faults(run, probe, probe.request, probe.answers[0], wanted):
                tally.wrong(f"{probe.name}: {problem}", probe.request, probe.answers[0])
    text = f"{len(probes) - silent} replies as named, silence for {silent}"
    return tally.result(text, f"no probe of role {role} in the event log")


def _faults(
    run: Run, probe: Probe, request: MobilityMessage, answer: MobilityMessage | Packet, wanted: dict[str, Any]
) -> Iterator[str]:
    if wanted["kind"] == "problem":
        if isinstance(answer, MobilityMessage):
            yield f"{answer.kind} instead of a Parameter Problem"
            return
        found = (answer.icmp_type, answer.icmp_code, answer.icmp_pointer)
        if found != (PARAMETER_PROBLEM, ERRONEOUS_FIELD, wanted["pointer"]):
            yield f"ICMPv6 type, code, pointer {found}"
    elif isinstance(answer, Packet):
        yield f"ICMPv6 type {answer.icmp_type}"
    elif wanted["kind"] == "error":
        # Status, reserved octet, Home Address :: (RFC 6275 §6.1.9)
        if (
            answer.kind != "BE"
            or answer.octets[1] != 2
            or answer.octets[6:24] != bytes((wanted["status"],)) + bytes(17)
        ):
            yield f"{answer.kind} {answer.octets[6:24].hex()}"
    else:
        yield from _ack_faults(run, request, answer, wanted)


def _ack_faults(run: Run, request: MobilityMessage, ack: MobilityMessage, wanted: dict[str, Any]) -> Iterator[str]:
    """Status, flags, and what an answer repeats of its request (spec HO-8, RETX-7, RETX-8)."""
    flags = wanted["flags"]
    if flags & layers.BA_D:
        flags = flags & ~layers.BA_D | run.d_flags(request.source, request.destination)[1]
    sequence = request.sequence if wanted["sequence"] is None else wanted["sequence"]
    expected = {"status": wanted["status"], "flags": flags, "sequence": sequence}
    if ack.status >= 128:
        expected["lifetime"] = 0
    if not ack.checksum_valid or ack.malformed:
        yield ack.malformed or "bad checksum"
    if ack.kind not in ("PBA", "BA"):
        yield f"{ack.kind} instead of an acknowledgement"
        return
    for name, value in expected.items():
        if getattr(ack, name) != value:
            yield f"{name} {getattr(ack, name)} instead of {value}"
    if ack.status == NO_MN_ID:
        if ack.mn_id != "" or ack.options.count(layers.MN_ID) != 1:
            yield "no zero-length MN-ID"
    else:
        yield from _unechoed(request, ack, {"mn_id": layers.MN_ID})
    yield from _unechoed(
        request,
        ack,
        {"handoff": layers.HANDOFF, "access_type": layers.ACCESS, "link_layer_id": layers.LINK_LAYER_ID},
    )
    if ack.status >= 128 and ack.prefixes != (request.prefixes or ALL_ZERO):
        yield f"HNP {', '.join(map(str, ack.prefixes))}"
    yield from _time_faults(request, ack)


def _unechoed(request: MobilityMessage, ack: MobilityMessage, fields: dict[str, int]) -> Iterator[str]:
    """Fields that differ; of an option that came twice nobody says which one to repeat."""
    for name, kind in fields.items():
        if request.options.count(kind) < 2 and getattr(request, name) != getattr(ack, name):
            yield f"{name} {getattr(ack, name)} instead of {getattr(request, name)}"


def _time_faults(request: MobilityMessage, ack: MobilityMessage) -> Iterator[str]:
    if ack.status in (PAST, FUTURE):
        if ack.timestamp is None or abs(ack.timestamp - ack.time) > CLOCK:
            yield f"Timestamp {ack.timestamp} is not the receiver's time"
    elif ack.status == SEQUENCE:
        if ack.timestamp is not None:
            yield "a Timestamp beside a sequence number"
    elif request.options.count(layers.TIMESTAMP) < 2 and ack.timestamp != request.timestamp:
        yield f"Timestamp {ack.timestamp} instead of {request.timestamp}"


def _state(role: str, probes: list[Probe], count: int) -> Result:
    tally = _tally(role, "state", f"Bad messages change nothing at a {role}", "state dump before = after", probes)
    _demand_all(tally, probes, count)
    judged = [probe for probe in probes if not probe.event["tolerated"]]
    for probe in judged:
        frames = [probe.request] if probe.request else []
        tally.see(*frames)
        same = bool(probe.event["before"]) and probe.event["before"] == probe.event["after"]
        tally.demand(same, f"{probe.name}: the state changed", *frames)
    return tally.result(f"unchanged by {plural(len(judged), 'message')}", f"no probe of role {role} in the event log")


def _counts(role: str, probes: list[Probe], count: int) -> Result:
    tally = _tally(role, "counts", f"A {role} counts every bad message", "one counter by one for each", probes)
    _demand_all(tally, probes, count)
    for probe in probes:
        frames = [probe.request] if probe.request else []
        tally.see(*frames)
        wanted = {probe.event["counter"]: 1} if probe.event["counter"] else {}
        counted = probe.event["counted"]
        tally.demand(counted == wanted, f"{probe.name}: counted {counted}, not {wanted}", *frames)
    names = sorted({str(probe.event["counter"]) for probe in probes if probe.event["counter"]})
    return tally.result(", ".join(names), f"no probe of role {role} in the event log")


def _probes(run: Run, role: str) -> list[Probe]:
    events = [event for event in run.events if event["event"] == "probe" and event["role"] == role]
    found: list[Probe] = []
    for event in events:
        after = found[-1].request.time if found and found[-1].request else 0.0
        found.append(Probe(event, _arrival(run, event, after)))
    ends = [probe.request.time for probe in found[1:] if probe.request] + [float("inf")]
    return [
        replace(probe, answers=tuple(_answers(run, probe, min(end for end in ends if end > probe.request.time))))
        if probe.request
        else probe
        for probe in found
    ]


def _captures(run: Run, node: str) -> list[Capture]:
    return [capture for (where, _), capture in run.captures.items() if where == node]


def _arrival(run: Run, event: dict[str, Any], after: float) -> MobilityMessage | None:
    """The probe in the receiver's capture: same addresses, same octets but for the checksum."""
    octets = bytes.fromhex(event["octets"])
    for capture in _captures(run, event["target"]):
        for message in capture.mobility:
            if message.time <= after or str(message.source) != event["source"]:
                continue
            theirs = message.octets
            if (
                theirs[:4] == octets[:4]
                and theirs[6:] == octets[6:]
                and str(message.destination) == event["destination"]
            ):
                return message
    return None


def _answers(run: Run, probe: Probe, end: float) -> Iterator[MobilityMessage | Packet]:
    """What the receiver sent back until the next probe: Mobility Headers and ICMPv6 errors."""
    request = probe.request
    assert request is not None
    end = min(end, request.time + SETTLED)
    for capture in _captures(run, probe.event["target"]):
        for message in capture.mobility:
            back = (message.source, message.destination) == (request.destination, request.source)
            if back and message.kind not in ("PBU", "BU") and request.time <= message.time < end:
                yield message
        for packet in capture.packets:
            if not 0 < packet.icmp_type < 128 or packet.tunnelled or not request.time <= packet.time < end:
                continue
            if (packet.inner.source, packet.inner.destination) == (request.destination, request.source):
                yield packet


def _tunnels(run: Run, count: int) -> Result:
    """R5213 §6.10.5: what comes out of a tunnel comes from its peer and belongs to a binding."""
    tally = Tally(
        "bad-input.tunnel",
        "SC-BADINPUT",
        "Tunnelled packets of strangers go nowhere",
        "outer source a peer with a tunnel, inner source its binding's; else dropped and counted",
    )
    events = [event for event in run.events if event["event"] == "tunnel-probe"]
    tally.demand(not events or len(events) >= count, f"{len(events)} of {plural(count, 'probe')} were sent")
    for event in events:
        inner = (IPv6Address(event["inner_source"]), IPv6Address(event["inner_destination"]))
        mine = [packet for capture in _captures(run, event["target"]) for packet in capture.packets]
        mine = [packet for packet in mine if packet.icmp_id == event["icmp_id"] and packet.layers]
        mine = [packet for packet in mine if (packet.inner.source, packet.inner.destination) == inner]
        arrived = [packet for packet in mine if packet.tunnelled]
        tally.demand(bool(arrived), f"{event['row']}: not in the receiver's capture")
        tally.see(*arrived)
        left = [packet for packet in mine if not packet.tunnelled]
        tally.demand(not left, f"{event['row']}: decapsulated", *left)
        counted = event["counted"]
        tally.demand(counted.get(event["counter"]) == 1, f"{event['row']}: counted {counted}", *arrived)
    return tally.result(f"{plural(len(events), 'packet')} dropped", "no tunnelled packet was sent")


def _solicitations(run: Run, count: int) -> Result:
    """ATT-2: no advertisement for a station without a profile."""
    tally = Tally(
        "bad-input.solicitation", "SC-BADINPUT, ATT-2", "A stranger's solicitation is not answered", "no RA to it"
    )
    events = [event for event in run.events if event["event"] == "solicitation-probe"]
    tally.demand(not events or len(events) >= count, f"{len(events)} of {plural(count, 'probe')} were sent")
    for event in events:
        packets = [packet for capture in _captures(run, event["target"]) for packet in capture.packets]
        asked = [
            packet
            for packet in packets
            if packet.icmp_type == ROUTER_SOLICITATION and packet.eth_source == event["mac"]
        ]
        tally.demand(bool(asked), "the solicitation is not in the gateway's capture")
        tally.see(*asked)
        told = [packet for packet in packets if packet.icmp_type == ROUTER_ADVERTISEMENT]
        told = [packet for packet in told if packet.eth_destination in (event["mac"], "33:33:00:00:00:01")]
        tally.demand(not told, "a Router Advertisement for the stranger", *told)
    return tally.result("silence", "no solicitation was sent")
