"""The checks that a walk between distributed gateways must pass, with their bounds."""

from __future__ import annotations

from typing import Any

MAX_GAP_MS = {"ping": 400.0, "udp": 250.0, "camera": 1500.0}
"""Longest silence around a move by kind of flow: its own interval (50 ms, 20 ms, 40 ms) and the handover; for the
camera also TCP's retransmission time-outs.  How fast handovers are is measured by `roamlab bench handover`."""
MAX_LOST = {"ping": 6, "udp": 12, "*": 0}
"""Packets lost at one move."""


def walk_checks() -> list[dict[str, Any]]:
    """Checks for lab.json of a lab in which mobile nodes walk from gateway to gateway."""
    return [
        {"check": "signalling"},
        {"check": "tunnel"},
        {"check": "cmd-interface"},
        {"check": "ra"},
        {"check": "identity"},
        {"check": "prefixes"},
        {"check": "reachability"},
        {"check": "flows", "max_gap_ms": MAX_GAP_MS, "max_lost": MAX_LOST},
    ]
