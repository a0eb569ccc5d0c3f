"""Binding Updates that wait for their acknowledgement: back-off, rate limit, matching (spec §9, RETX-*)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from agents.core import Outbox
from agents.dgw.actions import Send
from agents.dgw.config import Timing
from agents.dgw.freshness import Stamper, ticks
from agents.wire.mobility import BindingAck
from agents.wire.mobility_codes import Status
from agents.wire.mobility_options import Timestamp

REMEMBERED = 32
"""Sequence numbers kept per exchange: those of the last quarter of an hour at the longest interval."""

Compose = Callable[[float], tuple[int, bytes]]
"""Given `now`, the sequence number and octets of the next transmission (fresh timestamp each time)."""


@dataclass(eq=False)
class Exchange:
    """One Binding Update under way to one peer."""

    peer: IPv6Address
    mn_id: str
    purpose: str
    """What the answer is for, e.g. `register`, `anchor`, `deregister`."""
    compose: Compose
    context: Any = None
    """The sender's own note, handed back with the answer."""
    tries: int | None = None
    """Give up after this many transmissions; None goes on at the longest interval."""
    sends: int = 0
    """Transmissions so far."""
    sequences: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The last sequence numbers sent: an answer to any of them counts."""
    times: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """When each of these was sent."""
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Timestamps sent, kept where a sequence number alone does not tell whose answer it is."""
    renumbered: bool = False
    """The peer orders updates by their numbers and told its last one: the sender's own follow (spec RETX-8)."""
    refused: set[IPv6Network] = field(default_factory=set)
    """Prefixes that a corrective answer took back: a late copy of the first answer must not bring them again."""
    overdue: bool = False
    """The peer once found a transmission too old though the clocks agree, and it was repeated at once."""
    unanswered: Callable[[int, float], None] | None = None
    """Told before each repetition how many transmissions stayed without an answer, and the time."""
    gave_up: Callable[[float], None] | None = None
    """Told when the last of the `tries` stayed without an answer."""
    due: float = 0.0

    def sent_at(self, sequence: int) -> float:
        """When the transmission with this number left: what was asked for in it counts from then (RFC 6275 §11.7.3)."""
        found = [time for number, time in zip(self.sequences, self.times, strict=True) if number == sequence]
        return found[-1] if found else self.times[-1]


class Pacer:
    """No more than `rate` messages per second to one node, and some time between any two (RFC 8885 §3.6)."""

    def __init__(self, rate: int, spacing: float) -> None:
        self._rate = rate
        self._spacing = spacing
        self._sent: dict[IPv6Address, deque[float]] = {}
        self._last = float("-inf")
        self._last_peer: IPv6Address | None = None

    def earliest(self, peer: IPv6Address, now: float) -> float:
        """The first time at which a message to `peer` may leave; `now` or earlier means at once."""
        earliest = self._last + self._spacing
        sent = self._sent.get(peer)
        if self._rate and sent and len(sent) == self._rate:
            earliest = max(earliest, sent[0] + 1.0)
        return max(earliest, now)

    def record(self, peer: IPv6Address, now: float) -> None:
        """A message to `peer` leaves at `now`."""
        self._last, self._last_peer = now, peer
        self._sent = {peer: sent for peer, sent in self._sent.items() if now - sent[-1] < 1.0}
        if self._rate:
            self._sent.setdefault(peer, deque(maxlen=self._rate)).append(now)

    def departed(self, peer: IPv6Address, now: float) -> None:
        """The last message, if it was to `peer`, was kept until `now`: what comes after it keeps its distance."""
        if peer == self._last_peer:
            self._last = max(self._last, now)


