"""The Local Mobility Anchor's core: five doors over its registrar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents.core import Event, Outbox
from agents.dgw.actions import Action, Adopt, MobilityDatagram, Notice
from agents.dgw.lma.config import LmaConfig
from agents.dgw.lma.registrar import Registrar
from agents.dgw.lma.state import LmaState, items
from agents.plain import build, plain
from agents.wire.mobility import BindingError, BindingRefreshRequest, BindingUpdate


class LmaCore:
    """An anchor of classic Proxy Mobile IPv6 without sockets, kernel or clock."""

    def __init__(self, config: LmaConfig) -> None:
        self.config = config
        self._outbox = Outbox()
        self._registrar = Registrar(config, self._outbox)

    def receive(self, message: Notice, source: Any, now: float) -> None:
        """Take a datagram; it carries its own source.  An anchor sends no update, so nothing else concerns it."""
        if not isinstance(message, MobilityDatagram):
            return
        reception = self._registrar.reception
        decoded = reception.decode(message, now)
        if isinstance(decoded, BindingUpdate):
            self._registrar.on_update(decoded, message.source, now)
        elif isinstance(decoded, BindingError | BindingRefreshRequest):
            reception.note(decoded, message.source)
        elif decoded is not None:
            reception.drop(type(decoded).__name__, message.source)

    def handle_timer(self, now: float) -> None:
        """End a wait, a hold time or a lifetime: whatever is due."""
        procedures = {"expire": self._registrar.expire, "assign": self._registrar.assign}
        for name, key in list(self._registrar.timers.take(now)):
            procedures[name](key, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return self._registrar.timers.next_timer()

    def actions(self) -> Iterator[Action]:
        """What to do now, in order."""
        return self._outbox.actions()

    def events(self) -> Iterator[Event]:
        """What happened since the last call."""
        return self._outbox.events()

    def inspect(self) -> dict[str, Any]:
        """Binding cache, pool, forwarding items and counters."""
        return {
            "role": "lma",
            "name": self.config.name,
            "bindings": plain(self._registrar.state.bindings),
            "pool": plain(self._registrar.state.pool),
            "items": [f"{kind} {name}" for kind, name in self._registrar.plan],
            "counters": dict(self._registrar.reception.counters),
        }

    def saved_state(self) -> dict[str, Any]:
        """What must survive a restart, as JSON-able data."""
        saved: dict[str, Any] = plain(self._registrar.state)
        return saved

    def restore(self, saved: dict[str, Any], now: float) -> None:
        """Take up saved state; the kernel keeps forwarding (PlainError if it does not fit)."""
        registrar = self._registrar
        registrar.state = build(LmaState, saved, "saved state")
        registrar.state.pool.aggregate = self.config.pool
        registrar.plan = items(registrar.state.bindings.values())
        self._outbox.do(Adopt(tuple(registrar.plan.values())))
        self._outbox.say("restored", bindings=len(registrar.state.bindings))
        for prefix, binding in registrar.state.bindings.items():
            registrar.timers.set(("expire", prefix), max(binding.expires, now))
