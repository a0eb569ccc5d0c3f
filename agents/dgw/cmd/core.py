"""The CMD's core: five doors over registrar and anchors' informer, or over the repository of the direct mode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv6Network
from typing import Any

from agents.core import Event
from agents.dgw.actions import (
    Action,
    Adopt,
    Consult,
    Discarded,
    MobilityDatagram,
    Notice,
    PeerRefused,
    RepositoryDatagram,
    Send,
)
from agents.dgw.cmd.answering import answering
from agents.dgw.cmd.base import CmdBase
from agents.dgw.cmd.chaining import Chaining
from agents.dgw.cmd.informing import Informing
from agents.dgw.cmd.registrar import Registrar
from agents.dgw.cmd.state import CmdState, Pending
from agents.dgw.config import CmdConfig
from agents.dgw.repository import Repository, Unauthorised
from agents.plain import build, plain
from agents.wire.mobility import BindingAck, BindingUpdate


class CmdCore:
    """A central mobility database without sockets or clock; as home LMA it forwards between operators only (CMD-1)."""

    def __init__(self, config: CmdConfig) -> None:
        self.config = config
        self._base = CmdBase(config)
        mode = answering(self._base)
        self._informing = Informing(self._base, mode)
        self._registrar = Registrar(self._base, self._informing, mode)
        self._repository = Repository()
        self._chaining = Chaining(self._base, self._repository)

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a datagram; it carries its own source."""
        self._base.now = now
        match message:
            case MobilityDatagram():
                self._receive_mobility(message, now)
            case Discarded():
                self._base.reception.discard(message)
            case PeerRefused():
                self._base.exchanges.refuse(message.peer, now)
            case RepositoryDatagram():
                self._receive_request(message, now)

    def _receive_mobility(self, datagram: MobilityDatagram, now: float) -> None:
        self._base.exchanges.heard(datagram.source)
        message = self._base.reception.decode(datagram, now)
        if message is None:
            return
        direct = self.config.mode == "direct"
        if direct and self.config.wan is None:
            self._base.reception.drop("Mobility Header at a repository", datagram.source)
        elif isinstance(message, BindingUpdate):
            (self._chaining if direct else self._registrar).on_update(message, datagram.source, now)
        elif isinstance(message, BindingAck):
            (self._chaining if direct else self._informing).on_ack(message, datagram.source, now)
        else:
            self._base.reception.note(message, datagram.source)

    def _receive_request(self, datagram: RepositoryDatagram, now: float) -> None:
        answer = None
        if self.config.mode == "direct" and datagram.source in self._base.gateways:
            told = partial(self._chaining.told, gateway=datagram.source)
            latest = now + self.config.timing.timestamp_window
            try:
                answer = self._repository.answer(datagram.data, datagram.source, self._base.authority, latest, told)
            except Unauthorised as error:
                self._base.reception.drop(str(error), datagram.source, "unauthorised")
                answer = error.answer
            self._chaining.review()
        if not answer:
            self._base.reception.drop("no repository request of a gateway", datagram.source)
        else:
            self._base.outbox.do(Consult(datagram.source, datagram.port, answer))

    def handle_timer(self, now: float) -> None:
        """Retransmit, answer in part, expire: whatever is due."""
        self._base.now = now
        self._base.tell_due()
        self._base.exchanges.handle_timer(now)
        procedures = {
            "expire": self._registrar.expire,
            "aggregate": self._informing.aggregate,
            "outlived": self._informing.outlived,
        }
        for name, key in list(self._base.timers.take(now)):
            session = self._base.state.sessions.get(key)
            if name == "chain":
                self._chaining.expire(IPv6Network(key), now)
            elif session:
                procedures[name](session, now)

    def departed(self, message: Send, now: float) -> None:
        """A message has left: what is sent on next keeps its distance from that moment (spec CMD-6)."""
        self._base.exchanges.departed(message.destination, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        due = (self._base.exchanges.next_timer(), self._base.timers.next_timer(), self._base.next_telling())
        return min((t for t in due if t is not None), default=None)

    def actions(self) -> Iterator[Action]:
        """What to do now, in order."""
        return self._base.outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._base.outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Sessions or repository entries, exchanges under way, counters."""
        return {
            "role": "cmd",
            "name": self.config.name,
            "mode": self.config.mode,
            "sessions": plain(self._base.state.sessions),
            "repository": plain(self._repository.entries),
            "chains": plain(self._base.state.chains),
            "items": [f"{kind} {name}" for kind, name in self._base.plan],
            "exchanges": [
                {"peer": str(e.peer), "mn_id": e.mn_id, "purpose": e.purpose, "sent": e.sends}
                for e in self._base.exchanges
            ],
            "halted": self._base.exchanges.halted,
            "legacy_peers": sorted(map(str, self._base.state.legacy_peers)),
            "counters": dict(self._base.reception.counters),
        }

    def resume(self) -> int:
        """An administrator looked into what was halted; how much that was (spec §10, RETX-10)."""
        return self._base.exchanges.resume()

    def saved_state(self) -> dict[str, Any]:
        """What must survive a restart, as JSON-able data."""
        pending = self._informing.pending()
        return {
            "state": plain(self._base.state),
            "repository": plain(self._repository),
            "pending": {mn_id: plain(one) for mn_id, one in pending.items()},
        }

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state (PlainError if it does not fit)."""
        self._base.state = build(CmdState, saved.get("state"), "saved state")
        self._repository = build(Repository, saved.get("repository"), "saved repository")
        pending = build(dict[str, Pending], saved.get("pending", {}), "saved pending registrations")
        self._base.stamper.sequence = self._base.state.sequence
        timing = self.config.timing
        for session in self._base.state.sessions.values():
            if session.expires is not None:
                # Gateways that could not reach us repeat themselves within this time: nobody is cut off unheard.
                grace = 0.0 if session.deleting else now + timing.max_timeout + timing.hold
                self._base.timers.set(("expire", session.mn_id), max(session.expires, grace))
        self._chaining = Chaining(self._base, self._repository)
        self._chaining.restored()
        self._base.plan = self._base.wanted()
        self._base.outbox.do(Adopt(tuple(self._base.plan.values())))
        for session in self._base.state.sessions.values():
            self._informing.resume(session, pending.get(session.mn_id), now)
        self._base.outbox.say("restored", sessions=len(self._base.state.sessions))