class Exchanges:
    """All Binding Updates under way at one node."""

    def __init__(self, timing: Timing, outbox: Outbox, spacing: float = 0.0) -> None:
        self._timing = timing
        self._outbox = outbox
        self._pacer = Pacer(timing.rate, spacing)
        self._waiting: list[Exchange] = []
        self._refused: dict[IPv6Address, float] = {}
        self._halted: set[tuple[IPv6Address, str]] = set()

    def __iter__(self) -> Any:
        return iter(self._waiting)

    def __contains__(self, exchange: Exchange) -> bool:
        return exchange in self._waiting

    def start(self, exchange: Exchange, now: float, due: float | None = None) -> None:
        """Send the update now or when `due`, as soon as the rate allows, and repeat it until it is answered."""
        if (exchange.peer, exchange.mn_id) in self._halted:
            self._outbox.say("update-withheld", peer=exchange.peer, mn_id=exchange.mn_id, purpose=exchange.purpose)
            return
        exchange.due = now if due is None else due
        self._waiting.append(exchange)
        self.handle_timer(now)

    def departed(self, peer: IPv6Address, now: float) -> None:
        """A message to `peer` has left, after whatever else had to be done in its turn."""
        self._pacer.departed(peer, now)

    def next_timer(self) -> float | None:
        """When the next transmission is due."""
        return min((e.due for e in self._waiting), default=None)

    def handle_timer(self, now: float) -> None:
        """Transmit what is due, in the order it became due."""
        for exchange in sorted((e for e in self._waiting if e.due <= now), key=lambda e: e.due):
            if exchange not in self._waiting:  # one before it made an end of it
                continue
            earliest = max(self._pacer.earliest(exchange.peer, now), self._refused.get(exchange.peer, 0.0))
            if earliest > now:
                exchange.due = earliest
            else:
                self._transmit(exchange, now)

    def match(self, peer: IPv6Address, sequence: int, mn_id: str) -> Exchange | None:
        """The exchange that an acknowledgement from `peer` answers; it stays until `finish`."""
        for exchange in self._waiting:
            if exchange.peer == peer and exchange.mn_id == mn_id and sequence in exchange.sequences:
                return exchange
        return None

    def numbered(self, peer: IPv6Address, sequence: int) -> Exchange | None:
        """The exchange with `peer` that used this number, whoever it is about: for a sender with one counter."""
        return next((e for e in self._waiting if e.peer == peer and sequence in e.sequences), None)

    def renumber(self, exchange: Exchange, stamper: Stamper, last: int, now: float) -> None:
        """Status 135: take over the number that the peer accepted last, and say it again at once (spec RETX-8)."""
        stamper.sequence, exchange.renumbered, exchange.due = last, True, now
        self.handle_timer(now)

    def clocks_agree(self, exchange: Exchange, ack: BindingAck, now: float) -> bool:
        """Status 156: whether the peer's time, which its answer carries (spec RETX-7), is between our sending and now.

        Then nobody has a clock to set: the update was long under way, or its receiver was kept from reading it.
        """
        told, window = ack.first(Timestamp), self._timing.timestamp_window
        return told is not None and ticks(exchange.sent_at(ack.sequence) - window) <= told.raw <= ticks(now + window)

    def restamp(self, exchange: Exchange, ack: BindingAck, now: float) -> None:
        """Status 157: say it again at once with a new stamp; 156: when the clocks may agree again (spec RETX-10).

        If they do, it is at once as well, but for the first time only, and then as if no answer had come: the way may
        be longer than the window.
        """
        if ack.status != Status.TIMESTAMP_MISMATCH:
            exchange.due = now
        elif not self.clocks_agree(exchange, ack, now):
            exchange.due = now + self._timing.max_timeout
        elif not exchange.overdue:
            exchange.overdue, exchange.due = True, now
        self.handle_timer(now)

    def find(self, peer: IPv6Address, mn_id: str) -> Exchange | None:
        """The exchange about this node with this peer, whatever its sequence (status 135 answers)."""
        return next((e for e in self._waiting if e.peer == peer and e.mn_id == mn_id), None)

    def finish(self, exchange: Exchange) -> None:
        """The exchange is answered or no longer wanted."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def cancel(self, mn_id: str, keep: str | None = None) -> None:
        """Forget all exchanges about this node except those with purpose `keep` (spec HO-15, RETX-3)."""
        self._waiting = [e for e in self._waiting if e.mn_id != mn_id or (keep and e.purpose == keep)]

    def halt(self, exchange: Exchange, reason: str) -> None:
        """Tell this peer nothing more about this node until an administrator says so (R5213 §6.9.1.2-6, RETX-10)."""
        self.finish(exchange)
        self._halted.add((exchange.peer, exchange.mn_id))
        self._outbox.say("halted", peer=exchange.peer, mn_id=exchange.mn_id, reason=reason)

    def resume(self) -> int:
        """An administrator acted: updates go out again when there is a reason for them; how many were halted."""
        count = len(self._halted)
        self._halted.clear()
        return count

    @property
    def halted(self) -> list[str]:
        """Peer and node of each halted exchange."""
        return sorted(f"{peer} {mn_id}" for peer, mn_id in self._halted)

    def paused(self, now: float) -> list[IPv6Address]:
        """Peers left alone because they do not know the Mobility Header (`no_more` of spec §4)."""
        return sorted(peer for peer, until in self._refused.items() if until > now)

    def cancel_with(self, peer: IPv6Address, mn_id: str) -> None:
        """Forget all exchanges about this node with one peer."""
        self._waiting = [e for e in self._waiting if (e.peer, e.mn_id) != (peer, mn_id)]

    def refuse(self, peer: IPv6Address, now: float) -> None:
        """The peer cannot read our messages now: leave it alone for a while (RFC 6275 §11.3.5, spec §10)."""
        self._outbox.say("peer-without-mobility", peer=peer)
        if not any(exchange.peer == peer for exchange in self._waiting):
            return  # about an answer of ours: nothing is repeated to it
        self._refused[peer] = now + self._timing.refused_pause
        for exchange in self._waiting:
            if exchange.peer == peer:
                exchange.due = max(exchange.due, self._refused[peer])

    def heard(self, peer: IPv6Address) -> None:
        """The peer sent a Mobility Header: it can read ours."""
        self._refused.pop(peer, None)

    def _transmit(self, exchange: Exchange, now: float) -> None:
        count = exchange.sends
        if exchange.tries is not None and count >= exchange.tries:
            self._outbox.say("gave-up", peer=exchange.peer, mn_id=exchange.mn_id, purpose=exchange.purpose)
            self._waiting.remove(exchange)
            if exchange.gave_up:
                exchange.gave_up(now)
            return
        if count and exchange.unanswered:
            exchange.unanswered(count, now)
        sequence, message = exchange.compose(now)
        exchange.sequences.append(sequence)
        exchange.times.append(now)
        exchange.sends += 1
        exchange.due = now + self._timing.timeout(count)
        self._pacer.record(exchange.peer, now)
        self._outbox.do(Send(exchange.peer, message))
        if count:
            self._outbox.say(
                "retransmitted",
                peer=exchange.peer,
                mn_id=exchange.mn_id,
                purpose=exchange.purpose,
                transmission=count + 1,
            )
        if count + 1 == self._timing.unreachable_after:
            self._outbox.say("peer-unreachable", peer=exchange.peer, mn_id=exchange.mn_id)
