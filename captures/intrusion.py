"""Signalling that somebody else put on the wire: what arrived somewhere but never left its claimed sender."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from captures.records import ESP, MOBILITY, Capture, MobilityMessage, Packet
from captures.run import Run


@dataclass(frozen=True, slots=True)
class Foreign:
    """One such packet, at the node it was sent to."""

    node: str
    packet: Packet
    message: MobilityMessage | None
    """The Mobility Header in it, where that can be read."""


def foreign(run: Run) -> list[Foreign]:
    """Packets with a Mobility Header or ESP that no gateway and no CMD sent, by time, one entry per copy too many."""
    left: Counter[Hashable] = Counter()
    for node, capture in _captures(run):
        sent = [packet for packet in _signalling(capture) if _own(run, node, packet.outer.source)]
        left.update(_content(capture, packet) for packet in sent)
    found = []
    for node, capture in _captures(run):
        for packet in _signalling(capture):
            if not _own(run, node, packet.outer.destination):
                continue
            content = _content(capture, packet)
            if left[content]:
                left[content] -= 1
            else:
                found.append(Foreign(node, packet, _message(capture, packet)))
    return sorted(found, key=lambda one: one.packet.time)


def _captures(run: Run) -> list[tuple[str, Capture]]:
    """Core-side captures of the nodes that signal."""
    nodes = set(run.addresses.values())
    access = {(name, gateway.phy) for name, gateway in run.gateways.items()}
    return [(key[0], capture) for key, capture in run.captures.items() if key[0] in nodes and key not in access]


def _signalling(capture: Capture) -> list[Packet]:
    return [packet for packet in capture.packets if packet.protocol in (MOBILITY, ESP) and not packet.tunnelled]


def _own(run: Run, node: str, address: IPv6Address) -> bool:
    return run.addresses.get(address) == node


def _content(capture: Capture, packet: Packet) -> Hashable:
    """What is the same in every copy of a packet."""
    outer = packet.outer
    if packet.esp is not None:
        return outer.source, outer.destination, packet.esp.covered, packet.esp.icv
    message = _message(capture, packet)
    bare = replace(message, file="", number=0, time=0.0, eth_source="") if message else None
    return outer.source, outer.destination, bare


def _message(capture: Capture, packet: Packet) -> MobilityMessage | None:
    return next((message for message in capture.mobility if message.number == packet.number), None)
