"""Makes a HAARO node's items true in this namespace's kernel, and leaves nothing of them behind.

Tunnels are the packet path's affair; the kernel sends into the TUN interface what has a route there.  On a router

    RULE - 1  out of the tunnels      the main table, on a gateway: peers' packets for the Internet leave by a line
    RULE      from a line's address   the main table, but for its default routes
    RULE + 1  from a line's address   the line's own table: its gateway
    RULE + 2  all packets             the main table, but for its default routes
    RULE + 3  all packets             TABLE: correspondents' networks and, over the home agent, everything else

so that signalling and tunnel packets leave by the line they name, whatever they are for (spec MR-16, MR-22, §13).
A home agent has its routes in the main table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, ip_network

from agents.haaro.items import EVERYTHING, Gateway, HomeAddress, Item, Key, Line, Routing, TunnelRoute
from agents.kernel import links, routing, sysctl
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import Hop, Route, Rule

TABLE = 434
RULE = 4340
_LOOPBACK = "lo"


class Kernel:
    """Installs and removes items; all of it idempotent, a refusal is one KernelError."""

    def __init__(self, tunnel: str, *, table: int) -> None:
        """`tunnel` is the TUN interface; `table` takes the routes into it."""
        self._tunnel = tunnel
        self._table = table
        self._netlink = Netlink()
        self._items: dict[Key, Item] = {}
        self._before: dict[str, str] = {}
        """Settings as they were before us."""

    def clear_leftovers(self) -> None:
        """Take away what a node that could not say goodbye left here."""
        self._netlink.run(
            *map(routing.drop_rule, routing.own_rules(self._netlink, 4)),
            *(routing.drop_route(route.place) for route in routing.own_routes(self._netlink, 4)),
        )

    def install(self, item: Item) -> None:
        """Make an item true; another of its key is replaced, the same changes nothing."""
        if self._items.get(item.key) == item:
            return
        if isinstance(item, Routing):
            self._route_packets(item)
        else:
            self._netlink.run(*self._requests(item, put=True))
        self._items[item.key] = item

    def remove(self, item: Item) -> None:
        """Make an item untrue, whatever version of it is there."""
        present = self._items.pop(item.key, None)
        if isinstance(present, Routing):
            self._put_back()
        elif present is not None:
            self._netlink.run(*self._requests(present, put=False))

    def close(self) -> None:
        """Remove everything, the newest first; what the kernel refuses must not keep the rest."""
        for item in reversed(list(self._items.values())):
            with contextlib.suppress(KernelError):
                self.remove(item)
        self._netlink.close()

    def _requests(self, item: Item, *, put: bool) -> Iterator[Request]:
        match item:
            case HomeAddress():
                number, own = links.index(_LOOPBACK), IPv4Interface((item.address, 32))
                change = links.add_address if put else links.delete_address
                yield change(number, _LOOPBACK, own)
            case Gateway():
                yield from _rules((Rule(RULE - 1, routing.MAIN, interface=self._tunnel, version=4),), put=put)
            case Line():
                yield from self._line_requests(item, put=put)
            case TunnelRoute() if put or not self._shared(item):
                route = Route(item.prefix, Hop(self._index(self._tunnel, needed=put)), self._table)
                yield routing.put_route(route) if put else routing.drop_route(route.place)
                if item.prefix == EVERYTHING:
                    yield from _rules((Rule(RULE + 2, routing.MAIN, suppress=0, version=4),), put=put)
                    yield from _rules((Rule(RULE + 3, self._table, version=4),), put=put)
            case _:
                pass

    def _shared(self, item: TunnelRoute) -> bool:
        """The same prefix has a route in another realm: to the kernel, which knows one, both are the same."""
        routes = (each for each in self._items.values() if isinstance(each, TunnelRoute))
        return any(each.prefix == item.prefix and each.realm != item.realm for each in routes)

    def _line_requests(self, item: Line, *, put: bool) -> Iterator[Request]:
        line = item.line
        own = ip_network(line.address)
        if line.gateway:
            route = Route(EVERYTHING, Hop(self._index(line.interface, needed=put), gateway=line.gateway), item.table)
            yield routing.put_route(route) if put else routing.drop_route(route.place)
        rules = (
            Rule(RULE, routing.MAIN, source=own, suppress=0, version=4),
            Rule(RULE + 1, item.table if line.gateway else routing.MAIN, source=own, version=4),
        )
        yield from _rules(rules, put=put)

    @staticmethod
    def _index(interface: str, *, needed: bool) -> int:
        """Its index; 0 for one that is gone, and its routes with it."""
        try:
            return links.index(interface)
        except KernelError:
            if needed:
                raise
            return 0

    # --- settings

    def _route_packets(self, item: Routing) -> None:
        """Forward, and take packets by whatever way they come (spec 7.8)."""
        self._set("net/ipv4/ip_forward", 1)
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
