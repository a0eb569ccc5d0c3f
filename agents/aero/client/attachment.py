"""Which Server of its list a Client is attached to, and when it goes on to another one (spec CLI-4, CLI-11, MOB-7)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from agents.aero.client.delegation import Phase
from agents.aero.client.dhcp import Dhcp
from agents.aero.client.expecting import Expected
from agents.aero.config import ClientConfig, ServerChoice
from agents.aero.discovery.core import Discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborType, Path
from agents.aero.underlay_links import UnderlayLinks
from agents.core import Outbox

PATIENCE = 2
"""Solicits not answered in their time, one and two seconds, after which the next Server of the list is tried."""


@dataclass
class Choice:
    """The Server in use or being tried."""

    lladdr: LinkLayerAddress
    number: int
    """Of its attempt: the Servers of the list one after the other, each by its next address in every round."""
    neighbor: Neighbor | None = None


class Attachment:
    """Chooses Servers, and holds the static entry of the one in use."""

    def __init__(
        self, config: ClientConfig, links: UnderlayLinks, dhcp: Dhcp, discovery: Discovery, outbox: Outbox
    ) -> None:
        self._links = links
        self._dhcp = dhcp
        self._discovery = discovery
        self._cache = discovery.cache
        self._outbox = outbox
        self._servers = config.servers
        self.choice: Choice | None = None
        self.expected = Expected(self._cache)
        dhcp.when_left = self._drop

    @property
    def server(self) -> Neighbor | None:
        """The Server in use."""
        return self.choice.neighbor if self.choice else None

    def attach(self, number: int, now: float) -> None:
        """Solicit at a Server of the list, or the next one that we have a way to (spec CLI-1, CLI-11)."""
        attempts = ((each, self._address(each)) for each in range(number, number + len(self._servers)))
        found = next(((each, lladdr) for each, lladdr in attempts if lladdr), None)
        if found is None:
            self._outbox.say("no-server", reason="no Server of the list has an address of a link's IP version")
            return
        self.choice = Choice(found[1], found[0])
        self._outbox.say("attaching", server=str(self.choice.lladdr))
        if any(each.lease.prefixes for each in self._dhcp.delegations):
            self.expected.begin(self.choice.lladdr, self._links.mtu(self.choice.lladdr))
        self._dhcp.attach(self.choice.lladdr, now)

    def change(self, number: int, now: float) -> None:
        """Attach at another Server; the present one stays ours until that is done (spec MOB-7)."""
        old, several = self.choice, len(self._servers)
        if old and old.neighbor and self._dhcp.farewell is None and (number - old.number) % several:
            if self._address(number) is None:
                self._outbox.say("no-server", reason="the Server has no address of a link's IP version")
                return
            self._dhcp.prepare_leaving(old.neighbor, old.lladdr)
            self.attach(number, now)

    def _address(self, number: int) -> LinkLayerAddress | None:
        """Where an attempt goes: a Server by one of its addresses that we have a link for."""
        round_, place = divmod(number, len(self._servers))
        lladdrs = _reachable(self._servers[place], self._links)
        return lladdrs[round_ % len(lladdrs)] if lladdrs else None

    def handle_timer(self, now: float) -> None:
        """On to the next Server when nobody answers; with a lease that lives we keep the present one until attached.

        A Rebind is for any DHCPv6 server that may extend the lease (RFC 8415 §18.2.5): the others are behind the other
        Servers.  A message has its whole time to be answered: asked at one moment, two Servers would both hold us, with
        announcements of equal age (spec MOB-8).
        """
        if self.choice is None or sum(len(_reachable(each, self._links)) for each in self._servers) < 2:
            return
        if min(self._dhcp.unanswered(Phase.SOLICITING, now), default=0) >= PATIENCE:
            if not self._dhcp.attached:
                self.attach(self.choice.number + 1, now)
            else:  # this Server has no such prefix for us
                self._dhcp.settle_for_less(now)
        elif max(self._dhcp.unanswered(Phase.REBINDING, now), default=0) > 0:
            self.change(self.choice.number + 1, now)

    def failed(self, neighbor: Neighbor, now: float) -> bool:
        """Three solicitations without an answer: on to the next Server; whether it was ours (spec CLI-11)."""
        if self.choice is None or self.choice.neighbor is not neighbor:
            return False
        self._outbox.say("server-failed", server=str(self.choice.lladdr))
        self._drop(neighbor)
        self.attach(self.choice.number + 1, now)
        return True

    def take(self, address: IPv6Address, now: float) -> None:
        """The static entry of the Server that answered (spec CLI-4)."""
        assert self.choice
        known = self._cache.get(address)
        if known and self.choice.neighbor is known:
            return
        leaving = self._dhcp.farewell.server if self._dhcp.farewell else None
        if leaving and leaving.address == address:  # nobody else answered: we stay
            self._dhcp.farewell = leaving = None
        self.expected.end()
        for other in [each for each in self._cache if each.type is NeighborType.STATIC and each is not leaving]:
            self._drop(other)
        server = Neighbor(address, NeighborType.STATIC, router=True, paths=[self._path(self.choice.lladdr, now)])
        self._cache.add(server)
        self._cache.default = server
        self.choice.neighbor = server
        self._outbox.say("attached", server=address, lladdr=str(self.choice.lladdr))

    def begin_anew(self, now: float) -> None:
        """What was known of the path to the Server held for where we were (spec MOB-1)."""
        if self.choice and self.choice.neighbor:
            self._discovery.solicitations.forget(self.choice.neighbor)
            self._cache.set_paths(self.choice.neighbor, [self._path(self.choice.lladdr, now)])

    def _path(self, lladdr: LinkLayerAddress, now: float) -> Path:
        return Path.to(lladdr, self._links.mtu(lladdr), last_received=now)

    def _drop(self, neighbor: Neighbor) -> None:
        self._discovery.forget(neighbor)
        self._cache.remove(neighbor.address)


def _reachable(server: ServerChoice, links: UnderlayLinks) -> list[LinkLayerAddress]:
    """A Server's addresses that we have a link for now (spec CLI-1)."""
    lladdrs = [LinkLayerAddress(Encapsulation.UDP, ip, Encapsulation.UDP.port) for ip in server.addresses]
    return [lladdr for lladdr in lladdrs if links.toward(lladdr)]
