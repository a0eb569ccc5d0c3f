"""What the AERO labs do to Servers: kill what runs there, cut them off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topologies.runner import Run

TABLE = "roamlab-cut"


def kill(run: Run, node: str, what: str) -> None:
    """SIGKILL a Server's aerod, its Kea, its ExaBGP, or ("node") all that runs there; of a Relay likewise."""
    daemons = {"aerod": run.agents.get(node), "kea": run.keas.get(node), "exabgp": run.exabgps.get(node)}
    run.log("failing", node=node, what=what)
    for daemon in daemons.values() if what == "node" else [daemons[what]]:
        if daemon:
            daemon.kill()


@contextlib.contextmanager
def cut_off(
    run: Run, underlay: Mapping[str, str], node: str, what: str, toward: Mapping[str, str] | None = None
) -> Iterator[None]:
    """The core drops everything from and to a node's underlay addresses; its own link stays up.

    `toward`: only what goes between it and these addresses.
    """
    rules = []
    for family, address in underlay.items():
        ip = {"ipv4": "ip", "ipv6": "ip6"}[family]
        there, back = (f"{ip} daddr {toward[family]} ", f"{ip} saddr {toward[family]} ") if toward else ("", "")
        rules += [f"{ip} saddr {address} {there}drop", f"{back}{ip} daddr {address} drop"]
    head = (f"table inet {TABLE} {{", "chain between {", "type filter hook forward priority filter;")
    run.net["core"].run(["nft", "-f", "-"], input="\n".join([*head, *rules, "}", "}", ""]), check=True)
    run.log("failing", node=node, what=what)  # behind it: what passes until the program has begun is no failure yet
    yield
    run.net["core"].run(["nft", "delete", "table", "inet", TABLE], check=True)
