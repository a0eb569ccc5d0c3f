"""Checks of a run, one module per subject; importing this package fills the registry."""

from captures.checks import (
    bad_input,
    cmd_interface,
    figure_four,
    flows,
    identity,
    interoperator,
    lifecycle,
    local_access,
    prefixes,
    ra,
    reachability,
    recovery,
    release,
    retransmission,
    signalling,
    tunnel,
)
from captures.checks.base import REGISTRY, Result, call, check

__all__ = [
    "REGISTRY",
    "Result",
    "bad_input",
    "call",
    "check",
    "cmd_interface",
    "figure_four",
    "flows",
    "identity",
    "interoperator",
    "lifecycle",
    "local_access",
    "prefixes",
    "ra",
    "reachability",
    "recovery",
    "release",
    "retransmission",
    "signalling",
    "tunnel",
]
