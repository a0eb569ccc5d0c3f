"""Tunnels by segment routing: `encap seg6 mode encap.red` with one segment out, End.DT6 on the own P-CoA in.

With a single segment the reduced encapsulation needs no routing header, so the wire shows plain IPv6-in-IPv6
(spec §7 T2). The route into the tunnel names no next hop: the encapsulated packet is routed again by its outer
destination, so it follows the core's routing by itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from pyroute2.netlink import CTRL_CMD_GETFAMILY, GENL_ID_CTRL, NETLINK_GENERIC, ctrlmsg, genlmsg

from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import DECAPSULATE, REDUCED, Hop, Route, Rule, drop_route, local_rule, put_route

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper
    from agents.kernel.tunnels import Settings

DECAPSULATION_TABLE = 41
DECAPSULATION_PREFERENCE = 10
LOCAL_PREFERENCE = 100
OUTER_HEADER = 40
SEG6_CMD_SET_TUNSRC = 3
_PROBE_PREFIX = IPv6Network("100::/128")  # the discard prefix: nothing can want this route


class _Seg6Message(genlmsg):  # type: ignore[misc]
    """Generic netlink family SEG6, as far as needed; pyroute2 0.9.7 does not have it."""

    nla_map = (("SEG6_ATTR_UNSPEC", "none"), ("SEG6_ATTR_DST", "ip6addr"))


def missing(netlink: Netlink) -> str | None:
    """Say what this kernel lacks for seg6 tunnels, None if nothing."""
    loopback = links.index("lo")
    for what, hop in (
        (f"seg6 {REDUCED}", Hop(loopback, segment=IPv6Address("100::1"))),
        (f"seg6local {DECAPSULATE}", Hop(loopback, decapsulate=True)),
    ):
        # Metric and table nobody uses; the route is deleted at once.
        route = Route(_PROBE_PREFIX, hop, DECAPSULATION_TABLE, 65535)
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
        hop = Hop(self._wan, decapsulate=True)
        return (Route(IPv6Network(self._settings.local), hop, DECAPSULATION_TABLE),)

    def rules(self) -> Collection[Rule]:
        """Next header 41 to the P-CoA is decapsulated; signalling and ICMP stay local."""
        local = IPv6Network(self._settings.local)
        preference, table = DECAPSULATION_PREFERENCE, DECAPSULATION_TABLE
        return (Rule(preference, table, destination=local, protocol=socket.IPPROTO_IPV6),)

    def open(self, peer: IPv6Address) -> None:
        """Prepare the hop towards a peer."""
        self._open[peer] = Hop(self._wan, segment=peer)

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
        content = {"cmd": CTRL_CMD_GETFAMILY, "version": 1, "attrs": [("CTRL_ATTR_FAMILY_NAME", "SEG6")]}
        answer = generic.ask(Request("find the seg6 control family", GENL_ID_CTRL, ctrlmsg, content))
        family = answer.get_attr("CTRL_ATTR_FAMILY_ID")
        content = {"cmd": SEG6_CMD_SET_TUNSRC, "version": 1, "attrs": [("SEG6_ATTR_DST", str(source))]}
        what = f"set the tunnel source to {source}"
        (code,) = generic.run(Request(what, family, _Seg6Message, content, ignore=(errno.EPERM,)))
    finally:
        generic.close()
    return code == 0
