"""What goes wrong in a lab, on purpose: messages lost, links down, nodes cut off; all of it announced in the event log.

A check finds the events `fault` and `fault-ended`; `unaffected` names the flows that must not notice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until

if TYPE_CHECKING:
    from topologies.runner import Run
    from topologies.traffic import Flow

TABLE = "ip6 fault"
PATIENCE = 60.0
HOOKS = {"in": "input", "out": "output"}


@contextmanager
def fault(run: Run, name: str, node: str, unaffected: Iterable[str] = ()) -> Iterator[None]:
    """Announce a fault and its end."""
    run.log("fault", node=node, fault=name, unaffected=list(unaffected))
    yield
    run.log("fault-ended", node=node, fault=name)


class Loss:
    """Mobility messages of one kind that a node loses as long as this lasts."""

    def __init__(self, run: Run, node: str, kind: str, way: str = "in") -> None:
        """`kind`: "binding-update" or "binding-acknowledgement"; `way`: "in" or "out"."""
        self._run = run
        self._node = node
        chain = f"add chain {TABLE} lost {{ type filter hook {HOOKS[way]} priority 0 ; }}"
        rule = f"add rule {TABLE} lost mh type {kind} counter drop"
        _nft(run, node, f"add table {TABLE} ; {chain} ; {rule}")

    def reached(self, count: int) -> bool:
        """Whether this many were lost (NotYet)."""
        listed = json.loads(
            self._run.net[self._node].run(["nft", "-j", "list", "table", *TABLE.split()], check=True).out
        )
        rules = [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
        lost = sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)
        if lost < count:
            raise NotYet(f"{lost} messages lost, not yet {count}")
        return True

    def wait(self, count: int) -> None:
        """Until this many were lost."""
        what = f"{self._node} to lose {count} messages"
        wait_until(what, partial(self.reached, count), timeout=PATIENCE, interval=0.01)

    def stop(self) -> None:
        """Let everything through again."""
        _nft(self._run, self._node, f"delete table {TABLE}")


@contextmanager
def cut_off(run: Run, node: str, interface: str) -> Iterator[None]:
    """Nothing enters or leaves a node by this interface, which stays up: as if a switch on the way were dead."""
    chains = {"prerouting": f'iifname "{interface}" drop', "postrouting": f'oifname "{interface}" drop'}
    commands = [f"add table {TABLE}_cut"]
    for hook, rule in chains.items():
        commands.append(f"add chain {TABLE}_cut {hook} {{ type filter hook {hook} priority -450 ; }}")
        commands.append(f"add rule {TABLE}_cut {hook} {rule}")
    _nft(run, node, " ; ".join(commands))
    yield
    _nft(run, node, f"delete table {TABLE}_cut")


@contextmanager
def link_down(run: Run, node: str, interface: str, routes: Iterable[tuple[str, str]]) -> Iterator[None]:
    """An interface is taken down, so that the far end has no carrier; `routes` (prefix, via) come back with it."""
    run.net[node].sysctl(f"net.ipv6.conf.{interface}.keep_addr_on_down", 1)
    run.net[node].run(["ip", "link", "set", interface, "down"], check=True)
    yield
    run.net[node].run(["ip", "link", "set", interface, "up"], check=True)
    for prefix, via in routes:
        argv = ["ip", "-6", "route", "replace", prefix, "via", via, "dev", interface]
        wait_until(f"{node} to reach {via} again", partial(_succeeds, run, node, argv), timeout=PATIENCE)


def end(run: Run, *flows: Flow) -> None:
    """End flows before their lab ends."""
    for flow in flows:
        flow.stop()
        run.flows.remove(flow)


def wait_event(run: Run, name: str, node: str, since: int = 0, **fields: object) -> dict[str, Any]:
    """The first event of this name, node and fields from mark `since` on."""

    def fits(event: dict[str, Any]) -> bool:
        named = event["event"] == name and event["node"] == node
        return named and all(event.get(key) == value for key, value in fields.items())

    return run.events.wait_for(fits, since=since, what=f"{name} of {node}", timeout=PATIENCE)


def dump_agents(run: Run, label: str) -> None:
    """Write the state of every running agent into the event log (event `agent-dump`)."""
    for node, agent in run.agents.items():
        if agent.running:
            run.log("agent-dump", node=node, label=label, state=agent.request({"request": "inspect"})["state"])


def _succeeds(run: Run, node: str, argv: list[str]) -> bool:
    return bool(run.net[node].run(argv).exit == 0)


def _nft(run: Run, node: str, commands: str) -> None:
    run.net[node].run(["nft", commands], check=True)
