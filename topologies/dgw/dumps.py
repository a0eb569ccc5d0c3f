"""State dumps a script writes into the event log: the kernels of gateways and mobile nodes, the agents' own state.

They are what `ip -j` and `nft -j` say inside the node; `captures.dumps` reads them again.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from testbed.waiting import NotYet, wait_until
from topologies.dgw.settling import wait_until_settled

if TYPE_CHECKING:
    from topologies.runner import Run

GATE = "roamlab"
RETIRED = "184"
"""Device group of interfaces out of service that wait for their deletion (agents.kernel.links)."""
PATIENCE = 60.0
"""Seconds until a retired interface is gone; it takes a quarter of a second on a real machine."""


def settled(run: Run, label: str) -> None:
    """Dump every gateway and every mobile node, as they are when all agents have come to rest."""
    wait_until_settled(run)
    gateways(run, label)
    for mobile in run.mobiles():
        _mobile(run, mobile, label)


def gateways(run: Run, label: str, *, cleared: bool = False) -> None:
    """Dump the kernel of every gateway beside what its agent accounts for, retired interfaces being gone."""
    for name in _gateways(run):
        wait_until(f"{name} to delete what it retired", partial(_none_retired, run, name), timeout=PATIENCE)
        _gateway(run, name, label, cleared=cleared)


def agents(run: Run, label: str) -> None:
    """Dump the state of every agent."""
    for node, agent in run.agents.items():
        state = agent.request({"request": "inspect"})["state"]
        run.log("agent-dump", node=node, label=label, state=state)


def after_the_end(run: Run) -> None:
    """Tell every gateway to take back what it installed, and dump what is left."""
    run.stop_captures()
    for name in _gateways(run):
        run.agents[name].request({"request": "clear"})
    gateways(run, "after the end", cleared=True)


def _gateways(run: Run) -> list[str]:
    """Gateways whose agent runs."""
    return [name for name, agent in run.agents.items() if run.net[name].role == "gateway" and agent.running]


def _gateway(run: Run, name: str, label: str, *, cleared: bool) -> None:
    run.log(
        "kernel-dump",
        node=name,
        label=label,
        links=[_link(link) for link in _links(run, name)],
        rules=_json(run, name, "ip", "-j", "-6", "rule"),
        routes=_json(run, name, "ip", "-j", "-6", "route", "show", "table", "all"),
        sets=_sets(run, name),
        items=None if cleared else run.agents[name].request({"request": "inspect"})["state"]["items"],
    )


def _mobile(run: Run, name: str, label: str) -> None:
    (interface,) = _json(run, name, "ip", "-j", "-6", "address", "show", "dev", "eth0")
    run.log(
        "mobile-dump",
        node=name,
        label=label,
        addresses=interface["addr_info"],
        routes=_json(run, name, "ip", "-j", "-6", "route", "show"),
        neighbours=_json(run, name, "ip", "-j", "-6", "neighbour", "show"),
    )


def _none_retired(run: Run, name: str) -> bool:
    waiting = [link["ifname"] for link in _links(run, name) if str(link.get("group")) == RETIRED]
    if waiting:
        raise NotYet(f"{', '.join(waiting)} still there")
    return True


def _links(run: Run, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _json(run, name, "ip", "-j", "-d", "link", "show")
    return found


def _link(link: dict[str, Any]) -> dict[str, Any]:
    info = link.get("linkinfo", {})
    return {
        "ifname": link["ifname"],
        "address": link.get("address"),
        "kind": info.get("info_kind", ""),
        "group": str(link.get("group", "default")),
        "remote": info.get("info_data", {}).get("remote"),
    }


def _sets(run: Run, name: str) -> dict[str, list[Any]] | None:
    """Elements of the gate's sets; None when there is no gate."""
    listed = _json(run, name, "nft", "-j", "list", "ruleset", "ip6")["nftables"]
    if not any(entry.get("table", {}).get("name") == GATE for entry in listed):
        return None
    sets = [entry["set"] for entry in listed if "set" in entry]
    return {one["name"]: one.get("elem", []) for one in sets if one["table"] == GATE}


def _json(run: Run, node: str, *argv: str) -> Any:
    return json.loads(run.net[node].run(argv, check=True).out or "[]")
