"""What peers announced, what of it may be believed, and whose route to a prefix is used (spec §8)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import Announced, Underlay, Update

LENGTHS = {4: range(24, 33), 6: range(48, 65)}
"""Prefix lengths of Clients, by IP version."""


@dataclass(frozen=True)
class Source:
    """A peer whose routes are taken, and as whose."""

    peer: Underlay
    """Its end of the BGP session."""
    neighbor: IPv6Address
    """Its AERO address."""
    asn: int
    next_hops: tuple[Underlay, ...]
    """Its underlay addresses: nothing else is believed as a next hop."""


@dataclass(frozen=True)
class Policy:
    """Which routes are taken."""

    wants: Literal["clients", "defaults"]
    """A Relay takes Clients' prefixes, a Server takes default routes."""
    sources: tuple[Source, ...] = ()
    aggregates: tuple[Prefix, ...] = ()

    def refusal(self, source: Source, update: Update, announced: Announced) -> str | None:
        """Why a route is not taken; None when it is."""
        prefix = announced.prefix
        if not announced.next_hops or announced.next_hops[0] not in source.next_hops:
            return "bgp_next_hop"
        if update.as_path != (source.asn,):
            return "bgp_as_path"
        if self.wants == "defaults":
            return None if prefix.prefixlen == 0 else "bgp_not_default"
        if not any(_within(prefix, aggregate) for aggregate in self.aggregates):
            return "bgp_outside"
        return None if prefix.prefixlen in LENGTHS[prefix.version] else "bgp_length"


def _within(prefix: Prefix, aggregate: Prefix) -> bool:
    if isinstance(prefix, IPv4Network):
        return isinstance(aggregate, IPv4Network) and prefix.subnet_of(aggregate)
    return isinstance(aggregate, IPv6Network) and prefix.subnet_of(aggregate)


Rank = tuple[int, int, int]
"""MED, then next hop (IP version, number): the lowest wins (spec §8 "newest wins")."""


@dataclass(slots=True)
class _Heard:
    """A peer's route to a prefix."""

    update: Update
    announced: Announced
    rank: Rank | None = None
    """None: the policy does not take it."""


class Rib:
    """All routes of all peers, by prefix.

    What the policy refuses is kept too: a program that was told nothing yet, or is told anew, must not ask its peers
    to say everything again.
    """

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._sources: dict[Underlay, Source] = {}
        self._policy: Policy | None = None
        self._heard: dict[Prefix, dict[Underlay, _Heard]] = {}
        self._of_peer: dict[Underlay, dict[Prefix, None]] = {}

    def set_policy(self, policy: Policy) -> list[Prefix]:
        """Judge everything anew; all prefixes that may be used."""
        self._policy = policy
        self._sources = {source.peer: source for source in policy.sources}
        self.counters.clear()
        for heard in self._heard.values():
            for each in heard.values():
                each.rank = self._judge(each.update, each.announced)
        return [prefix for prefix in self._heard if self.choices(prefix)]

    def take(self, update: Update) -> list[Prefix]:
        """Take in an update; the prefixes that may go another way now."""
        touched = [prefix for prefix in update.withdrawn if self._drop(prefix, update.peer)]
        for announced in update.announced:
            prefix = announced.prefix
            before = self._heard.setdefault(prefix, {}).get(update.peer)
            rank = self._judge(update, announced)
            self._heard[prefix][update.peer] = _Heard(update, announced, rank)  # it replaces (RFC 4271 §3.1)
            self._of_peer.setdefault(update.peer, {})[prefix] = None
            if rank != (before.rank if before else None):
                touched.append(prefix)
        return touched

    def lose(self, peer: Underlay) -> list[Prefix]:
        """A session is gone, and all routes with it; the prefixes that may go another way now."""
        return [prefix for prefix in list(self._of_peer.get(peer, ())) if self._drop(prefix, peer)]

    def choices(self, prefix: Prefix) -> list[IPv6Address]:
        """Whose routes to a prefix may be used, the best first."""
        ranks = {peer: each.rank for peer, each in self._heard.get(prefix, {}).items() if each.rank}
        return [self._sources[peer].neighbor for peer in sorted(ranks, key=lambda peer: ranks[peer])]

    def _judge(self, update: Update, announced: Announced) -> Rank | None:
        if self._policy is None:
            return None
        source = self._sources.get(update.peer)
        refusal = self._policy.refusal(source, update, announced) if source else "bgp_stranger"
        if refusal:
            self.counters[refusal] += 1
            return None
        hop = announced.next_hops[0]
        return update.med, hop.version, int(hop)

    def _drop(self, prefix: Prefix, peer: Underlay) -> bool:
        heard = self._heard.get(prefix, {})
        gone = heard.pop(peer, None)
        if gone is None:
            return False
        del self._of_peer[peer][prefix]
        if not heard:
            del self._heard[prefix]
        return gone.rank is not None
