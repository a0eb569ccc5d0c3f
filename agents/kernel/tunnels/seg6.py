"""Tunnels by segment routing: `encap seg6 mode encap.red` with one segment out, End.DT6 on the own P-CoA in.

With a single segment the reduced encapsulation needs no routing header, so the wire shows plain IPv6-in-IPv6
(spec §7 T2). The route into the tunnel names no next hop: the encapsulated packet is routed again by its outer
destination, so it follows the core's routing by itself.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Collection
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink, Request, attribute, attributes
from agents.kernel.routing import Hop, Route, Rule, drop_route, local_rule, put_route

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper
    from agents.kernel.tunnels import Settings

DECAPSULATION_TABLE = 41
DECAPSULATION_PREFERENCE = 10
LOCAL_PREFERENCE = 100
IPV6_IN_IPV6 = 41
OUTER_HEADER = 40
LWTUNNEL_ENCAP_SEG6, LWTUNNEL_ENCAP_SEG6_LOCAL = 5, 7
SEG6_IPTUNNEL_SRH, SEG6_IPTUN_MODE_ENCAP_RED = 1, 3
SEG6_LOCAL_ACTION, SEG6_LOCAL_TABLE, SEG6_LOCAL_ACTION_END_DT6 = 1, 3, 7
SRH_TYPE = 4
NETLINK_GENERIC, GENL_ID_CTRL = 16, 16
CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 3, 1, 2
SEG6_CMD_SET_TUNSRC, SEG6_ATTR_DST = 3, 1
_PROBE_PREFIX = IPv6Network("100::/128")  # the discard prefix: nothing can want this route


def encapsulation(peer: IPv6Address) -> bytes:
    """Route attributes of mode encap.red with the peer as the only segment."""
    header = struct.pack("=iBBBBBBH", SEG6_IPTUN_MODE_ENCAP_RED, 0, 2, SRH_TYPE, 0, 0, 0, 0) + peer.packed
    return attribute(SEG6_IPTUNNEL_SRH, header)


def decapsulation() -> bytes:
    """Route attributes of End.DT6 table 0: the inner packet goes through the policy rules (spec §7)."""
    action = attribute(SEG6_LOCAL_ACTION, SEG6_LOCAL_ACTION_END_DT6)
    return action + attribute(SEG6_LOCAL_TABLE, 0)


def missing(netlink: Netlink) -> str | None:
    """Say what this kernel lacks for seg6 tunnels, None if nothing."""
    loopback = links.index("lo")
    for what, kind, parameters in (
        ("seg6 encap.red", LWTUNNEL_ENCAP_SEG6, encapsulation(IPv6Address("100::1"))),
        ("seg6local End.DT6", LWTUNNEL_ENCAP_SEG6_LOCAL, decapsulation()),
    ):
        # Metric and table nobody uses; the route is deleted at once.
        route = Route(_PROBE_PREFIX, Hop(loopback, kind, parameters), DECAPSULATION_TABLE, 65535)
        try:
            netlink.run(put_route(route))
        except KernelError as error:
            return f"no {what} ({errno.errorcode.get(error.code, error.code)})"
        netlink.run(drop_route(route.place))
    return None


class Seg6:
    """The seg6 back end; a tunnel is nothing but the hop that routes share."""

    kind = "seg6"

    def __init__(self, settings: Settings, netlink: Netlink, _reaper: Reaper) -> None:
        self._settings = settings
        self._netlink = netlink
        self._wan = links.index(settings.wan)
        self._open: dict[IPv6Address, Hop] = {}

    @property
    def mtu(self) -> int:
        """Octets that fit; a bigger packet vanishes here without Packet Too Big (spec §7 T2 limit b)."""
        return links.link(self._netlink, self._wan, self._settings.wan).mtu - OUTER_HEADER

    def prepare(self) -> None:
        """Let packets be decapsulated on an address that is local too, and set the outer source."""
        if not _set_tunnel_source(self._settings.local):
            # The root of a user namespace may not. Left alone, the kernel takes an address of wan: the right one
            # if there is no other.
            self._require_single_address()
        # Add first, then delete: local delivery never stops.
        self._netlink.run(local_rule(LOCAL_PREFERENCE, put=True), local_rule(0, put=False))

    def routes(self) -> Collection[Route]:
        """The decapsulating route."""
        hop = Hop(self._wan, LWTUNNEL_ENCAP_SEG6_LOCAL, decapsulation())
        return (Route(IPv6Network(self._settings.local), hop, DECAPSULATION_TABLE),)

    def rules(self) -> Collection[Rule]:
        """Next header 41 to the P-CoA is decapsulated; signalling and ICMP stay local."""
        local = IPv6Network(self._settings.local)
        preference, table = DECAPSULATION_PREFERENCE, DECAPSULATION_TABLE
        return (Rule(preference, table, destination=local, protocol=IPV6_IN_IPV6),)

    def open(self, peer: IPv6Address) -> None:
        """Prepare the hop towards a peer."""
        self._open[peer] = Hop(self._wan, LWTUNNEL_ENCAP_SEG6, encapsulation(peer))

    def close(self, peer: IPv6Address) -> None:
        """Forget a peer."""
        self._open.pop(peer, None)

    def hop(self, peer: IPv6Address) -> Hop:
        """Encapsulate towards the peer."""
        try:
            return self._open[peer]
        except KeyError:
            raise KernelError(f"no tunnel to {peer} is open", errno.ENODEV) from None

    def adopt(self, peers: Collection[IPv6Address]) -> None:
        """Nothing in the kernel belongs to a seg6 tunnel but the routes through it."""
        self._open.clear()
        for peer in peers:
            self.open(peer)

    def clear(self) -> None:
        """Put the local rule back in its place."""
        self._netlink.run(local_rule(0, put=True), local_rule(LOCAL_PREFERENCE, put=False))
        _set_tunnel_source(IPv6Address("::"))

    def _require_single_address(self) -> None:
        wan, local = self._settings.wan, self._settings.local
        there = {address.ip for address in links.addresses(self._netlink, self._wan) if not address.is_link_local}
        if there != {local}:
            others = ", ".join(sorted(str(address) for address in there - {local})) or "none of its own"
            raise KernelError(f"cannot tunnel from {local} without root: {wan} has {others}", errno.EPERM)


def _set_tunnel_source(source: IPv6Address) -> bool:
    """`ip sr tunsrc set`: outer source of all seg6 encapsulation of this namespace; False if not permitted."""
    generic = Netlink(NETLINK_GENERIC)
    try:
        name = attribute(CTRL_ATTR_FAMILY_NAME, "SEG6")
        body = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0) + name
        answer = generic.ask(Request("find the seg6 control family", GENL_ID_CTRL, body))
        family = int.from_bytes(attributes(answer.body, 4)[CTRL_ATTR_FAMILY_ID][:2], sys.byteorder)
        body = struct.pack("=BBH", SEG6_CMD_SET_TUNSRC, 1, 0) + attribute(SEG6_ATTR_DST, source.packed)
        (code,) = generic.run(Request(f"set the tunnel source to {source}", family, body, ignore=(errno.EPERM,)))
    finally:
        generic.close()
    return code == 0
