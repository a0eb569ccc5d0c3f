"""Makes a core's forwarding items true in this namespace's kernel, and keeps them so over an agent's restart.

Every item comes down to routes, rules, gate elements and, for a DLIF or a tunnel, an interface. Routes and rules
carry our protocol number and interfaces our device group, so that `adopt` finds what an earlier agent left.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from agents.dgw.forwarding import (
    INSTALL_ORDER,
    Advertisement,
    AnchorRoute,
    Dlif,
    Item,
    LocalAccess,
    LocalBar,
    LocalGate,
    LocalReturn,
    ReturnPath,
    SourceGate,
    Tunnel,
    TunnelGate,
    Uplink,
)
from agents.kernel import gate, links, routing, sysctl, tunnels
from agents.kernel.dlif import Dlifs
from agents.kernel.elements import Element
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.radvd import Radvd
from agents.kernel.reaper import Reaper
from agents.kernel.routing import ROUTE_METRIC, Hop, Place, Route, Rule

POOL_METRIC = 4096
MAX_STATIONS = 4096
"""Link-local addresses remembered: more than a cell holds, but not all that a station can invent."""
ANCHOR_METRIC = 64
"""Below the 256 of a DLIF's connected route, which may still be there (spec HO-5)."""
RELAY_PREFERENCE = 800
"""Of a relayed prefix as destination: before any uplink."""
LOCAL_PREFERENCE, OWN_LOCAL_PREFERENCE, RETURN_PREFERENCE, UPLINK_PREFERENCE = 900, 910, 950, 1000
"""An anchor's local network before the own one, which may have the same prefix; both before the source rules."""
ARRIVED = Rule(990, routing.MAIN, mark=gate.ARRIVED)
"""What no node here sent goes by its destination, before any uplink: it may be from a node that is here, and have been
at the prefix's anchor, which sends it to another node here. The uplink would send it back there, round and round: seg6
spends no hop limit of the inner packet on the way."""


@dataclass(frozen=True)
class Settings:
    """What the executor needs to know of its node."""

    local: IPv6Address
    """Own P-CoA."""
    wan: str = "wan"
    phy: str | None = "phy"
    """Access interface; None where no mobile node attaches (a central LMA)."""
    pool: IPv6Network | None = None
    """Own prefix pool; None where there is none."""
    local_prefixes: tuple[IPv6Network, ...] = ()
    """Local networks, closed to the core (spec LIPA-8)."""
    tunnel: str = "auto"
    """"auto", "ip6tnl" or "seg6"."""
    radvd_conf: Path | None = None
    radvd_pid: Path | None = None
    peers: Mapping[IPv6Address, str] = field(default_factory=dict)
    """Names of the other gateways, for readable tunnel device names."""


