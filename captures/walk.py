"""What the lab's script did, as the event log tells it: where each mobile node was, and which flows there were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from captures.domain import Mobile, Object

INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One stay of a mobile node at a gateway, from the lab's attached/detached events."""

    mobile: str
    number: int
    """From 0; number > 0 is the n-th move."""
    gateway: str
    cell: str
    start: float
    end: float
    """Time of leaving; infinity for the last one."""
    left: float
    """When the node left the gateway before (equal to start at the first attachment)."""
    previous: tuple[str, ...]
    """Other gateways visited before, latest first: the anchors (spec HO-3, CMD-7).  None in classic mode."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of the lab's script; source is the mobile node's address."""

    name: str
    kind: str
    protocol: str
    node: str
    peer: str
    source: IPv6Address
    destination: IPv6Address
    source_port: int | None
    destination_port: int | None
    icmp_id: int | None
    start: float
    end: float


def attachments(
    events: Iterable[Object], mobiles: dict[str, Mobile], *, distributed: bool
) -> dict[str, list[Attachment]]:
    """Stays of each mobile node in order; a re-association at the same gateway extends the stay.

    `distributed`: gateways visited before are anchors.
    """
    stays: dict[str, list[list[Any]]] = defaultdict(list)
    by_mac = {mobile.mac: name for name, mobile in mobiles.items()}
    for event in events:
        if event.get("agent") != "lab" or event["event"] not in ("attached", "detached"):
            continue
        mobile = by_mac.get(str(event.get("mac", "")).lower(), str(event.get("node")))
        mine = stays[mobile]
        if event["event"] == "detached":
            if mine and mine[-1][3] == INFINITY:
                mine[-1][3] = event["t"]
        elif mine and mine[-1][0] == event["gateway"]:
            mine[-1][3] = INFINITY
        else:
            mine.append([event["gateway"], event["cell"], event["t"], INFINITY])
    return {mobile: _attachments(mobile, rows, distributed) for mobile, rows in stays.items()}


def flows(events: Sequence[Object]) -> list[Flow]:
    """Flows announced by the lab."""
    ends = {event["flow"]: event["t"] for event in events if event["event"] == "flow-ended"}
    started = [event for event in events if event["event"] == "flow-started"]
    return [_flow(event, ends.get(event["flow"], INFINITY)) for event in started]


def _attachments(mobile: str, rows: list[list[Any]], distributed: bool) -> list[Attachment]:
    found: list[Attachment] = []
    for number, (gateway, cell, start, end) in enumerate(rows):
        visited = [stay.gateway for stay in reversed(found) if distributed and stay.gateway != gateway]
        left = min(found[-1].end, start) if found else start
        found.append(Attachment(mobile, number, gateway, cell, start, end, left, tuple(dict.fromkeys(visited))))
    return found


def _flow(event: Object, end: float) -> Flow:
    return Flow(
        name=str(event["flow"]),
        kind=event["kind"],
        protocol=event["protocol"],
        node=event["node"],
        peer=event["peer"],
        source=IPv6Address(event["source"]),
        destination=IPv6Address(event["destination"]),
        source_port=event.get("source_port"),
        destination_port=event.get("destination_port"),
        icmp_id=event.get("icmp_id"),
        start=event["t"],
        end=end,
    )
