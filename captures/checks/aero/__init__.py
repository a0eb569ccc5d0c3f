"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability."""

from captures.checks.aero import (
    attach,
    black_hole,
    duplicates,
    encapsulation,
    fallback,
    fragments,
    identifications,
    nat,
    pings,
    sweep,
    tuning,
)

__all__ = [
    "attach",
    "black_hole",
    "duplicates",
    "encapsulation",
    "fallback",
    "fragments",
    "identifications",
    "nat",
    "pings",
    "sweep",
    "tuning",
]