class Executor:
    """Installs and removes items; all of it idempotent, a refusal is one KernelError."""

    def __init__(self, settings: Settings, failed: Callable[[KernelError], None] = lambda _error: None) -> None:
        """`failed` is told, from another thread, of deletions in the background that the kernel refused."""
        self._settings = settings
        self._netlink = Netlink()
        self._reaper = Reaper(self._netlink, failed)
        outer = tunnels.Settings(settings.local, settings.wan, settings.peers)
        self._tunnels = tunnels.select(settings.tunnel, outer, self._netlink, self._reaper)
        self._gate = gate.Gate(settings.local, settings.wan, settings.local_prefixes)
        self._dlifs = Dlifs(self._netlink, self._reaper)
        self._radvd = _radvd(settings)
        self._items: dict[tuple[str, str], Item] = {}
        self._macs: dict[IPv6Address, str] = {}

    @property
    def tunnel_kind(self) -> str:
        """Back end in use: "ip6tnl" or "seg6"."""
        return self._tunnels.kind

    @property
    def tunnel_mtu(self) -> int:
        """Largest packet in octets that fits a tunnel (spec RA-13)."""
        return self._tunnels.mtu

    def prepare(self) -> None:
        """Make the node a gateway: forwarding, a silent phy, tunnels, gate, the pool's backstop (spec §7, ATT-11)."""
        sysctl.ipv6("all", forwarding=1)
        if self._settings.phy:
            links.index(self._settings.phy)
            sysctl.ipv6(self._settings.phy, disable_ipv6=1)
        self._gate.prepare()
        self._tunnels.prepare()
        self._netlink.run(*map(routing.put_route, self._base_routes()))
        self._netlink.run(*map(routing.put_rule, self._base_rules()))

    def install(self, *items: Item) -> None:
        """Make items true, in this order; an item of the same key is replaced, the same item changes nothing.

        The gate lets their packets in last, all in one transaction.
        """
        admitted: list[Element] = []
        for item in items:
            before = self._items.get(item.key)
            if before != item:
                self._install(item, before)
                admitted += _elements(item)
        self._gate.permit(*admitted)

    def _install(self, item: Item, before: Item | None) -> None:
        if isinstance(item, Tunnel):
            self._tunnels.open(item.peer)
        elif isinstance(item, Dlif):
            self._dlifs.install(item)
        routes, rules = self._routes(item), _rules(item)
        old_places, old_rules = (self._places(before), _rules(before)) if before else (set(), set())
        self._netlink.run(
            *map(routing.put_route, routes),
            *map(routing.put_rule, rules),
            *map(routing.drop_rule, old_rules - rules),
            *map(routing.drop_route, old_places - {route.place for route in routes}),
        )
        if before:
            self._gate.forbid(*set(_elements(before)) - set(_elements(item)))
        self._items[item.key] = item

    def remove(self, *items: Item) -> None:
        """Make items untrue, whatever version of each is there; deleting an interface is not waited for."""
        present = [self._items[item.key] for item in items if item.key in self._items]
        self._gate.forbid(*(element for item in present for element in _elements(item)))
        for item in present:
            rules, places = _rules(item), self._places(item)
            self._netlink.run(*map(routing.drop_rule, rules), *map(routing.drop_route, places))
            if isinstance(item, Tunnel):
                self._tunnels.close(item.peer)
            elif isinstance(item, Dlif):
                self._dlifs.remove(item)
            del self._items[item.key]

    def adopt(self, items: Collection[Item]) -> None:
        """After a start: make exactly these items true, keep what matches, sweep what an earlier agent left."""
        ordered = sorted(items, key=lambda item: INSTALL_ORDER.index(type(item)))
        self._items = {item.key: item for item in ordered}
        held = [item for item in ordered if isinstance(item, Dlif)]
        self._tunnels.adopt([item.peer for item in ordered if isinstance(item, Tunnel)])
        self._dlifs.adopt(held)
        routes, rules = set(self._base_routes()), set(self._base_rules())
        for item in ordered:
            routes |= self._routes(item)
            rules |= _rules(item)
        there, ruled = routing.own_routes(self._netlink), routing.own_rules(self._netlink)
        self._netlink.run(
            *map(routing.put_route, routes - there),
            *map(routing.put_rule, rules - ruled),
            *map(routing.drop_rule, ruled - rules),
            *map(routing.drop_route, {r.place for r in there} - {r.place for r in routes}),
        )
        self._gate.adopt(element for item in ordered for element in _elements(item))

    def learn(self, link_local: IPv6Address, mac: str) -> None:
        """Remember a mobile node's link-layer address, so that its first advertisement need not ask for it."""
        self._macs.pop(link_local, None)
        self._macs[link_local] = mac
        if len(self._macs) > MAX_STATIONS:
            del self._macs[next(iter(self._macs))]  # the one not heard of for the longest time

    def advertise(self, advertisements: Iterable[Advertisement]) -> None:
        """Have radvd advertise exactly this from now on; an advertisement leaves at once on every DLIF named."""
        if self._radvd is None:
            raise KernelError("no radvd is configured for this node")
        wanted = list(advertisements)
        for advertisement in wanted:
            mac = self._macs.get(advertisement.client)
            if mac is not None:
                self._dlifs.hint(advertisement.dlif, advertisement.client, mac)
        try:
            self._radvd.advertise(wanted)
        except ValueError as error:
            raise KernelError(f"cannot advertise {error}") from error

    def dropped(self) -> dict[str, int]:
        """Packets the gate dropped, by reason (agents.kernel.gate.COUNTERS)."""
        return self._gate.dropped()

    def passed(self) -> dict[IPv6Network, int]:
        """Packets from and to each mobile node's prefix in service here (agents.kernel.gate)."""
        return self._gate.passed()

    def clear(self) -> None:
        """Take everything back that `prepare` and `install` did; only `close` may follow."""
        self.adopt(())
        self._netlink.run(
            *map(routing.drop_rule, self._base_rules()),
            *(routing.drop_route(route.place) for route in self._base_routes()),
        )
        self._tunnels.clear()
        self._gate.clear()

    def close(self, *, clear: bool = False) -> None:
        """Let go of the kernel; what is installed stays and keeps forwarding unless it is to be cleared."""
        if clear:
            self.clear()
        self._reaper.close()
        self._gate.close()
        self._netlink.close()

    def _base_routes(self) -> Collection[Route]:
        pool = self._settings.pool
        backstop = [Route(pool, None, metric=POOL_METRIC)] if pool else []
        return [*backstop, *self._tunnels.routes()]

    def _base_rules(self) -> set[Rule]:
        """Where no node attaches, at an LMA, uplinks are for what comes out of a tunnel (spec INTER-6)."""
        return {*self._tunnels.rules(), *([ARRIVED] if self._settings.phy else [])}

    def _routes(self, item: Item) -> set[Route]:
        """Routes an item stands for, as far as the interfaces they name are there."""
        if isinstance(item, AnchorRoute):
            return {Route(item.prefix, self._tunnels.hop(item.peer), metric=ANCHOR_METRIC)}
        if isinstance(item, ReturnPath):
            return {Route(routing.DEFAULT, self._tunnels.hop(item.peer), item.table)}
        if isinstance(item, Uplink):
            out = {Route(routing.DEFAULT, self._tunnels.hop(item.peer), item.table)}
            return out | {route for direct in item.direct for route in self._direct(item, *direct)}
        if isinstance(item, Dlif):
            # Uplinks are installed before the DLIFs they name: their direct routes follow with the DLIF.
            return {route for up, prefix in self._naming(item) for route in self._direct(up, prefix, item.name)}
        return set()

    def _direct(self, uplink: Uplink, prefix: IPv6Network, name: str) -> set[Route]:
        number = self._dlifs.index(name)
        return {Route(prefix, Hop(number), uplink.table)} if number else set()

    def _naming(self, dlif: Dlif) -> list[tuple[Uplink, IPv6Network]]:
        """Installed uplinks with a direct route over this DLIF, and that route's prefix."""
        uplinks = [item for item in self._items.values() if isinstance(item, Uplink)]
        return [(up, prefix) for up in uplinks for prefix, name in up.direct if name == dlif.name]

    def _places(self, item: Item) -> set[Place]:
        """Where the routes of an installed item are."""
        if isinstance(item, AnchorRoute):
            return {(item.prefix, routing.MAIN, ANCHOR_METRIC)}
        if isinstance(item, ReturnPath):
            return {(routing.DEFAULT, item.table, ROUTE_METRIC)}
        if isinstance(item, Uplink):
            prefixes = {routing.DEFAULT} | {prefix for prefix, _name in item.direct}
            return {(prefix, item.table, ROUTE_METRIC) for prefix in prefixes}
        if isinstance(item, Dlif):
            return {(prefix, up.table, ROUTE_METRIC) for up, prefix in self._naming(item)}
        return set()


