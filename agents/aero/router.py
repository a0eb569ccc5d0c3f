"""What Servers and Relays have in common: an address given by hand, always a router, known by where they are."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

from agents.aero.config import RelayConfig, ServerConfig
from agents.aero.discovery.core import Discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import NeighborCache
from agents.aero.underlay_links import UnderlayLinks
from agents.core import Outbox, Speaking
from agents.wire.nd_options import LinkLayerOption

LOGGED = 3
"""Of each kind of bad input; the counters tell the rest: a flood must not fill the log."""


class Router(Speaking):
    """The part of a Server's or a Relay's core that its neighbors see."""

    def __init__(self, config: ServerConfig | RelayConfig) -> None:
        self.address: IPv6Address = config.address
        """AERO address."""
        self.router = True
        self.cache = NeighborCache()
        self.counters: Counter[str] = Counter()
        self.links = UnderlayLinks(config.links)
        self._outbox = Outbox()
        wanted = Encapsulation[config.dataplane.encapsulation.upper()]
        self._discovery = Discovery(self.cache, self._outbox, self, wanted)

    def lladdrs(self, toward: LinkLayerAddress, *, target: bool) -> tuple[LinkLayerOption, ...]:
        """Our link-layer address in the encapsulation and IP version of a neighbor's."""
        return self.links.options(toward, target=target)

    def _drop(self, counter: str, lladdr: LinkLayerAddress | None = None) -> None:
        self.counters[counter] += 1
        if self.counters[counter] <= LOGGED:
            self._outbox.say("dropped", reason=counter, lladdr=str(lladdr) if lladdr else None)
