"""Neighbor cache entries as `inspect` shows them."""

from __future__ import annotations

from typing import Any

from agents.aero.neighbors import Neighbor
from agents.plain import plain


def describe(neighbor: Neighbor) -> dict[str, Any]:
    """A neighbor cache entry for `inspect`."""
    return {
        "address": str(neighbor.address),
        "type": neighbor.type.value,
        "router": neighbor.router,
        "prefixes": {str(prefix): ends for prefix, ends in neighbor.prefixes.items()},
        "duid": neighbor.duid.hex(),
        "paths": [
            {
                "lladdr": str(path.lladdr),
                "preference": path.preference,
                "nat": path.nat,
                "reachability": plain(path.reachability),
                "state": path.size.state.value,
                "mtu": path.size.mtu,
                "proven": path.size.proven,
                "fragments": path.fragments,
                "identifications": path.identifications,
            }
            for path in neighbor.paths
        ],
    }
