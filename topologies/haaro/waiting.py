"""Waiting in the HAARO labs: for what the agents say of themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until
from topologies.states import State, when
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

PACE = 1.0
"""Seconds between two requests of a router to the home agent at least (spec MR-21)."""


def registered(run: Run, routers: Iterable[str]) -> None:
    """Wait until routers are registered with the home agent."""
    for name in routers:
        when(run, name, "to be registered", lambda now: bool(now["registered"]))


def rested(run: Run) -> None:
    """Wait until every router may ask the home agent again: solicitations are registrations, too (spec CR-7)."""

    def free() -> bool:
        last = max(event["t"] for event in run.events.events() if event["event"] == "registered")
        if time.time() < last + PACE:
            raise NotYet("the last registration is too fresh")
        return True

    wait_until("routers: to be free to ask again", free, timeout=PATIENCE)


def moved(run: Run, router: str, careof: str) -> None:
    """Wait until a router is registered with the home agent at this address."""
    when(run, router, f"to be at {careof}", lambda now: now["careof"] == careof and bool(now["registered"]))


def direct(run: Run, pairs: Iterable[tuple[str, str]]) -> None:
    """Wait until the first router of each pair sends to the other's networks directly."""
    for one, other in pairs:
        home = run.agents[other].config["home_address"]

        def routed(now: State, home: str = home) -> bool:
            return any(item.startswith(f"route {home}/32") for item in now["items"])

        when(run, one, f"to have a direct route to {other}", routed)


def star(run: Run, pairs: Iterable[tuple[str, str]]) -> None:
    """Wait until the first router of each pair has no direct route to the other any more."""
    for one, other in pairs:
        home = run.agents[other].config["home_address"]

        def gone(now: State, home: str = home) -> bool:
            return not any(item.startswith(f"route {home}/32") for item in now["items"])

        when(run, one, f"to have no direct route to {other}", gone)


def _said(run: Run, node: str, event: str) -> list[dict[str, Any]]:
    return [one for one in run.events.events() if one["event"] == event and one.get("node") == node]


def expired(run: Run, router: str, count: int) -> None:
    """Wait until a router has been told so many times that its tokens are worth nothing any more."""

    def told() -> bool:
        found = len(_said(run, router, "nonces-expired"))
        if found < count:
            raise NotYet(f"{found} of {count} times")
        return True

    wait_until(f"{router}: to be told of expired nonces", told, timeout=PATIENCE)


def older(run: Run, router: str, age: float) -> None:
    """Wait until a router's last tokens are older than this."""

    def old() -> bool:
        last = max(event["t"] for event in _said(run, router, "rr-done"))
        if time.time() <= last + age:
            raise NotYet("its tokens are too young")
        return True

    wait_until(f"{router}: to have old tokens", old, timeout=PATIENCE)
