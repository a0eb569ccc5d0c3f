"""Downstream of a router Client: its DHCPv6 server, which gives addresses and parts of the prefix (spec MODEL-R3)."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

from testbed.validation import LabError
from topologies.aero.members import Client, Lan
from topologies.tools import delegated_route

SUB_DELEGATED = 60
"""Length of the prefixes that downstream routers get."""
HOOKS = "kea/hooks/libdhcp_run_script.so"
LIFETIMES = {"renew-timer": 60, "rebind-timer": 100, "preferred-lifetime": 200, "valid-lifetime": 300}
"""No longer than those of the prefix itself (spec §10)."""


def dhcp6(client: Client, lan: Lan) -> dict[str, Any]:
    """What goes under "Dhcp6" for the server on a downstream link; each delegation is routed to who has it."""
    network = IPv6Network(client.subnet(lan.subnet))
    return {
        "server-id": {"type": "LL", "htype": 1, "identifier": f"0200000000d{client.index}", "persist": False},
        "interfaces-config": {"interfaces": [lan.interface]},
        "lease-database": {"type": "memfile", "persist": False},
        **LIFETIMES,
        "subnet6": [
            {
                "id": 1,
                "subnet": str(network),
                "interface": lan.interface,
                "rapid-commit": True,
                "pools": [{"pool": f"{network[0x100]}-{network[0x1FF]}"}],
                "pd-pools": [sub_pool(client)],
            }
        ],
        "hooks-libraries": [
            {"library": str(_run_script()), "parameters": {"name": delegated_route.__file__, "sync": False}}
        ],
    }


def sub_pool(client: Client) -> dict[str, Any]:
    """The part of a Client's prefix that it delegates further: behind the /64s of its own links."""
    whole = IPv6Network(client.prefixes["ipv6"])
    part = list(whole.subnets(new_prefix=SUB_DELEGATED - 1))[1]
    return {"prefix": str(part.network_address), "prefix-len": part.prefixlen, "delegated-len": SUB_DELEGATED}


def _run_script() -> Path:
    """Kea's hook that runs a program, which is below the machine's own library folder."""
    found = next(iter(sorted(Path("/usr/lib").glob(f"*/{HOOKS}"))), None)
    if found is None:
        raise LabError(f"Kea's {HOOKS} is not installed below /usr/lib")
    return found
