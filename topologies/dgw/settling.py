"""Waiting until all agents of a domain have come to rest: traffic may flow before the last of them has.

A session goes on as soon as its own prefix is turned to the new gateway. Then other prefixes may still be asked for,
the CMD may still have to tell an anchor, and the RA that deprecates an address may still be on its way. Who compares
states, or takes them for what a move has led to, waits for this first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until
from topologies.traffic import PATIENCE

if TYPE_CHECKING:
    from topologies.runner import Run

State = dict[str, Any]
UNDER_WAY = ("exchanges", "queries", "advertising")
"""What an agent's state lists of that it has sent, or ordered, and not seen done."""
IN_PLACE = ("local", "remote")
"""States of a binding that has nowhere to go by itself."""


def wait_until_settled(run: Run) -> None:
    """Until no running agent waits for anything, twice in a row: what one had sent, another may have acted on since."""
    before: list[str] = []

    def rest() -> bool:
        nonlocal before
        states = {name: _state(run, name) for name, agent in run.agents.items() if agent.running}
        pending = [f"{name} {what}" for name, state in states.items() for what in unfinished(state)]
        now = [json.dumps(state, sort_keys=True) for state in states.values()]
        same, before = now == before, now
        if pending:
            raise NotYet("; ".join(pending))
        if not same:
            raise NotYet("a state that has just changed")
        return True

    wait_until("all agents to settle", rest, timeout=PATIENCE)


def unfinished(state: State) -> Iterator[str]:
    """What the agent's procedures have not come to an end with, in words; of nodes, those that are here."""
    for kind in UNDER_WAY:
        if state.get(kind):
            yield f"has {kind} under way: {json.dumps(state[kind])}"
    for mn_id, node in state.get("nodes", {}).items():
        if node["attached"]:
            yield from (f"{what} of {mn_id}" for what in _unfinished_node(node))
    for mn_id, session in state.get("sessions", {}).items():
        for what in ("untold", "released"):
            if session[what]:
                yield f"has {what} anchors of {mn_id}: {json.dumps(session[what])}"
    for prefix, chain in state.get("chains", {}).items():
        if not chain["agreed"]:
            yield f"waits for the anchor of {prefix}"


def _unfinished_node(node: State) -> Iterator[str]:
    own = node["own"]
    if node["serving"] and own and (own["state"] not in IN_PLACE or own["former"]):
        yield f"waits for its registration ({own['state']})"
    for anchor in node["anchors"]:
        if not anchor["active"]:
            yield f"waits for {anchor['prefix']}"


def _state(run: Run, node: str) -> State:
    found: State = run.agents[node].request({"request": "inspect"})["state"]
    del found["counters"]
    return found
