"""Checks of HAARO: registrations, advertisements, return routability, direct tunnels, paths."""

from captures.checks.haaro import (
    advertising,
    attack,
    change,
    detour,
    home,
    hops,
    leaving,
    load,
    nonces,
    paths,
    peers,
    realms,
    registration,
    routability,
    tunnels,
)

__all__ = [
    "advertising",
    "attack",
    "change",
    "detour",
    "home",
    "hops",
    "leaving",
    "load",
    "nonces",
    "paths",
    "peers",
    "realms",
    "registration",
    "routability",
    "tunnels",
]
