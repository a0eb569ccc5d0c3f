"""Waiting in the HAARO labs: for what the agents say of themselves."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until
from topologies.states import State, when
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

LOOK = 0.1
"""Seconds between two looks at a router that is just about to do what is measured."""
PACE = 1.0
"""Seconds between two requests of a router to the home agent at least (spec MR-21)."""


def registered(run: Run, routers: Iterable[str]) -> None:
    """Wait until routers are registered with the home agent."""
    for name in routers:
        when(run, name, "to be registered", lambda now: bool(now["registered"]))


def rested(run: Run) -> None:
    """Wait until every router may ask the home agent again: solicitations are registrations, too (spec CR-7)."""
    routers = {node for node, agent in run.agents.items() if agent.config["role"] == "mr"}

    def free() -> bool:
        said = {event["node"]: event["t"] for event in run.events.events() if event["event"] == "registered"}
        if not routers <= said.keys():  # the log comes later than a state dump
            raise NotYet(f"only {', '.join(sorted(said))} said that they are registered")
        last = max(said.values())
        if time.time() < last + PACE:
            raise NotYet("the last registration is too fresh")
        return True

    wait_until("routers: to be free to ask again", free, timeout=PATIENCE)


def moved(run: Run, router: str, careof: str) -> None:
    """Wait until a router is registered with the home agent at this address."""
    when(run, router, f"to be at {careof}", lambda now: now["careof"] == careof and bool(now["registered"]))


def direct(run: Run, pairs: Iterable[tuple[str, str]], by: str = "") -> None:
    """Wait until the first router of each pair sends to the other's networks directly; `by`: over this address."""
    for one, other in pairs:
        home = run.agents[other].config["home_address"]

        def routed(now: State, home: str = home) -> bool:
            return _routes(now, home) and (not by or _tunnel_has(now, home, by))

        when(run, one, f"to have a direct route to {other}{f' over {by}' if by else ''}", routed, interval=LOOK)


def _routes(now: State, home: str) -> bool:
    return any(item.startswith(f"route {home}/32") for item in now["items"])


def _tunnel_has(now: State, home: str, careof: str) -> bool:
    """The tunnel in use to a correspondent works, and has this address at one of its ends."""
    tunnels = (str(one["tunnel"]) for one in now["correspondents"] if one["home"] == home)
    return any(re.search(rf"(^| ){re.escape(careof)}( |:)", tunnel) and tunnel.endswith(" up") for tunnel in tunnels)


def star(run: Run, pairs: Iterable[tuple[str, str]]) -> None:
    """Wait until the first router of each pair has no direct route to the other any more."""
    for one, other in pairs:
        home = run.agents[other].config["home_address"]

        def gone(now: State, home: str = home) -> bool:
            return not _routes(now, home)

        when(run, one, f"to have no direct route to {other}", gone)


def _said(run: Run, node: str, event: str) -> list[dict[str, Any]]:
    return [one for one in run.events.events() if one["event"] == event and one.get("node") == node]


def told(run: Run, router: str, event: str, count: int = 1) -> None:
    """Wait until a router has said so many times that something has happened."""

    def said() -> bool:
        found = len(_said(run, router, event))
        if found < count:
            raise NotYet(f"{found} of {count} times")
        return True

    wait_until(f"{router}: to say {event}", said, timeout=PATIENCE)


def older(run: Run, router: str, age: float) -> None:
    """Wait until a router's last tokens are older than this."""

    def old() -> bool:
        last = max(event["t"] for event in _said(run, router, "rr-done"))
        if time.time() <= last + age:
            raise NotYet("its tokens are too young")
        return True

    wait_until(f"{router}: to have old tokens", old, timeout=PATIENCE)
