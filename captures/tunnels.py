"""IPv6-in-IPv6 between gateways: which end anchors, which end serves, and the path of each flow."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from captures.decode import inside
from captures.records import Packet
from captures.run import Run


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """One tunnelled packet, read as traffic of a mobile node's prefix between two gateways."""

    packet: Packet
    anchor: str
    serving: str
    mobile_address: IPv6Address
    uplink: bool
    local: bool = False
    """To or from a local network of the anchor: any prefix of the node may be at the other end (spec LIPA-6)."""


def end_of(run: Run, address: IPv6Address) -> str | None:
    """Gateway with this signalling address (its tunnel end)."""
    name = run.addresses.get(address)
    return name if name in run.gateways else None


def read(run: Run, packet: Packet) -> Tunnelled | str:
    """Read a tunnelled packet; a text says what is wrong with it."""
    source, destination = end_of(run, packet.outer.source), end_of(run, packet.outer.destination)
    outer = f"{packet.outer.source} → {packet.outer.destination}"
    if source is None or destination is None or source == destination:
        return f"outer addresses {outer} are not two gateways"
    if len(packet.layers) > 2:
        return "tunnel inside a tunnel"
    inner = packet.inner
    if run.anchor_of(inner.destination) == source and run.anchor_of(inner.source) != destination:
        return Tunnelled(packet, source, destination, inner.destination, uplink=False)
    if run.anchor_of(inner.source) == destination:
        return Tunnelled(packet, destination, source, inner.source, uplink=True)
    if any(inside(inner.destination, net) for net in run.gateways[destination].local_prefixes):
        return Tunnelled(packet, destination, source, inner.source, uplink=True, local=True)
    if any(inside(inner.source, net) for net in run.gateways[source].local_prefixes):
        return Tunnelled(packet, source, destination, inner.destination, uplink=False, local=True)
    return (
        f"inner {inner.source} → {inner.destination} is anchored at neither end of {source} → {destination} "
        "in this direction"
    )
