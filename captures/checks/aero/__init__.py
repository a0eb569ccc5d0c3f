"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability, Client models."""

from captures.checks.aero import (
    attach,
    black_hole,
    downstream,
    duplicates,
    encapsulation,
    fallback,
    fragments,
    identifications,
    models,
    nat,
    pings,
    sweep,
    switching,
    tuning,
    uniqueness,
    withdrawal,
)

__all__ = [
    "attach",
    "black_hole",
    "downstream",
    "duplicates",
    "encapsulation",
    "fallback",
    "fragments",
    "identifications",
    "models",
    "nat",
    "pings",
    "sweep",
    "switching",
    "tuning",
    "uniqueness",
    "withdrawal",
]
