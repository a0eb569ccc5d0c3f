"""Check "reachability": all addresses of a node answer all pings from all correspondents (spec ATT-10, HO-6, HO-9)."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv6Address, IPv6Network

from captures.checks.base import Result, Tally, check, plural, required
from captures.decode import inside
from captures.records import ECHO_REPLY, ECHO_REQUEST, Capture, Packet
from captures.run import Run
from captures.walk import Attachment

IN_FLIGHT = 0.05
"""Seconds before the last request within which an answer may not have come in time; all before it, from the first
answer on, must have."""


@check("reachability")
def reachability(run: Run, after_last_move: bool = True) -> list[Result]:
    """One result per mobile node, correspondent and prefix; pings count from the last attachment on."""
    results = []
    for stays in run.attachments.values():
        anchors = dict.fromkeys(run.home(stay.gateway) for stay in stays)
        for correspondent, address in run.correspondents.items():
            capture = run.of_node(correspondent)
            for anchor in anchors:
                results.append(_one(run, stays[-1], anchor, correspondent, address, capture, after_last_move))
    return results


def _one(
    run: Run,
    last: Attachment,
    gateway: str,
    correspondent: str,
    address: IPv6Address,
    capture: Capture | None,
    after_last_move: bool,
) -> Result:
    prefixes = run.prefixes.get((last.mobile, gateway), [])
    tally = Tally(
        f"reachability.{last.mobile}.{correspondent}.{gateway}",
        required(run, *(("ATT-10",) if gateway == run.home(last.gateway) else ("HO-6", "HO-9"))),
        f"{correspondent} reaches {last.mobile}'s address of {gateway}",
        f"echo replies from {', '.join(map(str, prefixes)) or 'a prefix of ' + gateway} at {correspondent}"
        + (f" while {last.mobile} is at {last.gateway}" if after_last_move else ""),
    )
    if capture is None:
        return tally.result("", f"{correspondent}'s interface was not captured")
    since = last.start if after_last_move else 0.0
    asked, answered = _pings(capture, address, prefixes, since)
    if asked and not answered:
        tally.wrong(f"{plural(len(asked), 'request')}, no reply", *asked)
    for request, reply in answered:
        tally.see(request, reply)
    last_asked = max((one.time for one in asked), default=0.0) - IN_FLIGHT * run.slowness
    settled = [one for one in asked if answered and answered[0][0].time < one.time < last_asked]
    known = {id(request) for request, _ in answered}
    lost = [one for one in settled if id(one) not in known]
    tally.demand(not lost, f"{plural(len(lost), 'request')} after the first answer, no reply", *lost)
    text = f"{len(answered)} of {plural(len(asked), 'request')} answered"
    return tally.result(text, f"{correspondent} sent no echo request to that prefix")


def _pings(
    capture: Capture, correspondent: IPv6Address, prefixes: list[IPv6Network], since: float
) -> tuple[list[Packet], list[tuple[Packet, Packet]]]:
    """Echo requests of a correspondent to the prefixes, and (request, first reply) pairs."""
    requests: dict[tuple[object, ...], Packet] = {}
    replies: dict[tuple[object, ...], list[Packet]] = defaultdict(list)
    for packet in capture.packets:
        if packet.icmp_type not in (ECHO_REQUEST, ECHO_REPLY) or packet.time < since or packet.tunnelled:
            continue
        ip = packet.inner
        if packet.icmp_type == ECHO_REQUEST and ip.source == correspondent:
            if any(inside(ip.destination, prefix) for prefix in prefixes):
                requests.setdefault((ip.destination, packet.icmp_id, packet.icmp_sequence), packet)
        elif packet.icmp_type == ECHO_REPLY and ip.destination == correspondent:
            replies[ip.source, packet.icmp_id, packet.icmp_sequence].append(packet)
    pairs = [(request, replies[key][0]) for key, request in requests.items() if replies.get(key)]
    return list(requests.values()), pairs
