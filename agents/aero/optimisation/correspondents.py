"""The dynamic neighbors of a Client: made by Predirects and Redirects, gone with their last pair (spec §5.1-5.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import IPv6Address
from typing import Literal

from agents.aero.addresses import Prefix, aero_address
from agents.aero.constants import ACCEPT_TIME
from agents.aero.dataplane.usage import Use
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Inner, Neighbor, NeighborCache, NeighborType, Path
from agents.aero.optimisation.pairs import Correspondent, Forward, ForwardTable, PrefixPair, Stage, Uses
from agents.aero.optimisation.tokens import Keys
from agents.core import Outbox, WallClock
from agents.timers import Timers

PATHS = 4
"""Link-layer addresses kept of one correspondent; the one that was told first goes for a new one."""

Direction = Literal["accept", "forward"]


class Correspondents:
    """All dynamic neighbors, with the ends of their pairs."""

    def __init__(
        self, cache: NeighborCache, outbox: Outbox, mtu: Callable[[LinkLayerAddress], int], wall: WallClock
    ) -> None:
        """`mtu` is that of the interface a path to an address begins at; by the `wall` clock proofs are judged."""
        self.cache = cache
        self.outbox = outbox
        self.uses = Uses()
        self.table = ForwardTable()
        self.mtu = mtu
        self._wall = wall
        self._timers: Timers[tuple[Direction, IPv6Address, PrefixPair]] = Timers()
        self.when_gone: Callable[[Correspondent], None] = lambda _correspondent: None

    def __iter__(self) -> Iterator[Correspondent]:
        return iter([each for each in self.cache if isinstance(each, Correspondent)])

    def get(self, address: IPv6Address) -> Correspondent | None:
        """The correspondent with this AERO address."""
        found = self.cache.get(address)
        return found if isinstance(found, Correspondent) else None

    def meet(
        self, address: IPv6Address, own: IPv6Address, lladdrs: Sequence[tuple[LinkLayerAddress, bool]]
    ) -> Correspondent | None:
        """The correspondent at an AERO address, taken up if it is new; None where the address is somebody else's.

        `lladdrs` are what its Server says, each with whether a NAT is in front of it: further candidates of a known
        one.  They stand behind those in use until they have answered (spec RO-12).
        """
        known = self.cache.get(address)
        if known is not None and not isinstance(known, Correspondent):
            return None
        correspondent = known or Correspondent(address, NeighborType.DYNAMIC, own=own, tokens=Keys(self._wall))
        if known is None:
            self.cache.add(correspondent)
        correspondent.unanswered.difference_update(lladdr for lladdr, _nat in lladdrs)
        new = [
            Path.to(lladdr, self.mtu(lladdr), nat=nat)
            for lladdr, nat in lladdrs
            if correspondent.path_at(lladdr) is None
        ]
        if new:
            self.cache.set_paths(correspondent, [*new, *correspondent.paths][:PATHS])
        return correspondent

    def prefer(self, correspondent: Correspondent, path: Path) -> None:
        """Data takes this path from now on, among those of equal preference."""
        if correspondent.paths[-1] is not path:
            others = [each for each in correspondent.paths if each is not path]
            self.cache.set_paths(correspondent, [*others, path][-PATHS:])

    def found_at(self, correspondent: Correspondent, lladdr: LinkLayerAddress, *, preference: int = 128) -> Path:
        """A new path to where the correspondent has proved to be (spec RO-15).

        It is the last choice until it has answered: whoever hears a message on its way, and is faster, sends it too.
        """
        path = Path.to(lladdr, self.mtu(lladdr), preference=preference)
        if preference:
            correspondent.unanswered.add(lladdr)
        self.outbox.say("correspondent-seen", correspondent=correspondent.address, lladdr=str(lladdr))
        self.cache.set_paths(correspondent, [path, *correspondent.paths[1 - PATHS :]])
        return path

    def lose(self, correspondent: Correspondent, lladdr: LinkLayerAddress) -> None:
        """It never answered there: what came from there was somebody's who had overheard it, and is trusted no more."""
        correspondent.unanswered.discard(lladdr)
        self.cache.set_paths(correspondent, [path for path in correspondent.paths if path.lladdr != lladdr])

    def moved_to(self, correspondent: Correspondent, lladdr: LinkLayerAddress) -> Path:
        """It is here and nowhere else now; nothing is known of the new path (spec MOB-4)."""
        path = Path.to(lladdr, self.mtu(lladdr))
        correspondent.unanswered.clear()
        self.cache.set_paths(correspondent, [path])
        return path

    # --- pairs

    def accept(self, correspondent: Correspondent, pair: PrefixPair, until: float) -> None:
        """Take data of a pair from it, until then (spec RO-5)."""
        new = pair not in correspondent.accept
        correspondent.accept[pair] = until
        correspondent.tokens.keep(aero_address(pair.destination), until)
        self._timers.set(("accept", correspondent.address, pair), until)
        if new:
            self.cache.changed()
            self.outbox.say("pair-accepted", correspondent=correspondent.address, pair=str(pair))

    def refresh(self, correspondent: Correspondent, own: Collection[Prefix], now: float) -> None:
        """A sign of life from a source: it may go on sending to these prefixes of ours (spec §5.4)."""
        for pair in correspondent.accept:
            if pair.destination in own:
                self.accept(correspondent, pair, now + ACCEPT_TIME)

    def source_of(self, correspondent: Correspondent, pair: PrefixPair, own: IPv6Address, until: float) -> Forward:
        """A pair that we are told we may send directly, to be tested first (spec §5.3)."""
        known = correspondent.forward.get(pair)
        if known:
            return known
        made = Forward(pair, own, until, Use())
        correspondent.forward[pair] = made
        self._timers.set(("forward", correspondent.address, pair), until)
        return made

    def use(self, correspondent: Correspondent, forward: Forward, until: float) -> None:
        """Its direct path works: data takes it, until then at least."""
        forward.expires = until
        correspondent.tokens.keep(forward.own, until)
        self._timers.set(("forward", correspondent.address, forward.pair), until)
        if forward.stage is not Stage.FORWARDING:
            forward.stage = Stage.FORWARDING
            self.table.put(correspondent, forward)
            self.cache.changed()
            path = correspondent.path
            self.outbox.say(
                "direct-path-used",
                correspondent=correspondent.address,
                pair=str(forward.pair),
                lladdr=str(path.lladdr) if path else None,
            )

    def leave(self, correspondent: Correspondent, forward: Forward, reason: str) -> None:
        """Back to the Server, in the same instant."""
        if correspondent.forward.pop(forward.pair, None) is None:
            return
        self._timers.cancel(("forward", correspondent.address, forward.pair))
        self._unused(correspondent, forward, reason)
        self._tidy(correspondent)

    def pause(self, correspondent: Correspondent, forward: Forward, until: float, reason: str) -> None:
        """Back to the Server until the path has been tested anew."""
        forward.expires = until
        self._timers.set(("forward", correspondent.address, forward.pair), until)
        self._unused(correspondent, forward, reason)
        forward.stage = Stage.TESTING

    def _unused(self, correspondent: Correspondent, forward: Forward, reason: str) -> None:
        if forward.stage is Stage.FORWARDING:
            self.table.drop(forward)
            self.cache.changed()
            self.outbox.say(
                "direct-path-left", correspondent=correspondent.address, pair=str(forward.pair), reason=reason
            )

    def _refuse(self, correspondent: Correspondent, pair: PrefixPair) -> None:
        if correspondent.accept.pop(pair, None) is not None:
            self.cache.changed()
            self.outbox.say("pair-ended", correspondent=correspondent.address, pair=str(pair))
            self._tidy(correspondent)

    def prune(self, own: Collection[Prefix]) -> None:
        """Drop what belongs to prefixes that are ours no longer (spec CLI-12)."""
        for each in self:
            for forward in [one for one in each.forward.values() if one.pair.source not in own]:
                self.leave(each, forward, "prefix-lost")
            for pair in [one for one in each.accept if one.destination not in own]:
                self._timers.cancel(("accept", each.address, pair))
                self._refuse(each, pair)

    def _tidy(self, correspondent: Correspondent) -> None:
        """A correspondent without pairs is none."""
        if correspondent.accept or correspondent.forward or self.get(correspondent.address) is not correspondent:
            return
        self.when_gone(correspondent)
        self.cache.remove(correspondent.address)

    def next_timer(self) -> float | None:
        """When the next pair ends."""
        return self._timers.next_timer()

    def handle_timer(self, now: float) -> None:
        """End pairs, without a word to anybody (spec RO-17)."""
        for direction, address, pair in list(self._timers.take(now)):
            correspondent = self.get(address)
            if correspondent is None:
                continue
            correspondent.tokens.expire(now)
            if direction == "accept":
                self._refuse(correspondent, pair)
            elif pair in correspondent.forward:
                self.leave(correspondent, correspondent.forward[pair], "idle")

    # --- the packet path's questions

    def direct(self, source: Inner, destination: Inner) -> tuple[Neighbor, Use] | None:
        """Where a packet goes if it may go directly (spec RO-13)."""
        found = self.table.match(source, destination)
        return (found[0], found[1].use) if found else None
