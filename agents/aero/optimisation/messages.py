"""What a Predirect or Redirect says, and whether it can be true at all (spec §6.6, §11)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from agents.aero.addresses import AddressKind, Prefix, aero_address, kind, mapped, unmapped
from agents.aero.constants import REDIRECT_HOP_LIMIT
from agents.aero.dataplane.inner import addresses
from agents.aero.inner_packets import Inner, push_inner
from agents.wire.errors import DecodeError
from agents.wire.nd import NdType, Redirect
from agents.wire.nd_options import Auth, LinkLayerOption, RedirectedHeader, RouteInformation, Token
from agents.wire.redirects import Framing, message_octets, pull_redirect, push_redirect

Address = IPv4Address | IPv6Address
UNSPECIFIED = IPv6Address("::")
LONGEST_IPV6 = 64
_LEAST = {4: 20, 6: 40}
"""Octets of a network-layer header, by IP version."""


class Kind(enum.Enum):
    """What the message is for."""

    PREDIRECT = "predirect"
    REDIRECT = "redirect"
    NULL = "null redirect"
    """Send directly no longer (RFC 6706 §6.4.12)."""
    KEEPALIVE = "keepalive"
    """A Predirect without prefix between Clients (RFC 6706 §6.4.10; spec Annex A7)."""


@dataclass(frozen=True)
class Mediation:
    """A message of route optimisation that is consistent in itself."""

    kind: Kind
    inner: Inner
    framing: Framing
    message: Redirect
    source: Address
    """Of the packet concerned."""
    destination: Address
    prefix: Prefix | None
    """Whose route is told: the source's in a Predirect, the target's in a Redirect, none in the others."""
    lifetime: int
    """Of the prefix, seconds."""
    token: Token | None
    header: RedirectedHeader

    @property
    def lladdrs(self) -> tuple[LinkLayerOption, ...]:
        """TLLAOs, as they came."""
        return tuple(each for each in self.message.options if isinstance(each, LinkLayerOption) and each.target)

    @property
    def octets(self) -> bytes:
        """The message as an AUTH option covers it.

        The sheet names the ICMPv6 message (spec §6.5) and gives the one in UDP another type (§6.6): what is proved is
        the same in both framings, so it is covered as the ICMPv6 message that it is.
        """
        octets = message_octets(self.inner.payload, self.framing)
        return bytes((NdType.REDIRECT, 0)) + octets[2:]

    @property
    def auth(self) -> Auth | None:
        """Its AUTH option."""
        last = self.message.options[-1] if self.message.options else None
        return last if isinstance(last, Auth) else None


def read_mediation(inner: Inner) -> Mediation | None:
    """The message of an inner packet; None for anything else; DecodeError for one that cannot be true."""
    found = pull_redirect(inner.payload, inner.next_header, inner.source, inner.destination)
    if found is None:
        return None
    message, framing = found
    if not inner.hop_limit:
        raise DecodeError("hop limit 0", 7)
    headers = [each for each in message.options if isinstance(each, RedirectedHeader)]
    if len(headers) != 1:
        raise DecodeError(f"{len(headers)} Redirected Headers", 0)
    source, destination = quoted_ends(headers[0].packet)
    routes = [each for each in message.options if isinstance(each, RouteInformation)]
    told = _kind(message, len(routes))
    if message.target != message.destination:
        raise DecodeError("Target is not Destination", 8)
    prefix, lifetime = (unmapped(routes[0].prefix), routes[0].lifetime) if routes else (None, 0)
    if prefix is not None:
        _check_prefix(message, prefix, source if told is Kind.PREDIRECT else destination)
    token = next((each for each in message.options if isinstance(each, Token)), None)
    return Mediation(told, inner, framing, message, source, destination, prefix, lifetime, token, headers[0])


def quoted_ends(packet: bytes) -> tuple[Address, Address]:
    """Source and destination of a quoted packet (DecodeError)."""
    version = packet[0] >> 4 if packet else 0
    if version not in _LEAST or len(packet) < max(_LEAST[version], 4 * (packet[0] & 15) if version == 4 else 0):
        raise DecodeError(f"Redirected Header with {len(packet)} octets of an IPv{version} packet", 0)
    source, destination = addresses(packet)
    if version == 4:
        return IPv4Address(source), IPv4Address(destination)
    return IPv6Address(source), IPv6Address(destination)


def _kind(message: Redirect, routes: int) -> Kind:
    if routes == 1:
        return Kind.PREDIRECT if message.predirect else Kind.REDIRECT
    if routes:
        raise DecodeError(f"{routes} route options", 0)
    if message.predirect:
        return Kind.KEEPALIVE
    if message.target != UNSPECIFIED or message.destination != UNSPECIFIED:
        raise DecodeError("no route option", 0)
    return Kind.NULL


def _check_prefix(message: Redirect, prefix: Prefix, covered: Address) -> None:
    if prefix.version == 6 and prefix.prefixlen > LONGEST_IPV6:
        raise DecodeError(f"{prefix} is no Client's", 0)
    if message.target != aero_address(prefix) or not is_client(message.target):
        raise DecodeError(f"Target {message.target} is not the AERO address of {prefix}", 8)
    if covered.version != prefix.version or covered not in prefix:
        raise DecodeError(f"{prefix} does not cover the packet concerned", 0)


def is_client(address: IPv6Address) -> bool:
    """Whether a link-local address can be a Client's."""
    return kind(address) in (AddressKind.IPV4_PREFIX, AddressKind.IPV6_PREFIX)


def push_mediation(message: Redirect, framing: Framing, source: IPv6Address, destination: IPv6Address) -> bytes:
    """The message as an inner packet of its originator."""
    payload = push_redirect(message, framing, source, destination)
    return push_inner(source, destination, framing.value, payload, REDIRECT_HOP_LIMIT)


def compose(
    *,
    predirect: bool,
    prefix: Prefix,
    lifetime: float,
    lladdrs: Sequence[LinkLayerOption],
    token: Token | None,
    header: RedirectedHeader,
) -> Redirect:
    """A Predirect or Redirect that tells the route to `prefix` (spec §6.6)."""
    route = RouteInformation(mapped(prefix), max(0, min(int(lifetime), 0xFFFFFFFF)))
    options = (*lladdrs, route, *((token,) if token else ()), header)
    own = aero_address(prefix)
    return Redirect(own, own, predirect, options)


def header_between(source: Prefix, destination: Prefix) -> RedirectedHeader:
    """A Redirected Header for all packets between two prefixes: of one that has no content."""
    ends = source.network_address.packed + destination.network_address.packed
    if isinstance(source, IPv4Network):
        return RedirectedHeader(b"\x45\0\0\x14\0\0\0\0\x40\x3b\0\0" + ends)
    return RedirectedHeader(b"\x60\0\0\0\0\0\x3b\x40" + ends)


def inside(prefix: Prefix, other: Prefix) -> bool:
    """Whether a prefix is another one or a part of it."""
    if isinstance(prefix, IPv4Network):
        return isinstance(other, IPv4Network) and prefix.subnet_of(other)
    return isinstance(other, IPv6Network) and prefix.subnet_of(other)


def covering(prefixes: Sequence[Prefix], address: Address) -> Prefix | None:
    """The longest of the prefixes that covers an address."""
    found = [each for each in prefixes if each.version == address.version and address in each]
    return max(found, key=lambda each: each.prefixlen, default=None)


def host(address: Address) -> Prefix:
    """A prefix of one address."""
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
