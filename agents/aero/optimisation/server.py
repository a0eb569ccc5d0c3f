"""A Server's part in route optimisation: it starts it and passes on messages (spec RO-1, RO-8 to -10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address

from agents.aero.addresses import Prefix, aero_address
from agents.aero.config import OptimisationConfig
from agents.aero.dataplane.sink import Control
from agents.aero.neighbors import Inner, Neighbor, NeighborCache, NeighborType
from agents.aero.notices import SendControl
from agents.aero.optimisation.messages import Kind, Mediation, inside
from agents.aero.optimisation.origination import Origination
from agents.aero.optimisation.transit import Refused, control_lladdr, passed_on, seen_lladdrs
from agents.core import Outbox
from agents.wire.nd_options import LinkLayerOption

Lladdrs = Sequence[LinkLayerOption] | None
"""In place of those a message tells; None: they stay."""


class Mediator:
    """Between a Server's own Clients, and between them and its Relays."""

    def __init__(
        self,
        cache: NeighborCache,
        own: IPv6Address,
        aggregates: Sequence[Prefix],
        config: OptimisationConfig,
        outbox: Outbox,
        departed: Callable[[Inner], bool],
        elsewhere: Callable[[Prefix, float], None] = lambda _prefix, _now: None,
    ) -> None:
        """`departed` tells addresses of Clients that left for another Server just now (spec MOB-9); `elsewhere` is told
        whose prefixes other Servers speak for."""
        self._cache = cache
        self._own = own
        self._outbox = outbox
        self._departed = departed
        self.elsewhere = elsewhere
        self.origination = Origination(own, aggregates, config, outbox)

    def pass_on(self, control: Control, mediation: Mediation, now: float) -> None:
        """Take a Predirect or Redirect and send it on its way (Refused)."""
        origin = control.neighbor
        if origin is None or mediation.inner.destination != self._own:
            raise Refused("origin_fail")
        if mediation.prefix and origin.type is NeighborType.PERMANENT and mediation.inner.source == origin.address:
            self.elsewhere(mediation.prefix, now)
        match mediation.kind, origin.type:
            case Kind.PREDIRECT, NeighborType.PERMANENT if mediation.inner.source == origin.address:
                self._forward(mediation, self._client(mediation.destination))
            case ((Kind.REDIRECT | Kind.NULL), NeighborType.STATIC) if _names(origin, mediation.inner.source):
                self._of_target(origin, mediation, now)
            case ((Kind.REDIRECT | Kind.NULL), NeighborType.PERMANENT) if mediation.inner.source == origin.address:
                self._to_source(self._client(mediation.source), mediation, now)
            case _:
                raise Refused("origin_fail")

    def _of_target(self, target: Neighbor, mediation: Mediation, now: float) -> None:
        """What a Client of ours says of itself is ours to check (spec RO-8)."""
        if _prefix_of(target, mediation.destination) is None:
            raise Refused("redirect_prefix")
        prefix = mediation.prefix
        if prefix is not None and mediation.message.target != mediation.inner.source:
            raise Refused("redirect_prefix")
        if prefix is not None and not any(inside(prefix, theirs) for theirs in target.prefixes):
            raise Refused("redirect_prefix")
        source = self._client(mediation.source) or self._cache.default
        if source is target:
            raise Refused("redirect_no_route")
        self._to_source(source, mediation, now, seen_lladdrs(target) if prefix is not None else None)

    def _to_source(self, hop: Neighbor | None, mediation: Mediation, now: float, lladdrs: Lladdrs = None) -> None:
        self._forward(mediation, hop, lladdrs)
        if hop and hop.type is NeighborType.STATIC and mediation.kind is Kind.REDIRECT:
            self.origination.redirected(hop, mediation, now)

    def _client(self, address: Inner) -> Neighbor | None:
        """The Client of ours that an address belongs to."""
        owner = self._cache.owner(address)
        return owner if owner and owner.type is NeighborType.STATIC and not self._departed(address) else None

    def _forward(self, mediation: Mediation, hop: Neighbor | None, lladdrs: Lladdrs = None) -> None:
        lladdr = control_lladdr(hop) if hop else None
        if hop is None or lladdr is None:
            raise Refused("redirect_no_route")
        self._outbox.do(SendControl(passed_on(mediation, self._own, hop.address, lladdrs), lladdr))


def _names(client: Neighbor, address: IPv6Address) -> bool:
    """Whether an AERO address is this Client's: it has one for each prefix (spec §4)."""
    return any(aero_address(prefix) == address for prefix in client.prefixes)


def _prefix_of(client: Neighbor, address: Inner) -> Prefix | None:
    return next((p for p in client.prefixes if p.version == address.version and address in p), None)
