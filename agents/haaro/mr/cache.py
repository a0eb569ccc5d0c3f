"""The route optimisation cache: one entry for each correspondent (spec §4.2; RFC 6521 §3.1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from agents.haaro.compression import Owner
from agents.haaro.mr.tunnel import PeerTunnel
from agents.haaro.nonces import MAX_TOKEN_LIFETIME


class RRState(Enum):
    """Return routability of one pair of correspondent and own care-of address (spec §4.4)."""

    INACTIVE = "inactive"
    IN_PROGRESS = "in progress"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Token:
    """A keygen token as it came in a HoT or CoT."""

    index: int
    value: bytes = field(repr=False)
    received: float

    def alive(self, now: float) -> bool:
        """Young enough to be used (spec §3.4)."""
        return now - self.received < MAX_TOKEN_LIFETIME


@dataclass
class CareofState:
    """What depends on the own care-of address as well as on the correspondent."""

    state: RRState = RRState.INACTIVE
    home_only: bool = False
    """A deregistration is being prepared, which needs no care-of token (spec RR-9)."""
    cookie: bytes | None = None
    token: Token | None = None


@dataclass
class CachedPrefix:
    """A network behind a correspondent."""

    prefix: IPv4Network
    realm: str = ""
    valid: bool = False
    """The home agent said so (Prefix_Valid)."""


@dataclass
class Outgoing:
    """Our registration toward a correspondent."""

    careof: IPv4Address
    """Own address it names and comes from."""
    identification: int = 0
    """Of the last request."""
    key: bytes = field(default=b"", repr=False)
    """KRm of the last request, for its reply."""
    pending: bool = False
    """A request waits for its reply."""
    lifetime: int = 0
    """Requested, seconds."""
    ending: bool = False
    """It is being taken back."""
    sent: float = 0.0
    tries: int = 0
    expires: float | None = None
    """Unix time until which the correspondent keeps it; None: not accepted (yet)."""
    careofs: tuple[IPv4Address, ...] = ()
    """Addresses the correspondent can be reached at, best first."""
    udp: bool = True
    networks: tuple[IPv4Network, ...] = ()
    """Own ones that the last request listed."""
    moved: bool = False
    """The correspondent has not accepted this address yet, but another one."""
    held: bool = False
    """Answered with code 2: its registration comes first (spec 7.5)."""


@dataclass
class Incoming:
    """A correspondent's registration toward us (spec §4.3)."""

    source: IPv4Address
    """Where its request came from, which return routability proved."""
    careof: IPv4Address
    """What the request said."""
    expires: float
    prefixes: tuple[IPv4Network, ...]
    """Those confirmed."""
    udp: bool
    held: bool = False
    """Accepted with code 2, not in force before our own registration is done."""


@dataclass
class Correspondent:
    """Everything known about one peer, by its home address."""

    home: IPv4Address
    known: bool = False
    """The home agent told us."""
    outbound_only: bool = False
    """Info 1: opens connections only outward."""
    prefixes: dict[IPv4Network, CachedPrefix] = field(default_factory=dict)
    nat: dict[tuple[IPv4Address, IPv4Address], bool] = field(default_factory=dict)
    """(own care-of address, its one) -> whether we can open toward it."""
    home_cookie: bytes | None = None
    home_token: Token | None = None
    pairs: dict[IPv4Address, CareofState] = field(default_factory=dict)
    static_key: bytes | None = field(default=None, repr=False)
    tests: int = 0
    """Return routability attempts without an answer."""
    hold_until: float = 0.0
    refused: set[IPv4Network] = field(default_factory=set)
    """Own networks it does not route to us (spec MR-14)."""
    without_udp: bool = False
    """It has no tunnels in UDP (code 142)."""
    outgoing: Outgoing | None = None
    incoming: Incoming | None = None
    last_request: float = float("-inf")
    """When the last request to it left: they are a second apart (spec MR-21)."""
    tunnel: PeerTunnel | None = None
    """The one in use, or that will be."""
    candidate: PeerTunnel | None = None
    """Its successor, probed while the present one works (spec 7.1)."""
    draining: list[PeerTunnel] = field(default_factory=list)
    unreachable: set[tuple[IPv4Address, IPv4Address]] = field(default_factory=set)
    """Pairs of care-of addresses whose keepalives failed since something last worked, or began."""
    detours: int = 0
    """Other lines tried since then."""
    line: str | None = None
    """Interface to use toward it, because the usual one failed."""

    def pair(self, careof: IPv4Address) -> CareofState:
        """The state of one own care-of address; a new one is inactive, a static key is always active."""
        state = self.pairs.setdefault(careof, CareofState())
        if self.static_key is not None:
            state.state = RRState.ACTIVE
        return state

    @property
    def accepted(self) -> bool:
        """It holds a registration of ours."""
        return self.outgoing is not None and self.outgoing.expires is not None

    @property
    def translated(self) -> bool:
        """Its request came from another address than it named."""
        return self.incoming is not None and self.incoming.source != self.incoming.careof

    @property
    def registered(self) -> bool:
        """Its registration is in force here."""
        return self.incoming is not None and not self.incoming.held

    @property
    def tunnels(self) -> Iterator[PeerTunnel]:
        """All tunnels to it."""
        yield from (each for each in (self.tunnel, self.candidate) if each)
        yield from self.draining

    @property
    def busy(self) -> bool:
        """Anything about it is alive, or configured: it must not be forgotten (spec §4.2)."""
        if self.static_key is not None or self.outgoing is not None or self.incoming is not None:
            return True
        return any(self.tunnels) or any(pair.state is RRState.IN_PROGRESS for pair in self.pairs.values())

    @property
    def networks(self) -> Iterator[CachedPrefix]:
        """Networks confirmed by the home agent."""
        return (each for each in self.prefixes.values() if each.valid)

    def addresses(self) -> list[IPv4Address]:
        """Where it may be reached: proved ones first."""
        found: list[IPv4Address] = []
        if self.incoming:
            found += [self.incoming.source, self.incoming.careof]
        if self.outgoing:
            found += self.outgoing.careofs
        return list(dict.fromkeys(found))

    def holds(self, now: float) -> bool:
        """Attempts toward it failed a moment ago."""
        return now < self.hold_until


