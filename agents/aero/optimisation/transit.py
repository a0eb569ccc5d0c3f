"""What a Server or Relay does to a Predirect or Redirect that it passes on: no state (spec RO-8, RO-9, RO-10)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address

from agents.aero.inner_packets import push_inner
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, Reachability
from agents.aero.optimisation.messages import Mediation
from agents.wire.nd_options import LinkLayerOption
from agents.wire.redirects import readdress, replace_lladdrs


class Refused(Exception):
    """A message that is not passed on; the text is the name of its counter."""


def passed_on(
    mediation: Mediation,
    own: IPv6Address,
    hop: IPv6Address,
    lladdrs: Sequence[LinkLayerOption] | None = None,
) -> bytes:
    """The message as this router sends it to the next AERO hop, one hop further (Refused).

    `lladdrs` replace what the message says of link-layer addresses (spec RO-8); nothing else changes.
    """
    left = mediation.inner.hop_limit - 1
    if left <= 0:
        raise Refused("redirect_hops")
    payload = mediation.inner.payload
    if lladdrs is not None:
        payload = replace_lladdrs(payload, mediation.framing, lladdrs)
    payload = readdress(payload, mediation.framing, own, hop)
    return push_inner(own, hop, mediation.framing.value, payload, left)


def control_lladdr(neighbor: Neighbor) -> LinkLayerAddress | None:
    """Where control packets to a neighbor go: they stay on UDP, on its best path there (spec §2.10)."""
    udp = [path for path in reversed(neighbor.paths) if path.lladdr.encapsulation is Encapsulation.UDP]
    best = max(udp, key=lambda path: (path.reachability is not Reachability.FAILED, path.preference), default=None)
    path = best or neighbor.path
    return path.lladdr if path else None


def seen_lladdrs(client: Neighbor) -> tuple[LinkLayerOption, ...]:
    """A Client's link-layer addresses as its Server sees them, as TLLAOs (spec §6.6)."""
    return tuple(
        LinkLayerOption(
            target=True,
            encapsulation=path.lladdr.encapsulation,
            ip=path.lladdr.ipv6_form,
            port=path.lladdr.port,
            link_id=path.link_id,
            nat=path.nat,
        )
        for path in client.paths
        if path.lladdr.encapsulation is Encapsulation.UDP
    )
