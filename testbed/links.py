"""Links and interfaces: Mininet's objects, described first and created by the network in one batch."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP

from testbed import requests
from testbed import validation as v
from testbed.mininet_api import Intf, Link
from testbed.netlink import Netlink, Request
from testbed.validation import Check

LINK_OPTIONS: Mapping[str, Check] = {
    "node1": v.anything,
    "node2": v.anything,
    "port1": v.integer(0, 1 << 16),
    "port2": v.integer(0, 1 << 16),
    "intfName1": v.interface_name,
    "intfName2": v.interface_name,
    "params1": v.anything,
    "params2": v.anything,
    "addr1": v.mac,
    "addr2": v.mac,
    "mtu": v.integer(68, 65535),
    "delay": v.number(0, 60_000, "ms"),
    "loss": v.number(0, 100, "percent"),
    "rate": v.number(0.001, 100_000, "Mbit/s"),
}
INTERFACE_OPTIONS: Mapping[str, Check] = {"addresses": v.addresses, "mac": v.mac, "ip": v.address}


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a link does to packets, each way."""

    delay: float | None = None
    """ms"""
    loss: float | None = None
    """percent, at random"""
    rate: float | None = None
    """Mbit/s"""

    def __bool__(self) -> bool:
        return bool(self.delay or self.loss or self.rate)


class Interface(Intf):
    """An interface of a node; changes after the start go to the kernel by netlink."""

    def __init__(
        self, name: str, node: Any, port: int | None, link: VethLink, index: int, mac: str,
        addresses: Sequence[str] = (), mtu: int | None = None,
    ) -> None:  # fmt: skip
        self.index = index
        self.addresses: list[str] = list(addresses)
        self.mtu = mtu or 1500
        self.ip: str | None = None
        self.prefixLen: int | None = None
        super().__init__(name, node=node, port=port, link=link, mac=mac)

    def config(self, **_params: Any) -> dict[str, Any]:
        """Do nothing: the network configures interfaces in batches."""
        return {}

    def IP(self) -> str | None:
        """Return the first address (without prefix length), or None."""
        return self.addresses[0].partition("/")[0] if self.addresses else None

    def requests(self) -> list[Request]:
        """Return the requests that add this interface's addresses."""
        return [
            requests.add_address(
                self.index,
                ipaddress.ip_interface(address),
                f"address {address} on {self.node} {self.name}",
                dad=self.node.DAD,
            )
            for address in self.addresses
        ]

    def setIP(self, ipstr: str, prefixLen: int | None = None, **_ignored: Any) -> None:
        """Replace the addresses by one."""
        new = ipstr if "/" in ipstr else f"{ipstr}/{prefixLen}"
        what = f"address {new} on {self.node} {self.name}"
        old = [requests.delete_address(self.index, ipaddress.ip_interface(a), what) for a in self.addresses]
        self.addresses = [new]
        self.ip, self.prefixLen = new.partition("/")[0], ipaddress.ip_interface(new).network.prefixlen
        self._run([*old, *self.requests()])

    def setMAC(self, macstr: str) -> None:
        """Change the MAC address."""
        self.mac = macstr
        self._run([requests.set_link(self.index, f"MAC of {self.node} {self.name}", mac=macstr)])

    def isUp(self, setUp: bool = False) -> bool:
        """Tell whether the interface is up; with setUp, bring it up first."""
        what = f"state of {self.node} {self.name}"
        with self.node.entered(), Netlink() as netlink:
            if setUp:
                netlink.run([requests.set_link(self.index, what, up=True)])
            (link,) = netlink.run([requests.get_link(self.index, what)])
        return bool(link["flags"] & IFF_UP)

    def _run(self, batch: Sequence[Request]) -> None:
        with self.node.entered(), Netlink() as netlink:
            netlink.run(batch)


class VethLink(Link):
    """A veth pair between two nodes' namespaces; the network makes it."""

    def __init__(
        self, end1: Mapping[str, Any], end2: Mapping[str, Any], mtu: int | None, impairment: Impairment
    ) -> None:
        self.mtu = mtu
        self.impairment = impairment
        self.intf1 = Interface(link=self, mtu=mtu, **end1)
        self.intf2 = Interface(link=self, mtu=mtu, **end2)

    @property
    def ends(self) -> tuple[Interface, Interface]:
        """Both interfaces."""
        return self.intf1, self.intf2

    @property
    def wireless(self) -> bool:
        """Whether this is a mobile node's radio; its end in the air is then no interface."""
        return any(end.node.WIRELESS for end in self.ends)

    def other(self, interface: Interface) -> Interface:
        """Return the end that is not this one."""
        return self.intf2 if interface is self.intf1 else self.intf1

    def stop(self) -> None:
        """Do nothing: links go with their namespaces."""

    def __str__(self) -> str:
        return f"{self.intf1.node} {self.intf1}–{self.intf2.node} {self.intf2}"
