"""IPv6-in-IPv6 between gateways: which end anchors, which end serves, and the path of each flow."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from captures.decode import inside
from captures.records import Packet
from captures.run import Run


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """One tunnelled packet, read as traffic of a mobile node's prefix between two gateways."""

    packet: Packet
    anchor: str
    """The LMA towards the serving gateway of another operator (spec INTER-2)."""
    serving: str
    """The LMA towards the anchor of another operator (spec INTER-3)."""
    mobile_address: IPv6Address
    uplink: bool
    local: bool = False
    """To or from a local network of the anchor: any prefix of the node may be at the other end (spec LIPA-6)."""


def end_of(run: Run, address: IPv6Address) -> str | None:
    """Gateway, home LMA, or anchor of the classic mode, with this signalling address (its tunnel end)."""
    name = run.addresses.get(address)
    return name if name in run.gateways or name in (run.lma, run.central and run.central.name) else None


def right_end(run: Run, one: Tunnelled, serving: set[str]) -> bool:
    """Whether a tunnel leads to where the node is: at one of these gateways, or with another operator at all."""
    if one.serving == run.lma:
        return any(run.crosses(one.anchor, gateway) for gateway in serving)
    return one.serving in serving


def read(run: Run, packet: Packet) -> Tunnelled | str:
    """Read a tunnelled packet; a text says what is wrong with it."""
    source, destination = end_of(run, packet.outer.source), end_of(run, packet.outer.destination)
    outer = f"{packet.outer.source} → {packet.outer.destination}"
    if source is None or destination is None or source == destination:
        return f"outer addresses {outer} are not two gateways"
    if run.central and run.central.name not in (source, destination):
        return f"outer addresses {outer}: neither is the anchor"
    if len(packet.layers) > 2:
        return "tunnel inside a tunnel"
    if run.lma in (source, destination):
        return _read_leg(run, packet, source, destination)
    if run.crosses(source, destination):
        return f"tunnel {source} → {destination} between operators"
    inner = packet.inner
    if run.anchor_of(inner.destination) == source and run.anchor_of(inner.source) != destination:
        return Tunnelled(packet, source, destination, inner.destination, uplink=False)
    if run.anchor_of(inner.source) == destination:
        return Tunnelled(packet, destination, source, inner.source, uplink=True)
    if any(inside(inner.destination, net) for net in _local_prefixes(run, destination)):
        return Tunnelled(packet, destination, source, inner.source, uplink=True, local=True)
    if any(inside(inner.source, net) for net in _local_prefixes(run, source)):
        return Tunnelled(packet, source, destination, inner.destination, uplink=False, local=True)
    return (
        f"inner {inner.source} → {inner.destination} is anchored at neither end of {source} → {destination} "
        "in this direction"
    )


def _read_leg(run: Run, packet: Packet, source: str, destination: str) -> Tunnelled | str:
    """One of the two tunnels at the LMA: only for prefixes of another operator than the serving gateway's."""
    inner, lma = packet.inner, run.lma or ""
    gateway = destination if source == lma else source
    of_source, of_destination = run.anchor_of(inner.source), run.anchor_of(inner.destination)
    if source == gateway:
        if of_source and run.crosses(of_source, gateway):
            return Tunnelled(packet, lma, gateway, inner.source, uplink=True)
        if of_destination == gateway:
            return Tunnelled(packet, gateway, lma, inner.destination, uplink=False)
    else:
        if of_source == gateway:
            return Tunnelled(packet, gateway, lma, inner.source, uplink=True)
        if of_destination and run.crosses(of_destination, gateway):
            return Tunnelled(packet, lma, gateway, inner.destination, uplink=False)
    return f"inner {inner.source} → {inner.destination} is no business of the LMA's between {source} and {destination}"


def _local_prefixes(run: Run, end: str) -> tuple[IPv6Network, ...]:
    gateway = run.gateways.get(end)
    return gateway.local_prefixes if gateway else ()
