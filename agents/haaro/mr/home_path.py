"""Keepalives of the tunnel to the home agent, which hold a NAT's mapping (spec NAT-8; RFC 3519 §4.9)."""

from __future__ import annotations

from agents.haaro.items import TUNNEL_PORT
from agents.haaro.mr.base import MrBase
from agents.haaro.mr.registration import HomeRegistration
from agents.haaro.notices import Echo, SendEcho
from agents.haaro.plane import KEEPALIVE

SHORTEST = 10
"""Seconds between two keepalives, at least."""
RETRY = 1.0
TRIES = 3


class HomePath:
    """Knocks at the home agent while the tunnel is in UDP."""

    def __init__(self, base: MrBase, home: HomeRegistration) -> None:
        self._base = base
        self._home = home
        self._sequence = 0
        self._unanswered = 0

    @property
    def _interval(self) -> float:
        return float(max(SHORTEST, self._base.home.keepalive or self._base.config.home_keepalive))

    def registered(self, now: float) -> None:
        """The tunnel is there, or there anew."""
        self._unanswered = 0
        key = ("home-keepalive", self._base.config.home_agent)
        if self._base.home.udp:
            self._base.timers.set(key, now + self._interval)
        else:
            self._base.timers.cancel(key)

    def used(self, now: float) -> None:
        """Something went through the tunnel, which holds the mapping as well as a keepalive does."""
        key = ("home-keepalive", self._base.config.home_agent)
        if self._unanswered == 0 and self._base.timers.due(key) is not None:
            self._base.timers.set(key, now + self._interval)

    def timer(self, now: float) -> None:
        """Knock, or after several times without an answer register anew."""
        base = self._base
        if not (base.home.registered and base.home.udp and base.home.careof):
            return
        if self._unanswered >= TRIES:
            self._unanswered = 0
            base.outbox.say("home-agent-silent")
            self._home.refresh(now)
            base.timers.set(("home-keepalive", base.config.home_agent), now + self._interval)
            return
        agent = base.config.home_agent
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._unanswered += 1
        ends = (base.home.careof, agent, TUNNEL_PORT)
        base.outbox.do(SendEcho(True, agent, KEEPALIVE, self._sequence, b"", *ends, encapsulation="udp"))
        base.timers.set(("home-keepalive", agent), now + RETRY)

    def receive(self, echo: Echo) -> None:
        """It is there."""
        if echo.request or self._unanswered == 0:
            return
        self._unanswered = 0
        base = self._base
        due = base.timers.due(("home-keepalive", base.config.home_agent))
        if due is not None:
            base.timers.set(("home-keepalive", base.config.home_agent), due - RETRY + self._interval)
