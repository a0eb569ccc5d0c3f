"""A router's cache in words, for `inspect` and the log."""

from __future__ import annotations

from typing import Any

from agents.haaro.mr.cache import Correspondent


def describe(peer: Correspondent) -> dict[str, Any]:
    """One entry of the cache (spec §4.2), without secrets."""
    tunnel = peer.tunnel
    return {
        "home": peer.home,
        "known": peer.known,
        "outbound_only": peer.outbound_only,
        "networks": [
            {"prefix": each.prefix, "realm": each.realm, "valid": each.valid} for each in peer.prefixes.values()
        ],
        "careofs": peer.addresses(),
        "pairs": {str(careof): pair.state.value for careof, pair in peer.pairs.items()},
        "nat": {f"{own} {its}": eligible for (own, its), eligible in peer.nat.items()},
        "static": peer.static_key is not None,
        "registered_here": peer.incoming.expires if peer.incoming else None,
        "registered_there": peer.outgoing.expires if peer.outgoing else None,
        "tunnel": f"{tunnel.local} {tunnel.remote}:{tunnel.port} {tunnel.state.value}" if tunnel else None,
        "draining": [f"{each.local} {each.remote}" for each in peer.draining],
    }
