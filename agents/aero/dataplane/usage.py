"""When a flow was last used, and when its next use is worth a word to the core: the packet path's only memory of it."""

from __future__ import annotations

from dataclasses import dataclass

NEVER, AT_ONCE = float("inf"), float("-inf")


@dataclass(slots=True, eq=False)
class Use:
    """One flow, or all flows that are treated as one; it outlives verdicts and exits."""

    last: float = AT_ONCE
    """When a packet was sent, Unix time."""
    due: float = NEVER
    """The first packet from this time on is reported to the core, once."""
