"""What route optimisation needs to know of the Client it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv6Address
from typing import Protocol

from agents.aero.addresses import Prefix
from agents.aero.config import OptimisationConfig
from agents.aero.lladdr import LinkLayerAddress
from agents.core import WallClock
from agents.wire.nd_options import LinkLayerOption


class Client(Protocol):
    """A Client that corresponds with others."""

    wall: WallClock

    @property
    def address(self) -> IPv6Address | None:
        """Its AERO address, the first of several."""

    @property
    def router(self) -> bool:
        """Whether advertisements say so."""

    @property
    def prefixes(self) -> Mapping[Prefix, float]:
        """Delegated prefixes and the end of their leases, Unix time."""

    @property
    def settings(self) -> OptimisationConfig:
        """What it takes part in."""

    def reaches(self, lladdr: LinkLayerAddress) -> bool:
        """Whether it has an underlay link of this address's IP version."""

    def own_lladdrs(self) -> Collection[LinkLayerAddress]:
        """Its link-layer addresses, its own view and its Server's: nobody else's can be one of them."""

    def told_lladdrs(self) -> tuple[LinkLayerOption, ...]:
        """What it says of them in Redirects and unsolicited advertisements: as learnt from its Server."""

    def path_mtu(self, lladdr: LinkLayerAddress) -> int:
        """MTU of the interface that a path to this address begins at."""

    @property
    def behind_nat(self) -> bool:
        """Whether its Server sees it elsewhere than it is."""
