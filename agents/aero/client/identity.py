"""Who an AERO Client is: its prefixes and addresses, and its link-layer addresses in its own and its Server's view."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, aero_address
from agents.aero.client.delegation import Delegation
from agents.aero.config import ClientConfig, OptimisationConfig
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, underlay_of
from agents.aero.underlay_links import UnderlayLinks
from agents.core import Outbox, Speaking, WallClock
from agents.wire.dhcpv6_options import ClientLinkLayer
from agents.wire.nd_options import LinkLayerOption


class Identity(Speaking):
    """What Neighbor Discovery and route optimisation ask of a Client."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.links = UnderlayLinks(config.links)
        self.seen: LinkLayerAddress | None = None
        """Our link-layer address as the Server sees it (spec CLI-6)."""
        self.nat = False
        self.wall = WallClock()
        self._outbox = Outbox()
        self._delegations: list[Delegation] = []

    # --- who we are, for Neighbor Discovery

    @property
    def prefixes(self) -> dict[Prefix, float]:
        """Delegated prefixes and the end of their leases, Unix time."""
        return {prefix: ends for each in self._delegations for prefix, ends in each.lease.prefixes.items()}

    @property
    def address(self) -> IPv6Address | None:
        """Our AERO address, of the IPv6 prefix if there is one."""
        prefixes = sorted(self.prefixes, key=lambda prefix: -prefix.version)
        return aero_address(prefixes[0]) if prefixes else None

    @property
    def router(self) -> bool:
        """Whether advertisements say so."""
        return self.config.model != "host"

    def lladdrs(self, toward: LinkLayerAddress, *, target: bool) -> tuple[LinkLayerOption, ...]:
        """Our link-layer addresses, as S/TLLAO."""
        return tuple(replace(each, nat=self.nat) for each in self.links.options(toward, target=target))

    # --- who we are, for other Clients

    @property
    def addresses(self) -> set[IPv6Address]:
        """Our AERO addresses: one for each prefix (spec §4)."""
        return {aero_address(prefix) for prefix in self.prefixes}

    @property
    def settings(self) -> OptimisationConfig:
        """How we take part in route optimisation."""
        return self.config.optimisation

    @property
    def behind_nat(self) -> bool:
        """Whether our Server sees us elsewhere than we are."""
        return self.nat

    def reaches(self, lladdr: LinkLayerAddress) -> bool:
        """Whether we have an underlay link of this address's IP version."""
        return self.links.toward(lladdr) is not None

    def path_mtu(self, lladdr: LinkLayerAddress) -> int:
        """MTU of the interface that a path to this address begins at."""
        return self.links.mtu(lladdr)

    def own_lladdrs(self) -> set[LinkLayerAddress]:
        """Our link-layer addresses, in our view and in our Server's."""
        return self.links.lladdrs | ({self.seen} if self.seen else set())

    def told_lladdrs(self) -> tuple[LinkLayerOption, ...]:
        """As learnt from our Server (spec §6.6)."""
        if self.seen is None:
            return ()
        return tuple(
            replace(each, ip=self.seen.ipv6_form, port=self.seen.port, nat=self.nat)
            for each in self.links.options(self.seen, target=True)
        )

    # --- where we are

    def _learn_lladdr(self, told: ClientLinkLayer | None, server: LinkLayerAddress) -> bool:
        """What the Server sees of us, and whether it is news; behind a NAT it is not what we have (spec CLI-6)."""
        own = self.links.own(server)
        if told is None or own is None or not _addressable(told):
            self._outbox.say("lladdr-unknown", reason="the Reply holds no usable option 79")
            self.seen = self.seen or own
            return False
        seen = LinkLayerAddress(Encapsulation.UDP, underlay_of(told.ip), told.port)
        if seen != self.seen:
            self._outbox.say("lladdr", seen=str(seen), own=str(own), nat=seen != own)
        before, self.seen, self.nat = self.seen, seen, seen != own
        return before not in (None, seen)


def _addressable(told: ClientLinkLayer) -> bool:
    """Whether option 79 names a place that packets can come from (spec §11)."""
    ip = underlay_of(told.ip)
    return bool(told.port) and not (ip.is_multicast or ip.is_unspecified or ip.is_loopback)
