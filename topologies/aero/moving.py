"""How a Client of the AERO labs comes to be elsewhere: another underlay address, or another Server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from topologies.aero.network import masked, opposite

if TYPE_CHECKING:
    from topologies.runner import Run


def readdress(run: Run, name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """A Client's link gets other addresses: the new ones first, default routes over them, then the old ones go."""
    core, client = [], []
    for family, address in new.items():
        gateway = opposite(address)
        nodad = " nodad" if family == "ipv6" else ""
        core.append(f"address add {masked(gateway)} dev {name}{nodad}")
        client.append(f"address add {masked(address)} dev wan{nodad}")
        client.append(f"route replace default via {gateway} dev wan")
        client.append(f"address delete {masked(old[family])} dev wan")
    run.net["core"].run(["ip", "-batch", "-"], input="\n".join([*core, ""]), check=True)
    run.events.record("moving", node=name, address=list(new.values()))
    run.net[name].run(["ip", "-batch", "-"], input="\n".join([*client, ""]), check=True)


def change_server(run: Run, name: str, server: str) -> None:
    """A Client is told to attach at another Server, and to leave its present one."""
    run.events.record("changing", node=name, server=server)
    run.agents[name].request({"request": "change-server", "server": server})
