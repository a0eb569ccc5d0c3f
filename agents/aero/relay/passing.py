"""Predirects and Redirects on their way through a Relay: stateless, hop by hop (spec RLY-5, RLY-6, RO-9, RO-10)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, unmapped
from agents.aero.inner_packets import Inner, push_inner
from agents.aero.neighbors import Neighbor, NeighborCache
from agents.aero.optimisation.messages import UNSPECIFIED, Address, host, quoted_ends
from agents.wire.errors import DecodeError
from agents.wire.nd import Redirect
from agents.wire.nd_options import RedirectedHeader, RouteInformation
from agents.wire.redirects import pull_redirect, readdress


class Refused(Exception):
    """A message that is not passed on; the text is the name of its counter."""


@dataclass(frozen=True)
class Passed:
    """A message with this Relay and the next hop as its ends."""

    packet: bytes
    next: Neighbor


def pass_on(inner: Inner, origin: Neighbor, cache: NeighborCache, own: IPv6Address) -> Passed | None:
    """The message as it goes on; None for anything that is no Predirect or Redirect (Refused, DecodeError).

    The way is that of the packet concerned: a Predirect follows it, a Redirect goes against it.  What the prefix
    tells must be the sender's to tell: a route learnt from the Server that the message came from.
    """
    found = pull_redirect(inner.payload, inner.next_header, inner.source, inner.destination)
    if found is None:
        return None
    message, framing = found
    if inner.destination != own or inner.source != origin.address:
        raise Refused("redirect_origin")
    if inner.hop_limit <= 1:
        raise Refused("redirect_hop_limit")
    source, destination = _ends(message)
    told, way = (source, destination) if message.predirect else (destination, source)
    if told not in (prefix := _prefix(message, told)) or not _learnt(prefix, origin, cache):
        raise Refused("redirect_prefix")
    towards = cache.owner(way)
    if towards is None or towards is origin:
        raise Refused("redirect_no_route")
    payload = readdress(inner.payload, framing, own, towards.address)
    packet = push_inner(own, towards.address, inner.next_header, payload, inner.hop_limit - 1)
    return Passed(packet, towards)


def _prefix(message: Redirect, told: Address) -> Prefix:
    """Whose flows a message is about: a NULL Redirect, which names no prefix, is about those to one address."""
    routes = [option for option in message.options if isinstance(option, RouteInformation)]
    if not routes and not message.predirect and message.target == message.destination == UNSPECIFIED:
        return host(told)
    if len(routes) != 1:
        raise Refused("redirect_prefix")
    return unmapped(routes[0].prefix)


def _ends(message: Redirect) -> tuple[Address, Address]:
    """Source and destination of the packet concerned."""
    headers = [option.packet for option in message.options if isinstance(option, RedirectedHeader)]
    try:
        return quoted_ends(headers[0] if headers else b"")
    except DecodeError as error:
        raise Refused("redirect_header") from error


def _learnt(prefix: Prefix, origin: Neighbor, cache: NeighborCache) -> bool:
    """Whether a prefix is equal to or inside a route of ours that leads to where the message came from."""
    if cache.owner(prefix.network_address) is not origin:
        return False
    return any(prefix.supernet(new_prefix=length) in origin.prefixes for length in range(prefix.prefixlen, -1, -1))
