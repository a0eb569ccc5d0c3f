"""Figures of a bench: what was measured, against what, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    value: float
    unit: str
    anchor: float | None = None
    """what value is compared with, same unit, measured in the same run"""
    ratio: float | None = None
    """how value and anchor compare"""
    goal: float | None = None
    met: bool | None = None
    """whether the goal is met; None without a goal"""


def at_least(
    value: float, unit: str, goal: float, *, anchor: float | None = None, ratio: float | None = None
) -> Figure:
    """Return a figure that meets its goal when value >= goal."""
    return Figure(value, unit, anchor, ratio, goal, value >= goal)


def at_most(value: float, unit: str, goal: float, *, anchor: float | None = None, ratio: float | None = None) -> Figure:
    """Return a figure that meets its goal when value <= goal."""
    return Figure(value, unit, anchor, ratio, goal, value <= goal)


def result(bench: str, figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Return a bench's result as `roamlab bench -f json` prints it."""
    return {"bench": bench, "figures": {name: asdict(figure) for name, figure in figures.items()}}
