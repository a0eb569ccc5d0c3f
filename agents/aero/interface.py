"""Makes an AERO node's items true in this namespace's kernel, and leaves nothing of them behind.

Outer packets must not enter the AERO interface, whose default route would take them (spec CLI-14).  The underlay's
default routes stay in the main table; ours are in a table of their own, which is asked

    RULE      from an underlay address    the main table        what answers for the underlay's addresses stays there
    RULE + 1  all packets                 the main table, but for its default routes
    RULE + 2  packets without our mark    our table

so that the node's own traffic and what it forwards prefer the AERO interface, and marked packets never see it.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

from agents.aero.downstream import Advertiser
from agents.aero.items import (
    Address,
    BlackHole,
    DefaultRoute,
    Defence,
    Downstream,
    Item,
    Key,
    PrefixRoute,
    Routing,
    StrongHost,
)
from agents.kernel import links, routing, sysctl
from agents.kernel.netlink import KernelError, Netlink, Request
from agents.kernel.routing import Hop, Route, Rule

MARK = 0xAE60
"""Of outer packets."""
TABLE = 8060
RULE = 8060
BLACK_HOLE_METRIC = 4096
"""Behind the routes of the parts that are used."""
_FORWARDING = ("net/ipv6/conf/all/forwarding", "net/ipv4/ip_forward")


class Kernel:
    """Installs and removes items; all of it idempotent, a refusal is one KernelError."""

    def __init__(
        self,
        underlay: Sequence[IPv4Address | IPv6Address] = (),
        underlay_interfaces: Sequence[str] = (),
        advertiser: Advertiser | None = None,
    ) -> None:
        """`underlay` are the node's own underlay addresses; `advertiser` is needed for Downstream items only."""
        self._underlay = tuple(underlay)
        self._underlay_interfaces = tuple(underlay_interfaces)
        self._advertiser = advertiser
        self._netlink = Netlink()
        self._items: dict[Key, Item] = {}
        self._before: dict[str, str] = {}
        """Settings as they were before us."""

    def clear_leftovers(self) -> None:
        """Take away what a node that could not say goodbye left here."""
        for version in (4, 6):
            self._netlink.run(
                *map(routing.drop_rule, routing.own_rules(self._netlink, version)),
                *(routing.drop_route(route.place) for route in routing.own_routes(self._netlink, version)),
            )
        left = links.owned_addresses(self._netlink, routing.OWN)
        self._netlink.run(*(links.delete_address(number, f"interface {number}", address) for number, address in left))

    def learn_underlay(self, addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        """The node's own underlay addresses are others now: what answers for them stays in the main table."""
        gone = [each for each in self._underlay if each not in addresses]
        new = [each for each in addresses if each not in self._underlay]
        self._underlay = tuple(addresses)
        for item in list(self._items.values()):
            if isinstance(item, DefaultRoute):
                put = [routing.put_rule(rule) for rule in self._answering(new, item.version)]
                drop = [routing.drop_rule(rule) for rule in self._answering(gone, item.version)]
                self._netlink.run(*put, *drop)

    def install(self, items: Iterable[Item]) -> None:
        """Make items true, in this order; an item of the same key is replaced, the same item changes nothing."""
        for item in items:
            before = self._items.get(item.key)
            if before == item:
                continue
            self._install(item)
            self._items[item.key] = item

    def remove(self, items: Iterable[Item]) -> None:
        """Make items untrue, whatever version of each is there."""
        for item in items:
            present = self._items.pop(item.key, None)
            if present is not None:
                self._remove(present)

    def settle(self) -> None:
        """Advertise downstream what was installed and removed since the last time (KernelError)."""
        if self._advertiser:
            self._advertiser.settle()

    def close(self) -> None:
        """Remove everything, the newest first; what the kernel refuses must not keep the rest."""
        for item in reversed(list(self._items.values())):
            with contextlib.suppress(KernelError):
                self.remove([item])
        with contextlib.suppress(KernelError):
            self.settle()
        with contextlib.suppress(KernelError):
            self._put_back(*list(self._before))
        self._netlink.close()

    # --- one item

    def _install(self, item: Item) -> None:
        match item:
            case Routing():
                self._route_packets(item.on)
            case StrongHost():
                from agents.kernel import strong_host  # libnftables is loaded where it is needed

                strong_host.switch_on()
            case Defence():
                self._defend(item)
            case Downstream():
                self._advertise().put(item)
            case _:
                if isinstance(item, DefaultRoute):
                    self._let_underlay_in(item.version)
                elif isinstance(item, Address) and item.dad:
                    self._detect_duplicates(item.interface)
                self._netlink.run(*self._requests(item, put=True))

    def _remove(self, item: Item) -> None:
        match item:
            case Routing():
                self._put_back(*_FORWARDING, "net/ipv4/conf/all/send_redirects", *self._advertised_to())
            case StrongHost():
                from agents.kernel import strong_host

                strong_host.switch_off()
            case Defence():
                self._netlink.run(*_proxy(item, put=False))
                if not any(isinstance(each, Defence) and each.interface == item.interface for each in self._all()):
                    self._put_back(*_defence_settings(item.interface))
            case Downstream():
                self._advertise().drop(item)
            case _:
                self._netlink.run(*self._requests(item, put=False))

    def _all(self) -> Iterable[Item]:
        return self._items.values()

    def _requests(self, item: Item, *, put: bool) -> Iterator[Request]:
        match item:
            case Address():
                number = links.index_if(item.interface, needed=put)
                if number and put:
                    yield links.add_address(number, item.interface, item.address, dad=item.dad, owner=routing.OWN)
                elif number:
                    yield links.delete_address(number, item.interface, item.address)
            case BlackHole():
                yield _route(Route(item.prefix, None, metric=BLACK_HOLE_METRIC), put=put)
            case PrefixRoute():
                yield _route(Route(item.prefix, Hop(links.index_if(item.interface, needed=put))), put=put)
            case DefaultRoute():
                # The route goes in before the rules that lead to it, and out after them.
                everything = routing.DEFAULT if item.version == 6 else routing.DEFAULT_IPV4
                hop = Hop(links.index_if(item.interface, needed=put))
                default = Route(everything, hop, TABLE, source=item.source)
                change = routing.put_rule if put else routing.drop_rule
                rules = [change(rule) for rule in self._rules(item.version)]
                yield from [_route(default, put=True), *rules] if put else [*rules, _route(default, put=False)]

    def _rules(self, version: int) -> Iterator[Rule]:
        yield from self._answering(self._underlay, version)
        yield Rule(RULE + 1, routing.MAIN, suppress=0, version=version)
        yield Rule(RULE + 2, TABLE, unless_mark=MARK, version=version)

    @staticmethod
    def _answering(addresses: Iterable[IPv4Address | IPv6Address], version: int) -> Iterator[Rule]:
        for address in addresses:
            if address.version == version:
                yield Rule(RULE, routing.MAIN, source=ip_network(address), version=version)

    # --- settings

    def _set(self, name: str, value: int) -> None:
        """Write a setting, remembering what it was."""
        if name not in self._before:
            self._before[name] = sysctl.read(name)
        if self._before[name] != str(value) or sysctl.read(name) != str(value):
            sysctl.write(name, value)

    def _put_back(self, *names: str) -> None:
        for name in names:
            before = self._before.pop(name, None)
            if before is not None and sysctl.read(name) != before:
                sysctl.write(name, before)

    def _route_packets(self, on: bool) -> None:
        for name in self._advertised_to() if on else ():
            if sysctl.read(name) == "1":  # a router takes no default route from an advertisement unless told to
                self._set(name, 2)
        for name in _FORWARDING:
            self._set(name, int(on))
        # "all" and the interface's own setting are combined by "or"; ours is off (spec SRV-7).
        self._set("net/ipv4/conf/all/send_redirects", 0)

    def _detect_duplicates(self, interface: str) -> None:
        """Duplicate address detection may have been off where it must run (spec MODEL-R4)."""
        for name in ("accept_dad", "dad_transmits"):
            setting = f"net/ipv6/conf/{interface}/{name}"
            if sysctl.read(setting) == "0":
                self._set(setting, 1)

    def _advertised_to(self) -> list[str]:
        return [f"net/ipv6/conf/{name}/accept_ra" for name in self._underlay_interfaces]

    def _let_underlay_in(self, version: int) -> None:
        """Reverse path filtering asks the way to an outer source without the mark, and would be told our interface."""
        for name in self._underlay_interfaces if version == 4 else ():
            setting = f"net/ipv4/conf/{name}/rp_filter"
            if "1" in (sysctl.read(setting), sysctl.read("net/ipv4/conf/all/rp_filter")):
                self._set(setting, 2)

    def _defend(self, item: Defence) -> None:
        proxy, delay = _defence_settings(item.interface)
        self._set(proxy, 1)
        self._set(delay, 0)
        self._netlink.run(*_proxy(item, put=True))

    def _advertise(self) -> Advertiser:
        if self._advertiser is None:
            raise KernelError("no radvd is configured for this node", errno.EINVAL)
        return self._advertiser


def _defence_settings(interface: str) -> tuple[str, str]:
    return (f"net/ipv6/conf/{interface}/proxy_ndp", f"net/ipv6/neigh/{interface}/proxy_delay")


def _proxy(item: Defence, *, put: bool) -> Iterator[Request]:
    number = links.index_if(item.interface, needed=put)
    if number:
        change = links.add_proxy if put else links.delete_proxy
        yield change(number, item.interface, item.address)


def _route(route: Route, *, put: bool) -> Request:
    return routing.put_route(route) if put else routing.drop_route(route.place)


def advertiser(configuration: str, pid_file: str) -> Advertiser | None:
    """The advertiser that a configuration names, None where it names none."""
    return Advertiser(Path(configuration), Path(pid_file)) if configuration and pid_file else None
