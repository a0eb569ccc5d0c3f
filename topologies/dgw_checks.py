"""The checks that a walk between distributed gateways must pass, with their bounds."""

from __future__ import annotations

from typing import Any

from topologies.dgw_plan import DgwOptions


def walk_checks(options: DgwOptions, moves: int) -> list[dict[str, Any]]:
    """Checks for lab.json of a lab in which mobile nodes hand over `moves` times."""
    return []
