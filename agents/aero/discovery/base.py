"""What the parts of Neighbor Discovery share: who we are, what we wait for, and how a solicitation is sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Protocol

from agents.aero.constants import MAX_RETRY, RETRANS_TIMER
from agents.aero.inner_packets import push_discovery
from agents.aero.lladdr import LinkLayerAddress
from agents.aero.neighbors import Neighbor, NeighborCache, NeighborType, Path
from agents.aero.notices import SendControl
from agents.core import Outbox
from agents.timers import Timers
from agents.wire.nd import NdMessage, NeighborSolicitation
from agents.wire.nd_options import LinkLayerOption, Nonce, Observed, Option

ANSWERS_KEPT = 4096
"""Solicitations that may be outstanding; the oldest is given up for a new one."""
LATE = 0.1
"""Seconds by which a repetition may be late without putting off the next one."""


class Self(Protocol):
    """The node that runs Neighbor Discovery."""

    @property
    def address(self) -> IPv6Address | None:
        """Its AERO address; None while it has none."""

    @property
    def router(self) -> bool:
        """Whether it is a Server, a Relay, or a Client that routes."""

    def lladdrs(self, toward: LinkLayerAddress, *, target: bool) -> tuple[LinkLayerOption, ...]:
        """Its own link-layer addresses, as S/TLLAO of a message to a neighbor."""


Sealed = Callable[[NdMessage, IPv6Address, IPv6Address, float], NdMessage]
"""(message, inner source, inner destination, now) to the message as it is sent: with proof where one is needed."""
Answered = Callable[["Solicitation", "Answer", float], None]
Lost = Callable[["Solicitation", float], None]


@dataclass(frozen=True)
class Answer:
    """What a solicited advertisement said."""

    observed: Observed | None
    atomic: bool
    """It came behind a Fragment Header."""


@dataclass(eq=False)
class Solicitation:
    """A Neighbor Solicitation that waits for its advertisement."""

    neighbor: Neighbor
    lladdr: LinkLayerAddress
    nonce: bytes
    answered: Answered
    lost: Lost
    retries: int
    atomic: bool = False
    own: IPv6Address | None = None
    """AERO address it is asked from."""
    size: int = 0
    """Octets the inner part is padded to; 0: not padded."""
    sealed: Sealed | None = None
    """How it is proved, if not as everything else."""
    sent: int = 0
    due: float = 0.0

    @property
    def decides(self) -> bool:
        """Its loss tells of the link-layer address: no probe of a size, nor of a Fragment Header."""
        return self.retries > 1 and not self.atomic


class Solicitations:
    """All outstanding solicitations of a node."""

    def __init__(self, cache: NeighborCache, outbox: Outbox, self_: Self) -> None:
        self.cache = cache
        self.outbox = outbox
        self.self = self_
        self._outstanding: dict[bytes, Solicitation] = {}
        """By nonce."""
        self._timers: Timers[bytes] = Timers()
        self._asked: Counter[LinkLayerAddress] = Counter()
        """How many that decide are outstanding to a link-layer address."""
        self.own: Callable[[Neighbor], IPv6Address | None] = lambda _neighbor: self_.address
        """The AERO address of ours that a neighbor knows us by."""
        self.sealed: Sealed = lambda message, _source, _destination, _now: message

    def send(
        self,
        neighbor: Neighbor,
        lladdr: LinkLayerAddress,
        now: float,
        *,
        answered: Answered,
        lost: Lost = lambda _solicitation, _now: None,
        retries: int = MAX_RETRY,
        size: int = 0,
        atomic: bool = False,
        own: IPv6Address | None = None,
        sealed: Sealed | None = None,
    ) -> Solicitation | None:
        """Solicit a neighbor at one link-layer address; None while we have no address to ask from.

        `retries` transmissions RETRANS_TIMER apart; then `lost`.  `size` pads the inner part, with DF (spec §3.6).
        """
        own = own or self.own(neighbor)
        if own is None:
            return None
        if len(self._outstanding) >= ANSWERS_KEPT:
            self.give_up(next(iter(self._outstanding.values())))
        made = Solicitation(
            neighbor, lladdr, os.urandom(6), answered, lost, retries, atomic, own, size, sealed, due=now
        )
        self._outstanding[made.nonce] = made
        if made.decides:
            self._asked[lladdr] += 1
        self._transmit(made, now)
        return made

    def waiting_for(self, lladdr: LinkLayerAddress) -> bool:
        """Whether a solicitation is outstanding whose loss will tell that this link-layer address is gone."""
        return lladdr in self._asked

    def asking(self, neighbor: Neighbor, lladdr: LinkLayerAddress) -> bool:
        """Whether one is outstanding to this neighbor there: several may be at one link-layer address."""
        return any(each.neighbor is neighbor and each.lladdr == lladdr for each in self._outstanding.values())

    def hurry(self, lladdr: LinkLayerAddress, now: float) -> None:
        """Whoever is there has just been heard: repeat what is outstanding at once, if it may be repeated at all.

        A neighbor may learn of us only after it has dropped our first solicitation, e.g. one that overtook its lease.
        """
        for each in list(self._outstanding.values()):
            if each.lladdr == lladdr and each.sent < each.retries:
                self._transmit(each, now)

    def match(self, nonce: bytes, lladdr: LinkLayerAddress, neighbor: Neighbor | None) -> Solicitation | None:
        """The solicitation that an advertisement from this link-layer address answers; it is settled.

        A dynamic neighbor, which proves who it is, may answer from another one (spec RO-15).
        """
        found = self._outstanding.get(nonce)
        if found is None:
            return None
        elsewhere = found.neighbor is neighbor and found.neighbor.type is NeighborType.DYNAMIC
        if found.lladdr != lladdr and not elsewhere:
            return None
        self.give_up(found)
        return found

    def give_up(self, solicitation: Solicitation) -> None:
        """Forget a solicitation."""
        if self._outstanding.pop(solicitation.nonce, None) is None:
            return
        self._timers.cancel(solicitation.nonce)
        if solicitation.decides:
            self._asked[solicitation.lladdr] -= 1
            if not self._asked[solicitation.lladdr]:
                del self._asked[solicitation.lladdr]

    def forget(self, neighbor: Neighbor, path: Path | None = None) -> None:
        """Forget those to a neighbor, or to one of its paths."""
        for each in list(self._outstanding.values()):
            if each.neighbor is neighbor and (path is None or each.lladdr == path.lladdr):
                self.give_up(each)

    def next_timer(self) -> float | None:
        """When one is to be repeated or given up."""
        return self._timers.next_timer()

    def handle_timer(self, now: float) -> None:
        """Repeat what was not answered; tell of what was lost."""
        for nonce in list(self._timers.take(now)):
            each = self._outstanding.get(nonce)
            if each is None:
                continue
            if each.sent < each.retries:
                self._transmit(each, now)
            else:
                self.give_up(each)
                each.lost(each, now)

    def _transmit(self, solicitation: Solicitation, now: float) -> None:
        own = solicitation.own
        if own is None or self.self.address is None:  # what we asked from is no longer ours
            self.give_up(solicitation)
            return
        target = solicitation.neighbor.address
        options: tuple[Option, ...] = (*self.self.lladdrs(solicitation.lladdr, target=False), Nonce(solicitation.nonce))
        sealed = solicitation.sealed or self.sealed
        message = sealed(NeighborSolicitation(target, options), own, target, now)
        packet = push_discovery(message, own, target)
        pad = max(0, solicitation.size - len(packet)) if solicitation.size else 0
        sending = SendControl(packet, solicitation.lladdr, bool(solicitation.size), pad, solicitation.atomic)
        self.outbox.do(sending)
        solicitation.sent += 1
        # A little lateness does not make the end later; more does: who stood still for seconds must not send all that
        # was due meanwhile at once, and give up before an answer can come (RFC 4861 §7.2.2, rate limit).
        solicitation.due = max(solicitation.due + RETRANS_TIMER, now + RETRANS_TIMER - LATE)
        self._timers.set(solicitation.nonce, solicitation.due)
