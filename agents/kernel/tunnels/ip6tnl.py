"""Tunnels by the ip6_tunnel driver: one device per peer (spec §7 T1)."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Collection
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from pyroute2.netlink.rtnl import IFNAMSIZ

from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import Hop, Route, Rule

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper
    from agents.kernel.tunnels import Settings

NO_SUCH_PROTOCOL = 255
OUTER_HEADER = 40
HOP_LIMIT = 64
IP6_TNL_F_IGN_ENCAP_LIMIT = 0x1
"""encaplimit none: no Destination Options header, 8 octets more for the inner packet."""


def missing(netlink: Netlink) -> str | None:
    """Say what this kernel lacks for ip6tnl, None if nothing."""
    # A protocol the driver refuses (EINVAL) tells its presence without making a device.
    try:
        netlink.run(links.new("ip6tnl", "t-probe", ("IFLA_IP6TNL_PROTO", NO_SUCH_PROTOCOL)))
    except KernelError as error:
        if error.code == errno.EINVAL:
            return None
        return f"no ip6_tunnel driver ({errno.errorcode.get(error.code, error.code)})"
    raise KernelError("the ip6_tunnel driver took an impossible protocol")


def device(peer: IPv6Address, name: str | None = None) -> str:
    """Return the device name for a peer: t-<its name>, or t-<hash of its address> if that does not fit."""
    readable = f"t-{name}"
    if name and len(readable) < IFNAMSIZ:
        return readable
    return f"t-{hashlib.blake2s(peer.packed, digest_size=6).hexdigest()}"


class Ip6tnl:
    """The ip6tnl back end."""

    kind = "ip6tnl"

    def __init__(self, settings: Settings, netlink: Netlink, reaper: Reaper) -> None:
        self._settings = settings
        self._netlink = netlink
        self._reaper = reaper
        self._wan = links.index(settings.wan)
        self._open: dict[IPv6Address, Hop] = {}
        self._retired: dict[IPv6Address, Hop] = {}

    @property
    def mtu(self) -> int:
        """Octets that fit; a bigger packet is answered with Packet Too Big."""
        return links.link(self._netlink, self._wan, self._settings.wan).mtu - OUTER_HEADER

    def prepare(self) -> None:
        """The driver does all by itself."""

    def routes(self) -> Collection[Route]:
        """None of its own."""
        return ()

    def rules(self) -> Collection[Rule]:
        """None of its own."""
        return ()

    def open(self, peer: IPv6Address) -> None:
        """Make the device of a peer, or take it back from the reaper."""
        if peer in self._open:
            return
        name = self._name(peer)
        retired = self._retired.pop(peer, None)
        if retired is None or not self._reaper.revive(name):
            retired = self._create(peer, name)
        self._open[peer] = retired

    def close(self, peer: IPv6Address) -> None:
        """Give the device to the reaper."""
        hop = self._open.pop(peer, None)
        if hop is not None:
            self._retired[peer] = hop
            self._netlink.run(self._reaper.retire(hop.interface, self._name(peer)))
            self._reaper.wake()

    def hop(self, peer: IPv6Address) -> Hop:
        """The peer's device."""
        try:
            return self._open[peer]
        except KeyError:
            raise KernelError(f"no tunnel to {peer} is open", errno.ENODEV) from None

    def adopt(self, peers: Collection[IPv6Address]) -> None:
        """Keep the devices of these peers if they are right, drop all other devices of ours."""
        self._open.clear()
        wanted = {self._name(peer): peer for peer in peers}
        drop: list[Request] = []
        for link in links.links(self._netlink).values():
            if link.kind != "ip6tnl" or link.group not in (links.OWNED, links.RETIRED):
                continue
            peer = wanted.get(link.name)
            if peer is not None and self._fits(link, peer) and self._reaper.revive(link.name):
                self._open[peer] = Hop(link.index)
            else:
                drop.append(self._reaper.retire(link.index, link.name))
        if drop:
            # At once, not in the background: a wrong device keeps the right one's name or addresses.
            self._netlink.run(*drop)
            self._reaper.flush()
        for peer in peers:
            self.open(peer)

    def clear(self) -> None:
        """Drop all devices of ours."""
        self.adopt(())

    def _name(self, peer: IPv6Address) -> str:
        return device(peer, self._settings.names.get(peer))

    def _create(self, peer: IPv6Address, name: str) -> Hop:
        request = links.new(
            "ip6tnl",
            name,
            ("IFLA_IP6TNL_LOCAL", str(self._settings.local)),
            ("IFLA_IP6TNL_REMOTE", str(peer)),
            ("IFLA_IP6TNL_TTL", HOP_LIMIT),
            ("IFLA_IP6TNL_FLAGS", IP6_TNL_F_IGN_ENCAP_LIMIT),
            ("IFLA_IP6TNL_PROTO", socket.IPPROTO_IPV6),
        )
        self._netlink.run(request)
        number = links.index(name)
        self._netlink.run(links.no_auto_link_local(number, name), links.set_up(number, name))
        return Hop(number)

    def _fits(self, link: links.Link, peer: IPv6Address) -> bool:
        ends = (link.data.get_attr("IFLA_IP6TNL_LOCAL"), link.data.get_attr("IFLA_IP6TNL_REMOTE"))
        return link.running and ends == (str(self._settings.local), str(peer))
