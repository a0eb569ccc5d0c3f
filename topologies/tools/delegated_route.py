#!/usr/bin/env python3
"""Kea's run_script hook of a router that delegates parts of its prefix: each is routed to who got it.

Kea tells in environment variables which leases it committed, to whom, and which it deleted (Kea ARM, "run_script").
Only the standard library: it is not the project's interpreter that runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

Environment = Mapping[str, str]


def commands(event: str, environment: Environment) -> Iterator[list[str]]:
    """What to run for an event of Kea's."""
    if event == "leases6_committed":
        for prefix in _leases(environment, "DELETED_LEASES6"):
            yield ["ip", "-6", "route", "delete", prefix]
        hop = ["via", environment["QUERY6_REMOTE_ADDR"], "dev", environment["QUERY6_IFACE_NAME"]]
        for prefix in _leases(environment, "LEASES6"):
            yield ["ip", "-6", "route", "replace", prefix, *hop]
    elif event in ("lease6_release", "lease6_expire") and environment.get("LEASE6_TYPE") == "IA_PD":
        yield ["ip", "-6", "route", "delete", f"{environment['LEASE6_ADDRESS']}/{environment['LEASE6_PREFIX_LEN']}"]


def _leases(environment: Environment, name: str) -> Iterator[str]:
    """Delegated prefixes among a list of leases."""
    for number in range(int(environment.get(f"{name}_SIZE") or 0)):
        lease = f"{name}_AT{number}"
        if environment.get(f"{lease}_TYPE") == "IA_PD":
            yield f"{environment[f'{lease}_ADDRESS']}/{environment[f'{lease}_PREFIX_LEN']}"


def main() -> None:
    """Carry out one event; a route that is gone already is fine."""
    for command in commands(sys.argv[1], os.environ):
        subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
