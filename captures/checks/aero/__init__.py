"""Checks of an AERO link: attachment, NAT views, encapsulation, fragmentation, reachability, Client models."""

from captures.checks.aero import (
    attach,
    downstream,
    duplicates,
    encapsulation,
    fallback,
    fragments,
    models,
    nat,
    pings,
    switching,
    tuning,
    uniqueness,
    withdrawal,
)

__all__ = [
    "attach",
    "downstream",
    "duplicates",
    "encapsulation",
    "fallback",
    "fragments",
    "models",
    "nat",
    "pings",
    "switching",
    "tuning",
    "uniqueness",
    "withdrawal",
]