def _rules(item: Item) -> set[Rule]:
    """Policy rules an item stands for."""
    if isinstance(item, Uplink):
        return {Rule(UPLINK_PREFERENCE, item.table, source=item.prefix)}
    if isinstance(item, AnchorRoute) and item.first:
        return {Rule(RELAY_PREFERENCE, routing.MAIN, destination=item.prefix)}
    if isinstance(item, LocalAccess):
        if item.table is None:
            return {Rule(OWN_LOCAL_PREFERENCE, routing.MAIN, destination=item.prefix, interface=item.dlif)}
        return {Rule(LOCAL_PREFERENCE, item.table, destination=item.prefix, interface=item.dlif)}
    if isinstance(item, LocalReturn):
        return {Rule(RETURN_PREFERENCE, item.table, destination=item.prefix, interface=item.interface)}
    return set()


def _elements(item: Item) -> list[Element]:
    """Gate elements an item stands for."""
    if isinstance(item, Tunnel):
        return [gate.peer_element(item.peer)]
    if isinstance(item, SourceGate):
        return [gate.source_element(item.dlif, item.prefix)]
    if isinstance(item, TunnelGate):
        return [gate.tunnel_element(item.peer, item.prefix, item.inner)]
    if isinstance(item, LocalGate):
        return [gate.local_element(item.peer, item.source, item.destination)]
    if isinstance(item, LocalBar):
        return [gate.bar_element(item.prefix)]
    return []


def _radvd(settings: Settings) -> Radvd | None:
    if settings.radvd_conf is None and settings.radvd_pid is None:
        return None
    if settings.radvd_conf is None or settings.radvd_pid is None:
        raise KernelError("radvd needs both a configuration file and a pid file", errno.EINVAL)
    return Radvd(settings.radvd_conf, settings.radvd_pid)
