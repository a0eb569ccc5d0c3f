"""Router Advertisements that are sure to leave: an RA that was ordered and not seen is ordered again.

One PMIPv6 daemon measured on the same kernel lost 5 of 41 RAs because the interface was not ready; watching the
access interface for our own RAs costs little and finds every loss.

The same watch ends what is withdrawn: a route that is no longer offered, or a DLIF that says farewell, is advertised
with lifetime 0 until FINAL such RAs left, and only then no more (spec RA-11, RA-15).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Network

from agents.core import Outbox
from agents.dgw.actions import Advertise
from agents.dgw.config import GatewayConfig
from agents.dgw.forwarding import MAX_ROUTES, Advertisement, Dlif, RouteInformation
from agents.dgw.gateway.plan import advertisements, serving_dlifs
from agents.dgw.gateway.state import Farewell, MobileNode

MAX_RETRIES = 5
"""Orders repeated for one RA before it is reported missing."""
FINAL = 2
"""RAs that withdraw something: at least 1, at most 3 (spec RA-11); the third is for one that radvd sends by itself."""


@dataclass
class _Awaited:
    """RAs of one DLIF that were ordered and are still to be seen leaving."""

    count: int
    seen: bool = False
    """The last order was seen; the next one is due because there are more to come."""
    repeated: int = 0
    """Orders repeated because nothing was seen."""
    missing: bool = False
    """No more orders, but radvd may have been kept from its work: whenever the RA leaves, it is said."""


class Advertiser:
    """Keeps the ordered set of RAs and watches that each new or changed one leaves."""

    def __init__(self, config: GatewayConfig, outbox: Outbox, over: Callable[[str, float], None]) -> None:
        """`over` is called with the name of a DLIF that has said its farewell, or withdrawn routes."""
        self._config = config
        self._outbox = outbox
        self._over = over
        self._ordered: tuple[Advertisement, ...] = ()
        """What radvd was told, with the routes being withdrawn."""
        self._withdrawn: dict[str, tuple[IPv6Network, ...]] = {}
        """Routes being withdrawn, by DLIF."""
        self._parting: set[str] = set()
        """DLIFs that say farewell."""
        self._awaited: dict[str, _Awaited] = {}
        self._due: float | None = None

    @property
    def awaited(self) -> list[str]:
        """DLIFs of which an RA was ordered and has not been seen leaving."""
        return sorted(self._awaited)

    def advertises(self, dlif: str) -> bool:
        """Whether this DLIF's RAs were ordered: its node may know it."""
        return any(advertisement.dlif == dlif for advertisement in self._ordered)

    def update(self, nodes: Iterable[MobileNode], farewells: Collection[Farewell], now: float) -> None:
        """Order the RAs that the nodes' state calls for, if they differ from the last order."""
        wanted = advertisements(nodes, self._config, now, farewells)
        before = {advertisement.dlif: advertisement for advertisement in self._ordered}
        withdrawn = {a.dlif: _gone(before.get(a.dlif), a) for a in wanted}
        ordered = tuple(_withdrawing(a, withdrawn[a.dlif]) for a in wanted)
        if ordered == self._ordered:
            return
        self._parting = {farewell.dlif.name for farewell in farewells}
        awaited = {}
        for one in ordered:
            pending, routes = self._awaited.get(one.dlif), withdrawn[one.dlif]
            final = routes or one.dlif in self._parting
            ending = final and routes == self._withdrawn.get(one.dlif, ())
            if one == before.get(one.dlif) or (pending and not pending.missing and ending):
                awaited.update({one.dlif: pending} if pending else {})
            else:
                awaited[one.dlif] = _Awaited(FINAL if final else 1)
        self._awaited, self._withdrawn, self._ordered = awaited, withdrawn, ordered
        self._order(now)

    def repeat(self, node: MobileNode, now: float) -> None:
        """Send the node's RAs again, e.g. to answer its solicitation (spec ATT-15)."""
        for dlif in serving_dlifs(node, self._config):
            awaited = self._awaited.get(dlif.name)
            if self.advertises(dlif.name) and (awaited is None or awaited.missing):
                self._awaited[dlif.name] = _Awaited(1)
        if self._waiting():
            self._order(now)

    def seen(self, mn_id: str, dlif: Dlif, now: float) -> None:
        """An RA of this DLIF left."""
        awaited = self._awaited.get(dlif.name)
        if awaited is None:
            return
        awaited.count, awaited.seen, awaited.repeated = awaited.count - 1, True, 0
        if awaited.count == 0:
            if dlif.name not in self._parting:
                self._outbox.say("advertised", mn_id=mn_id, dlif=dlif.name, prefix=dlif.prefix)
            self._done([dlif.name], now)

    def _done(self, dlifs: Iterable[str], now: float) -> None:
        """All that had to leave of these left, or never will: what was withdrawn is advertised no more."""
        ended = []
        for dlif in dlifs:
            del self._awaited[dlif]
            gone = self._withdrawn.pop(dlif, ())
            if gone:
                self._outbox.say("routes-withdrawn", dlif=dlif, prefixes=gone)
                self._ordered = tuple(_without(a, gone) if a.dlif == dlif else a for a in self._ordered)
                self._order(now)
            if gone or dlif in self._parting:
                ended.append(dlif)
        if not self._waiting():
            self._due = None
        for dlif in ended:
            self._over(dlif, now)

    def next_timer(self) -> float | None:
        """When the next order is due: of an RA that was not seen, or of one more that withdraws."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Order again what was not seen leaving, or must leave once more."""
        if self._due is None or now < self._due:
            return
        self._due = None
        missing = []
        for dlif, awaited in self._waiting().items():
            if awaited.seen:
                awaited.seen = False
            elif awaited.repeated == MAX_RETRIES:
                missing.append(dlif)
                self._outbox.say("advertisement-missing", dlif=dlif, orders=awaited.repeated + 1)
            else:
                awaited.repeated += 1
                self._outbox.say("advertisement-repeated", dlif=dlif, order=awaited.repeated + 1)
        for dlif in missing:
            self._awaited[dlif].missing = True
        if self._waiting():
            self._order(now)
        # What is withdrawn ends now, seen or not: it is advertised no longer than agreed.
        self._done([dlif for dlif in missing if dlif in self._parting or self._withdrawn.get(dlif)], now)

    def _waiting(self) -> dict[str, _Awaited]:
        """Of which DLIFs RAs are still ordered again."""
        return {dlif: awaited for dlif, awaited in self._awaited.items() if not awaited.missing}

    def _order(self, now: float) -> None:
        self._outbox.do(Advertise(self._ordered))
        if self._waiting():
            self._due = now + self._config.advertisements.retry


def _gone(before: Advertisement | None, wanted: Advertisement) -> tuple[IPv6Network, ...]:
    """Routes of the last order that are not offered any more."""
    offered = {route.prefix for route in wanted.routes}
    return tuple(route.prefix for route in before.routes if route.prefix not in offered) if before else ()


def _withdrawing(advertisement: Advertisement, gone: tuple[IPv6Network, ...]) -> Advertisement:
    """The RA with these routes at lifetime 0, in front: if there are too many it is the new ones that wait."""
    withdrawn = tuple(RouteInformation(prefix, "high", 0) for prefix in gone)
    return replace(advertisement, routes=(withdrawn + advertisement.routes)[:MAX_ROUTES])


def _without(advertisement: Advertisement, gone: tuple[IPv6Network, ...]) -> Advertisement:
    return replace(advertisement, routes=tuple(r for r in advertisement.routes if r.prefix not in gone))
