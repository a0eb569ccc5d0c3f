"""Predirects and Redirects on their way through a Relay: stateless, hop by hop (spec RLY-5, RLY-6, RO-9, RO-10)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agents.aero.addresses import Prefix, unmapped
from agents.aero.dataplane.inner import addresses
from agents.aero.inner_packets import Inner, push_inner
from agents.aero.neighbors import Neighbor, NeighborCache
from agents.wire.nd import Redirect
from agents.wire.nd_options import RedirectedHeader, RouteInformation
from agents.wire.redirects import pull_redirect, readdress

Address = IPv4Address | IPv6Address
_HEADERS = {4: 20, 6: 40}


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
    if told not in (prefix := _prefix(message)) or not _learnt(prefix, origin, cache):
        raise Refused("redirect_prefix")
    towards = cache.owner(way)
    if towards is None or towards is origin:
        raise Refused("redirect_no_route")
    payload = readdress(inner.payload, framing, own, towards.address)
    packet = push_inner(own, towards.address, inner.next_header, payload, inner.hop_limit - 1)
    return Passed(packet, towards)


def _prefix(message: Redirect) -> Prefix:
    routes = [option for option in message.options if isinstance(option, RouteInformation)]
    if len(routes) != 1:
        raise Refused("redirect_prefix")
    return unmapped(routes[0].prefix)


def _ends(message: Redirect) -> tuple[Address, Address]:
    """Source and destination of the packet concerned."""
    headers = [option.packet for option in message.options if isinstance(option, RedirectedHeader)]
    version = headers[0][0] >> 4 if headers and headers[0] else 0
    if version not in _HEADERS or len(headers[0]) < _HEADERS[version]:
        raise Refused("redirect_header")
    source, destination = addresses(memoryview(headers[0]))
    if version == 4:
        return IPv4Address(source), IPv4Address(destination)
    return IPv6Address(source), IPv6Address(destination)


def _learnt(prefix: Prefix, origin: Neighbor, cache: NeighborCache) -> bool:
    """Whether a prefix is equal to or inside a route of ours that leads to where the message came from."""
    if cache.owner(prefix.network_address) is not origin:
        return False
    return any(prefix.supernet(new_prefix=length) in origin.prefixes for length in range(prefix.prefixlen, -1, -1))
