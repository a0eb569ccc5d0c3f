"""Tunnels by the ip6_tunnel driver: one device per peer (spec §7 T1)."""

from __future__ import annotations

import hashlib
import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from pyroute2.netlink.rtnl import IFNAMSIZ

from agents.kernel import links
from agents.kernel.netlink import Netlink, Request
from agents.kernel.tunnels.devices import Devices, lacking

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper
    from agents.kernel.tunnels import Settings

OUTER_HEADER = 40
HOP_LIMIT = 64
IP6_TNL_F_IGN_ENCAP_LIMIT = 0x1
"""encaplimit none: no Destination Options header, 8 octets more for the inner packet."""


def missing(netlink: Netlink) -> str | None:
    """Say what this kernel lacks for ip6tnl, None if nothing."""
    return lacking(netlink, "ip6tnl", "ip6_tunnel", "IFLA_IP6TNL_PROTO")


def device(peer: IPv6Address, name: str | None = None) -> str:
    """Return the device name for a peer: t-<its name>, or t-<hash of its address> if that does not fit."""
    readable = f"t-{name}"
    if name and len(readable) < IFNAMSIZ:
        return readable
    return f"t-{hashlib.blake2s(peer.packed, digest_size=6).hexdigest()}"


class Ip6tnl(Devices[IPv6Address]):
    """The ip6tnl back end."""

    kind = "ip6tnl"

    def __init__(self, settings: Settings, netlink: Netlink, reaper: Reaper) -> None:
        super().__init__(netlink, reaper)
        self._settings = settings
        self._wan = links.index(settings.wan)

    @property
    def mtu(self) -> int:
        """Octets that fit; a bigger packet is answered with Packet Too Big."""
        return links.link(self._netlink, self._wan, self._settings.wan).mtu - OUTER_HEADER

    def name(self, peer: IPv6Address) -> str:
        """By the peer's name, if it has one."""
        return device(peer, self._settings.names.get(peer))

    def _new(self, peer: IPv6Address, name: str) -> Request:
        return links.new(
            "ip6tnl",
            name,
            ("IFLA_IP6TNL_LOCAL", str(self._settings.local)),
            ("IFLA_IP6TNL_REMOTE", str(peer)),
            ("IFLA_IP6TNL_TTL", HOP_LIMIT),
            ("IFLA_IP6TNL_FLAGS", IP6_TNL_F_IGN_ENCAP_LIMIT),
            ("IFLA_IP6TNL_PROTO", socket.IPPROTO_IPV6),
        )

    def _fits(self, link: links.Link, peer: IPv6Address) -> bool:
        ends = (link.data.get_attr("IFLA_IP6TNL_LOCAL"), link.data.get_attr("IFLA_IP6TNL_REMOTE"))
        return link.running and ends == (str(self._settings.local), str(peer))
