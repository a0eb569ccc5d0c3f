"""Which flows a Server tries to optimise, and how often (spec RO-1, RO-2, RO-3)."""

from __future__ import annotations

import os
import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from math import isfinite

from agents.aero.addresses import Prefix
from agents.aero.config import OptimisationConfig
from agents.aero.constants import FORWARD_TIME
from agents.aero.dataplane.usage import AT_ONCE, Use
from agents.aero.neighbors import Inner, Neighbor, NeighborType
from agents.aero.notices import SendControl
from agents.aero.optimisation.messages import Mediation, compose, covering, host, push_mediation
from agents.aero.optimisation.pairs import PrefixPair
from agents.aero.optimisation.transit import control_lladdr, seen_lladdrs
from agents.core import Outbox
from agents.wire.nd_options import QUOTED, RedirectedHeader, Token
from agents.wire.redirects import Framing

FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0
"""Seconds after the first Predirect of a pair, and between those of one that is never answered."""
SETTLED = 2.0
"""A pair whose Redirect passed here is silent so soon, or has lapsed when it is not silent any more."""
SLOWER = 1.5
"""A flow whose packets are so much farther apart than before has paused or gone another way."""
FLOWS = 8192
"""Pairs whose pace is remembered; the longest unused one is forgotten first."""
TOKEN_OCTETS = 16


@dataclass(slots=True, eq=False, kw_only=True)
class Pace(Use):
    """How often a pair's Predirects go out."""

    pair: PrefixPair
    """The Client's prefix, and what is known of where the flow goes: a prefix, or one address."""
    client: Neighbor
    target: Neighbor
    """The next AERO hop toward the target."""
    last: float = AT_ONCE
    due: float = AT_ONCE
    wait: float = FIRST_WAIT
    resume: float = AT_ONCE
    """When the next Predirect may go out; `due` may ask for a look at the flow before."""
    optimised: bool = False
    """A Redirect passed here since the last Predirect."""
    told: float = AT_ONCE
    """When it did."""
    lapsed: float = AT_ONCE
    """When the flow last came back from a direct path."""
    gap: float = 0.0
    """The longest silence of a flow that only comes now and then; 0 of one that comes all the time."""


class Origination:
    """Starts route optimisation for the Clients of one Server."""

    def __init__(
        self, own: IPv6Address, aggregates: Sequence[Prefix], config: OptimisationConfig, outbox: Outbox
    ) -> None:
        self._own = own
        self._aggregates = aggregates
        self._config = config
        self._outbox = outbox
        self._paces: OrderedDict[PrefixPair, Pace] = OrderedDict()

    def watch(self, client: Neighbor, source: Inner, destination: Inner, target: Neighbor) -> Use | None:
        """The record of a flow of a Client of ours that we forward to another AERO node; None: not to be optimised."""
        prefix = covering(tuple(client.prefixes), source)
        inside = covering(self._aggregates, destination)
        if not self._config.originate or prefix is None or inside is None:
            return None
        known = covering(tuple(target.prefixes), destination) if target.type is NeighborType.STATIC else None
        pair = PrefixPair(prefix, known or host(destination))
        pace = self._paces.pop(pair, None) or Pace(pair=pair, client=client, target=target)
        pace.client, pace.target = client, target
        self._paces[pair] = pace
        if len(self._paces) > FLOWS:
            self._paces.popitem(last=False)
        return pace

    def used(self, use: Use, packet: bytes, idle: float, now: float) -> None:
        """A packet of a watched flow went by; `idle` seconds after the one before it."""
        if not isinstance(use, Pace):
            return
        if use.optimised and self._came_back(use, idle, now):
            self._reset(use)
            use.lapsed = now
        if idle < SETTLED:
            use.gap = 0.0
        elif isfinite(idle):
            use.gap = max(use.gap, idle)
        if now >= use.resume:
            use.resume = now + use.wait
            use.wait = min(2 * use.wait, LONGEST_WAIT)
            use.optimised = False
            self._predirect(use, packet, now)
            use.due = AT_ONCE  # the next packet tells how fast the flow is
        else:
            use.due = use.resume

    @staticmethod
    def _came_back(pace: Pace, idle: float, now: float) -> bool:
        """Whether a flow whose Redirect passed here went directly, and does no longer.

        Nobody tells a Server that a direct path is used. A flow that still comes by never went; one that pauses all
        the time need not have gone anywhere; and what comes back again and again is not worth more than RO-2 allows.
        """
        if idle < SETTLED:
            if now >= pace.told + SETTLED:
                pace.optimised = False
            return False
        return idle > SLOWER * pace.gap and now >= pace.lapsed + FORWARD_TIME

    def redirected(self, client: Neighbor, mediation: Mediation, now: float) -> None:
        """A Redirect passed here on its way to a Client of ours, the source of the packet concerned."""
        prefix = covering(tuple(client.prefixes), mediation.source)
        for destination in {mediation.prefix, host(mediation.destination)} if prefix else ():
            pace = self._paces.get(PrefixPair(prefix, destination)) if prefix and destination else None
            if pace:
                pace.optimised, pace.told = True, now
                pace.due = min(pace.due, now + SETTLED)

    def moved(self, neighbor: Neighbor) -> None:
        """A neighbor's link-layer address changed: its pairs begin anew (spec RO-2)."""
        for pace in self._paces.values():
            if neighbor in (pace.client, pace.target):
                self._reset(pace)

    def removed(self, neighbor: Neighbor) -> None:
        """A neighbor is gone."""
        for pair, pace in list(self._paces.items()):
            if neighbor in (pace.client, pace.target):
                del self._paces[pair]

    @staticmethod
    def _reset(pace: Pace) -> None:
        pace.wait, pace.resume, pace.due = FIRST_WAIT, AT_ONCE, AT_ONCE

    def _predirect(self, pace: Pace, packet: bytes, now: float) -> None:
        client, target, prefix = pace.client, pace.target, pace.pair.source
        ends, hop, lladdrs = client.prefixes.get(prefix), control_lladdr(target), seen_lladdrs(client)
        if ends is None or hop is None or not lladdrs:
            return
        token = Token(random.getrandbits(16), os.urandom(TOKEN_OCTETS)) if self._config.tokens else None
        message = compose(
            predirect=True,
            prefix=prefix,
            lifetime=ends - now,
            lladdrs=lladdrs,
            token=token,
            header=RedirectedHeader(packet[:QUOTED]),
        )
        framing = Framing[self._config.framing.upper()]
        self._outbox.say("predirect", client=client.address, hop=target.address)
        self._outbox.do(SendControl(push_mediation(message, framing, self._own, target.address), hop))
