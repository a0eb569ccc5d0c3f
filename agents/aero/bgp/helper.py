"""The program that ExaBGP runs, without its pipes: what peers say on one side, what an agent wants on the other.

ExaBGP selects nothing, and an agent that moves packets has no time to read JSON by the thousand: routes are judged
and ranked here.  With the agent gone nothing is announced any more; with ExaBGP gone the program ends, and the agent
knows by its silence.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agents.aero.addresses import Prefix
from agents.aero.bgp.exabgp import (
    Acknowledged,
    Lines,
    PeerState,
    Route,
    Underlay,
    Update,
    pull_line,
    push_announce,
    push_withdraw,
)
from agents.aero.bgp.rib import Policy, Rib
from agents.plain import PlainError, build, plain
from agents.wire.errors import DecodeError

WINDOW = 256
"""Commands that ExaBGP has not answered yet: what changes meanwhile changes before it is said."""
BATCH = 256
"""Routes told to the agent at once: it moves packets in between."""


@dataclass(frozen=True)
class ToExabgp:
    """Write to ExaBGP."""

    data: bytes


@dataclass(frozen=True)
class ToAgent:
    """Tell the agent."""

    message: dict[str, Any]


@dataclass(frozen=True)
class Quit:
    """There is nobody left to work for."""


Key = tuple[Prefix, tuple[Underlay, ...]]
Action = ToExabgp | ToAgent | Quit


class Helper:
    """One ExaBGP's program."""

    def __init__(self) -> None:
        self.rib = Rib()
        self.counters: Counter[str] = Counter()
        self._told: dict[str, int] = {}
        """Counters as the agent knows them."""
        self._lines = Lines()
        self._agent = False
        self._policy = False
        self._peers: dict[Underlay, bool] = {}
        self._wanted: dict[Key, Route] = {}
        self._held: dict[Key, Route] = {}
        """What ExaBGP has or is being told to announce."""
        self._changed: dict[Key, None] = {}
        self._flight: deque[tuple[Key, Route | None]] = deque()
        """Commands not answered yet; None: a withdrawal."""
        self._results: dict[str, list[str]] = {}
        """Answers of ExaBGP that the agent has not been told yet."""
        self._actions: list[Action] = []

    # --- ExaBGP's side

    def from_exabgp(self, data: bytes) -> None:
        """Octets on standard input, which end anywhere."""
        touched: dict[Prefix, None] = {}
        for line in self._lines.feed(data):
            try:
                said = pull_line(line)
            except DecodeError:
                self.counters["bgp_garbled"] += 1
                continue
            match said:
                case Acknowledged():
                    self._acknowledged(said.done)
                case PeerState():
                    touched |= dict.fromkeys(self._peer(said))
                case Update():
                    touched |= dict.fromkeys(self.rib.take(said))
        self._tell_routes(touched)
        self._tell_results()
        self._tell_counters()
        self._pump()

    def exabgp_gone(self) -> None:
        """End of file: whoever started us has died, or is about to."""
        self._actions.append(Quit())

    def _peer(self, state: PeerState) -> list[Prefix]:
        before = self._peers.get(state.peer, False)
        self._peers[state.peer] = state.up
        if before != state.up:
            self._tell({"peers": {str(state.peer): state.up}})
        return [] if state.up else self.rib.lose(state.peer)

    def _acknowledged(self, done: bool) -> None:
        if not self._flight:
            self.counters["bgp_unasked"] += 1
            return
        key, route = self._flight.popleft()
        if route is None:
            self.counters["bgp_refused"] += not done
            return
        if not done:
            self.counters["bgp_refused"] += 1
            if self._held.get(key) == route:
                del self._held[key]
        if self._wanted.get(key) == route:
            self._results.setdefault("confirmed" if done else "refused", []).append(str(route.prefix))

    # --- the agent's side

    def agent_connected(self) -> None:
        """An agent is there; it says first what it takes."""
        self._agent, self._policy = True, False

    def agent_gone(self) -> None:
        """Nobody moves packets any more: what we announced leads nowhere."""
        self._agent = self._policy = False
        self._changed |= dict.fromkeys(self._wanted)
        self._wanted.clear()
        self._pump()

    def from_agent(self, line: bytes) -> None:
        """One line of the agent (PlainError: it does not fit, and is ignored whole)."""
        try:
            message = json.loads(line)
        except ValueError as error:
            raise PlainError(f"not JSON: {error}") from error
        if not isinstance(message, dict):
            raise PlainError("not an object")
        if "policy" in message:
            self._start(build(Policy, message["policy"]))
        announce = [build(Route, each) for each in message.get("announce", [])]
        withdraw = [build(Route, each) for each in message.get("withdraw", [])]
        for route in announce:
            key = (route.prefix, route.peers)
            self._wanted[key] = route
            if self._held.get(key) == route and not any(each == key for each, _route in self._flight):
                self._results.setdefault("confirmed", []).append(str(route.prefix))
            else:
                self._changed[key] = None
        for route in withdraw:
            self._wanted.pop((route.prefix, route.peers), None)
            self._changed[route.prefix, route.peers] = None
        self._tell_results()
        self._pump()

    def _start(self, policy: Policy) -> None:
        self._policy = True
        usable = self.rib.set_policy(policy)
        self._told = {}
        self._tell({"peers": {str(peer): up for peer, up in self._peers.items()}})
        self._tell_routes(usable)
        self._tell_counters()

    # --- out

    def actions(self) -> Iterator[Action]:
        """What to do now, in order."""
        done, self._actions = self._actions, []
        return iter(done)

    def _pump(self) -> None:
        commands = []
        while self._changed and len(self._flight) < WINDOW:
            key = next(iter(self._changed))
            del self._changed[key]
            wanted, held = self._wanted.get(key), self._held.get(key)
            if wanted == held:
                continue
            if wanted:
                commands.append(push_announce(wanted))
                self._held[key] = wanted
            elif held:
                commands.append(push_withdraw(self._held.pop(key)))
            self._flight.append((key, wanted))
        if commands:
            self._actions.append(ToExabgp(b"".join(commands)))

    def _tell(self, message: dict[str, Any]) -> None:
        if self._agent and self._policy:
            self._actions.append(ToAgent(message))

    def _tell_routes(self, prefixes: Iterable[Prefix]) -> None:
        whole = list(prefixes)
        for start in range(0, len(whole), BATCH):
            part = whole[start : start + BATCH]
            self._tell({"routes": [[str(prefix), plain(self.rib.choices(prefix))] for prefix in part]})

    def _tell_results(self) -> None:
        results, self._results = self._results, {}
        if results:
            self._tell(results)

    def _tell_counters(self) -> None:
        now = dict(self.counters + self.rib.counters)
        if now != self._told and self._agent and self._policy:
            self._told = now
            self._tell({"counters": now})
