"""One identity association for prefix delegation, from Solicit to Release (RFC 8415 §18.2; spec CLI-2, -3, -8, -12)."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable

from agents.aero.addresses import Prefix, in_use_elsewhere, mapped, unmapped
from agents.aero.client.lease import NO_BINDING, SUCCESS, Granted, Lease, prefixes_in, read_grant, status_in
from agents.aero.client.retransmission import (
    REBIND,
    RELEASE,
    RENEW,
    RENEW_MOVED,
    REQUEST,
    SOLICIT,
    Retransmission,
    Schedule,
)
from agents.wire.dhcpv6 import Message, MessageType
from agents.wire.dhcpv6_options import (
    LINK_LAYER_ADDRESS,
    SOL_MAX_RT,
    ClientId,
    ClientLinkLayer,
    ElapsedTime,
    IaPd,
    IaPrefix,
    Option,
    OptionRequest,
    RapidCommit,
    ServerId,
    Unknown,
)

IPV6_IAID, IPV4_IAID = 1, 4
"""Which kind of prefix an association is for (spec §6.9)."""
ONCE_A_SECOND = 1.0


class Phase(enum.Enum):
    """Where an association is in its life."""

    IDLE = "idle"
    SOLICITING = "soliciting"
    REQUESTING = "requesting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    RELEASING = "releasing"


_MESSAGES = {
    Phase.SOLICITING: (MessageType.SOLICIT, SOLICIT),
    Phase.REQUESTING: (MessageType.REQUEST, REQUEST),
    Phase.RENEWING: (MessageType.RENEW, RENEW),
    Phase.REBINDING: (MessageType.REBIND, REBIND),
    Phase.RELEASING: (MessageType.RELEASE, RELEASE),
}


class Delegation:
    """Asks for, keeps and gives back the prefixes of one association; sans-IO."""

    def __init__(
        self,
        duid: bytes,
        iaid: int,
        send: Callable[[Message, float], None],
        changed: Callable[[Delegation, float], None],
        gave_up: Callable[[Delegation, float], None],
        acceptable: Callable[[Prefix], bool] = lambda prefix: not in_use_elsewhere(prefix),
    ) -> None:
        """`send` transmits; `changed` is told of every Reply that was taken and of every prefix that ended;
        `gave_up` of a request that nobody answered; `acceptable` tells of a prefix whether we can have it."""
        self.iaid = iaid
        self.phase = Phase.IDLE
        self.lease = Lease()
        self._duid = duid
        self._send = send
        self._changed = changed
        self._gave_up = gave_up
        self._acceptable = acceptable
        self._transaction = 0
        self._retransmission: Retransmission | None = None
        self.hint: tuple[Prefix, ...] = ()
        """Prefixes held before: what a Solicit asks for (spec CLI-11, §6.9)."""
        self._solicit = SOLICIT
        self._offer: Message | None = None
        self._renewed_at = float("-inf")

    # --- what the Client wants

    def attach(self, now: float) -> None:
        """Solicit anew, hinting at the prefixes held before (spec CLI-11, §6.9)."""
        self.hint = tuple(self.lease.prefixes) or self.hint
        self._start(Phase.SOLICITING, now)

    def renew(self, now: float) -> None:
        """Renew at once, e.g. because the link-layer address changed; at most once a second (spec CLI-10)."""
        if self.phase in (Phase.BOUND, Phase.RENEWING, Phase.REBINDING) and now - self._renewed_at >= ONCE_A_SECOND:
            self._renewed_at = now
            self._start(Phase.RENEWING, now)

    def moved(self, now: float) -> None:
        """Tell the Server at once that we are elsewhere (spec MOB-1)."""
        if self.phase in (Phase.BOUND, Phase.RENEWING, Phase.REBINDING):
            self._renewed_at = now
            self._start(Phase.RENEWING, now, RENEW_MOVED)
        elif self.phase in (Phase.SOLICITING, Phase.REQUESTING):
            self.attach(now)

    def release(self, now: float) -> None:
        """Give the prefixes back, and ask for no others (spec CLI-17)."""
        if self.lease.prefixes:
            self._start(Phase.RELEASING, now)
        else:
            self._stop(Phase.IDLE)

    def abandon(self, now: float) -> None:
        """Do without the prefixes held so far; they are asked for on."""
        self.hint = tuple(self.lease.prefixes) or self.hint
        self.lease = Lease()
        self._changed(self, now)

    # --- time

    def next_timer(self) -> float | None:
        """When something is due."""
        due = [self._retransmission.due] if self._retransmission else []
        if self.phase is Phase.BOUND:
            due.append(self.lease.t1)
        if self.phase is Phase.RENEWING:
            due.append(self.lease.t2)
        due += self.lease.prefixes.values()
        return min(due, default=None)

    def handle_timer(self, now: float) -> None:
        """Renew, rebind, expire, send again."""
        self._expire(now)
        if self.phase is Phase.BOUND and now >= self.lease.t1:
            self._start(Phase.RENEWING, now)
        elif self.phase is Phase.RENEWING and now >= self.lease.t2:
            self._start(Phase.REBINDING, now)
        elif self._retransmission and self._retransmission.due <= now:
            self._again(self._retransmission, now)

    def _expire(self, now: float) -> None:
        ended = [prefix for prefix, ends in self.lease.prefixes.items() if ends <= now]
        if not ended:
            return
        for prefix in ended:
            del self.lease.prefixes[prefix]
        if not self.lease.prefixes and self.phase is Phase.RELEASING:  # nothing is left to give back, or to ask for
            self._stop(Phase.IDLE)
        elif not self.lease.prefixes and self.phase is not Phase.SOLICITING:
            self.hint = tuple(ended)
            self._start(Phase.SOLICITING, now)
        self._changed(self, now)

    def _again(self, retransmission: Retransmission, now: float) -> None:
        if not retransmission.exhausted:
            self._transmit(now)
        elif self.phase is Phase.RELEASING:
            self._stop(Phase.IDLE)
        else:
            self._start(Phase.SOLICITING, now)
            self._gave_up(self, now)

    @property
    def attached(self) -> bool:
        """Whether the Server in use leased what is held."""
        return self.phase in (Phase.BOUND, Phase.RENEWING, Phase.REBINDING)

    def unanswered(self, now: float) -> int:
        """Transmissions of the present message whose time for an answer is over."""
        if self._retransmission is None:
            return 0
        return self._retransmission.sent - (self._retransmission.due > now)

    # --- messages

    def receive(self, message: Message, now: float) -> str | None:
        """Take an answer from our Server; the name of a counter when it is dropped (spec §11)."""
        client, server = message.first(ClientId), message.first(ServerId)
        if self._retransmission is None or message.transaction != self._transaction:
            return "dhcp_transaction"
        if client is None or client.duid != self._duid:
            return "dhcp_client_id"
        if server is None:
            return "dhcp_server_id"
        if message.type == MessageType.ADVERTISE and self.phase is Phase.SOLICITING:
            return self._advertised(message, now)
        if message.type == MessageType.REPLY:
            return self._replied(message, server, now)
        return "dhcp_type"

    def _advertised(self, message: Message, now: float) -> str | None:
        if status_in(message, self.iaid) != SUCCESS or not self._granted(message, now):
            return "dhcp_no_prefix"  # the Solicit goes on
        self._offer = message
        self._start(Phase.REQUESTING, now)
        return None

    def _replied(self, message: Message, server: ServerId, now: float) -> str | None:
        if self.phase is Phase.RELEASING:
            self.lease = Lease()
            self._stop(Phase.IDLE)
            self._changed(self, now)
            return None
        if self.phase is Phase.SOLICITING and not message.first(RapidCommit):
            return "dhcp_rapid_commit"
        if status_in(message, self.iaid) != SUCCESS:
            return self._refused(message, now)
        granted = self._granted(message, now)
        revoked = [unmapped(each.prefix) for each in prefixes_in(message, self.iaid) if not each.valid]
        for prefix in revoked:
            self.lease.prefixes.pop(prefix, None)
        if granted is None:
            if revoked and not self.lease.prefixes and self.attached:  # there is nothing to renew
                self.hint = ()
                self._start(Phase.SOLICITING, now)
            if revoked:
                self._changed(self, now)
            return "dhcp_no_prefix"
        self._take(granted, server, message, now)
        return None

    def _refused(self, message: Message, now: float) -> str | None:
        code = status_in(message, self.iaid)
        if code == NO_BINDING:
            self._start(Phase.SOLICITING, now)
        return "dhcp_refused"

    def _take(self, granted: Granted, server: ServerId, message: Message, now: float) -> None:
        kept = {prefix: ends for prefix, ends in self.lease.prefixes.items() if prefix not in granted.prefixes}
        prefixes = {**kept, **granted.prefixes} if self.phase is not Phase.SOLICITING else granted.prefixes
        seen = message.first(ClientLinkLayer)
        self.lease = Lease(prefixes, server.duid, now + granted.t1, now + granted.t2, seen)
        self.hint = tuple(prefixes)
        maximum = next((o.data for o in message.every(Unknown) if o.code == SOL_MAX_RT and len(o.data) == 4), None)
        if maximum and 60 <= int.from_bytes(maximum, "big") <= 86400:
            self._solicit = SOLICIT.capped(int.from_bytes(maximum, "big"))
        self._stop(Phase.BOUND)
        self._changed(self, now)

    def _granted(self, message: Message, now: float) -> Granted | None:
        return read_grant(message, self.iaid, now, self._usable)

    def _usable(self, prefix: Prefix) -> bool:
        wanted = 4 if self.iaid == IPV4_IAID else 6
        fits = prefix.prefixlen <= 64 if wanted == 6 else prefix.prefixlen >= 8
        return prefix.version == wanted and fits and self._acceptable(prefix)

    # --- sending

    def _start(self, phase: Phase, now: float, schedule: Schedule | None = None) -> None:
        self.phase = phase
        if phase is not Phase.REQUESTING:
            self._offer = None
        self._transaction = random.getrandbits(24)
        if schedule is None:
            schedule = self._solicit if phase is Phase.SOLICITING else _MESSAGES[phase][1]
        self._retransmission = Retransmission(schedule, now)
        self._transmit(now)

    def _stop(self, phase: Phase) -> None:
        self.phase = phase
        self._retransmission = None
        self._offer = None

    def _transmit(self, now: float) -> None:
        assert self._retransmission
        self._send(self._compose(now), now)
        self._retransmission.note_sent(now)

    def _compose(self, now: float) -> Message:
        kind = _MESSAGES[self.phase][0]
        assert self._retransmission
        options: list[Option] = [ClientId(self._duid)]
        server = self._server_id()
        if server and self.phase in (Phase.REQUESTING, Phase.RENEWING, Phase.RELEASING):
            options.append(server)
        options.append(ElapsedTime(self._retransmission.elapsed(now)))
        if self.phase is Phase.SOLICITING:
            options.append(RapidCommit())
        options.append(IaPd(self.iaid, options=self._wanted()))
        if self.phase is not Phase.RELEASING:
            options.append(OptionRequest((LINK_LAYER_ADDRESS, SOL_MAX_RT)))
        return Message(kind, self._transaction, tuple(options))

    def _server_id(self) -> ServerId | None:
        if self._offer:
            return self._offer.first(ServerId)
        return ServerId(self.lease.server) if self.lease.server else None

    def _wanted(self) -> tuple[Option, ...]:
        if self._offer:
            return tuple(prefixes_in(self._offer, self.iaid))
        prefixes = self.hint if self.phase is Phase.SOLICITING else tuple(self.lease.prefixes)
        return tuple(IaPrefix(mapped(prefix)) for prefix in prefixes)
