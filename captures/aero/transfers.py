"""Files that went from host to host by TCP, as the script announced them and as the hosts' captures have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from captures.aero.link import AeroLink
from captures.aero.records import Frame, Segment
from captures.ip import Address

FIN, SYN, RST = 0x01, 0x02, 0x04
WRAP = 1 << 32
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file: `node` fetched it from `peer`."""

    name: str
    node: str
    peer: str
    source: Address
    """Of the node, which opened the connection."""
    destination: Address
    """Of the peer, which sent the file."""
    port: int
    start: float
    end: float
    rate: int
    """Octets a second at most."""
    sent: Object
    """What the sender said of the file: `octets`, `sha256`."""
    fetched: Object
    """What the receiver said."""


@dataclass(slots=True)
class Stream:
    """The segments of one direction at one host, and the octets of the stream that they hold."""

    frames: list[Frame] = field(default_factory=list)
    """With data, in order of time."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Octets of the stream in each of them, from the first octet of data on."""

    @property
    def octets(self) -> int:
        """Up to the first hole."""
        reach = 0
        for start, stop in sorted(self.spans):
            if start > reach:
                break
            reach = max(reach, stop)
        return reach

    def repeated(self) -> list[tuple[float, int]]:
        """(time, octets) of data that had been here already."""
        found, highest = [], 0
        for frame, (start, stop) in zip(self.frames, self.spans, strict=True):
            if start < highest:
                found.append((frame.time, min(stop, highest) - start))
            highest = max(highest, stop)
        return found


def transfers(link: AeroLink) -> list[Transfer]:
    """All of them, in order; a connection that just lasts, as `aero-models` has one, is no transfer of a named file."""
    return [_transfer(event) for event in link.events if event["event"] == "transfer" and "name" in event]


def _transfer(event: Object) -> Transfer:
    return Transfer(
        event["name"],
        event["node"],
        event["peer"],
        ip_address(event["source"]),
        ip_address(event["destination"]),
        event["port"],
        event["t"],
        event["end"],
        event["rate"],
        event["sent"],
        event["fetched"],
    )


def segments(link: AeroLink, node: str, one: Transfer) -> list[Frame]:
    """What a host sent and got of it, in either direction."""
    ends = {one.source, one.destination}
    return [
        frame
        for (name, _interface), frames in link.captures.items()
        if name == node
        for frame in frames
        if frame.segment and one.port in frame.segment.ports and {frame.outer.source, frame.outer.destination} == ends
    ]


def stream(frames: Iterable[Frame], one: Transfer) -> Stream:
    """The file's direction; empty without its SYN, from which octets are counted."""
    found = Stream()
    base, highest = None, 0
    for frame in frames:
        segment = frame.segment
        if segment is None or frame.outer.source != one.destination:
            continue
        if segment.flags & SYN:
            base = segment.sequence + 1
        elif segment.octets and base is not None:
            start = _unwrapped(segment, base, highest)
            highest = max(highest, start + segment.octets)
            found.frames.append(frame)
            found.spans.append((start, start + segment.octets))
    return found


def _unwrapped(segment: Segment, base: int, near: int) -> int:
    """Place of a segment in the stream, which may be longer than sequence numbers are (RFC 9293 §3.4)."""
    start = (segment.sequence - base) % WRAP
    return start + (near - start + WRAP // 2) // WRAP * WRAP
