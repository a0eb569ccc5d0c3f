"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability, direct paths."""

from captures.checks.aero import (
    attach,
    bgp,
    duplicates,
    encapsulation,
    fallback,
    fragments,
    mediation,
    moves,
    nat,
    paths,
    pings,
    relays,
    tuning,
)

__all__ = [
    "attach",
    "bgp",
    "duplicates",
    "encapsulation",
    "fallback",
    "fragments",
    "mediation",
    "moves",
    "nat",
    "paths",
    "pings",
    "relays",
    "tuning",
]
