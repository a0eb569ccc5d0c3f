"""Makes a HAARO node's items true in this namespace's kernel, and leaves nothing of them behind.

Tunnels in UDP are the packet path's affair: the kernel sends into the TUN interface what has a route there.  Those in
IP are, too, unless the kernel takes care of them: then each is a device of its own, behind a gate.  On a router

    RULE - 1  out of the tunnels      the main table, on a gateway: peers' packets for the Internet leave by a line
    RULE      from a line's address   the main table, but for its default routes
    RULE + 1  from a line's address   the line's own table: its gateway
    RULE + 2  the node's own packets  the main table, but for its default routes
    RULE + 2  to an own network       the same
    RULE + 3  all packets             TABLE: correspondents' networks and, over the home agent, everything else

so that signalling and tunnel packets leave by the line they name, whatever they are for (spec MR-16, MR-22, §13), and
nothing of a mobile network leaves but in a tunnel, not even for a neighbour on a line (spec MR-23).
A home agent has its routes in the main table.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv4Network, ip_network

from agents.haaro.devices import Devices, left_behind
from agents.haaro.gate import Gate
from agents.haaro.items import (
    EVERYTHING,
    Gateway,
    HomeAddress,
    Item,
    Key,
    Line,
    OwnNetwork,
    Routing,
    Tunnel,
    TunnelRoute,
    Watched,
)
from agents.kernel import links, routing, sysctl
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import Hop, Route, Rule
from agents.kernel.tunnels.ipip import FORWARD_BY_PATH

TABLE = 434
RULE = 4340
_LOOPBACK = "lo"


class Kernel:
    """Installs and removes items; all of it idempotent, a refusal is one KernelError."""

    def __init__(self, tunnel: str, *, table: int, gate: Gate | None = None) -> None:
        """`tunnel` is the TUN interface; `table` takes routes into tunnels; with a gate the kernel has those in IP."""
        self._tunnel = tunnel
        self._table = table
        self._netlink = Netlink()
        self._devices = Devices(self._netlink, gate) if gate else None
        self._items: dict[Key, Item] = {}
        self._prefixes: Counter[IPv4Network] = Counter()
        """How many of the items are routes of a prefix."""
        self._before: dict[str, str] = {}
        """Settings as they were before us."""

    def clear_leftovers(self) -> None:
        """Take away what a node that could not say goodbye left here."""
        self._netlink.run(
            *map(routing.drop_rule, routing.own_rules(self._netlink, 4)),
            *(routing.drop_route(route.place) for route in routing.own_routes(self._netlink, 4)),
        )
        if self._devices:
            self._devices.prepare()
        elif left_behind(self._netlink):
            devices = Devices(self._netlink, Gate())
            devices.prepare()
            devices.end()

    def install(self, item: Item) -> None:
        """Make an item true; another of its key is replaced, the same changes nothing."""
        present = self._items.get(item.key)
        if present == item:
            return
        if isinstance(item, Routing):
            self._route_packets(item)
        elif isinstance(item, Tunnel):
            self._have_tunnel(item)
        else:
            self._netlink.run(*self._requests(item, put=True))
        self._items[item.key] = item
        if isinstance(item, TunnelRoute) and present is None:
            self._prefixes[item.prefix] += 1

    def _have_tunnel(self, item: Tunnel) -> None:
        """Its device, if it has one; routes into an earlier version lead into this one."""
        present = self._items.get(item.key)
        if not self._devices:
            return
        self._devices.open(item)
        if isinstance(present, Tunnel) and present.encapsulation != item.encapsulation:
            self._items[item.key] = item
            for each in [one for one in self._items.values() if isinstance(one, TunnelRoute)]:
                if each.tunnel == item.name:
                    self._netlink.run(*self._requests(each, put=True))
            self._devices.close(present)

    def _hop(self, item: TunnelRoute | Watched, *, needed: bool) -> Hop:
        """The device of the route's tunnel, or the TUN interface."""
        tunnel = self._items.get(("tunnel", item.tunnel)) if isinstance(item, TunnelRoute) else None
        if needed and self._devices and isinstance(tunnel, Tunnel) and tunnel.encapsulation == "ipip":
            return self._devices.hop(tunnel)
        return Hop(links.index_if(self._tunnel, needed=needed))

    def remove(self, item: Item) -> None:
        """Make an item untrue, whatever version of it is there."""
        present = self._items.pop(item.key, None)
        if isinstance(present, TunnelRoute):
            self._prefixes[present.prefix] -= 1
        if isinstance(present, Routing):
            self._put_back()
        elif isinstance(present, Tunnel):
            if self._devices:
                self._devices.close(present)
        elif present is not None:
            self._netlink.run(*self._requests(present, put=False))

    def own(self, networks: tuple[IPv4Network, ...]) -> None:
        """The networks behind this node are others now."""
        if self._devices:
            self._devices.gate.own(networks)

    def can_route(self, prefix: IPv4Network) -> bool:
        """Whether the kernel takes a route of this prefix into the tunnels; found out by trying (spec HA-3).

        A default route is none that a node sets up for others (spec S26).
        """
        if not prefix.prefixlen or self._prefixes[prefix] > 0:
            return True
        item = TunnelRoute(prefix, "")
        try:
            self._netlink.run(*self._requests(item, put=True))
            self._netlink.run(*self._requests(item, put=False))
        except KernelError:
            return False
        return True

    def close(self) -> None:
        """Remove everything, the newest first; what the kernel refuses must not keep the rest."""
        for item in reversed(list(self._items.values())):
            with contextlib.suppress(KernelError):
                self.remove(item)
        if self._devices:
            self._devices.end()
        self._netlink.close()

    def dropped(self) -> dict[str, int]:
        """Packets that the gate dropped, by reason."""
        return self._devices.gate.dropped() if self._devices else {}

    def _requests(self, item: Item, *, put: bool) -> Iterator[Request]:
        match item:
            case HomeAddress():
                number, own = links.index(_LOOPBACK), IPv4Interface((item.address, 32))
                change = links.add_address if put else links.delete_address
                yield change(number, _LOOPBACK, own)
            case OwnNetwork():
                inward = Rule(RULE + 2, routing.MAIN, destination=item.prefix, suppress=0, version=4)
                yield from _rules((inward,), put=put)
            case Gateway():
                yield from _rules((Rule(RULE - 1, routing.MAIN, interface=self._tunnel, version=4),), put=put)
            case Line():
                yield from self._line_requests(item, put=put)
            case TunnelRoute() if put or not self._shared(item):
                route = Route(item.prefix, self._hop(item, needed=put), self._table)
                yield routing.put_route(route) if put else routing.drop_route(route.place)
                if item.prefix == EVERYTHING:
                    local = Rule(RULE + 2, routing.MAIN, suppress=0, version=4, interface=_LOOPBACK)
                    yield from _rules((local,), put=put)
                    yield from _rules((Rule(RULE + 3, self._table, version=4),), put=put)
            case Watched() if put or not self._routed(item):
                route = Route(item.prefix, self._hop(item, needed=put), self._table)
                yield routing.put_route(route) if put else routing.drop_route(route.place)
            case _:
                pass

    def _routed(self, item: Watched) -> bool:
        """A route has come into its place."""
        return any(isinstance(each, TunnelRoute) and each.prefix == item.prefix for each in self._items.values())

    def _shared(self, item: TunnelRoute) -> bool:
        """The prefix is watched now, or has a route in another realm: the kernel knows one route for all."""
        return self._prefixes[item.prefix] > 0 or Watched(item.prefix).key in self._items

    def _line_requests(self, item: Line, *, put: bool) -> Iterator[Request]:
        line = item.line
        own = ip_network(line.address)
        if line.gateway:
            route = Route(EVERYTHING, Hop(links.index_if(line.interface, needed=put), gateway=line.gateway), item.table)
            yield routing.put_route(route) if put else routing.drop_route(route.place)
        rules = (
            Rule(RULE, routing.MAIN, source=own, suppress=0, version=4),
            Rule(RULE + 1, item.table if line.gateway else routing.MAIN, source=own, version=4),
        )
        yield from _rules(rules, put=put)

    # --- settings

    def _route_packets(self, item: Routing) -> None:
        """Forward, and take packets by whatever way they come (spec 7.8)."""
        self._set("net/ipv4/ip_forward", 1)
        if self._devices:
            self._set(FORWARD_BY_PATH, 1)
        self._set("net/ipv4/conf/all/send_redirects", 0)
        for name in ("all", *item.interfaces):
            self._set(f"net/ipv4/conf/{name}/rp_filter", 0)

    def _set(self, name: str, value: int) -> None:
        before = sysctl.read(name)
        self._before.setdefault(name, before)
        if before != str(value):
            sysctl.write(name, value)

    def _put_back(self) -> None:
        for name, before in self._before.items():
            with contextlib.suppress(KernelError):
                if sysctl.read(name) != before:
                    sysctl.write(name, before)
        self._before.clear()


def _rules(rules: Iterable[Rule], *, put: bool) -> Iterator[Request]:
    change = routing.put_rule if put else routing.drop_rule
    return (change(rule) for rule in rules)
