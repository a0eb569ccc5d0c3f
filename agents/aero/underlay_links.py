"""This node's own link-layer addresses and interface MTUs, as its neighbors and its paths need to know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.aero.config import UnderlayLink
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, Underlay
from agents.wire.nd_options import LinkLayerOption

DEFAULT_MTU = 1500


class UnderlayLinks:
    """The configured underlay interfaces; the shell tells their MTUs."""

    def __init__(self, links: Sequence[UnderlayLink]) -> None:
        self._links = tuple(links)
        self._mtus: dict[str, int] = {}

    @property
    def addresses(self) -> tuple[Underlay, ...]:
        """Underlay addresses of this node."""
        return tuple(address for link in self._links for address in link.addresses)

    def learn_mtu(self, interface: str, mtu: int) -> None:
        """The MTU of an interface, octets."""
        self._mtus[interface] = mtu

    def learn_addresses(self, interface: str, addresses: Sequence[Underlay]) -> None:
        """The addresses of an interface, in place of those configured."""
        self._links = tuple(
            replace(link, addresses=tuple(addresses)) if link.interface == interface else link for link in self._links
        )

    @property
    def lladdrs(self) -> set[LinkLayerAddress]:
        """Every link-layer address that we have ourselves."""
        addresses = [address for link in self._links for address in link.addresses]
        return {LinkLayerAddress(kind, address, kind.port) for kind in Encapsulation for address in addresses}

    def toward(self, lladdr: LinkLayerAddress) -> tuple[UnderlayLink, Underlay] | None:
        """The preferred link with an address of the neighbor's IP version, and that address."""
        return self.of_version(lladdr.ip.version)

    def of_version(self, version: int) -> tuple[UnderlayLink, Underlay] | None:
        """The preferred link with an address of an IP version, and that address."""
        for link in sorted(self._links, key=lambda link: -link.preference):
            for address in link.addresses:
                if address.version == version and link.preference:
                    return link, address
        return None

    def interface_of(self, address: Underlay) -> str | None:
        """Where an address of ours is."""
        return next((link.interface for link in self._links if address in link.addresses), None)

    def mtu(self, lladdr: LinkLayerAddress) -> int:
        """MTU of the interface that a path to this address begins at."""
        found = self.toward(lladdr)
        return self._mtus.get(found[0].interface, DEFAULT_MTU) if found else DEFAULT_MTU

    def own(self, toward: LinkLayerAddress) -> LinkLayerAddress | None:
        """The link-layer address that a neighbor sees if nothing on the way changes it."""
        found = self.toward(toward)
        kind = toward.encapsulation
        return LinkLayerAddress(kind, found[1], kind.port) if found else None

    def options(self, toward: LinkLayerAddress, *, target: bool) -> tuple[LinkLayerOption, ...]:
        """It as S/TLLAO (spec §6.2)."""
        found, own = self.toward(toward), self.own(toward)
        if found is None or own is None:
            return ()
        link = found[0]
        return (LinkLayerOption(target, own.encapsulation, own.ipv6_form, own.port, link.link_id, link.preference),)
