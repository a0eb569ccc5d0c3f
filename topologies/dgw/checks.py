"""The checks that a walk between distributed gateways must pass, with their bounds."""

from __future__ import annotations

from typing import Any

MAX_GAP_MS = {"ping": 400.0, "udp": 250.0, "camera": 1500.0}
"""Longest silence around a move by kind of flow: its own interval (50 ms, 20 ms, 40 ms) and the handover; for the
camera also TCP's retransmission time-outs.  How fast handovers are is measured by `roamlab bench handover`."""
MAX_LOST = {"ping": 6, "udp": 12, "*": 0}
"""Packets lost at one move."""


RA_MS, ANCHOR_RA_MS = 1000.0, 2000.0
"""From an attachment to the first RA of the own and of each anchor's DLIF."""


def classic_checks(slowness: float = 1.0) -> list[dict[str, Any]]:
    """The same for classic Proxy Mobile IPv6: no CMD to look at, one anchor, one prefix wherever the node is."""
    left_out = ("cmd-interface", "order")
    return [check for check in walk_checks(slowness, settled=False) if check["check"] not in left_out]


def walk_checks(
    slowness: float = 1.0, *, rate: int = 3, settled: bool = True, repeated: bool = False
) -> list[dict[str, Any]]:
    """Checks for lab.json of a lab in which mobile nodes walk from gateway to gateway.

    `slowness` stretches the bounds on time, and on what is lost in that time, on an emulated machine. `rate`: PBUs a
    second to one node, 0 without limit. `settled`: at every state dump every node had all its anchors and kept all
    its prefixes, so that its walk says what kernels and nodes must hold. `repeated`: nodes are dumped at several stays.
    """
    max_gap = {kind: bound * slowness for kind, bound in MAX_GAP_MS.items()}
    max_lost = {kind: bound * slowness for kind, bound in MAX_LOST.items()}
    return [
        {"check": "signalling"},
        {"check": "tunnel"},
        {"check": "cmd-interface"},
        {"check": "ra", "bound_ms": RA_MS * slowness, "anchor_bound_ms": ANCHOR_RA_MS * slowness},
        {"check": "identity"},
        {"check": "prefixes"},
        {"check": "reachability"},
        {"check": "flows", "max_gap_ms": max_gap, "max_lost": max_lost},
        {"check": "order"},
        {"check": "pace", "rate": rate},
        {"check": "leftovers", "walk": settled},
        *([{"check": "mobile-view", "repeated": repeated}] if settled else []),
    ]


def protection_checks(protection: str) -> list[dict[str, Any]]:
    """Checks of a lab whose signalling is protected: none when it is not."""
    return [] if protection == "off" else [{"check": "protection"}]
