"""IPv4 tunnels by the ipip driver: one device per pair of addresses (RFC 2003).

Outer TTL is our own, TOS the inner packet's.  With a TTL of its own the driver always sets Don't Fragment, whatever
IFLA_IPIP_PMTUDISC says (measured on Linux 6.1), which RFC 2003 §5.1 recommends: it learns the path's MTU and answers
inner packets that do not fit and must not be divided.  Those that may be are divided before they enter the device, if
the node forwards by what it has learned (FORWARD_BY_PATH); else they are lost without a word.
"""

from __future__ import annotations

import hashlib
import socket
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from agents.kernel import links, sysctl
from agents.kernel.netlink import Netlink, Request
from agents.kernel.tunnels.devices import Devices, lacking

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper

Pair = tuple[IPv4Address, IPv4Address]
"""Own and other end."""
TTL = 64
FORWARD_BY_PATH = "net/ipv4/ip_forward_use_pmtu"
"""Setting of a node: 1 for it to work, 0 where nobody asked."""
INHERIT = 1
"""TOS of the inner packet."""


def missing(netlink: Netlink) -> str | None:
    """Say what this kernel lacks for ipip devices, None if nothing."""
    return lacking(netlink, "ipip", "ipip", "IFLA_IPIP_PROTO")


class Ipip(Devices[Pair]):
    """The ipip back end."""

    kind = "ipip"

    def __init__(self, mtu: int, netlink: Netlink, reaper: Reaper) -> None:
        super().__init__(netlink, reaper)
        self.mtu = mtu
        """Octets of the largest inner packet; a bigger one is divided, or answered if it forbids that."""

    def name(self, peer: Pair) -> str:
        """By a hash of both addresses."""
        return f"i-{hashlib.blake2s(peer[0].packed + peer[1].packed, digest_size=6).hexdigest()}"

    def _new(self, peer: Pair, name: str) -> Request:
        return links.new(
            "ipip",
            name,
            ("IFLA_IPIP_LOCAL", str(peer[0])),
            ("IFLA_IPIP_REMOTE", str(peer[1])),
            ("IFLA_IPIP_TTL", TTL),
            ("IFLA_IPIP_TOS", INHERIT),
            ("IFLA_IPIP_PMTUDISC", 1),
            ("IFLA_IPIP_PROTO", socket.IPPROTO_IPIP),
        )

    def _set_up(self, number: int, name: str) -> None:
        sysctl.write(f"net/ipv4/conf/{name}/rp_filter", 0)
        sysctl.write(f"net/ipv4/conf/{name}/send_redirects", 0)
        self._netlink.run(links.set_mtu(number, name, self.mtu))
        super()._set_up(number, name)

    def _fits(self, link: links.Link, peer: Pair) -> bool:
        ends = (link.data.get_attr("IFLA_IPIP_LOCAL"), link.data.get_attr("IFLA_IPIP_REMOTE"))
        return link.running and link.mtu == self.mtu and ends == (str(peer[0]), str(peer[1]))
