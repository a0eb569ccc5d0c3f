"""Clients that went to another Server and could not tell this one (spec §5.1 "replacement at another Server", §8).

No BGP tells a Server: Relays announce nothing but defaults to it (spec RLY-3).  But a Relay passes a Predirect or a
Redirect on only if its own best route for the prefix in it leads to where the message came from (spec RLY-6): one that
names a Client of ours says that the Client has attached elsewhere since.  The message may have been under way when the
Client came back, so one that was heard here just now is asked; a silent one has been taken over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix
from agents.aero.constants import DEPART_TIME
from agents.aero.discovery.base import Answer, Solicitation, Solicitations
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType
from agents.aero.optimisation.messages import inside

TakenOver = Callable[[Neighbor, Prefix, float], None]


class Takeovers:
    """What Relays let know of this Server's own Clients."""

    def __init__(self, cache: NeighborCache, solicitations: Solicitations, when_taken_over: TakenOver) -> None:
        self._cache = cache
        self._solicitations = solicitations
        self._when_taken_over = when_taken_over
        self._asked: set[IPv6Address] = set()

    def seen(self, prefix: Prefix, now: float) -> None:
        """A Relay passed on a message that makes another Server's Client the owner of a prefix."""
        client = self._cache.owner(prefix.network_address)
        if client is None or client.type is not NeighborType.STATIC or client.address in self._asked:
            return
        mine = next((each for each in client.prefixes if inside(prefix, each)), None)
        if mine is None:
            return
        if client.path is None or all(path.last_received < now - DEPART_TIME for path in client.paths):
            self._when_taken_over(client, mine, now)
            return
        self._asked.add(client.address)
        answered, lost = partial(self._here, client), partial(self._gone, client, mine)
        self._solicitations.send(client, client.path.lladdr, now, answered=answered, lost=lost)

    def forget(self, client: Neighbor) -> None:
        """The Client is gone, or has just told where it is."""
        self._asked.discard(client.address)

    def _here(self, client: Neighbor, solicitation: Solicitation, answer: Answer, now: float) -> None:
        self._asked.discard(client.address)

    def _gone(self, client: Neighbor, prefix: Prefix, solicitation: Solicitation, now: float) -> None:
        asked = client.address in self._asked
        self._asked.discard(client.address)
        if asked and client.path_at(solicitation.lladdr) and self._cache.get(client.address) is client:
            self._when_taken_over(client, prefix, now)
