"""What belongs to what: DLIFs, local networks, and the sessions into them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from captures.decode import inside
from captures.records import Packet, RouterAdvertisement
from captures.run import Run
from captures.walk import INFINITY, Attachment


def owner_of_dlif(run: Run, one: RouterAdvertisement) -> str | None:
    """Gateway that anchors the DLIF which sent this RA."""
    return next((run.anchor_of(option.prefix.network_address) for option in one.prefixes), None)


def ended(run: Run, mobile: str) -> float:
    """When the node's access to local networks was ended by its gateways."""
    mine = [e["t"] for e in run.events if e["event"] == "local-access-ended" and e["node"] == mobile]
    return min(mine, default=INFINITY)


def sessions(run: Run, stay: Attachment, owner: str) -> list[IPv6Address]:
    """Addresses from which the node talks into the owner's networks during a stay."""
    hosts = run.gateways[owner].local_hosts
    mine = [flow for flow in run.flows if flow.node == stay.mobile and flow.peer in hosts]
    return list(dict.fromkeys(flow.source for flow in mine if flow.start < stay.end and flow.end > stay.start))


def between(run: Run, packet: Packet, owner: str, mobile: str) -> IPv6Address | None:
    """The node's address when the packet is between the node and the owner's networks."""
    if not packet.layers:
        return None
    ends, ports = (packet.inner.source, packet.inner.destination), (packet.source_port, packet.destination_port)
    for near, far, port in ((*ends, ports[0]), (*ends[::-1], ports[1])):
        network = next((net for net in run.gateways[owner].local_prefixes if inside(far, net)), None)
        if network and run.owner(near) == mobile and _meant(run, owner, network, (near, far, port)):
            return near
    return None


def _meant(run: Run, owner: str, network: IPv6Network, flow: tuple[IPv6Address, IPv6Address, int]) -> bool:
    """Whether this owner's network is meant: where two have one prefix, the flow's peer tells."""
    if network not in used_twice(run):
        return True
    hosts = run.gateways[owner].local_hosts
    return any((f.source, f.destination, f.source_port or 0) == flow and f.peer in hosts for f in run.flows)


def used_twice(run: Run) -> list[IPv6Network]:
    """Local prefixes that more than one gateway has."""
    held = [network for gateway in run.gateways.values() for network in gateway.local_prefixes]
    return [network for network in dict.fromkeys(held) if held.count(network) > 1]


def sent_to(packets: Iterable[Packet], destination: IPv6Address, since: float) -> list[Packet]:
    """Packets to an address from a time on."""
    return [p for p in packets if p.layers and p.inner.destination == destination and p.time >= since]
