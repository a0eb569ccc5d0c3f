"""Neighbor Discovery of one AERO node: takes solicitations and advertisements, watches neighbors (spec §6.7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address

from agents.aero.addresses import ANYCAST
from agents.aero.constants import KEEPALIVE_TIME, ND_HOP_LIMIT
from agents.aero.dataplane.sink import Control
from agents.aero.discovery.base import Answer, Self, Solicitation, Solicitations
from agents.aero.discovery.encapsulations import Encapsulations, admit
from agents.aero.discovery.sizes import Sizes
from agents.aero.inner_packets import Inner, push_discovery
from agents.aero.lladdr import Encapsulation, LinkLayerAddress, Underlay
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path, Reachability
from agents.aero.notices import LinkChanged, Notice, PathWanted, SendControl, TooBig, Unreachable
from agents.aero.underlay_links import UnderlayLinks
from agents.core import Outbox
from agents.timers import Timers, earliest
from agents.wire.nd import NdMessage, NeighborAdvertisement, NeighborSolicitation
from agents.wire.nd_options import LinkLayerOption, Nonce, Observed, Option

SOON, TOGETHER = 1.0, 0.125
"""How often it is looked whether packets to a neighbor go unanswered: the packet path tells nobody of its packets. All
looks within so many seconds are one: thousands of neighbors, each at a moment of its own, would keep a Server from
doing anything else."""

MARGIN = 0.1
"""So much before KEEPALIVE_TIME of silence a neighbor is asked: five seconds and three solicitations are the sheet's
eight already, and what the machine takes must not come on top."""


def _soon(now: float) -> float:
    return math.ceil((now + SOON) / TOGETHER) * TOGETHER


@dataclass(frozen=True)
class Watched:
    """How closely a neighbor is watched."""

    interval: float | None
    """Silence after which it is asked; None: only when packets to it go unanswered."""


class Discovery:
    """Everything Neighbor Discovery does between a node and its neighbors."""

    def __init__(self, cache: NeighborCache, outbox: Outbox, self_: Self, wanted: Encapsulation) -> None:
        self.cache = cache
        self.outbox = outbox
        self.self = self_
        self.solicitations = Solicitations(cache, outbox, self_)
        self.sizes = Sizes(self.solicitations)
        self.encapsulations = Encapsulations(self.solicitations, wanted)
        self._watched: dict[IPv6Address, Watched] = {}
        self._checks: Timers[IPv6Address] = Timers()
        self.own_addresses: Callable[[], Collection[IPv6Address | None]] = lambda: (self_.address,)
        """AERO addresses that we answer for."""
        self.when_failed: Callable[[Neighbor, float], None] = lambda _neighbor, _now: None
        """A neighbor has no usable path any more."""
        self.when_restored: Callable[[Neighbor, float], None] = lambda _neighbor, _now: None
        """A failed path of a permanent neighbor is usable again."""
        self.when_observed: Callable[[Neighbor, Observed, float], None] = lambda _neighbor, _observed, _now: None
        """A neighbor told which link-layer address it sees us at (spec CLI-10)."""

    # --- watching

    def watch(self, neighbor: Neighbor, interval: float | None, now: float) -> None:
        """Ask the neighbor after `interval` seconds of silence, and when packets to it go unanswered (CLI-9)."""
        self._watched[neighbor.address] = Watched(interval)
        self._checks.set(neighbor.address, _soon(now))

    def forget(self, neighbor: Neighbor) -> None:
        """Stop everything about a neighbor."""
        self._watched.pop(neighbor.address, None)
        self._checks.cancel(neighbor.address)
        self.solicitations.forget(neighbor)

    def solicit(self, neighbor: Neighbor, path: Path, now: float) -> None:
        """Ask whether the neighbor is reachable over a path."""
        if not self.solicitations.waiting_for(path.lladdr):
            path.reachability = Reachability.PROBING
            answered, lost = partial(self._reached, path), partial(self._lost, path)
            self.solicitations.send(neighbor, path.lladdr, now, answered=answered, lost=lost)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return earliest(self.solicitations, self.sizes, self.encapsulations, self._checks)

    def handle_timer(self, now: float) -> None:
        """Repeat, probe, watch."""
        self.solicitations.handle_timer(now)
        self.sizes.handle_timer(now)
        self.encapsulations.handle_timer(now)
        for address in list(self._checks.take(now)):
            neighbor, watched = self.cache.get(address), self._watched.get(address)
            if neighbor and watched:
                self._checks.set(address, self._check(neighbor, watched, now))

    def _check(self, neighbor: Neighbor, watched: Watched, now: float) -> float:
        """Ask the neighbor if it is due; when to look again.

        The moment is exact: three solicitations later data must have found another way (8 s, spec §13 scenario 10).
        """
        if neighbor.type is NeighborType.PERMANENT:
            self._revive(neighbor, now)
        else:
            for failed in neighbor.paths:
                if failed.reachability is Reachability.FAILED and now - failed.last_received <= KEEPALIVE_TIME:
                    self._hear(failed)
        path = neighbor.path
        if path is None:
            self._ask_again(neighbor, now)
            return _soon(now) if neighbor.type is NeighborType.PERMANENT else now + KEEPALIVE_TIME
        patience = watched.interval
        if path.last_sent > path.last_received:
            patience = min(KEEPALIVE_TIME - MARGIN, patience or KEEPALIVE_TIME)
        due = path.last_received + patience if patience is not None else float("inf")
        if due <= now:
            self.solicit(neighbor, path, now)
            if neighbor.type is NeighborType.PERMANENT and path.last_sent > path.last_received:
                self._ask_everywhere(neighbor, path, now)
            return _soon(now)
        return min(due, _soon(now))

    def _ask_everywhere(self, neighbor: Neighbor, silent: Path, now: float) -> None:
        """Whether a Relay or Server is gone, or only one of its addresses, is known after the same three questions:

        else data would try a dead node's addresses one after the other, eight seconds each (spec RLY-8).
        """
        for path in neighbor.paths:
            if path is not silent and path.reachability is not Reachability.FAILED:
                self.solicit(neighbor, path, now)

    def _revive(self, neighbor: Neighbor, now: float) -> None:
        """Nobody attaches a permanent neighbor anew: its failed paths are asked until they answer (spec §5.1)."""
        for path in neighbor.paths:
            if path.reachability is Reachability.FAILED and not self.solicitations.waiting_for(path.lladdr):
                self.solicitations.send(neighbor, path.lladdr, now, answered=partial(self._reached, path))

    def _reached(self, path: Path, solicitation: Solicitation, answer: Answer, now: float) -> None:
        failed = path.reachability is Reachability.FAILED
        path.reachability = Reachability.REACHABLE
        path.last_received = now
        if failed:
            neighbor = solicitation.neighbor
            self.cache.changed()
            self.outbox.say("path-restored", neighbor=neighbor.address, lladdr=str(path.lladdr))
            self.when_restored(neighbor, now)

    def _ask_again(self, neighbor: Neighbor, now: float) -> None:
        """A Client whose lease lives may come back any time; a Server has no other one to turn to."""
        for path in neighbor.paths if neighbor.type is NeighborType.STATIC and not neighbor.router else ():
            self.solicitations.send(neighbor, path.lladdr, now, answered=partial(self._reached, path), retries=1)

    def _hear(self, path: Path) -> None:
        """A path that had failed shows a sign of life: it is used, and watched, again."""
        path.reachability = Reachability.UNKNOWN
        self.cache.changed()

    def _lost(self, path: Path, solicitation: Solicitation, now: float) -> None:
        neighbor = solicitation.neighbor
        if path not in neighbor.paths:
            return
        path.reachability = Reachability.FAILED
        self.cache.changed()
        self.outbox.say("path-failed", neighbor=neighbor.address, lladdr=str(path.lladdr))
        self.encapsulations.fall_back(neighbor, path, now)
        if neighbor.path is None:
            self.when_failed(neighbor, now)

    def too_big(self, ip: Underlay, mtu: int, now: float, about: Collection[LinkLayerAddress] = ()) -> None:
        """The underlay says that a packet to this address does not fit (spec §2.8); 0 names no size.

        `about` are link-layer addresses of which one must be the neighbor's; none: our own kernel says it.
        """
        for neighbor in self.cache.at_ip(ip):
            if about and not any(neighbor.path_at(lladdr) for lladdr in about):
                continue
            for path in [each for each in neighbor.paths if each.lladdr.ip == ip]:
                self.sizes.too_big(neighbor, path, mtu, now)

    def hear(self, word: Notice, links: UnderlayLinks, now: float) -> None:
        """What the underlay, or the packet path, says of paths; anything else is nothing to us."""
        match word:
            case PathWanted():
                self.sizes.wanted(word.neighbor, word.path, now)
            case TooBig():
                self.too_big(word.ip, word.mtu, now, word.about)
            case LinkChanged():
                links.learn_mtu(word.interface, word.mtu)
                self.egress_changed(links, now)
            case Unreachable():
                self.unusable(word.lladdr, now, protocol=word.protocol)
            case _:
                pass

    def egress_changed(self, links: UnderlayLinks, now: float) -> None:
        """An underlay interface has another MTU: paths that begin there may take more, or less."""
        for neighbor in list(self.cache):
            for path in list(neighbor.paths):
                self.sizes.egress(neighbor, path, links.mtu(path.lladdr), now)

    def unusable(self, lladdr: LinkLayerAddress, now: float, *, protocol: bool) -> None:
        """The underlay says that packets to this address do not arrive (spec §2.8)."""
        for neighbor in self.cache.at_ip(lladdr.ip):
            for path in [each for each in neighbor.paths if each.lladdr == lladdr]:
                if not protocol:
                    self.solicit(neighbor, path, now)
                elif self.encapsulations.fall_back(neighbor, path, now) is False and neighbor.path is None:
                    self.when_failed(neighbor, now)

    # --- messages

    def receive(self, control: Control, inner: Inner, message: NdMessage, now: float) -> str | None:
        """Take a solicitation or advertisement; the name of a counter when it was dropped."""
        if inner.hop_limit != ND_HOP_LIMIT:
            return "nd_hop_limit"
        if isinstance(message, NeighborSolicitation):
            return self._solicited(control, inner, message, now)
        if isinstance(message, NeighborAdvertisement):
            return self._advertised(control, inner, message, now)
        return "nd_unexpected"

    def _solicited(self, control: Control, inner: Inner, message: NeighborSolicitation, now: float) -> str | None:
        own = self.self.address
        for_us = message.target in self.own_addresses() or self._for_any_router(message)
        if own is None or not for_us or inner.destination != message.target:
            return "nd_not_for_us"
        neighbor = control.neighbor
        if neighbor is None or not self._named(neighbor, inner.source):
            neighbor = self._newly_encapsulated(control.lladdr, inner.source)
            if neighbor is None:
                return "origin_fail"
            if not self.solicitations.waiting_for(control.lladdr):
                self._prove(neighbor, control, inner, message, now)
                return None
            self.solicitations.hurry(control.lladdr, now)
        path = neighbor.path_at(control.lladdr)
        if path and self._nat_is_news(neighbor, path.lladdr, message):
            self.solicit(neighbor, path, now)  # a source address proves nothing; its answer says it again (spec §9)
        if path and path.reachability is Reachability.FAILED and neighbor.type is NeighborType.STATIC:
            self._hear(path)
        self._advertise(control, inner, message, now)
        return None

    def _named(self, neighbor: Neighbor, address: IPv6Address) -> bool:
        """Whether an AERO address is this neighbor's: a Client has one for each prefix (spec §4, §5.5)."""
        return neighbor.address == address or self.cache.get(address) is neighbor

    def _for_any_router(self, message: NeighborSolicitation) -> bool:
        return self.self.router and message.target == ANYCAST

    def _nat_is_news(
        self, neighbor: Neighbor, lladdr: LinkLayerAddress, message: NeighborSolicitation | NeighborAdvertisement
    ) -> bool:
        nat = _says_nat(neighbor, lladdr, message)
        return nat is not None and any(each.nat is not nat for each in neighbor.paths if each.lladdr.ip == lladdr.ip)

    def _note_nat(
        self, neighbor: Neighbor, lladdr: LinkLayerAddress, message: NeighborAdvertisement, now: float
    ) -> None:
        """Whatever way to that place a neighbor behind a NAT takes, it is behind it (spec ENC-11)."""
        nat = _says_nat(neighbor, lladdr, message)
        for path in [each for each in neighbor.paths if each.lladdr.ip == lladdr.ip and nat is not None]:
            path.nat = bool(nat)
        if nat:
            self.encapsulations.leave(neighbor, now, lladdr.ip)

    def _newly_encapsulated(self, lladdr: LinkLayerAddress, source: IPv6Address) -> Neighbor | None:
        """The neighbor whose underlay address this is, when it tries another encapsulation (spec §2.10, ENC-11)."""
        neighbor = self.cache.get(source) if not self.encapsulations.behind_nat() else None
        if neighbor is None or lladdr.encapsulation is Encapsulation.UDP or neighbor.type is NeighborType.DYNAMIC:
            return None
        same = [path for path in neighbor.paths if path.lladdr.ip == lladdr.ip and not path.nat]
        return neighbor if same else None

    def _prove(
        self, neighbor: Neighbor, control: Control, inner: Inner, message: NeighborSolicitation, now: float
    ) -> None:
        """Answer once the neighbor has answered us there: nobody is taken at the word of a source address."""

        def proven(solicitation: Solicitation, answer: Answer, at: float) -> None:
            base = next((path for path in neighbor.paths if path.lladdr.ip == control.lladdr.ip), None)
            if base is None or base.nat or self.encapsulations.behind_nat():
                return  # it is somewhere else by now, or there is a NAT in between
            if not self.encapsulations.take_up(neighbor, control.lladdr, solicitation, answer, at):
                path = admit(self.solicitations, neighbor, base, control.lladdr)
                path.last_received = at
            self._advertise(control, inner, message, at)

        self.solicitations.send(neighbor, control.lladdr, now, answered=proven)

    def _advertise(self, control: Control, inner: Inner, message: NeighborSolicitation, now: float) -> None:
        own = self.self.address if message.target == ANYCAST else message.target
        assert own
        nonce = next((option for option in message.options if isinstance(option, Nonce)), None)
        lladdr = control.lladdr
        seen = Observed(lladdr.encapsulation, lladdr.ipv6_form, lladdr.port, control.size)
        options: tuple[Option, ...] = (*self.self.lladdrs(lladdr, target=True), seen)
        if nonce:
            options = (nonce, *options)
        answer = NeighborAdvertisement(own, self.self.router, True, False, options)
        sealed = self.solicitations.sealed(answer, own, inner.source, now)
        packet = push_discovery(sealed, own, inner.source)
        self.outbox.do(SendControl(packet, lladdr, atomic=control.atomic))

    def _advertised(self, control: Control, inner: Inner, message: NeighborAdvertisement, now: float) -> str | None:
        nonce = next((option.value for option in message.options if isinstance(option, Nonce)), None)
        observed = next((option for option in message.options if isinstance(option, Observed)), None)
        solicitation = self.solicitations.match(nonce, control.lladdr, control.neighbor) if nonce else None
        if solicitation is None:
            return self._hinted(control, inner, observed, now)
        if not self._named(solicitation.neighbor, inner.source) or message.target != inner.source:
            return "nd_wrong_source"
        self._note_nat(solicitation.neighbor, control.lladdr, message, now)
        solicitation.answered(solicitation, Answer(observed, control.atomic), now)
        if observed:
            self.when_observed(solicitation.neighbor, observed, now)
        return None

    def _hinted(self, control: Control, inner: Inner, observed: Observed | None, now: float) -> str | None:
        """An unsolicited word of a router about where it sees us (spec SRV-9, CLI-10); it is no proof of anything."""
        neighbor = control.neighbor
        if neighbor is None or not neighbor.router or observed is None or neighbor.address != inner.source:
            return "nd_unknown_nonce"
        self.when_observed(neighbor, observed, now)
        return None


def _says_nat(
    neighbor: Neighbor, lladdr: LinkLayerAddress, message: NeighborSolicitation | NeighborAdvertisement
) -> bool | None:
    """Whether a neighbor that we see at `lladdr` is behind a NAT, by what it says of itself there (spec §6.2).

    It is if we see it elsewhere than it sees itself, unless it is a Server, which may have several addresses.  None: it
    says nothing of that encapsulation.
    """
    said = [
        option
        for option in message.options
        if isinstance(option, LinkLayerOption) and option.encapsulation == lladdr.encapsulation
    ]
    here = [option for option in said if (option.ip, option.port) == (lladdr.ipv6_form, lladdr.port)]
    if not said:
        return None
    return any(option.nat for option in here or said) or not (here or neighbor.router)
