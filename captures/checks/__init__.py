"""Checks of a run, one module per subject; importing this package fills the registry."""

from captures.checks import (
    aero,
    bad_input,
    cmd_interface,
    flows,
    identity,
    prefixes,
    ra,
    reachability,
    signalling,
    tunnel,
)
from captures.checks.base import REGISTRY, Result, call, check

__all__ = [
    "REGISTRY",
    "Result",
    "aero",
    "bad_input",
    "call",
    "check",
    "cmd_interface",
    "flows",
    "identity",
    "prefixes",
    "ra",
    "reachability",
    "signalling",
    "tunnel",
]
