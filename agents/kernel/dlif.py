"""Distributed Logical Interfaces in the kernel: private macvlans on the access interface (spec DLIF-4, §7)."""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface
from typing import TYPE_CHECKING, TypeVar

from agents.kernel import links, sysctl
from agents.kernel.netlink import KernelError, Netlink, Request

if TYPE_CHECKING:
    from agents.dgw.forwarding import Dlif
    from agents.kernel.reaper import Reaper


FIRST_INDEX = 10000
"""Interface indices of DLIFs start here, above what links and tunnels get by themselves."""


_Key = TypeVar("_Key", int, str)


@dataclass
class _Device:
    """A macvlan of ours."""

    index: int
    item: Dlif
    live: bool = True
    """False once retired: without addresses, in the reaper's hands, perhaps gone."""


class Dlifs:
    """The DLIFs of one gateway."""

    def __init__(self, netlink: Netlink, reaper: Reaper) -> None:
        self._netlink = netlink
        self._reaper = reaper
        self._devices: dict[str, _Device] = {}

    def index(self, name: str) -> int:
        """Interface index of a DLIF in service, 0 if there is none."""
        device = self._devices.get(name)
        return device.index if device and device.live else 0

    def install(self, item: Dlif) -> None:
        """Make a DLIF that is up, running, addressed, ready for its first advertisement."""
        device = self._devices.get(item.name)
        if device and _same_device(device.item, item):
            if device.live:
                self._readdress(device, item)
                return
            if self._reaper.revive(item.name):
                self._netlink.run(*_give_addresses(device.index, item))
                self._wait_delivered(device.index, item)
                self._devices[item.name] = _Device(device.index, item)
                return
        elif device:
            self._netlink.run(links.delete(device.index, item.name))
        self._devices[item.name] = _Device(self._create(item), item)

    def remove(self, item: Dlif) -> None:
        """Silence a DLIF at once: without addresses it answers and advertises nothing; it is deleted later."""
        device = self._devices.get(item.name)
        if device is None or not device.live:
            return
        device.live = False
        number, name = device.index, item.name
        taken = [links.delete_address(number, name, address) for address in _addresses(device.item)]
        self._netlink.run(*taken, self._reaper.retire(number, name))
        self._reaper.wake()

    def adopt(self, items: Collection[Dlif]) -> None:
        """Keep macvlans of ours that are what is wanted, delete the others, make what is missing."""
        wanted = {item.name: item for item in items}
        self._devices.clear()
        there = links.links(self._netlink)
        gone = False
        for link in there.values():
            if link.kind != "macvlan" or link.group not in (links.OWNED, links.RETIRED):
                continue
            item = wanted.get(link.name)
            lower = there.get(item.phy) if item else None
            fits = item and lower and (link.mac, link.lower, link.running) == (item.mac, lower.index, True)
            if item and fits and self._reaper.revive(link.name):  # a retired one may be gone since it was listed
                self._correct(link.index, item)
                self._devices[link.name] = _Device(link.index, item)
            else:
                self._netlink.run(self._reaper.retire(link.index, link.name))
                gone = True
        if gone:
            # Waited for: a leftover may hold the name or the link-layer address of one to be made.
            self._reaper.flush()
        for item in items:
            self.install(item)

    def hint(self, name: str, neighbour: IPv6Address, mac: str) -> None:
        """Tell a DLIF its mobile node's link-layer address."""
        number = self.index(name)
        if number:
            self._netlink.run(links.hint_neighbour(number, name, neighbour, mac))

    def _create(self, item: Dlif) -> int:
        number = self._new(item, links.index(item.phy))
        try:
            sysctl.ipv6(item.name, addr_gen_mode=links.ADDR_GEN_NONE, accept_dad=0, accept_ra=0)
            self._netlink.run(*_give_addresses(number, item))
            self._bring_up(number, item.name)
            self._wait_delivered(number, item)
        except KernelError:
            self._netlink.run(links.delete(number, item.name))
            raise
        return number

    def _new(self, item: Dlif, lower: int) -> int:
        # The lowest free index: radvd joins a multicast group per interface index, never leaves it, and has room
        # for a few hundred only (net.core.optmem_max); with ever new indices it would fall silent one day.
        for number in itertools.count(FIRST_INDEX):
            if _is_there(socket.if_indextoname, number):
                continue
            try:
                self._netlink.run(links.new_macvlan(number, item.name, lower, item.mac))
            except KernelError as error:
                # Either somebody took the index in between, or the name is taken.
                if error.code != errno.EEXIST or _is_there(socket.if_nametoindex, item.name):
                    raise
            else:
                return number
        raise AssertionError("counting ends nowhere")

    def _bring_up(self, number: int, name: str) -> None:
        try:
            self._netlink.run(links.set_up(number, name))
        except KernelError as error:
            if error.code != errno.EADDRINUSE:
                raise
            # A retired DLIF of another name may have this link-layer address: it goes now instead of soon.
            self._reaper.flush()
            self._netlink.run(links.set_up(number, name))
        # radvd drops an advertisement on an interface without carrier and tries again only after a second.
        links.wait_running(name)

    def _wait_delivered(self, number: int, item: Dlif) -> None:
        # The link-local one is what the first advertisement's neighbour solicitation is answered to.
        links.wait_delivered(self._netlink, number, item.name, item.link_local)

    def _readdress(self, device: _Device, item: Dlif) -> None:
        old, new = _addresses(device.item), _addresses(item)
        number, name = device.index, item.name
        self._netlink.run(
            *(links.add_address(number, name, address) for address in new if address not in old),
            *(links.delete_address(number, name, address) for address in old if address not in new),
        )
        device.item = item

    def _correct(self, number: int, item: Dlif) -> None:
        there, wanted = links.addresses(self._netlink, number), set(_addresses(item))
        self._netlink.run(
            *(links.add_address(number, item.name, address) for address in wanted - there),
            *(links.delete_address(number, item.name, address) for address in there - wanted),
        )


def _is_there(look: Callable[[_Key], object], key: _Key) -> bool:
    try:
        look(key)
    except OSError:
        return False
    return True


def _same_device(one: Dlif, other: Dlif) -> bool:
    return (one.phy, one.mac) == (other.phy, other.mac)


def _addresses(item: Dlif) -> tuple[IPv6Interface, IPv6Interface]:
    return (IPv6Interface((item.link_local, 64)), IPv6Interface((item.address, item.prefix.prefixlen)))


def _give_addresses(number: int, item: Dlif) -> list[Request]:
    return [links.add_address(number, item.name, address) for address in _addresses(item)]