class Cache:
    """All correspondents, and who owns which address."""

    def __init__(self, realms: tuple[str, ...] | None, internet_via: IPv4Address | None = None) -> None:
        self._realms = realms
        self._internet_via = internet_via
        self._entries: dict[IPv4Address, Correspondent] = {}

    def __iter__(self) -> Iterator[Correspondent]:
        return iter(list(self._entries.values()))

    def get(self, home: IPv4Address) -> Correspondent | None:
        """The entry of a home address."""
        return self._entries.get(home)

    def entry(self, home: IPv4Address) -> Correspondent:
        """The entry of a home address, made if there is none."""
        return self._entries.setdefault(home, Correspondent(home))

    def forget(self, home: IPv4Address) -> None:
        """Remove an entry."""
        self._entries.pop(home, None)

    def learn(self, owners: Iterable[Owner], *, solicited: IPv4Address | None = None) -> None:
        """Take an advertisement: the whole picture, or that of one router (spec MR-5, MR-6)."""
        told = {owner.home_address: owner for owner in owners}
        for home, owner in told.items():
            if solicited in (None, home):
                self._learn(self.entry(home), owner)
        for entry in self:
            if entry.known and entry.home not in told and solicited in (None, entry.home):
                self._unlearn(entry)
            if not entry.known and not entry.busy:
                self.forget(entry.home)

    def _learn(self, entry: Correspondent, owner: Owner) -> None:
        entry.known = True
        entry.outbound_only = owner.outbound_only
        told = {network.prefix: network for network in owner.networks}
        for prefix, network in told.items():
            entry.prefixes[prefix] = CachedPrefix(prefix, network.realm, valid=True)
        for prefix in [prefix for prefix in entry.prefixes if prefix not in told]:
            del entry.prefixes[prefix]

    def _unlearn(self, entry: Correspondent) -> None:
        """What the home agent no longer lists is not optimised anew; what stands, stands."""
        entry.known = False
        for cached in entry.prefixes.values():
            cached.valid = False

    def owner(self, destination: IPv4Address) -> Correspondent | None:
        """Who has an address, by the longest valid prefix of a realm of ours; home addresses count as /32.

        A default route is a matter of policy only: it matches if its router is the one configured (spec S26).
        """
        entry = self._entries.get(destination)
        if entry and entry.known:
            return entry
        found = [
            (cached.prefix.prefixlen, each)
            for each in self._entries.values()
            if each.known
            for cached in each.networks
            if cached.prefix.prefixlen and destination in cached.prefix and self.wanted(cached)
        ]
        if found:
            return max(found, key=lambda match: match[0])[1]
        gateway = self._entries.get(self._internet_via) if self._internet_via else None
        return gateway if gateway and self.leads_everywhere(gateway) else None

    def leads_everywhere(self, entry: Correspondent) -> bool:
        """Our policy uses it for what is nobody's network, and the home agent says that it may."""
        chosen = entry.known and entry.home == self._internet_via
        return chosen and any(not cached.prefix.prefixlen for cached in entry.networks)

    def wanted(self, cached: CachedPrefix) -> bool:
        """Our policy optimises toward this realm (spec MR-5)."""
        return self._realms is None or cached.realm in self._realms
