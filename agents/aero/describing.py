"""Neighbor cache entries as `inspect` shows them."""

from __future__ import annotations

from math import isfinite
from typing import Any

from agents.aero.neighbors import Neighbor
from agents.aero.optimisation.pairs import Correspondent
from agents.plain import plain


def describe(neighbor: Neighbor) -> dict[str, Any]:
    """A neighbor cache entry for `inspect`."""
    found = {
        "address": str(neighbor.address),
        "type": neighbor.type.value,
        "router": neighbor.router,
        "prefixes": {str(prefix): ends if isfinite(ends) else None for prefix, ends in neighbor.prefixes.items()},
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
    return {**found, **_pairs(neighbor)} if isinstance(neighbor, Correspondent) else found


def _pairs(correspondent: Correspondent) -> dict[str, Any]:
    forwards = correspondent.forward.values()
    return {
        "accept": {str(pair): ends for pair, ends in correspondent.accept.items()},
        "forward": {str(each.pair): {"stage": each.stage.value, "expires": each.expires} for each in forwards},
        "tokens": len(correspondent.tokens),
    }
