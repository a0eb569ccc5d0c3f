"""What an answer of the DHCPv6 server means for the neighbor cache: static entries of Clients (spec SRV-2 to SRV-5)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, aero_address, in_use_elsewhere, unmapped
from agents.aero.lladdr import LinkLayerAddress, Underlay
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path, Reachability
from agents.core import Outbox
from agents.timers import Timers
from agents.wire.dhcpv6 import Message, MessageType
from agents.wire.dhcpv6_options import ClientId, IaPd, StatusCode

SUCCESS = 0
LONGEST_IPV6, SHORTEST_IPV4 = 64, 8


class Conflict(Exception):
    """A prefix that another Client has as long as its entry lives (spec SRV-4), or that nobody can have (§11)."""


class Leases:
    """The Clients of a Server, by the leases that the DHCPv6 server granted through it."""

    def __init__(
        self,
        cache: NeighborCache,
        outbox: Outbox,
        egress_mtu: Callable[[LinkLayerAddress], int],
        underlay: tuple[Underlay, ...] = (),
    ) -> None:
        """`egress_mtu` of the interface toward a link-layer address; no prefix may hold an address of `underlay`."""
        self._cache = cache
        self._outbox = outbox
        self._egress_mtu = egress_mtu
        self._underlay = underlay
        self._timers: Timers[tuple[bytes, Prefix]] = Timers()
        self._by_duid: dict[bytes, Neighbor] = {}
        self.when_gained: Callable[[Neighbor, Prefix, float], None] = lambda _client, _prefix, _now: None
        """A prefix was granted anew, e.g. to announce it."""
        self.when_lost: Callable[[Neighbor, Prefix, float], None] = lambda _client, _prefix, _now: None
        self.when_added: Callable[[Neighbor, float], None] = lambda _client, _now: None
        """A Client came, or its link-layer address changed."""
        self.when_removed: Callable[[Neighbor], None] = lambda _client: None

    def granted(self, reply: Message, lladdr: LinkLayerAddress, now: float) -> Neighbor | None:
        """Take up a Reply on its way to a Client; the Client's entry, if the Reply gives or leaves it one.

        Conflict when it would give a prefix of another Client away.
        """
        client = reply.first(ClientId)
        if reply.type != MessageType.REPLY or client is None or _failed(reply):
            return None
        prefixes, revoked = _prefixes(reply, now)
        for prefix in prefixes:
            self._check_delegable(prefix)
            self._check_owner(prefix, client.duid)
        known = self._by_duid.get(client.duid)
        for prefix in revoked:
            if known and prefix in known.prefixes:
                self._drop_prefix(known, prefix, now)
        if not prefixes:
            return self._by_duid.get(client.duid)
        return self._bind(client.duid, prefixes, lladdr, now)

    def released(self, duid: bytes, prefixes: list[Prefix], now: float) -> None:
        """The DHCPv6 server accepted a Release (spec SRV-5)."""
        client = self._by_duid.get(duid)
        for prefix in prefixes:
            if client and prefix in client.prefixes:
                self._drop_prefix(client, prefix, now)

    def taken_over(self, client: Neighbor, prefix: Prefix, now: float) -> None:
        """The Client has attached at another Server with this prefix (spec §5.1, §8)."""
        if prefix in client.prefixes:
            self._outbox.say("taken-over", client=client.address, prefix=prefix)
            self._drop_prefix(client, prefix, now)

    def next_timer(self) -> float | None:
        """When the next lease ends."""
        return self._timers.next_timer()

    def handle_timer(self, now: float) -> None:
        """End leases that are over."""
        for duid, prefix in list(self._timers.take(now)):
            client = self._by_duid.get(duid)
            if client and prefix in client.prefixes:
                self._outbox.say("lease-expired", client=client.address, prefix=prefix)
                self._drop_prefix(client, prefix, now)

    def of(self, duid: bytes) -> Neighbor | None:
        """The entry of a Client."""
        return self._by_duid.get(duid)

    def _check_delegable(self, prefix: Prefix) -> None:
        """What an AERO address can be made of (spec §4, §11)."""
        fits = prefix.prefixlen <= LONGEST_IPV6 if prefix.version == 6 else prefix.prefixlen >= SHORTEST_IPV4
        if not fits or in_use_elsewhere(prefix, self._underlay):
            raise Conflict(f"{prefix} is no prefix for an AERO Client")

    def _check_owner(self, prefix: Prefix, duid: bytes) -> None:
        owner = self._cache.owner(prefix.network_address)
        if owner and owner.type is NeighborType.STATIC and owner.duid != duid:
            raise Conflict(f"{prefix} is {owner.duid.hex()}'s, not {duid.hex()}'s")

    def _bind(self, duid: bytes, prefixes: dict[Prefix, float], lladdr: LinkLayerAddress, now: float) -> Neighbor:
        client = self._by_duid.get(duid)
        if client is None:
            client = Neighbor(_address(prefixes), NeighborType.STATIC, duid=duid)
            self._by_duid[duid] = client
            self._cache.add(client)
            self._outbox.say("client-attached", client=client.address, lladdr=str(lladdr), duid=duid)
        gained = [prefix for prefix in prefixes if prefix not in client.prefixes]
        self._cache.set_prefixes(client, {**client.prefixes, **prefixes})
        for prefix, ends in prefixes.items():
            self._timers.set((duid, prefix), ends)
        self._place(client, lladdr, now)
        for prefix in gained:
            self.when_gained(client, prefix, now)
        return client

    def _place(self, client: Neighbor, lladdr: LinkLayerAddress, now: float) -> None:
        """The link-layer address of the last DHCPv6 exchange, and no other (spec SRV-3, MOB-2)."""
        known = client.path_at(lladdr)
        if known:
            if known.reachability is Reachability.FAILED:
                known.reachability = Reachability.UNKNOWN
                self._cache.changed()
            return
        moved = bool(client.paths)
        path = Path.to(lladdr, self._egress_mtu(lladdr), last_received=now)
        self._cache.set_paths(client, [path])
        if moved:
            self._outbox.say("client-moved", client=client.address, lladdr=str(lladdr))
        self.when_added(client, now)

    def _drop_prefix(self, client: Neighbor, prefix: Prefix, now: float) -> None:
        remaining = {each: ends for each, ends in client.prefixes.items() if each != prefix}
        self._timers.cancel((client.duid, prefix))
        self._cache.set_prefixes(client, remaining)
        self.when_lost(client, prefix, now)
        if remaining and client.address not in map(aero_address, remaining):
            self._readdress(client, remaining, now)
        if not remaining:
            self._cache.remove(client.address)
            self._by_duid.pop(client.duid, None)
            self.when_removed(client)
            self._outbox.say("client-left", client=client.address)

    def _readdress(self, client: Neighbor, prefixes: dict[Prefix, float], now: float) -> None:
        """The prefix that a Client was known by is gone, and it answers for that address no longer (spec §4)."""
        self._cache.remove(client.address)
        self.when_removed(client)
        client.address = _address(prefixes)
        self._cache.add(client)
        self.when_added(client, now)


def _failed(reply: Message) -> bool:
    status = reply.first(StatusCode)
    return status is not None and status.code != SUCCESS


def _prefixes(reply: Message, now: float) -> tuple[dict[Prefix, float], list[Prefix]]:
    """Granted prefixes with the end of their leases, and those taken back (valid lifetime 0)."""
    granted: dict[Prefix, float] = {}
    revoked: list[Prefix] = []
    for association in reply.every(IaPd):
        for each in association.prefixes:
            prefix = unmapped(each.prefix)
            if not each.valid:
                revoked.append(prefix)
            elif not association.status:
                granted[prefix] = now + each.valid
    return granted, revoked


def _address(prefixes: dict[Prefix, float]) -> IPv6Address:
    """The AERO address of a Client: that of its IPv6 prefix if it has one."""
    return aero_address(min(prefixes, key=lambda prefix: (-prefix.version, int(prefix.network_address))))
