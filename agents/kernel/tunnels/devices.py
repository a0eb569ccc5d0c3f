"""What the drivers with one device per tunnel have in common: making, keeping and retiring the devices."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import Hop, Route, Rule

if TYPE_CHECKING:
    from agents.kernel.reaper import Reaper

Peer = TypeVar("Peer")
NO_SUCH_PROTOCOL = 255


class Devices(ABC, Generic[Peer]):
    """Devices of one kind, one for each peer."""

    kind: ClassVar[str]
    """Of the driver."""

    def __init__(self, netlink: Netlink, reaper: Reaper) -> None:
        self._netlink = netlink
        self._reaper = reaper
        self._open: dict[Peer, Hop] = {}
        self._retired: dict[Peer, Hop] = {}

    @abstractmethod
    def name(self, peer: Peer) -> str:
        """Of the device of a peer."""

    @abstractmethod
    def _new(self, peer: Peer, name: str) -> Request:
        """What creates it."""

    @abstractmethod
    def _fits(self, link: links.Link, peer: Peer) -> bool:
        """Whether a device is as it would be made."""

    def _set_up(self, number: int, name: str) -> None:
        """What is to be done to a new device."""
        self._netlink.run(links.no_auto_link_local(number, name), links.set_up(number, name))

    def prepare(self) -> None:
        """The driver does all by itself."""

    def routes(self) -> Collection[Route]:
        """None of its own."""
        return ()

    def rules(self) -> Collection[Rule]:
        """None of its own."""
        return ()

    def open(self, peer: Peer) -> None:
        """Make the device of a peer, or take it back from the reaper."""
        if peer in self._open:
            return
        name = self.name(peer)
        retired = self._retired.pop(peer, None)
        if retired is None or not self._reaper.revive(name):
            retired = self._create(peer, name)
        self._open[peer] = retired

    def close(self, peer: Peer) -> None:
        """Give the device to the reaper."""
        hop = self._open.pop(peer, None)
        if hop is not None:
            self._retired[peer] = hop
            self._netlink.run(self._reaper.retire(hop.interface, self.name(peer)))
            self._reaper.wake()

    def hop(self, peer: Peer) -> Hop:
        """The peer's device."""
        try:
            return self._open[peer]
        except KeyError:
            raise KernelError(f"no tunnel to {peer} is open", errno.ENODEV) from None

    def adopt(self, peers: Collection[Peer]) -> None:
        """Keep the devices of these peers if they are right, drop all other devices of ours."""
        self._open.clear()
        wanted = {self.name(peer): peer for peer in peers}
        drop: list[Request] = []
        for link in links.links(self._netlink).values():
            if link.kind != self.kind or link.group not in (links.OWNED, links.RETIRED):
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

    def _create(self, peer: Peer, name: str) -> Hop:
        self._netlink.run(self._new(peer, name))
        number = links.index(name)
        self._set_up(number, name)
        return Hop(number)


def lacking(netlink: Netlink, kind: str, driver: str, protocol: str) -> str | None:
    """Say what this kernel lacks for a kind of device, None if nothing; `protocol` is the attribute of its number."""
    # A protocol the driver refuses (EINVAL) tells its presence without making a device.
    try:
        netlink.run(links.new(kind, "t-probe", (protocol, NO_SUCH_PROTOCOL)))
    except KernelError as error:
        if error.code == errno.EINVAL:
            return None
        return f"no {driver} driver ({errno.errorcode.get(error.code, error.code)})"
    raise KernelError(f"the {driver} driver took an impossible protocol")
