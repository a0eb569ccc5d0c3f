"""Waiting in labs for what agents say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

State = dict[str, Any]
TOLD = ("neighbors", "delegations", "registered", "careof", "correspondents", "items", "counters")
"""What is said of a state that is not as wanted."""


def state(run: Run, node: str) -> State:
    """What an agent says of itself."""
    found: State = run.agents[node].request({"request": "inspect"})["state"]
    return found


def when(
    run: Run,
    node: str,
    what: str,
    holds: Callable[[State], bool],
    timeout: float = PATIENCE,
    *,
    interval: float = 0.01,
) -> None:
    """Wait until an agent's state is as wanted; `interval`: seconds between two questions, which the agent answers."""

    def look() -> bool:
        now = state(run, node)
        if not holds(now):
            raise NotYet(json.dumps({name: now[name] for name in TOLD if name in now}))
        return True

    wait_until(f"{node}: {what}", look, timeout=timeout, interval=interval)
